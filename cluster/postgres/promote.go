package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// receivePatience is how long a standby may take, after its primary has been
// shut down cleanly, until it has all of its WAL. The primary waits for that
// itself before it ends, so it is mostly there.
const receivePatience = 30 * time.Second

// Promote makes a standby the primary: the one named, one that takes writes
// already, the only one, or the one that has received most. The old primary is
// stopped first and follows afterwards, when its host answers; when it does
// not, only Force goes on. The steps, for the old primary's host o, the new
// one's t and each other standby's s:
//
//	stop@o, start@t, received@t, promote@t, replication@t, hba@t, rejoin@s, rejoin@o
func (e *Engine) Promote(ctx context.Context, o cluster.PromoteOptions) (cluster.Node, []step.Step, error) {
	old := e.lay.Primary()
	if o.Node == old.Name() { // it has happened; what may be left is that others follow
		steps, err := e.Recover(ctx, cluster.RecoverOptions{})
		return old, steps, err
	}
	seen := e.views(ctx)
	if ctx.Err() != nil {
		return old, nil, context.Cause(ctx)
	}
	ov, others := split(seen, old)
	tv, err := e.chooseStandby(ov, others, o)
	if err != nil {
		return old, nil, err
	}
	if err := e.guardPromotion(ov, tv, o); err != nil {
		return tv.node, nil, err
	}
	steps, err := e.promotion(ctx, ov, tv, others, o)
	return tv.node, steps, err
}

// promotion makes the steps.
func (e *Engine) promotion(ctx context.Context, old, to view, standbys []view, o cluster.PromoteOptions) ([]step.Step, error) {
	next := &cluster.Layout{Version: e.lay.Version, Nodes: slices.Clone(e.lay.Nodes)}
	next.Promote(to.node.Name())
	after := e.with(e.top, next) // the cluster as it will be
	n := to.node
	steps := []step.Step{e.riseStep(n)}
	needs := []string{"start@" + n.Host}
	if old.host == nil && old.proc != procNone {
		stop := e.fenceStep(old.node, n)
		steps, needs = append(steps, stop), append(needs, stop.ID)
		if !o.Force || old.primary() || old.control.clean() {
			got := e.receivedStep(old.node, n, o.Force, needs...)
			steps, needs = append(steps, got), append(needs, got.ID)
		}
	}
	steps = append(steps, e.promoteStep(n, needs...))
	p, _ := next.Node(n.Name())
	welcome, err := after.welcome(ctx, p, "start@"+n.Host, "promote@"+n.Host)
	if err != nil {
		return nil, err
	}
	steps = append(steps, welcome...)
	for _, v := range append(slices.Clone(standbys), old) {
		if v.node.ID == n.ID {
			continue
		}
		if v.host != nil {
			e.leave("host %s does not answer: when it is back, %s follows again with: cw cluster recover %s --host %s", v.node.Host, v.node.Name(), e.top.Name, v.node.Host)
			continue
		}
		v.node, _ = next.Node(v.node.Name())
		back, err := after.bringBack(ctx, v, view{node: p}, cluster.RecoverOptions{})
		if err != nil {
			return nil, err
		}
		for i := range back {
			if s := &back[i]; s.ID == "rejoin@"+v.node.Host {
				s.Title = fmt.Sprintf("make %s follow %s", v.node.Name(), p.Name())
				s.Needs = append(s.Needs, "promote@"+n.Host)
			}
		}
		steps = append(steps, back...)
	}
	return steps, nil
}

// riseStep has the server of the standby run.
func (e *Engine) riseStep(n cluster.Node) step.Step {
	return step.Step{
		ID: "start@" + n.Host, Host: n.Host, Title: "start node " + n.Name(),
		Check: func(ctx context.Context) (step.Observed, error) {
			state, err := e.proc(ctx, n)
			return step.Observed{Done: state == procReady, Note: state}, err
		},
		Apply: func(ctx context.Context) error { return e.start(ctx, n) },
	}
}

// fenceStep stops the old primary before another one takes writes.
func (e *Engine) fenceStep(old, to cluster.Node) step.Step {
	return step.Step{
		ID: "stop@" + old.Host, Host: old.Host, Title: fmt.Sprintf("stop primary %s (fast)", old.Name()), Needs: []string{"start@" + to.Host},
		Check: func(ctx context.Context) (step.Observed, error) {
			v := e.view(ctx, old)
			switch {
			case v.host != nil:
				return step.Observed{}, v.host
			case v.signal:
				return step.Observed{Done: true, Note: "a standby by now"}, nil
			}
			return step.Observed{Done: !v.runs(), Note: v.describe()}, nil
		},
		Apply: func(ctx context.Context) error { return e.stop(ctx, old, cluster.Fast, stopPatience(cluster.Fast)) },
		Undo:  func(ctx context.Context) error { return e.reinstate(ctx, old, to) },
	}
}

// reinstate starts the old primary again after a switchover that did not come
// to its point of no return.
func (e *Engine) reinstate(ctx context.Context, old, to cluster.Node) error {
	if v := e.view(ctx, to); v.host != nil || !v.standby() || !v.signal {
		return v.host
	}
	return e.start(ctx, old)
}

// receivedStep makes sure that the standby has all that the old primary wrote:
// its last record is the checkpoint of its shutdown.
func (e *Engine) receivedStep(old, to cluster.Node, force bool, needs ...string) step.Step {
	look := func(ctx context.Context) (step.Observed, error) {
		tv := e.view(ctx, to)
		if tv.host != nil {
			return step.Observed{}, tv.host
		}
		if tv.primary() {
			return step.Observed{Done: true, Note: "it has taken over"}, nil
		}
		ov := e.view(ctx, old)
		switch {
		case ov.host != nil:
			return step.Observed{}, ov.host
		case ov.runs() || !ov.control.clean():
			return step.Observed{Note: old.Name() + ": " + ov.describe()}, nil
		case tv.live == nil:
			return step.Observed{Note: to.Name() + ": " + tv.describe()}, nil
		}
		note := fmt.Sprintf("%s has WAL up to %s, the last record of %s is at %s", to.Name(), tv.live.LSN, old.Name(), ov.control.checkpoint)
		return step.Observed{Done: tv.live.LSN > ov.control.checkpoint, Note: note}, nil
	}
	s := step.Step{
		ID: "received@" + to.Host, Host: to.Host, Title: fmt.Sprintf("see that %s has all that %s wrote", to.Name(), old.Name()), Needs: needs,
		Check: look,
		Apply: func(ctx context.Context) error {
			limit := time.Now().Add(receivePatience)
			for {
				seen, err := look(ctx)
				switch {
				case err != nil || seen.Done:
					return err
				case time.Now().Before(limit):
					if err := pause(ctx, pollInterval); err != nil {
						return err
					}
				case force:
					e.leave("what %s had not received is given up: %s", to.Name(), seen.Note)
					return nil
				default:
					return fault.New(fault.Check, fmt.Sprintf("cw cluster recover %s, then promote again; or, giving up what is missing: cw cluster promote %s --node %s --force", e.top.Name, e.top.Name, to.Name()),
						"standby %s has not received everything: %s", to.Name(), seen.Note)
				}
			}
		},
		Undo: func(ctx context.Context) error { return e.reinstate(ctx, old, to) },
	}
	if force {
		s.Verify = func(context.Context) error { return nil }
	}
	return s
}

// promoteStep is the point of no return: from here on the node takes writes.
func (e *Engine) promoteStep(n cluster.Node, needs ...string) step.Step {
	look := func(ctx context.Context) (step.Observed, error) {
		v := e.view(ctx, n)
		// The new timeline is in the control file only after a checkpoint:
		// pg_rewind, and we, look for it there.
		return step.Observed{Done: v.primary() && v.control.tli == v.live.TLI, Note: v.describe()}, v.host
	}
	return step.Step{
		ID: "promote@" + n.Host, Host: n.Host, Title: "make " + n.Name() + " the primary", Needs: needs, PointOfNoReturn: true,
		Check: look,
		Apply: func(ctx context.Context) error {
			if v := e.view(ctx, n); !v.primary() {
				if err := e.tool(ctx, n, "pg_ctl", "promote", "-D", n.DataDir, "-w", "-t", "600", "-s"); err != nil {
					return fmt.Errorf("promoting %s: %w%s", n.Name(), err, e.logTail(ctx, n))
				}
			}
			_, err := e.sql(ctx, n, "checkpoint;\n")
			return err
		},
	}
}
