package greenplum

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cw/cluster"
	"cw/fault"
)

// startPatience is how long instances may take until they answer: crash
// recovery of a busy segment reads gigabytes of WAL.
const startPatience = time.Hour

// aliveScript tells whether the postmaster of data directory $1 runs, and
// leaves its id in pid. It is asked so often that it must not start a program.
const aliveScript = `alive() {
  pid=
  { read -r pid <"$1/postmaster.pid"; } 2>/dev/null
  [ "$pid" ] && [ "/proc/$pid/cwd" -ef "$1" ]
}
`

// startScript starts all instances given as data directory, port, socket
// folder, whether it is a coordinator, and waits until they answer: ready, or
// in recovery for those that follow another. $1 is the patience in seconds. An
// instance that an earlier run started is waited for. The loop asks more often
// than pg_ctl -w, which looks once a second. For a failed one the last lines
// of its log that say something are the error.
const startScript = `patience=$1; shift
` + aliveScript + `launch() {
  alive "$1" && return
  mkdir -p "$1/pg_log"
  : >"$1/pg_log/startup.log"
  [ "$4" ] && opts=-E || opts=
  env GPSESSID=0000000000 GPERA=None pg_ctl start -W -s -D "$1" -l "$1/pg_log/startup.log" -o "-p $2 $opts" </dev/null >/dev/null 2>&1
}
tell() {
  { cat "$1/pg_log/startup.log"; f=$(ls -t "$1"/pg_log/*.csv 2>/dev/null | head -n 1); [ "$f" ] && tail -n 40 "$f"; } 2>/dev/null |
  grep -E '"(FATAL|ERROR|PANIC)"|could not|No space' | sed -E 's/^.*"(FATAL|ERROR|PANIC|WARNING|LOG)","[0-9A-Z]{5}","(([^"]|"")*)",.*$/\1: \2/; s/""/"/g' | tail -n 4 >&2
}
await() {
  [ -f "$1/recovery.conf" ] && follows=follows || follows=
  end=$(($(date +%s) + patience))
  n=0
  while :; do
    is=2 # before there is a socket nobody needs to be asked
    if [ -S "$3/.s.PGSQL.$2" ]; then PGOPTIONS="` + utility + `" pg_isready -q -t 2 -d template1 -h "$3" -p "$2"; is=$?; fi
    case $is$follows in 0*|1follows|64follows) return 0;; esac
    # A postmaster writes its pid file within moments of its start.
    n=$((n+1))
    if [ $n -gt 20 ] && ! alive "$1"; then echo "$1 on port $2 did not start" >&2; tell "$1"; return 1; fi
    [ $((n % 20)) -ne 0 ] || [ "$(date +%s)" -lt $end ] || { echo "$1 on port $2 does not answer after $patience s" >&2; tell "$1"; return 1; }
    sleep 0.1
  done
}
each() { cmd=$1; shift; while [ $# -gt 0 ]; do "$cmd" "$1" "$2" "$3" "$4" || return 1; shift 4; done; }
each launch "$@"
each await "$@"`

// start starts nodes of one host.
func (e *Engine) start(ctx context.Context, host string, nodes []cluster.Node) error {
	defer e.changed(host)
	args := []string{strconv.Itoa(int(startPatience.Seconds()))}
	for _, n := range nodes {
		args = append(args, n.DataDir, strconv.Itoa(n.Port), socketDir(n), choose(isCoordinator(n), "coordinator", ""))
	}
	_, err := e.sh(ctx, host, startScript, args...)
	if err != nil && ctx.Err() == nil {
		hint := fault.HintOf(err)
		if hint == "" {
			hint = fmt.Sprintf("the whole logs are on %s in the folders pg_log", host)
		}
		return fault.Wrap(fault.KindOf(err), hint, fmt.Errorf("starting %s: %w", names(nodes), err))
	}
	return err
}

// stopScript stops all instances given as data directory and folder of their
// notes, and waits until they are gone. $1 is the signal, $2 the patience in
// seconds, $3 the token that is written for a restart, or nothing, $4 "acting"
// for those that take writes alone: a mirror must outlive its primary, which
// waits for it to take the last WAL.
const stopScript = `sig=$1 patience=$2 token=$3 which=$4; shift 4
` + aliveScript + `each() { cmd=$1; shift; while [ $# -gt 0 ]; do
  if [ "$which" = acting ] && [ -f "$1/recovery.conf" ]; then :; else "$cmd" "$1" "$2" || return 1; fi; shift 2; done; }
ask() { if alive "$1"; then kill -s "$sig" "$pid" 2>/dev/null || :; fi; }
gone() {
  end=$(($(date +%s) + patience))
  n=0
  while alive "$1"; do
    n=$((n+1))
    [ $((n % 50)) -ne 0 ] || [ "$(date +%s)" -lt $end ] || { echo "$1 still runs after $patience s" >&2; return 1; }
    sleep 0.02
  done
  [ -z "$token" ] || echo "$token" >"$2/` + restartNote + `"
}
each ask "$@"
each gone "$@"`

// signals are how a postmaster is asked to stop (pg_ctl's manual).
var signals = map[cluster.StopMode]string{cluster.Smart: "TERM", cluster.Fast: "INT", cluster.Immediate: "QUIT"} //nolint:gochecknoglobals // constant table

// stopPatience is how long a stop may take, by mode. Smart waits for clients,
// fast for a checkpoint and for the mirror to have all WAL.
func stopPatience(mode cluster.StopMode) time.Duration {
	if mode == cluster.Smart {
		return 10 * time.Minute
	}
	return 5 * time.Minute
}

// stop stops nodes of one host; with acting set those that follow another are
// passed over.
func (e *Engine) stop(ctx context.Context, host string, nodes []cluster.Node, mode cluster.StopMode, token string, acting bool) error {
	defer e.changed(host)
	args := []string{signals[mode], strconv.Itoa(int(stopPatience(mode).Seconds())), token, choose(acting, "acting", "all")}
	for _, n := range nodes {
		args = append(args, n.DataDir, n.Dir)
	}
	_, err := e.sh(ctx, host, stopScript, args...)
	if err != nil {
		hint := fault.HintOf(err)
		if mode == cluster.Smart && hint == "" {
			hint = "clients are still connected: use --mode fast to end their sessions"
		}
		return fault.Wrap(fault.KindOf(err), hint, fmt.Errorf("stopping %s (%s): %w", names(nodes), mode, err))
	}
	return nil
}

// sweepScript ends what an interrupted run left working on the directories
// given: initdb, pg_basebackup, pg_rewind, postgres. They are known by the
// directory, which only they have as an argument or as their working
// directory, not by a recorded pid, which could be somebody else's by now.
const sweepScript = `find_them() {
  pids=
  for p in $(ls -l /proc/[0-9]*/exe 2>/dev/null | sed -En 's,.* (/proc/[0-9]+)/exe -> .*/(initdb|pg_basebackup|pg_rewind|postgres|tar|cp)( \(deleted\))?$,\1,p'); do
    for d in "$@"; do
      if [ "$(readlink "$p/cwd")" = "$d" ] || tr '\0' '\n' <"$p/cmdline" 2>/dev/null | grep -Fxq -e "$d"; then pids="$pids ${p#/proc/}"; fi
    done
  done
}
find_them "$@"
[ -z "$pids" ] || kill -TERM $pids 2>/dev/null
n=0
while find_them "$@"; [ -n "$pids" ]; do
  n=$((n+1))
  [ $n -lt 50 ] || kill -KILL $pids 2>/dev/null
  [ $n -lt 100 ] || { echo "processes$pids do not end" >&2; exit 1; }
  sleep 0.1
done
`

// sweep ends and removes what an interrupted run left in directories.
func (e *Engine) sweep(ctx context.Context, host string, dirs ...string) error {
	if _, err := e.sh(ctx, host, sweepScript+`rm -rf -- "$@"`, dirs...); err != nil {
		return fmt.Errorf("clearing %s: %w", strings.Join(dirs, ", "), err)
	}
	return nil
}
