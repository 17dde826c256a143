package postgres

import (
	"context"
	"fmt"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
	"cw/fault"
)

// walSendersLeast is how many senders every node of cw's has at least; a
// running standby takes one, a copy two.
const walSendersLeast = 10

// Grow adds standbys of the layout to a running cluster. The steps are those
// of Create; before the first copy the nodes that exist let the new hosts in.
func (e *Engine) Grow(nodes []cluster.Node) ([]step.Step, error) {
	p := e.lay.Primary()
	if adopted(p) {
		return nil, fault.New(fault.Usage, "make the standby by hand, have cw forget the cluster, and adopt it again",
			"cluster %s was adopted: cw does not know how new standbys of it are to be made", e.top.Name)
	}
	isNew := map[int]bool{}
	for _, n := range nodes {
		if n.Role != cluster.NodeStandby {
			return nil, fmt.Errorf("node %s is a %s: only standbys can be added", n.Name(), n.Role)
		}
		isNew[n.ID] = true
	}
	if err := e.needCA(); err != nil {
		return nil, err
	}
	var steps []step.Step
	var letIn []string
	for _, n := range e.lay.Nodes {
		if !isNew[n.ID] {
			steps = append(steps, e.hbaStep(n, e.lay.Nodes, nil))
			letIn = append(letIn, "hba@"+n.Host)
		}
	}
	role := e.replicationStep(p, e.lay.Standbys())
	role.Needs = letIn
	role.Apply = e.onlyRunning(p, role.Apply)
	steps = append(steps, role)
	after := ""
	for _, n := range nodes {
		steps = append(steps, e.userStep(n))
		if e.top.Engine.Install {
			steps = append(steps, e.installStep(n))
		}
		steps = append(steps, e.newcomer(e.claimStep(n), n))
		if e.top.TLS.Mode != cluster.TLSOff {
			s := e.tlsStep(n)
			s.Needs = []string{"claim@" + n.Host} // the CA is there
			steps = append(steps, s)
		}
		clone := e.cloneStep(n, p)
		if after != "" && len(e.lay.Standbys())+len(nodes) > walSendersLeast {
			clone.After = []string{after}
		}
		after = clone.ID
		steps = append(steps, e.passfileStep(n), clone, e.startStep(n, e.startNeeds(n, clone.ID)...), e.followStep(n, p))
	}
	return steps, nil
}

// newcomer has a claimStep refuse a folder that is left from a time when the
// host was in the cluster before: what is in it is old, and would be taken for
// a copy that this run has made.
func (e *Engine) newcomer(s step.Step, n cluster.Node) step.Step {
	check, apply := s.Check, s.Apply
	fresh := func(ctx context.Context) error {
		d, err := e.Fleet.LookDir(ctx, n.Host, e.top.OSUser, n.Dir, e.marker(n))
		if err != nil || d.State != hostprep.DirOurs || d.Marker.Run == e.Run {
			return ignoreNoUser(err)
		}
		return fault.New(fault.Check, fmt.Sprintf("look at it and remove it: on %s: rm -r %s", n.Host, n.Dir), "%s: %s is left from a time when the host was in cluster %s before", n.Host, n.Dir, e.top.Name)
	}
	s.Check = func(ctx context.Context) (step.Observed, error) {
		if err := fresh(ctx); err != nil {
			return step.Observed{}, err
		}
		return check(ctx)
	}
	s.Apply = func(ctx context.Context) error {
		if err := fresh(ctx); err != nil {
			return err
		}
		return apply(ctx)
	}
	return s
}

// onlyRunning has a step say what to do when the primary is down, instead of
// what psql says.
func (e *Engine) onlyRunning(p cluster.Node, apply func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		state, err := e.proc(ctx, p)
		if err != nil {
			return err
		}
		if state != procReady {
			return fault.New(fault.Check, "cw cluster start "+e.top.Name, "primary %s on %s is %s", p.Name(), p.Host, state)
		}
		return apply(ctx)
	}
}
