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
)

// followPatience is how long a new standby may take until it streams.
const followPatience = 2 * time.Minute

// passfileStep gives a standby the replication password in a file that only
// the owner reads (libpq's passfile format; the password is hexadecimal, so
// nothing needs escaping).
func (e *Engine) passfileStep(n cluster.Node) step.Step {
	content := func() (string, error) {
		pw, err := e.replicationPassword()
		return "*:*:*:" + cluster.ReplicationRole + ":" + pw + "\n", err
	}
	return step.Step{
		ID: "passfile@" + n.Host, Host: n.Host, Title: "install the replication password", Needs: []string{"claim@" + n.Host},
		Check: func(ctx context.Context) (step.Observed, error) {
			want, err := content()
			if err != nil {
				return step.Observed{}, err
			}
			// Compared on the host: the wanted text goes over standard input.
			out, err := e.Fleet.ScriptInput(ctx, n.Host, e.top.OSUser, want, `if cmp -s - "$1"; then echo same; else echo differs; fi`, passFile(n))
			return step.Observed{Done: strings.TrimSpace(out) == "same", Note: strings.TrimSpace(out)}, ignoreNoUser(err)
		},
		Apply: func(ctx context.Context) error {
			text, err := content()
			if err != nil {
				return err
			}
			return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, passFile(n), []byte(text), 0o600)
		},
	}
}

// cloneStep initialises a standby: a base backup of the primary, the
// standby's own configuration and standby.signal, all before the directory
// gets its name.
func (e *Engine) cloneStep(n, p cluster.Node, after ...string) step.Step {
	return step.Step{
		ID: "clone@" + n.Host, Host: n.Host, Title: fmt.Sprintf("initialise standby %s from %s", n.Name(), p.Name()),
		Needs: append(e.needBinaries(n, "replication@"+p.Host, "passfile@"+n.Host), e.startNeeds(n, "claim@"+n.Host)...),
		After: after,
		Check: e.dataCheck(n),
		Apply: func(ctx context.Context) error {
			if err := e.sweep(ctx, n); err != nil {
				return err
			}
			u := upstream{tool: e.replicationConninfo(n, p), slot: slot(n)}
			if err := e.baseBackup(ctx, n, p, u, 0); err != nil {
				return err
			}
			if err := e.standbyConf(ctx, n, p); err != nil {
				return err
			}
			return e.complete(ctx, n)
		},
		Undo: func(ctx context.Context) error { return e.sweep(ctx, n) },
	}
}

// standbyConf makes a copy of p a standby of its own.
func (e *Engine) standbyConf(ctx context.Context, n, p cluster.Node) error {
	least, err := e.floor(ctx, p)
	if err != nil {
		return err
	}
	if err := e.configure(ctx, n, newData(n), least); err != nil {
		return err
	}
	return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, path.Join(newData(n), "standby.signal"), nil, 0o600)
}

// followStep waits until a standby streams.
func (e *Engine) followStep(n, p cluster.Node) step.Step {
	look := func(ctx context.Context) (step.Observed, error) {
		if state, err := e.proc(ctx, p); err != nil || state != procReady {
			return step.Observed{Note: "node " + p.Name() + " does not run"}, ignoreNoUser(err)
		}
		if adopted(n) { // only the standby itself can tell
			v, pv := e.view(ctx, n), e.view(ctx, p)
			if v.host != nil || pv.host != nil || pv.live == nil {
				return step.Observed{Note: v.describe()}, errors.Join(v.host, pv.host)
			}
			return step.Observed{Done: pv.live.sender(v) == cluster.ModeStreaming, Note: v.describe()}, nil
		}
		var state string
		err := e.query(ctx, p, fmt.Sprintf(
			"select to_json(coalesce((select state from pg_stat_replication where application_name = %s order by state = 'streaming' desc limit 1), 'not connected'))", literal(n.Name())), &state)
		return step.Observed{Done: state == cluster.ModeStreaming, Note: state}, err
	}
	return step.Step{
		ID: "follow@" + n.Host, Host: n.Host, Title: fmt.Sprintf("see node %s stream from %s", n.Name(), p.Name()),
		Needs: []string{"start@" + n.Host},
		Check: look,
		Apply: func(ctx context.Context) error {
			limit := time.Now().Add(followPatience)
			for {
				o, err := look(ctx)
				if err != nil || o.Done {
					return err
				}
				if time.Now().After(limit) {
					return e.notStreaming(n, "cw cluster recover "+e.top.Name, e.logTail(ctx, n))
				}
				if err := pause(ctx, pollInterval); err != nil {
					return err
				}
			}
		},
	}
}

// notStreaming is a standby that runs but does not follow.
func (e *Engine) notStreaming(n cluster.Node, hint, tail string) error {
	return fault.New(fault.Failed, hint, "node %s on %s runs but does not stream from its primary%s", n.Name(), n.Host, tail)
}
