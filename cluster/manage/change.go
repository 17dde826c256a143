package manage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
	"cw/fault"
	"cw/state"
)

// nodes are the nodes of the layout with these ids.
func (k *known) nodes(ids []int) []cluster.Node {
	var out []cluster.Node
	for _, n := range k.lay.Nodes {
		if slices.Contains(ids, n.ID) {
			out = append(out, n)
		}
	}
	return out
}

// drop takes nodes out of the layout, and hosts that carry none any more out
// of the topology.
func (k *known) drop(ids []int) {
	hosts := map[string]bool{}
	for _, n := range k.nodes(ids) {
		hosts[n.Host] = true
	}
	k.lay.Nodes = slices.DeleteFunc(k.lay.Nodes, func(n cluster.Node) bool { return slices.Contains(ids, n.ID) })
	k.top.Hosts = slices.DeleteFunc(k.top.Hosts, func(h cluster.Host) bool {
		gone := hosts[h.Name] && len(k.lay.On(h.Name)) == 0
		if gone {
			delete(k.record.Facts, factMachine+h.Name) // the name may be another machine's one day
		}
		return gone
	})
}

// Reload plans to have all nodes read their configuration files again.
func (m *Manager) Reload(ctx context.Context, name string) (*Operation, error) {
	return m.existing(ctx, name, VerbReload, params{})
}

// Recover plans to bring back nodes that are down or do not follow.
func (m *Manager) Recover(ctx context.Context, name string, o cluster.RecoverOptions) (*Operation, error) {
	return m.existing(ctx, name, VerbRecover, params{Recover: &o})
}

// Promote plans to make a standby the primary.
func (m *Manager) Promote(ctx context.Context, name string, o cluster.PromoteOptions) (*Operation, error) {
	return m.existing(ctx, name, VerbPromote, params{Promote: &o})
}

// Configure plans to change settings.
func (m *Manager) Configure(ctx context.Context, name string, c cluster.ConfigChange) (*Operation, error) {
	return m.existing(ctx, name, VerbConfig, params{Config: &c})
}

// Rollback plans to take back the last change of settings; done again, the one
// before it.
func (m *Manager) Rollback(ctx context.Context, name string) (*Operation, error) {
	runs, err := m.Store.Runs(ctx, name)
	if err != nil {
		return nil, err
	}
	back := map[string]bool{} // runs that were taken back
	for _, r := range runs {
		var planned plannedRun
		if r.Verb != VerbConfig || json.Unmarshal([]byte(r.Plan), &planned) != nil || planned.Params.Undo == nil {
			continue
		}
		switch {
		case planned.Params.Back != "":
			back[planned.Params.Back] = back[planned.Params.Back] || r.State == state.Done
		case back[r.ID], r.State == state.Failed: // which has undone what it did
		default:
			return m.existing(ctx, name, VerbConfig, params{Config: planned.Params.Undo, Back: r.ID})
		}
	}
	return nil, fault.New(fault.Usage, "cw cluster config get "+name, "no change of settings of cluster %s is left that was made with cw", name)
}

// Settings reads settings of all nodes.
func (m *Manager) Settings(ctx context.Context, name string, settings []string) ([]cluster.NodeSetting, error) {
	eng, err := m.look(ctx, name)
	if err != nil {
		return nil, err
	}
	return eng.Settings(ctx, settings)
}

// look is the engine of a cluster that is only looked at.
func (m *Manager) look(ctx context.Context, name string) (Engine, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	fleet, err := m.fleet(k)
	if err != nil {
		return nil, err
	}
	return m.engine(fleet, k.uid(), "")
}

// Expand plans to add the nodes that a topology has and the cluster has not.
func (m *Manager) Expand(ctx context.Context, t *cluster.Topology) (*Operation, error) {
	k, err := m.find(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	if err := k.onlyGrows(t); err != nil {
		return nil, err
	}
	lay, err := cluster.Expand(t, k.lay)
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, n := range lay.Nodes {
		if _, had := k.lay.Node(n.Name()); !had {
			ids = append(ids, n.ID)
		}
	}
	pending := k.lay.Pending
	switch {
	case pending != nil && len(ids) > 0:
		return nil, fault.New(fault.Usage, fmt.Sprintf("cw cluster resume %[1]s, or take it back: cw cluster expand %[1]s --undo", t.Name), "cluster %s: another expand is not finished", t.Name)
	case pending != nil:
		return m.Resume(ctx, t.Name)
	case len(ids) == 0:
		return &Operation{Cluster: t.Name, Verb: VerbExpand, m: m, k: k, Nothing: fmt.Sprintf("cluster %s has all nodes of the topology: there is nothing to add", t.Name)}, nil
	}
	if s := k.record.State; s == state.ClusterCreating || s == state.ClusterDeleting {
		return nil, fault.New(fault.Usage, "cw cluster resume "+t.Name, "cluster %s: its %s is not finished", t.Name, verbOf(s))
	}
	lay.Pending = &cluster.Pending{Nodes: ids, Before: k.top, SegmentsPerHost: k.lay.SegmentsPerHost}
	k.top, k.lay = t, lay
	op, err := m.operation(ctx, k, VerbExpand, params{Nodes: ids})
	if err != nil {
		return nil, err
	}
	if op.resume, err = m.unfinished(ctx, t.Name); err != nil {
		return nil, err
	}
	op.Report = hostprep.Run(ctx, op.fleet, k.uid(), op.eng.Checks)
	if ctx.Err() != nil {
		return op, context.Cause(ctx)
	}
	m.checked(ctx, t.Name, op.Report)
	return op, op.Report.Err()
}

// undoer is an engine that can take an expansion back which has not come far.
type undoer interface {
	// UndoGrow are the steps that leave nothing of nodes that Grow has begun to
	// add; an error when they are part of the cluster already.
	UndoGrow(ctx context.Context, nodes []cluster.Node) ([]step.Step, error)
}

// UndoExpand plans to take back an expansion that is not finished, as long as
// the cluster knows nothing of its nodes.
func (m *Manager) UndoExpand(ctx context.Context, name string) (*Operation, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if k.lay.Pending == nil {
		return nil, fault.New(fault.Usage, "cw cluster status "+name, "no expand of cluster %s is unfinished: there is nothing to take back", name)
	}
	return m.existing(ctx, name, VerbExpand, params{Nodes: k.lay.Pending.Nodes, TakeBack: true})
}

// grow plans the steps of an expansion, or of its taking back.
func (op *Operation) grow(ctx context.Context) ([]step.Step, error) {
	nodes := op.k.nodes(op.params.Nodes)
	if !op.params.TakeBack {
		return op.eng.Grow(nodes)
	}
	u, ok := op.eng.(undoer)
	if !ok {
		return nil, fault.New(fault.Usage, fmt.Sprintf("finish it: cw cluster resume %s, and then: cw cluster shrink %[1]s", op.Cluster), "an expand of a cluster of engine %s cannot be taken back", op.k.top.Engine.Kind)
	}
	return u.UndoGrow(ctx, nodes)
}

// grown changes what is known of the cluster to what it is after an expansion
// or its taking back.
func (op *Operation) grown() {
	p := op.k.lay.Pending
	if op.params.TakeBack && p != nil {
		op.k.drop(p.Nodes)
		op.k.top, op.k.lay.SegmentsPerHost = p.Before, p.SegmentsPerHost
	}
	op.k.lay.Pending = nil
}

// onlyGrows fails when a topology differs from the cluster's in more than new
// hosts and how hosts are reached.
func (k *known) onlyGrows(t *cluster.Topology) error {
	changes, err := cluster.Diff(k.top, t)
	if err != nil {
		return err
	}
	var lines []string
	for _, c := range changes {
		if c.Verb != "" && c.Verb != "with the host" && c.Verb != "cw cluster expand "+t.Name {
			lines = append(lines, c.String())
		}
	}
	if n, err := strconv.Atoi(t.Layout.SegmentsPerHost); err == nil && n < k.lay.SegmentsPerHost && len(lines) == 0 {
		return fault.New(fault.Usage, "cw cluster shrink "+t.Name+" --segments N", "cluster %s has %d segments per host, the file wants %d: expand only adds", t.Name, k.lay.SegmentsPerHost, n)
	}
	if len(lines) == 0 {
		return nil
	}
	return fault.New(fault.Usage, "expand only adds: use the command named beside each difference", "cluster %s differs from the file in more than new nodes:\n  %s", t.Name, strings.Join(lines, "\n  "))
}
