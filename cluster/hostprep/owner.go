package hostprep

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"cw/fault"
)

// MarkerFile lies in every folder that cw made for a node. A folder without
// it, or with another cluster's, is never touched.
const MarkerFile = "cw-node.json"

// Marker is the content of MarkerFile.
type Marker struct {
	Cluster string   `json:"cluster"`
	UID     string   `json:"uid"` // of the cluster: names can be used again, this cannot
	Node    string   `json:"node"`
	Run     string   `json:"run"`               // that made the folder
	Created []string `json:"created,omitempty"` // folders above that were made too, deepest last
	ByRoot  bool     `json:"by_root,omitempty"` // root had to make them
}

// The states of a node's folder.
const (
	DirAbsent     = "absent"
	DirEmpty      = "empty"
	DirOurs       = "ours"       // carries our marker
	DirForeign    = "foreign"    // not empty, no marker or another's
	DirUnreadable = "unreadable" // or no folder at all
)

// Dir is what is known of a node's folder on a host.
type Dir struct {
	State    string
	Marker   Marker // of DirOurs and of other clusters' folders
	Contents string // a few names, of DirForeign
}

const dirScript = `d=$1
if [ ! -e "$d" ] && [ ! -L "$d" ]; then echo absent
elif [ ! -d "$d" ]; then echo unreadable; echo "not a folder"
elif [ -f "$d/$2" ]; then echo marked; cat "$d/$2"
elif ! l=$(ls -A "$d" 2>&1); then echo unreadable; echo "$l"
elif [ -z "$l" ]; then echo empty
else echo foreign; echo "$l" | head -n 5; fi`

// LookDir says whose a folder is. want is compared by UID and Node.
func (f *Fleet) LookDir(ctx context.Context, host, as, dir string, want Marker) (Dir, error) {
	out, err := f.Script(ctx, host, as, dirScript, dir, MarkerFile)
	if err != nil {
		return Dir{}, err
	}
	state, rest, _ := strings.Cut(out, "\n")
	d := Dir{State: state, Contents: strings.Join(trimLines(rest), ", ")}
	if state == "marked" {
		d.State = DirForeign
		if err := json.Unmarshal([]byte(rest), &d.Marker); err != nil {
			d.Contents = MarkerFile + " that is not readable"
		} else if d.Marker.UID == want.UID && d.Marker.Node == want.Node {
			d.State = DirOurs
		} else {
			d.Contents = fmt.Sprintf("node %s of cluster %s", d.Marker.Node, d.Marker.Cluster)
			if d.Marker.Cluster == want.Cluster && d.Marker.UID != want.UID {
				d.Contents += ", another one of the same name"
			}
		}
	}
	return d, nil
}

// Foreign is the error of a folder that is not ours to touch.
func Foreign(host, dir string, d Dir) error {
	if d.State == DirUnreadable {
		return fault.New(fault.Check, "look at it on the host, or set another layout.data_dirs", "%s: %s cannot be used as a data folder: %s", host, dir, d.Contents)
	}
	return fault.New(fault.Check, "empty it or move it away, or set another layout.data_dirs", "%s: data directory %s is not empty and not this cluster's: it holds %s", host, dir, d.Contents)
}

// makeScript makes $1 and the folders above it, prints those that were not
// there, and gives the new ones to user $2 when that is not empty.
const makeScript = `set -e
umask 022
mk() {
  [ -d "$1" ] && return 0
  mk "$(dirname "$1")" "$2"
  # Somebody may have been faster: the nodes of a laboratory share folders.
  if e=$(mkdir "$1" 2>&1); then
    [ -z "$2" ] || chown "$2:" "$1"
    echo "$1"
  elif [ ! -d "$1" ]; then
    echo "$e" >&2
    exit 1
  fi
}
mk "$1" "$2"
if [ -n "$2" ]; then chown "$2:" "$1"; fi
chmod 0700 "$1"`

// Claim makes a node's folder for user owner and puts the marker into it. The
// owner makes it where it may, else root does and gives it away.
func (f *Fleet) Claim(ctx context.Context, host, owner, dir string, m Marker) error {
	disk, err := f.diskAt(ctx, host, owner, dir)
	if err != nil {
		return err
	}
	as, chown := owner, ""
	if !disk.Writable {
		as, chown, m.ByRoot = "root", owner, true
	}
	out, err := f.Script(ctx, host, as, makeScript, dir, chown)
	if err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	for _, l := range trimLines(out) {
		if l != dir && path.IsAbs(l) {
			m.Created = append(m.Created, l)
		}
	}
	return f.WriteMarker(ctx, host, owner, dir, m)
}

// Unclaim removes the folders above a node's own that Claim had to make, as
// far as they are empty. That one stays is no failure: others may use it now.
func (f *Fleet) Unclaim(ctx context.Context, host, owner string, m Marker) {
	as := owner
	if m.ByRoot {
		as = "root"
	}
	for i := len(m.Created) - 1; i >= 0; i-- {
		_, _ = f.Script(ctx, host, as, `rmdir -- "$1" 2>/dev/null || :`, m.Created[i])
	}
}

// WriteMarker puts the marker into a folder.
func (f *Fleet) WriteMarker(ctx context.Context, host, owner, dir string, m Marker) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return f.WriteFile(ctx, host, owner, path.Join(dir, MarkerFile), append(data, '\n'), 0o600)
}
