package postgres

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
	"cw/remote"
)

// Adopt makes the folder beside each data directory that says whose it is, and
// keeps there what else cw needs: the options of the server's command line,
// without which it would not start as before. The server goes on meanwhile.
func (e *Engine) Adopt() ([]step.Step, error) {
	var steps []step.Step
	for _, n := range e.lay.Nodes {
		steps = append(steps, e.adoptStep(n))
	}
	return steps, nil
}

func (e *Engine) adoptStep(n cluster.Node) step.Step {
	look := func(ctx context.Context) (hostprep.Dir, error) {
		d, err := e.Fleet.LookDir(ctx, n.Host, e.top.OSUser, n.Dir, e.marker(n))
		if err == nil && (d.State == hostprep.DirForeign || d.State == hostprep.DirUnreadable) {
			err = hostprep.Foreign(n.Host, n.Dir, d)
		}
		return d, err
	}
	return step.Step{
		ID: "claim@" + n.Host, Host: n.Host, Title: fmt.Sprintf("mark %s as node %s, in %s", n.DataDir, n.Name(), n.Dir),
		Check: func(ctx context.Context) (step.Observed, error) {
			d, err := look(ctx)
			if err != nil || d.State != hostprep.DirOurs {
				return step.Observed{Note: d.State}, err
			}
			out, err := e.sh(ctx, n, `if [ -f "$1" ]; then echo yes; fi`, systemFile(n)) // the last that is written
			return step.Observed{Done: out != "", Note: d.State}, err
		},
		Apply: func(ctx context.Context) error {
			if d, err := look(ctx); err != nil {
				return err
			} else if d.State != hostprep.DirOurs {
				if err := e.Fleet.Claim(ctx, n.Host, e.top.OSUser, n.Dir, e.marker(n)); err != nil {
					return err
				}
			}
			var options []string
			err := e.query(ctx, n, `select coalesce(json_agg('-c' || name || '=' || current_setting(name) order by name), '[]'::json)
from pg_settings where source = 'command line' and name not in ('config_file', 'data_directory')`, &options)
			if err != nil {
				return err
			}
			for i, o := range options {
				options[i] = remote.Quote([]string{o})
			}
			if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, optionsFile(n), []byte(strings.Join(options, " ")+"\n"), 0o600); err != nil {
				return err
			}
			var system string
			if err := e.query(ctx, n, "select to_json(system_identifier::text) from pg_control_system()", &system); err != nil {
				return err
			}
			return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, systemFile(n), []byte(system+"\n"), 0o600)
		},
	}
}

// startOptions are what the server of an adopted node needs on its command
// line, quoted for the shell that pg_ctl starts it with.
func (e *Engine) startOptions(ctx context.Context, n cluster.Node) (string, error) {
	if !adopted(n) {
		return "", nil
	}
	out, err := e.sh(ctx, n, `cat -- "$1" 2>/dev/null || :`, optionsFile(n))
	options := strings.TrimSpace(out)
	if n.ConfigFile != "" {
		options = remote.Quote([]string{"-cconfig_file=" + n.ConfigFile}) + " " + options
	}
	return options, err
}

// removeAdoptedScript removes data directory $1 if it still is the database
// system that was adopted, as the folder $2 says; $3 is the folder of the
// programs. An interrupted removal is known by a note. It prints what lies
// elsewhere and stays.
const removeAdoptedScript = `set -e
[ -d "$1" ] || exit 0
if [ ! -e "$2/removing" ]; then
  got=$("$3/pg_controldata" -D "$1" | sed -n 's/^Database system identifier: *//p')
  if [ -z "$got" ] || [ "$got" != "$(cat "$2/system")" ]; then
    echo "$1 holds another database system than the one that was adopted" >&2
    exit 1
  fi
  : >"$2/removing"
fi
find "$1/pg_tblspc" -type l -exec readlink {} \; 2>/dev/null || :
if [ -L "$1/pg_wal" ]; then readlink "$1/pg_wal"; fi
find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf --one-file-system -- {} +
rmdir -- "$1" 2>/dev/null || [ -z "$(ls -A "$1")" ]`

// removeAdopted removes the data directory of an adopted node. Configuration
// that lies elsewhere belongs to the packages of the system.
func (e *Engine) removeAdopted(ctx context.Context, n cluster.Node) error {
	b, err := e.binaries(ctx, n.Host)
	if err != nil {
		return err
	}
	out, err := e.sh(ctx, n, removeAdoptedScript, n.DataDir, n.Dir, b.Dir)
	if err != nil {
		return fmt.Errorf("removing %s: %w", n.DataDir, err)
	}
	for line := range strings.Lines(out) {
		e.leave("%s: %s, where data of node %s was, was left: remove it by hand if nobody needs it", n.Host, strings.TrimSpace(line), n.Name())
	}
	if n.ConfigFile != "" {
		e.leave("%s: the configuration of node %s was left: %s", n.Host, n.Name(), n.ConfigFile)
	}
	return nil
}
