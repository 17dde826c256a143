package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cw/cluster"
	"cw/fault"
	"cw/remote"
)

// The states of a server process.
const (
	procNone     = "absent"  // no data directory
	procStopped  = "stopped" // no postmaster
	procReady    = "ready"   // takes connections
	procBusy     = "busy"    // starting, stopping or recovering
	pollInterval = 200 * time.Millisecond
)

// procScript says whether a postmaster of data directory $1 runs and how it
// is. pg_ctl believes the pid in postmaster.pid; a reboot may have given it
// to somebody else, so the process must also work in that directory.
const procScript = `if [ ! -f "$1/PG_VERSION" ]; then echo absent; exit 0; fi
pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null)
if [ -z "$pid" ] || [ "$(readlink "/proc/$pid/cwd")" != "$(readlink -f "$1")" ]; then echo stopped
else case $(sed -n 8p "$1/postmaster.pid") in ready*|standby*) echo ready;; *) echo busy;; esac; fi`

func (e *Engine) proc(ctx context.Context, n cluster.Node) (string, error) {
	out, err := e.sh(ctx, n, procScript, n.DataDir)
	return strings.TrimSpace(out), err
}

// start starts a node and waits until it takes connections. A start that an
// earlier run began is waited for.
func (e *Engine) start(ctx context.Context, n cluster.Node) error {
	for {
		state, err := e.proc(ctx, n)
		switch {
		case err != nil:
			return err
		case state == procReady:
			return nil
		case state == procStopped || state == procNone:
			return e.pgStart(ctx, n)
		}
		if err := pause(ctx, pollInterval); err != nil {
			return err
		}
	}
}

func (e *Engine) pgStart(ctx context.Context, n cluster.Node) error {
	_, err := e.sh(ctx, n, `set -e
umask 077
mkdir -p "$1/run" "$1/log"
if [ -s "$1/log/startup.log" ]; then mv -f "$1/log/startup.log" "$1/log/startup.log.old"; fi
: >"$1/log/startup.log"`, n.Dir)
	if err != nil {
		return err
	}
	options, err := e.startOptions(ctx, n)
	if err != nil {
		return err
	}
	// -l takes the server off the session's output, so that the session can
	// end; crash recovery may take long, hence the patience.
	args := []string{"start", "-D", n.DataDir, "-l", startLog(n), "-w", "-t", "3600", "-s"}
	if options != "" {
		args = append(args, "-o", options)
	}
	err = e.tool(ctx, n, "pg_ctl", args...)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	return fault.Wrap(fault.KindOf(err), startHint(err, n), fmt.Errorf("starting node %s: %w%s", n.Name(), err, e.logTail(ctx, n)))
}

func startHint(err error, n cluster.Node) string {
	if h := fault.HintOf(err); h != "" {
		return h
	}
	return fmt.Sprintf("the whole log is on %s in %s", n.Host, logDir(n))
}

// logTail is the end of what the server wrote since the last start, for error
// messages; it never fails.
func (e *Engine) logTail(ctx context.Context, n cluster.Node) string {
	out, err := e.sh(ctx, n, `cd "$1" || exit 0
{ cat startup.log; f=$(ls -t postgresql-*.log | head -n 1); [ "$f" -nt startup.log ] && tail -n 50 "$f"; } 2>/dev/null |
grep -E 'FATAL|ERROR|PANIC|HINT|DETAIL|could not|No space' | tail -n 6`, logDir(n))
	var exit *remote.ExitError
	if errors.As(err, &exit) && exit.Code == 1 { // grep found nothing
		return ""
	}
	lines := strings.TrimSpace(out)
	if err != nil || lines == "" {
		return ""
	}
	return "\n  server log: " + strings.ReplaceAll(lines, "\n", "\n  server log: ")
}

// stop stops a node, if it runs.
func (e *Engine) stop(ctx context.Context, n cluster.Node, mode cluster.StopMode, patience time.Duration) error {
	state, err := e.proc(ctx, n)
	if err != nil || state == procStopped || state == procNone {
		return err
	}
	err = e.tool(ctx, n, "pg_ctl", "stop", "-D", n.DataDir, "-m", string(mode), "-w", "-t", fmt.Sprint(int(patience.Seconds())), "-s")
	if err == nil {
		return nil
	}
	if state, serr := e.proc(ctx, n); serr == nil && state == procStopped {
		return nil // it went while we asked
	}
	hint := ""
	if mode == cluster.Smart {
		hint = "clients are still connected: use --mode fast to end their sessions"
	}
	return fault.Wrap(fault.KindOf(err), hint, fmt.Errorf("stopping node %s (%s): %w", n.Name(), mode, err))
}

// killScript ends what an interrupted run left working on directory $1:
// initdb, pg_basebackup and their children. They are known by the directory,
// which only they have as an argument or as their working directory, not by a
// recorded pid, which could be somebody else's by now.
const killScript = `dir=$1
find_them() {
  pids=
  for p in $(ls -l /proc/[0-9]*/exe 2>/dev/null | sed -En 's,.* (/proc/[0-9]+)/exe -> .*/(initdb|pg_basebackup|postgres)( \(deleted\))?$,\1,p'); do
    if [ "$(readlink "$p/cwd")" = "$dir" ] || tr '\0' '\n' <"$p/cmdline" 2>/dev/null | grep -Fxq -e "$dir"; then pids="$pids ${p#/proc/}"; fi
  done
}
find_them
[ -z "$pids" ] || kill -TERM $pids 2>/dev/null
n=0
while find_them; [ -n "$pids" ]; do
  n=$((n+1))
  [ $n -lt 50 ] || kill -KILL $pids 2>/dev/null
  [ $n -lt 100 ] || { echo "processes$pids do not end" >&2; exit 1; }
  sleep 0.1
done
rm -rf -- "$dir"`

// sweep ends and removes what an interrupted initdb or pg_basebackup left.
func (e *Engine) sweep(ctx context.Context, n cluster.Node) error {
	if _, err := e.sh(ctx, n, killScript, newData(n)); err != nil {
		return fmt.Errorf("clearing %s: %w", newData(n), err)
	}
	return nil
}

// complete gives a finished data directory its name.
func (e *Engine) complete(ctx context.Context, n cluster.Node) error {
	_, err := e.sh(ctx, n, `mv -T -- "$1" "$2" && sync "$2/.."`, newData(n), n.DataDir)
	return err
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
