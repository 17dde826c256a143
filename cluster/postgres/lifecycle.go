package postgres

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
)

// stopPatience is how long a stop may take, by mode. Smart waits for clients,
// fast for a checkpoint and for standbys to have all WAL.
func stopPatience(mode cluster.StopMode) time.Duration {
	if mode == cluster.Smart {
		return 10 * time.Minute
	}
	return 5 * time.Minute
}

// Start starts the primary, then the standbys, and sees them stream. Standbys
// do not need the primary, since they can answer queries without it; they only
// wait for its start, or their first attempt to connect would come too early
// and the next one five seconds later.
func (e *Engine) Start() ([]step.Step, error) {
	var steps []step.Step
	p := e.lay.Primary()
	for _, n := range e.lay.Nodes {
		s := e.startStep(n)
		if n.ID != p.ID {
			s.After = []string{"start@" + p.Host}
		}
		steps = append(steps, s)
	}
	for _, n := range e.lay.Standbys() {
		s := e.followStep(n, p)
		s.Needs = append(s.Needs, "start@"+p.Host)
		steps = append(steps, s)
	}
	return steps, nil
}

// Stop stops the primary first, so that the standbys get its last WAL, and
// then the standbys; immediate stops all at once. A primary that cannot be
// stopped does not keep the standbys running.
func (e *Engine) Stop(mode cluster.StopMode) ([]step.Step, error) {
	var steps []step.Step
	p := e.lay.Primary()
	for _, n := range e.lay.Nodes {
		s := e.stopStep(n, mode)
		if n.ID != p.ID && mode != cluster.Immediate {
			s.After = []string{"stop@" + p.Host}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func (e *Engine) stopStep(n cluster.Node, mode cluster.StopMode) step.Step {
	return step.Step{
		ID: "stop@" + n.Host, Host: n.Host, Title: fmt.Sprintf("stop node %s (%s)", n.Name(), mode),
		Check: func(ctx context.Context) (step.Observed, error) {
			state, err := e.proc(ctx, n)
			return step.Observed{Done: state == procStopped || state == procNone, Note: state}, err
		},
		Apply: func(ctx context.Context) error { return e.stop(ctx, n, mode, stopPatience(mode)) },
	}
}

// Restart restarts the primary, then the standbys. Whether a node was
// restarted by this run already is written beside its data, so that a resumed
// restart interrupts nobody twice.
func (e *Engine) Restart(mode cluster.StopMode) ([]step.Step, error) {
	var steps []step.Step
	p := e.lay.Primary()
	for _, n := range e.lay.Nodes {
		s := e.restartStep(n, mode)
		if n.ID != p.ID {
			s.After = []string{"restart@" + p.Host}
		}
		steps = append(steps, s)
	}
	for _, n := range e.lay.Standbys() {
		s := e.followStep(n, p)
		s.Needs = []string{"restart@" + n.Host, "restart@" + p.Host}
		steps = append(steps, s)
	}
	return steps, nil
}

func (e *Engine) restartStep(n cluster.Node, mode cluster.StopMode) step.Step {
	note := path.Join(n.Dir, "restarted-by")
	return step.Step{
		ID: "restart@" + n.Host, Host: n.Host, Title: fmt.Sprintf("restart node %s (%s)", n.Name(), mode),
		Check: func(ctx context.Context) (step.Observed, error) {
			state, err := e.proc(ctx, n)
			if err != nil {
				return step.Observed{}, err
			}
			out, err := e.sh(ctx, n, `cat "$1" 2>/dev/null || :`, note)
			return step.Observed{Done: state == procReady && strings.TrimSpace(out) == e.Run, Note: state}, err
		},
		Apply: func(ctx context.Context) error {
			if _, err := e.startable(ctx, n); err != nil {
				return err // before it is down
			}
			if err := e.stop(ctx, n, mode, stopPatience(mode)); err != nil {
				return err
			}
			if err := e.start(ctx, n); err != nil {
				return err
			}
			return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, note, []byte(e.Run+"\n"), 0o600)
		},
	}
}

// Delete removes every node that carries our marker, each on its own: a host
// that is down keeps no other from being cleaned.
func (e *Engine) Delete() ([]step.Step, error) {
	var steps []step.Step
	var removed []string
	for _, n := range e.lay.Nodes {
		steps = append(steps, e.endStep(n), e.removeStep(n))
		removed = append(removed, "remove@"+n.Host)
	}
	for _, n := range e.lay.Nodes {
		s := e.tidyStep(n)
		s.Needs, s.After = []string{"remove@" + n.Host}, removed
		steps = append(steps, s)
	}
	return steps, nil
}

// tidyStep removes the folders above the node's that claimStep had to make,
// if they are empty. It comes after all removals, since the nodes of a
// laboratory share folders. That one stays is no failure.
func (e *Engine) tidyStep(n cluster.Node) step.Step {
	return step.Step{
		ID: "tidy@" + n.Host, Host: n.Host, Title: "remove the empty folders above " + n.Dir,
		Check: func(context.Context) (step.Observed, error) {
			return step.Observed{Done: len(e.claimed(n)) == 0, Note: "empty folders"}, nil
		},
		Apply: func(ctx context.Context) error {
			for _, m := range e.claimed(n) {
				e.Fleet.Unclaim(ctx, n.Host, e.top.OSUser, m)
			}
			return nil
		},
		Verify: func(context.Context) error { return nil },
	}
}

// claimed are the markers of the node's folder that were removed by this run.
func (e *Engine) claimed(n cluster.Node) []hostprep.Marker {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.markers[n.ID]
}

// ours says whether the node's folder is there and ours, on the machine that
// was seen at first contact.
func (e *Engine) ours(ctx context.Context, n cluster.Node) (bool, hostprep.Dir, error) {
	if _, err := e.Fleet.Host(n.Host).Facts(ctx); err != nil {
		return false, hostprep.Dir{}, err
	}
	exists, err := e.Fleet.UserExists(ctx, n.Host)
	if err != nil || !exists { // without the owner there can be no folder of ours
		return false, hostprep.Dir{State: hostprep.DirAbsent}, err
	}
	d, err := e.Fleet.LookDir(ctx, n.Host, e.top.OSUser, n.Dir, e.marker(n))
	return d.State == hostprep.DirOurs, d, err
}

// endStep ends whatever works in the node's folder: a server, initdb,
// pg_basebackup. The data is given up, so patience is short.
func (e *Engine) endStep(n cluster.Node) step.Step {
	return step.Step{
		ID: "stop@" + n.Host, Host: n.Host, Title: "stop node " + n.Name(),
		Check: func(ctx context.Context) (step.Observed, error) {
			mine, d, err := e.ours(ctx, n)
			if err != nil || !mine {
				return step.Observed{Done: true, Note: d.State}, err
			}
			state, err := e.proc(ctx, n)
			if err != nil || state == procReady || state == procBusy {
				return step.Observed{Note: state}, err
			}
			out, err := e.sh(ctx, n, `if [ -e "$1" ]; then echo unfinished; fi`, newData(n))
			return step.Observed{Done: out == "", Note: choose(out == "", state, "an unfinished copy")}, err
		},
		Apply: func(ctx context.Context) error {
			if err := e.sweep(ctx, n); err != nil {
				return err
			}
			if _, err := e.binaries(ctx, n.Host); err != nil {
				// Software taken away before its data; the server cannot run on.
				return e.signal(ctx, n)
			}
			if err := e.stop(ctx, n, cluster.Fast, 10*time.Second); err == nil {
				return nil
			}
			return e.stop(ctx, n, cluster.Immediate, time.Minute)
		},
	}
}

// signal ends a server without pg_ctl.
func (e *Engine) signal(ctx context.Context, n cluster.Node) error {
	_, err := e.sh(ctx, n, `pid=$(head -n 1 "$1/postmaster.pid") && [ "$(readlink "/proc/$pid/cwd")" = "$(readlink -f "$1")" ] || exit 0
kill -QUIT "$pid"
n=0
while kill -0 "$pid" 2>/dev/null; do n=$((n+1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done`, n.DataDir)
	return err
}

// removeScript removes folder $1 with the marker $2 of cluster $3: the marker
// last, so that a removal that was interrupted is still known as ours, and
// then the folder above if it is empty, unless $4 says that it is somebody
// else's. File systems mounted inside are not entered. It prints tablespaces, which lie elsewhere and stay.
const removeScript = `set -e
cd -- "$1"
grep -Fq "\"uid\": \"$3\"" "$2" || { echo "$1/$2 is not this cluster's any more" >&2; exit 1; }
find data/pg_tblspc -type l -exec readlink {} \; 2>/dev/null || :
find . -mindepth 1 -maxdepth 1 ! -name "$2" -exec rm -rf --one-file-system -- {} +
rm -f -- "$2"
cd /
rmdir -- "$1"
[ -n "$4" ] || rmdir -- "$(dirname "$1")" 2>/dev/null || :`

// removeStep removes the node's folder.
func (e *Engine) removeStep(n cluster.Node) step.Step {
	return step.Step{
		ID: "remove@" + n.Host, Host: n.Host, Title: "remove " + n.Dir, Needs: []string{"stop@" + n.Host}, Destructive: true, PointOfNoReturn: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			mine, d, err := e.ours(ctx, n)
			if err != nil {
				return step.Observed{}, err
			}
			switch d.State {
			case hostprep.DirForeign, hostprep.DirUnreadable:
				e.leave("%s: %s was left alone: it is not this cluster's (%s)", n.Host, n.Dir, d.Contents)
				return step.Observed{Done: true, Note: "not ours, left alone"}, nil
			case hostprep.DirEmpty:
				return step.Observed{Note: "empty"}, nil
			}
			return step.Observed{Done: !mine, Note: d.State}, nil
		},
		Apply: func(ctx context.Context) error {
			mine, d, err := e.ours(ctx, n)
			if err != nil {
				return err
			}
			if !mine { // empty: made, but not marked yet
				_, err := e.sh(ctx, n, `rmdir -- "$1" && { rmdir -- "$(dirname "$1")" 2>/dev/null || :; }`, n.Dir)
				return err
			}
			if adopted(n) {
				if err := e.removeAdopted(ctx, n); err != nil {
					return err
				}
			}
			out, err := e.sh(ctx, n, removeScript, n.Dir, hostprep.MarkerFile, e.UID, choose(adopted(n), "theirs", ""))
			if err != nil {
				return fmt.Errorf("removing %s: %w", n.Dir, err)
			}
			for _, l := range strings.Fields(out) {
				e.leave("%s: tablespace folder %s was left: remove it by hand if nobody needs it", n.Host, l)
			}
			if len(d.Marker.Created) > 0 {
				e.mu.Lock()
				e.markers[n.ID] = append(e.markers[n.ID], d.Marker)
				e.mu.Unlock()
			}
			return nil
		},
	}
}
