package postgres

import (
	"context"
	"errors"
	"fmt"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// Shrink takes standbys out: stop, remove, drop the slot and close the door. A
// host that does not answer keeps nobody waiting; what is left on it is said.
func (e *Engine) Shrink(nodes []cluster.Node) ([]step.Step, error) {
	p := e.lay.Primary()
	isOut := map[int]bool{}
	for _, n := range nodes {
		if n.ID == p.ID {
			return nil, fault.New(fault.Usage, "cw cluster promote "+e.top.Name, "node %s is the primary of cluster %s: another one must take over first", n.Name(), e.top.Name)
		}
		isOut[n.ID] = true
	}
	if len(nodes) == 0 {
		return nil, nil
	}
	var steps []step.Step
	var removed []string
	for _, n := range nodes {
		stop, remove := e.orLeft(e.endStep(n), n), e.orLeft(e.removeStep(n), n)
		remove.PointOfNoReturn = false
		steps = append(steps, stop, remove, e.unslotStep(n, p, stop.ID))
		removed = append(removed, remove.ID)
	}
	for _, n := range nodes {
		s := e.tidyStep(n)
		s.Needs, s.After = []string{"remove@" + n.Host}, removed
		steps = append(steps, e.orLeft(s, n))
	}
	if adopted(p) { // its pg_hba.conf is not ours
		return steps, nil
	}
	var stay []cluster.Node
	for _, n := range e.lay.Nodes {
		if !isOut[n.ID] {
			stay = append(stay, n)
		}
	}
	for _, n := range stay {
		s := e.orLeft(e.hbaStep(n, stay, nodes), n)
		s.Title, s.After = "let the nodes that go in no more on "+n.Name(), removed
		steps = append(steps, s)
	}
	return steps, nil
}

// orLeft lets a step pass whose host does not answer, and says so.
func (e *Engine) orLeft(s step.Step, n cluster.Node) step.Step {
	check := s.Check
	s.Check = func(ctx context.Context) (step.Observed, error) {
		o, err := check(ctx)
		var wrong *remote.WrongHostError
		if err != nil && ctx.Err() == nil && (fault.KindOf(err) == fault.Unreachable || errors.As(err, &wrong)) {
			e.leaveOnce("host %s does not answer: what is there of node %s in %s was left", n.Host, n.Name(), n.Dir)
			return step.Observed{Done: true, Note: "host does not answer, left alone"}, nil
		}
		return o, err
	}
	return s
}

// unslotStep drops the slot of a standby that goes. One that cannot be reached
// may still be connected: its connection is ended.
func (e *Engine) unslotStep(n, p cluster.Node, after string) step.Step {
	name := literal(slot(n))
	there := func(ctx context.Context) (bool, error) {
		var b bool
		err := e.query(ctx, p, "select to_json(exists(select from pg_replication_slots where slot_name = "+name+"))", &b)
		return b, err
	}
	return step.Step{
		ID: "unslot@" + n.Host, Host: p.Host, Title: "drop the replication slot of " + n.Name() + " on " + p.Name(), After: []string{after},
		Check: func(ctx context.Context) (step.Observed, error) {
			if state, err := e.proc(ctx, p); err != nil || state != procReady {
				return step.Observed{Note: p.Name() + " does not run"}, err
			}
			is, err := there(ctx)
			return step.Observed{Done: !is, Note: choose(is, "there", "none")}, err
		},
		Apply: e.onlyRunning(p, func(ctx context.Context) error {
			for {
				_, err := e.sql(ctx, p, fmt.Sprintf("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %[1]s and active;\n"+
					"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %[1]s and not active;\n", name))
				if err != nil {
					return fmt.Errorf("dropping the replication slot of %s: %w", n.Name(), err)
				}
				if is, err := there(ctx); err != nil || !is {
					return err
				}
				if err := pause(ctx, pollInterval); err != nil {
					return err
				}
			}
		}),
	}
}
