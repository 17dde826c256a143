package postgres

import (
	"context"
	"fmt"
	"time"

	"cw/cluster"
)

// keepScript puts aside what of data directory $1 is the node's own: the
// configuration, and keys that lie beside it. pg_rewind and pg_basebackup bring
// the primary's. $2 is where to; what an interrupted run has put aside there
// stays, since by now the directory holds the primary's.
const keepScript = `set -e
umask 077
[ -d "$1" ] || exit 0
if [ -e "$3" ] && [ -d "$2" ]; then exit 0; fi
rm -rf -- "$2" "$2.cw-new"
mkdir "$2.cw-new"
cd -- "$1"
for f in *; do
  case $f in PG_VERSION|postmaster.*|postgresql.auto.conf|current_logfiles|backup_*|tablespace_map*|*.signal) continue;; esac
  if [ -f "$f" ] && [ -n "$(find "$f" -size -1024k)" ]; then cp -p -- "$f" "$2.cw-new/"
  elif [ -d "$f" ]; then case $f in *.d) cp -pR -- "$f" "$2.cw-new/";; esac; fi
done
mv -T -- "$2.cw-new" "$2"`

// putAside puts the node's own configuration aside and, when broken says so,
// notes that its data directory cannot be used from now on.
func (e *Engine) putAside(ctx context.Context, n cluster.Node, broken bool) error {
	if _, err := e.sh(ctx, n, keepScript, n.DataDir, keptConf(n), unfinished(n)); err != nil {
		return fmt.Errorf("putting the configuration of %s aside: %w", n.Name(), err)
	}
	if !broken {
		return nil
	}
	return e.note(ctx, n, "unfinished")
}

// restoreConf puts the node's own configuration into data; none says that
// there was nothing to put back.
func (e *Engine) restoreConf(ctx context.Context, n cluster.Node, data string) (none bool, err error) {
	out, err := e.sh(ctx, n, `if [ -f "$1/postgresql.conf" ] || [ -n "$3" ] && [ -d "$1" ]; then cp -pR -- "$1/." "$2/"; else echo none; fi`, keptConf(n), data, n.ConfigFile)
	return out != "", err
}

// endUnfinished says that the data directory can be used again.
func (e *Engine) endUnfinished(ctx context.Context, n cluster.Node) error {
	_, err := e.sh(ctx, n, `sync -f "$1" 2>/dev/null || sync
rm -f -- "$2" && rm -rf -- "$3"`, n.DataDir, unfinished(n), keptConf(n))
	return err
}

// halt stops a server whose data is about to be overwritten.
func (e *Engine) halt(ctx context.Context, n cluster.Node) error {
	if err := e.stop(ctx, n, cluster.Fast, time.Minute); err == nil || ctx.Err() != nil {
		return err
	}
	return e.stop(ctx, n, cluster.Immediate, time.Minute)
}

// rewind takes back what a node wrote that its primary never had. After a
// failure the data directory may be half one's and half the other's: the note
// stays, and only a copy helps.
func (e *Engine) rewind(ctx context.Context, v view, p cluster.Node, u upstream) error {
	n := v.node
	if err := e.halt(ctx, n); err != nil {
		return err
	}
	if err := e.sweepRewind(ctx, n); err != nil {
		return err
	}
	if err := e.passfileFor(ctx, n, u); err != nil {
		return err
	}
	// pg_rewind takes the timeline from the source's last checkpoint.
	if _, err := e.sql(ctx, p, "checkpoint;\n"); err != nil {
		return err
	}
	if err := e.putAside(ctx, n, true); err != nil {
		return err
	}
	args := []string{"-D", n.DataDir, "--source-server", u.rewind}
	if n.ConfigFile != "" {
		if major, err := e.version(ctx); err == nil && major >= 15 {
			args = append(args, "--config-file", n.ConfigFile)
		}
	}
	if err := e.tool(ctx, n, "pg_rewind", args...); err != nil {
		return err
	}
	if _, err := e.restoreConf(ctx, n, n.DataDir); err != nil {
		return err
	}
	if err := e.point(ctx, n, n.DataDir, u); err != nil {
		return err
	}
	return e.endUnfinished(ctx, n)
}

// sweepRewind ends a pg_rewind that an interrupted run left working, and the
// server it runs in single-user mode.
func (e *Engine) sweepRewind(ctx context.Context, n cluster.Node) error {
	_, err := e.sh(ctx, n, endRewindScript, n.DataDir)
	return err
}

const endRewindScript = `dir=$1
find_them() {
  pids=
  for p in $(ls -l /proc/[0-9]*/exe 2>/dev/null | sed -En 's,.* (/proc/[0-9]+)/exe -> .*/(pg_rewind|postgres)( \(deleted\))?$,\1,p'); do
    words=$(tr '\0' '\n' <"$p/cmdline" 2>/dev/null) || continue
    printf '%s\n' "$words" | grep -Fxq -e "$dir" || continue
    case $words in *pg_rewind*|*--single*) pids="$pids ${p#/proc/}";; esac
  done
}
n=0
while find_them; [ -n "$pids" ]; do
  n=$((n+1))
  [ $n -gt 1 ] || kill -TERM $pids 2>/dev/null
  [ $n -lt 50 ] || kill -KILL $pids 2>/dev/null
  [ $n -lt 100 ] || { echo "processes$pids do not end" >&2; exit 1; }
  sleep 0.1
done`
