package greenplum

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
)

// Delete removes every node that carries our marker, host by host: one that
// is down keeps no other from being cleaned.
func (e *Engine) Delete() ([]step.Step, error) {
	var steps []step.Step
	var removed []string
	for _, h := range e.hosts() {
		steps = append(steps, e.endStep(h, e.lay.On(h)), e.removeStep(h, e.lay.On(h)))
		removed = append(removed, "remove@"+h)
	}
	for _, h := range e.hosts() {
		s := e.tidyStep(h)
		s.Needs, s.After = []string{"remove@" + h}, removed
		steps = append(steps, s)
	}
	return steps, nil
}

// ours are the nodes of a host whose folders are there and this cluster's.
func (e *Engine) ours(ctx context.Context, host string, nodes []cluster.Node) ([]cluster.Node, error) {
	if _, err := e.Fleet.Host(host).Facts(ctx); err != nil {
		return nil, err // not there, or not the machine it was
	}
	var out []cluster.Node
	for _, n := range nodes {
		s, err := e.see(ctx, n)
		if err != nil {
			return nil, err
		}
		if s.Mark == hostprep.DirOurs || s.Mark == hostprep.DirEmpty {
			out = append(out, n)
		}
	}
	return out, nil
}

// endStep ends whatever works in the nodes' folders. The data is given up, so
// nothing is waited for.
func (e *Engine) endStep(host string, nodes []cluster.Node) step.Step {
	return step.Step{
		ID: "stop@" + host, Host: host, Title: "stop " + names(nodes),
		Check: func(ctx context.Context) (step.Observed, error) {
			mine, err := e.ours(ctx, host, nodes)
			if err != nil {
				return step.Observed{}, err
			}
			left := 0
			for _, n := range mine {
				if s, err := e.see(ctx, n); err != nil || s.Proc != procStopped || s.Unready {
					left++
				}
			}
			return step.Observed{Done: left == 0, Note: fmt.Sprintf("%d of %d at work", left, len(nodes))}, nil
		},
		Apply: func(ctx context.Context) error {
			mine, err := e.ours(ctx, host, nodes)
			if err != nil {
				return err
			}
			dirs := []string{e.templateDir(host) + ".cw-new"}
			for _, n := range mine {
				dirs = append(dirs, newData(n))
			}
			if err := e.sweep(ctx, host, dirs...); err != nil {
				return err
			}
			return e.stop(ctx, host, mine, cluster.Immediate, "", false)
		},
		Verify: verified,
	}
}

// removeScript removes the folders given as pairs with a data directory that
// lies elsewhere, or nothing, after $1, the name of the marker, and $2, the
// cluster's uid: the marker last, so that a removal that was interrupted is
// still known as ours. File systems mounted inside are not entered. It prints
// tablespaces, which lie elsewhere and stay.
const removeScript = `mark=$1 uid=$2; shift 2
set -e
while [ $# -gt 0 ]; do
  d=$1 data=$2; shift 2
  [ -d "$d" ] || continue
  cd -- "$d"
  if [ "$(ls -A)" ]; then
    grep -Fq "\"uid\": \"$uid\"" "$mark" || { echo "$d/$mark is not this cluster's any more" >&2; exit 1; }
    if [ "$data" ]; then
      find "$data" -path '*/pg_tblspc/*' -type l -exec readlink {} \; 2>/dev/null || :
      rm -rf --one-file-system -- "$data" "$data.cw-new"
    fi
    find . -path '*/pg_tblspc/*' -type l -exec readlink {} \; 2>/dev/null || :
    find . -mindepth 1 -maxdepth 1 ! -name "$mark" -exec rm -rf --one-file-system -- {} +
    rm -f -- "$mark"
  fi
  cd /
  rmdir -- "$d"
  rmdir -- "$(dirname "$d")" 2>/dev/null || :
done`

// removeStep removes the folders of nodes.
func (e *Engine) removeStep(host string, nodes []cluster.Node) step.Step {
	return step.Step{
		ID: "remove@" + host, Host: host, Title: "remove the folders of " + names(nodes), Needs: []string{"stop@" + host}, Destructive: true, PointOfNoReturn: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			mine, err := e.ours(ctx, host, nodes)
			if err != nil {
				return step.Observed{}, err
			}
			for _, n := range nodes {
				if s, err := e.see(ctx, n); err == nil && s.Mark == hostprep.DirForeign {
					e.leave("%s: %s was left alone: it is not this cluster's", host, n.Dir)
				}
			}
			return step.Observed{Done: len(mine) == 0, Note: fmt.Sprintf("%d folders", len(mine))}, nil
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			mine, err := e.ours(ctx, host, nodes)
			if err != nil {
				return err
			}
			args := []string{hostprep.MarkerFile, e.UID}
			dirs, err := e.Fleet.LookDirs(ctx, host, e.top.OSUser, e.claims(mine))
			if err != nil {
				return err
			}
			for i, d := range dirs {
				if len(d.Marker.Created) > 0 {
					e.mu.Lock()
					e.markers[host] = append(e.markers[host], d.Marker)
					e.mu.Unlock()
				}
				args = append(args, mine[i].Dir, choose(adopted(mine[i]), mine[i].DataDir, ""))
			}
			out, err := e.sh(ctx, host, removeScript, args...)
			if err != nil {
				return fmt.Errorf("removing the folders of %s: %w", names(mine), err)
			}
			for _, l := range strings.Fields(out) {
				e.leave("%s: tablespace folder %s was left: remove it by hand if nobody needs it", host, l)
			}
			return nil
		},
		Verify: verified,
	}
}

// tidyStep removes the folders above the nodes' that claimStep had to make, as
// far as they are empty.
func (e *Engine) tidyStep(host string) step.Step {
	claimed := func() []hostprep.Marker {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.markers[host]
	}
	return step.Step{
		ID: "tidy@" + host, Host: host, Title: "remove the empty folders above",
		Check: func(context.Context) (step.Observed, error) {
			return step.Observed{Done: len(claimed()) == 0, Note: "empty folders"}, nil
		},
		Apply: func(ctx context.Context) error {
			e.Fleet.UnclaimAll(ctx, host, e.top.OSUser, claimed())
			return nil
		},
		Verify: verified,
	}
}
