package greenplum

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// recoverStandby is the step that brings back the standby coordinator, if it
// needs it.
func (e *Engine) recoverStandby(ctx context.Context, c catalog, n cluster.Node, o cluster.RecoverOptions) (step.Step, bool, error) {
	s, err := e.see(ctx, n)
	if err != nil {
		if len(o.Hosts) > 0 {
			return step.Step{}, false, err
		}
		e.leave("%s is not recovered: %s", describe(n), clean(err.Error()))
		return step.Step{}, false, nil
	}
	if _, known := c.of(n); known && s.Data && s.Follower && s.up() && !o.Full {
		if a, err := e.ask(ctx, e.coordinator()); err == nil && a.Standby != nil {
			return step.Step{}, false, nil
		}
	}
	return e.standbyStep(n, o), true, nil
}

// standbyStep makes a node the standby of the coordinator, whatever it was.
func (e *Engine) standbyStep(n cluster.Node, o cluster.RecoverOptions, needs ...string) step.Step {
	return step.Step{
		ID: "standby@" + n.Name(), Host: n.Host, Title: "make " + n.Name() + " the standby coordinator", Needs: needs, Destructive: o.Full,
		Check: func(ctx context.Context) (step.Observed, error) {
			s, err := e.see(ctx, n)
			if err != nil {
				return step.Observed{}, err
			}
			if co, err := e.see(ctx, e.coordinator()); err != nil || co.Proc != procReady {
				return step.Observed{Note: "the coordinator does not run"}, err
			}
			a, err := e.ask(ctx, e.coordinator())
			if err != nil {
				return step.Observed{}, err
			}
			_, known := a.Catalog.of(n)
			done := known && s.Data && s.Follower && s.up() && a.Standby != nil
			return step.Observed{Done: done, Note: choose(done, "streams", choose(s.Data && s.Follower, "does not stream", "no standby's data directory"))}, nil
		},
		Apply:  func(ctx context.Context) error { return e.makeStandby(ctx, n, o) },
		Verify: verified,
	}
}

func (e *Engine) makeStandby(ctx context.Context, n cluster.Node, o cluster.RecoverOptions) error {
	defer e.changed(n.Host)
	dbid, err := e.registerStandby(ctx, n)
	if err != nil {
		return err
	}
	if err := e.sweep(ctx, n.Host, newData(n)); err != nil {
		return err
	}
	if err := e.stop(ctx, n.Host, []cluster.Node{n}, cluster.Fast, "", false); err != nil {
		return err
	}
	s, err := e.see(ctx, n)
	if err != nil {
		return err
	}
	if !o.Full && s.Data && s.Follower && !s.Rewound {
		if err := e.start(ctx, n.Host, []cluster.Node{n}); err == nil {
			if err := e.streams(ctx); err == nil || ctx.Err() != nil {
				return err
			}
		}
		if err := e.stop(ctx, n.Host, []cluster.Node{n}, cluster.Immediate, "", false); err != nil {
			return err
		}
	}
	if err := e.copyFrom(ctx, n, e.coordinator(), dbid, o.Rate); err != nil {
		return err
	}
	if err := e.start(ctx, n.Host, []cluster.Node{n}); err != nil {
		return err
	}
	return e.streams(ctx)
}

// streams waits until a standby follows the coordinator.
func (e *Engine) streams(ctx context.Context) error {
	for range 300 {
		a, err := e.ask(ctx, e.coordinator())
		if err != nil {
			return err
		}
		if a.Standby != nil && a.Standby.State == cluster.ModeStreaming {
			return nil
		}
		if err := pause(ctx, probeInterval); err != nil {
			return err
		}
	}
	return fault.New(fault.Failed, "look into pg_log of the standby: cw cluster logs "+e.top.Name, "the standby runs but does not stream from the coordinator")
}

// registerStandby enters a node as the standby, unless it is entered, and
// returns its dbid. Another standby's row is taken out first.
func (e *Engine) registerStandby(ctx context.Context, n cluster.Node) (int, error) {
	c, err := e.catalog(ctx)
	if err != nil {
		return 0, err
	}
	if row, ok := c.of(n); ok && row.Role == "m" {
		return row.DBID, nil
	}
	statements := ""
	for _, r := range c {
		if r.Content == -1 && r.Role == "m" {
			statements = "select gp_remove_master_standby();\n"
		}
	}
	statements += fmt.Sprintf("select gp_add_master_standby(%s, %s, %s, %d);\n", literal(n.Host), literal(e.address(n)), literal(n.DataDir), n.Port)
	out, err := e.sql(ctx, session{node: e.coordinator(), options: utility}, statements)
	if err != nil {
		return 0, fmt.Errorf("registering the standby: %w", err)
	}
	lines := strings.Split(out, "\n")
	return strconv.Atoi(lines[len(lines)-1])
}

// Promote makes the standby the coordinator. When the old coordinator's host
// answers, it is stopped first, cleanly, and comes back as the standby;
// otherwise only Force goes on, since nobody can see whether it still runs.
func (e *Engine) Promote(ctx context.Context, o cluster.PromoteOptions) (cluster.Node, []step.Step, error) {
	to, ok := e.standby()
	old := e.coordinator()
	if !ok && o.Node != old.Name() {
		return to, nil, fault.New(fault.Usage, "add one: a host with the role standby, and cw cluster expand "+e.top.Name, "cluster %s has no standby coordinator", e.top.Name)
	}
	if o.Node == old.Name() {
		return old, nil, nil // an earlier run got that far
	}
	if o.Node != "" && o.Node != to.Name() {
		return to, nil, fault.New(fault.Usage, "--node "+to.Name(), "node %s is not the standby coordinator", o.Node)
	}
	s, err := e.see(ctx, to)
	if err != nil {
		return to, nil, fmt.Errorf("the standby cannot be promoted: %w", err)
	}
	if !s.Data || s.Rewound {
		return to, nil, fault.New(fault.Failed, "cw cluster recover "+e.top.Name, "%s: %s has no usable data directory", to.Host, describe(to))
	}
	var steps []step.Step
	_, err = e.see(ctx, old)
	switch {
	case err != nil && !o.Force:
		return to, nil, fault.Wrap(fault.KindOf(err), "make sure that it is off, for good, and then: cw cluster promote "+e.top.Name+" --force",
			fmt.Errorf("the old coordinator's host does not answer, so it may still be running, and two coordinators would destroy the cluster: %w", err))
	case err == nil:
		stop := e.stopStep("stop@"+old.Name(), old.Host, []cluster.Node{old}, cluster.Fast, "", false)
		steps = append(steps, stop)
	}
	after := New(e.Config)
	lay := *e.lay
	lay.Nodes = append([]cluster.Node{}, e.lay.Nodes...)
	lay.Promote(to.Name())
	after.lay = &lay
	p := e.promoteStep(after, old, to, o.Force)
	if len(steps) > 0 {
		p.Needs = []string{steps[0].ID}
	}
	steps = append(steps, p)
	if err == nil {
		back, _ := after.standby()
		steps = append(steps, after.standbyStep(back, cluster.RecoverOptions{}, p.ID))
	}
	return to, steps, nil
}

// promoteScript promotes the standby in $3 on port $1 with its socket in $2,
// which also takes the old coordinator out of the catalogue, and waits until
// it takes connections.
const promoteScript = `set -e
pg_ctl promote -s -D "$3"
while [ -f "$3/recovery.conf" ]; do sleep 0.05; done
` + readyScript

func (e *Engine) promoteStep(after *Engine, old, to cluster.Node, force bool) step.Step {
	return step.Step{
		ID: "promote@" + to.Host, Host: to.Host, Title: "make " + to.Name() + " the coordinator", PointOfNoReturn: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			s, err := e.see(ctx, to)
			done := s.Proc == procReady && !s.Follower
			return step.Observed{Done: done, Note: choose(done, "coordinator", "standby, "+s.Proc)}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(to.Host)
			defer after.changed(to.Host)
			e.changed(old.Host)
			switch s, err := e.see(ctx, old); {
			case err == nil && s.Proc != procStopped:
				return fault.New(fault.Failed, "cw cluster promote "+e.top.Name, "%s: the old coordinator runs again: it must be stopped first", old.Host)
			case err != nil && !force:
				return fmt.Errorf("the old coordinator may be running: %w", err)
			}
			s, err := e.see(ctx, to)
			if err != nil {
				return err
			}
			if s.Follower {
				if err := e.start(ctx, to.Host, []cluster.Node{to}); err != nil {
					return err
				}
				if _, err := e.sh(ctx, to.Host, promoteScript, strconv.Itoa(to.Port), socketDir(to), to.DataDir); err != nil {
					return fmt.Errorf("promoting %s: %w", describe(to), err)
				}
			} else if err := after.start(ctx, to.Host, []cluster.Node{to}); err != nil {
				return err
			}
			// The control file gets the new timeline, which copies are made with.
			if _, err := after.sql(ctx, session{node: to, options: utility}, "checkpoint;"); err != nil {
				return fmt.Errorf("checkpoint of the new coordinator: %w", err)
			}
			_, err = after.probe(ctx)
			return err
		},
		Verify: verified,
	}
}
