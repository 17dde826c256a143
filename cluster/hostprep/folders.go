package hostprep

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"cw/fault"
)

// Claim is a node's folder and the marker that says whose it is.
type Claim struct {
	Dir    string
	Marker Marker
}

// newMarker is the marker before it has its name. A folder with nothing else
// is as good as empty: a crash left it so.
const newMarker = "." + MarkerFile + ".new"

// lookScript prints of the folders $@, for each: a line with its state, w or
// - for whether the caller may write to the nearest folder that exists, and
// that folder; then, indented, the marker or what else is inside.
const lookScript = `look() {
  d=$1 s=empty l=
  near "$d"
  if [ ! -e "$d" ] && [ ! -L "$d" ]; then s=absent
  elif [ ! -d "$d" ]; then s=unreadable l="not a folder"
  elif [ -f "$d/` + MarkerFile + `" ]; then s=marked l=$(cat "$d/` + MarkerFile + `" 2>&1)
  elif ! l=$(ls -A -I ` + newMarker + ` "$d" 2>&1); then s=unreadable
  elif [ "$l" ]; then s=foreign l=$(echo "$l" | head -n 5); fi
  w=-; [ -w "$p" ] && w=w
  echo "folder $s $w $p"
  [ -z "$l" ] || echo "$l" | sed 's/^/ /'
}
`

// nearScript sets p to the nearest folder above $1 that exists, or to $1.
const nearScript = `near() {
  p=$1
  while [ ! -e "$p" ]; do p=${p%/*}; p=${p:-/}; done
}
`

// folder is what lookScript says of a folder.
type folder struct {
	state    string
	writable bool
	near     string
	lines    []string
}

// parseFolders reads the answer of lookScript.
func parseFolders(out string) []folder {
	var found []folder
	for _, line := range strings.Split(out, "\n") {
		if rest, ok := strings.CutPrefix(line, "folder "); ok {
			if w := strings.SplitN(rest, " ", 3); len(w) == 3 {
				found = append(found, folder{state: w[0], writable: w[1] == "w", near: w[2]})
			}
		} else if text, ok := strings.CutPrefix(line, " "); ok && len(found) > 0 {
			last := &found[len(found)-1]
			last.lines = append(last.lines, text)
		}
	}
	return found
}

// owned says whose a folder is, compared by UID and Node.
func (d folder) owned(want Marker) Dir {
	text := strings.Join(d.lines, "\n")
	out := Dir{State: d.state, Contents: strings.Join(trimLines(text), ", ")}
	if d.state != "marked" {
		return out
	}
	out.State = DirForeign
	if err := json.Unmarshal([]byte(text), &out.Marker); err != nil {
		out.Contents = MarkerFile + " that is not readable"
	} else if out.Marker.UID == want.UID && out.Marker.Node == want.Node {
		out.State = DirOurs
	} else {
		out.Contents = fmt.Sprintf("node %s of cluster %s", out.Marker.Node, out.Marker.Cluster)
		if out.Marker.Cluster == want.Cluster && out.Marker.UID != want.UID {
			out.Contents += ", another one of the same name"
		}
	}
	return out
}

// LookDirs says whose folders are, in one command.
func (f *Fleet) LookDirs(ctx context.Context, host, as string, want []Claim) ([]Dir, error) {
	args := make([]string, len(want))
	for i, c := range want {
		args[i] = c.Dir
	}
	out, err := f.Script(ctx, host, as, nearScript+lookScript+`for d in "$@"; do look "$d"; done`, args...)
	if err != nil {
		return nil, err
	}
	found := parseFolders(out)
	if len(found) != len(want) {
		return nil, fmt.Errorf("%s: looking at %d folders: an answer in an unknown form: %q", host, len(want), out)
	}
	dirs := make([]Dir, len(want))
	for i := range want {
		dirs[i] = found[i].owned(want[i].Marker)
	}
	return dirs, nil
}

// claimScript makes folders, given as triples of path, uid of the cluster and
// the beginning of the marker's JSON, and puts the markers into them, in which
// it notes the folders above that it had to make. A folder that is marked
// already is left as it is. Where the caller may not write it only says so.
// $1 is a user to whom everything new is given, "" for none; the caller is
// root then.
const claimScript = `set -e
umask 022
owner=$1; shift
mk() {
  [ -d "$1" ] && return 0
  mk "$(dirname "$1")"
  # Somebody may have been faster: the nodes of a laboratory share folders.
  if e=$(mkdir "$1" 2>&1); then
    [ -z "$owner" ] || chown "$owner:" "$1"
    [ "$1" = "$dir" ] || made="$made${made:+,}
    \"$1\""
  elif [ ! -d "$1" ]; then
    echo "$e" >&2
    exit 1
  fi
}
n=$#
while [ $n -gt 0 ]; do
  dir=$1 uid=$2 head=$3 made=; shift 3; n=$((n-3))
  if [ -f "$dir/` + MarkerFile + `" ]; then
    grep -Fq "\"uid\": \"$uid\"" "$dir/` + MarkerFile + `" || { echo "$dir is another cluster's" >&2; exit 1; }
    continue
  fi
  near "$dir"
  if [ ! -w "$p" ]; then echo "root $dir"; continue; fi
  mk "$dir"
  if [ -n "$owner" ]; then chown "$owner:" "$dir"; fi
  chmod 0700 "$dir"
  new=$dir/` + newMarker + `
  rm -f "$new"
  (umask 077
  printf '%s' "$head"
  [ -z "$made" ] || printf ',\n  "created": [%s\n  ]' "$made"
  [ -z "$owner" ] || printf ',\n  "by_root": true'
  printf '\n}\n') >"$new"
  chmod 0600 "$new"
  if [ -n "$owner" ]; then chown "$owner:" "$new"; fi
  set -- "$@" "$new"
done
[ $# -gt 0 ] || exit 0
sync -d "$@" 2>/dev/null || :
for new; do mv -fT "$new" "${new%/*}/` + MarkerFile + `"; done`

// ClaimAll makes the folders of nodes for user owner, 0700, and puts the
// markers into them, in one command. The owner makes them where it may, else
// root does, in a second command, and gives them away. Folders that carry the
// cluster's marker already stay as they are.
func (f *Fleet) ClaimAll(ctx context.Context, host, owner string, claims []Claim) error {
	todo := map[string][]string{}
	var dirs []string
	for _, c := range claims {
		if strings.ContainsFunc(c.Dir, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == 0x7f }) {
			return fault.New(fault.Usage, "set another layout.data_dirs", "%s: %q cannot be a data folder", host, c.Dir)
		}
		c.Marker.Created, c.Marker.ByRoot = nil, false // the script finds that out
		head, err := json.MarshalIndent(c.Marker, "", "  ")
		if err != nil {
			return err
		}
		todo[c.Dir] = []string{c.Dir, c.Marker.UID, strings.TrimSuffix(string(head), "\n}")}
		dirs = append(dirs, c.Dir)
	}
	for _, as := range []struct{ user, chown string }{{owner, ""}, {"root", owner}} {
		if len(dirs) == 0 {
			return nil
		}
		args := []string{as.chown}
		for _, d := range dirs {
			args = append(args, todo[d]...)
		}
		out, err := f.Script(ctx, host, as.user, nearScript+claimScript, args...)
		if err != nil {
			return fmt.Errorf("making %s: %w", strings.Join(dirs, ", "), err)
		}
		dirs = nil
		for _, line := range strings.Split(out, "\n") {
			if d, ok := strings.CutPrefix(line, "root "); ok {
				dirs = append(dirs, d)
			}
		}
	}
	if len(dirs) > 0 {
		return fmt.Errorf("%s: not even root may write to %s", host, strings.Join(dirs, ", "))
	}
	return nil
}

// UnclaimAll removes the folders above the nodes' own that ClaimAll had to
// make, as far as they are empty. That one stays is no failure.
func (f *Fleet) UnclaimAll(ctx context.Context, host, owner string, markers []Marker) {
	made := map[string][]string{}
	for _, m := range markers {
		as := owner
		if m.ByRoot {
			as = "root"
		}
		for _, d := range m.Created {
			if path.IsAbs(d) && !slices.Contains(made[as], d) {
				made[as] = append(made[as], d)
			}
		}
	}
	for _, as := range []string{owner, "root"} {
		dirs := made[as]
		if len(dirs) == 0 {
			continue
		}
		delete(made, as) // the owner may be root in a trial
		slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
		_, _ = f.Script(ctx, host, as, `rmdir -- "$@" 2>/dev/null || :`, dirs...)
	}
}

// removeScript empties and removes folders, given as pairs of path and uid of
// the cluster. The marker goes last: what carries it can still be recognised
// after a crash. The folder of the cluster goes with its last node.
const removeScript = `while [ $# -gt 0 ]; do
  d=$1 uid=$2; shift 2
  [ -e "$d" ] || continue
  if [ -n "$(ls -A -I ` + newMarker + ` "$d")" ]; then
    grep -Fq "\"uid\": \"$uid\"" "$d/` + MarkerFile + `" || { echo "$d is not this cluster's" >&2; exit 1; }
  fi
  find "$d" -mindepth 1 -maxdepth 1 ! -name ` + MarkerFile + ` -exec rm -rf --one-file-system -- {} + || exit
  rm -f -- "$d/` + MarkerFile + `" && rmdir -- "$d" || exit
  rmdir -- "${d%/*}" 2>/dev/null
done
:`

// RemoveAll removes folders that ClaimAll made, with everything in them, as
// their owner, in one command. A folder that carries another marker, or none
// and something else, ends it with an error; one that is absent is done.
func (f *Fleet) RemoveAll(ctx context.Context, host, owner string, claims []Claim) error {
	var args []string
	for _, c := range claims {
		args = append(args, c.Dir, c.Marker.UID)
	}
	if len(args) == 0 {
		return nil
	}
	if _, err := f.Script(ctx, host, owner, removeScript, args...); err != nil {
		return fmt.Errorf("removing folders: %w", err)
	}
	return nil
}
