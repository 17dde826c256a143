package postgres

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// reloadPatience is how long a postmaster may take to read its files.
const reloadPatience = 15 * time.Second

// Reload has all nodes that run read their configuration files again. Which
// did so in this run already is written beside their data.
func (e *Engine) Reload() ([]step.Step, error) {
	var steps []step.Step
	for _, n := range e.lay.Nodes {
		note := path.Join(n.Dir, "reloaded-by")
		steps = append(steps, step.Step{
			ID: "reload@" + n.Host, Host: n.Host, Title: "have " + n.Name() + " read its configuration",
			Check: func(ctx context.Context) (step.Observed, error) {
				state, err := e.proc(ctx, n)
				if err != nil || state != procReady {
					return step.Observed{Done: state == procStopped || state == procNone, Note: state}, err
				}
				out, err := e.sh(ctx, n, `cat "$1" 2>/dev/null || :`, note)
				return step.Observed{Done: strings.TrimSpace(out) == e.Run, Note: state}, err
			},
			Apply: func(ctx context.Context) error {
				if err := e.reload(ctx, n); err != nil {
					return err
				}
				return e.note(ctx, n, "reloaded-by")
			},
		})
	}
	return steps, nil
}

// reload has a running server read its files and waits until it has. Lines
// that it cannot use are an error: a server with them takes nothing at all, or
// would not start the next time.
func (e *Engine) reload(ctx context.Context, n cluster.Node) error {
	loaded := func() (string, error) {
		return e.sql(ctx, n, "select extract(epoch from pg_conf_load_time())")
	}
	before, err := loaded()
	if err != nil {
		return err
	}
	if _, err := e.sql(ctx, n, "select pg_reload_conf()"); err != nil {
		return err
	}
	limit := time.Now().Add(reloadPatience)
	for {
		now, err := loaded()
		if err != nil {
			return err
		}
		if now != before || time.Now().After(limit) {
			return e.unusable(ctx, n, "sourcefile is not null and not exists (select from pg_settings s where lower(s.name) = lower(f.name) and s.pending_restart)")
		}
		// A line without a name is none that could be read; nothing is, then.
		if err := e.unusable(ctx, n, "sourcefile is not null and name is null"); err != nil {
			return err
		}
		if err := pause(ctx, pollInterval/4); err != nil {
			return err
		}
	}
}

// unusable are the lines of a node's configuration that it cannot use, as far
// as a condition on f goes. The server has the same words for a wrong value and
// for one that waits for a restart.
func (e *Engine) unusable(ctx context.Context, n cluster.Node, where string) error {
	var lines []string
	err := e.query(ctx, n, `select coalesce(json_agg(l), '[]'::json) from (
select format('%s line %s: %s', sourcefile, sourceline, concat_ws(': ', name, error)) as l from pg_file_settings f where error is not null and `+where+`
union all select format('pg_hba.conf line %s: %s', line_number, error) from pg_hba_file_rules where error is not null) x`, &lines)
	if err != nil || len(lines) == 0 {
		return err
	}
	return fault.New(fault.Check, fmt.Sprintf("correct it on %s, then: cw cluster reload %s", n.Host, e.top.Name), "node %s on %s cannot use its configuration: %s", n.Name(), n.Host, strings.Join(lines, "; "))
}

// sqlError shortens what psql says to the server's own words.
func sqlError(err error) error {
	var exit *remote.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	for line := range strings.Lines(exit.Stderr) {
		if _, text, ok := strings.Cut(line, "ERROR:"); ok {
			return fault.New(fault.Failed, "", "%s: %s", exit.Host, strings.TrimSpace(text))
		}
	}
	return err
}

// logScript prints the last $3 lines of the log of the server whose data
// directory is $1 and whose folder is $2: the file its log collector writes
// to, else the one its output goes to, else the one of its last start.
const logScript = `f=$(sed -n 's/^stderr //p' "$1/current_logfiles" 2>/dev/null)
case $f in "") ;; /*) ;; *) f=$1/$f;; esac
if [ ! -f "$f" ]; then
  pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null)
  f=$(readlink "/proc/$pid/fd/2" 2>/dev/null)
fi
[ -f "$f" ] || f=$(ls -t "$2"/log/postgresql-*.log 2>/dev/null | head -n 1)
[ -f "$f" ] || f=$2/log/startup.log
if [ ! -f "$f" ]; then echo "there is no log in $2/log" >&2; exit 3; fi
tail -n "$3" -- "$f"`

// Logs returns the last lines of a node's server log.
func (e *Engine) Logs(ctx context.Context, n cluster.Node, lines int) (string, error) {
	out, err := e.sh(ctx, n, logScript, n.DataDir, n.Dir, fmt.Sprint(lines))
	if err != nil {
		return "", fmt.Errorf("reading the log of node %s: %w", n.Name(), err)
	}
	return out, nil
}
