package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/fault"
	"cw/state"
)

// Create plans to create a cluster, or to go on creating it. The hosts are
// checked first; a required check that fails is an error, and Operation is
// returned with the report all the same.
func (m *Manager) Create(ctx context.Context, t *cluster.Topology) (*Operation, error) {
	k, err := m.find(ctx, t.Name)
	fresh := errors.Is(err, state.ErrNotFound)
	var sized hostprep.Check
	switch {
	case fresh:
		if k, sized, err = m.newSized(ctx, t); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		if err := k.sameAs(t); err != nil {
			return nil, err
		}
		if k.record.State == state.ClusterDeleting {
			return nil, fault.New(fault.Usage, "cw cluster resume "+t.Name, "cluster %s is being deleted, and that is not finished", t.Name)
		}
		if k.record.State != state.ClusterCreating {
			return m.exists(ctx, k, t)
		}
		k.top = t // how to reach the hosts may have been corrected
	}
	op, err := m.operation(ctx, k, VerbCreate, params{})
	if err != nil {
		return nil, err
	}
	op.fresh = fresh
	if op.resume, err = m.unfinished(ctx, t.Name); err != nil {
		return nil, err
	}
	op.Report = note(hostprep.Run(ctx, op.fleet, k.uid(), op.eng.Checks), sized)
	if ctx.Err() != nil {
		return op, context.Cause(ctx)
	}
	m.checked(ctx, t.Name, op.Report)
	if err := op.Report.Err(); err != nil {
		return op, err
	}
	k.lay.Version, err = op.eng.Version(ctx)
	return op, err
}

// exists is the operation of a create that finds the cluster created.
func (m *Manager) exists(ctx context.Context, k *known, t *cluster.Topology) (*Operation, error) {
	changes, err := cluster.Diff(k.top, t)
	if err != nil {
		return nil, err
	}
	op := &Operation{Cluster: t.Name, Verb: VerbCreate, m: m, k: k, Nothing: fmt.Sprintf("cluster %s exists already (created %s): there is nothing to do", t.Name, k.record.CreatedAt.UTC().Format("2006-01-02 15:04 UTC"))}
	if len(changes) == 0 {
		return op, nil
	}
	// Only how cw gets in is different; that concerns nobody but the store.
	k.top = t
	if err := k.encode(); err != nil {
		return nil, err
	}
	op.Nothing = fmt.Sprintf("cluster %s exists already: there is nothing to do on its hosts; %d changed settings of how they are reached were noted", t.Name, len(changes))
	return op, m.Store.PutCluster(ctx, k.record)
}

// sameAs fails when a topology asks for more than the cluster that exists.
func (k *known) sameAs(t *cluster.Topology) error {
	changes, err := cluster.Diff(k.top, t)
	if err != nil {
		return err
	}
	lines := []string{}
	for _, c := range changes {
		if c.Verb != "" {
			lines = append(lines, c.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fault.New(fault.Usage, "create changes no existing cluster: use the command named beside each difference, or another name for a new cluster",
		"cluster %s exists and differs from the file:\n  %s", t.Name, strings.Join(lines, "\n  "))
}

// Start plans to start a cluster.
func (m *Manager) Start(ctx context.Context, name string) (*Operation, error) {
	return m.existing(ctx, name, VerbStart, params{})
}

// Stop plans to stop a cluster.
func (m *Manager) Stop(ctx context.Context, name string, mode cluster.StopMode) (*Operation, error) {
	return m.existing(ctx, name, VerbStop, params{Mode: mode})
}

// Restart plans to restart a cluster.
func (m *Manager) Restart(ctx context.Context, name string, mode cluster.StopMode) (*Operation, error) {
	return m.existing(ctx, name, VerbRestart, params{Mode: mode})
}

// existing plans a verb for a cluster that was created completely.
func (m *Manager) existing(ctx context.Context, name, verb string, p params) (*Operation, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if s := k.record.State; s == state.ClusterCreating || s == state.ClusterDeleting {
		return nil, fault.New(fault.Usage, "cw cluster resume "+name, "cluster %s: its %s is not finished", name, verbOf(s))
	}
	op, err := m.operation(ctx, k, verb, p)
	if err != nil {
		return nil, err
	}
	op.resume, err = m.unfinished(ctx, name)
	return op, err
}

// Delete plans to remove a cluster from its hosts and from the store, whatever
// state it is in.
func (m *Manager) Delete(ctx context.Context, name string) (*Operation, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if k.top.Protected {
		return nil, fault.New(fault.Usage, "set protected: false in its topology and run: cw cluster create -f FILE", "cluster %s is protected: it cannot be deleted", name)
	}
	op, err := m.operation(ctx, k, VerbDelete, params{})
	if err != nil {
		return nil, err
	}
	op.resume, err = m.unfinished(ctx, name)
	return op, err
}

// Resume plans to finish what the last run of a cluster began.
func (m *Manager) Resume(ctx context.Context, name string) (*Operation, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	switch k.record.State {
	case state.ClusterCreating:
		return m.Create(ctx, k.top)
	case state.ClusterDeleting:
		return m.Delete(ctx, name)
	}
	last, err := m.lastChange(ctx, name)
	if err != nil {
		return nil, err
	}
	over := last.ID == "" || last.State == state.Done
	if p := k.lay.Pending; p != nil && over {
		return m.existing(ctx, name, VerbExpand, params{Nodes: p.Nodes}) // another verb came between
	}
	if over {
		return &Operation{Cluster: name, Verb: "resume", m: m, k: k, Nothing: fmt.Sprintf("nothing of cluster %s is unfinished", name)}, nil
	}
	var planned plannedRun
	if err := json.Unmarshal([]byte(last.Plan), &planned); err != nil {
		return nil, fmt.Errorf("reading the plan of run %s: %w", last.ID, err)
	}
	op, err := m.existing(ctx, name, last.Verb, planned.Params)
	if err == nil {
		op.Nothing = "" // nothing is left to do but to record that it is done
	}
	return op, err
}

// unfinished is the run that a crash left marked as running; "" for none.
// Whether it still runs is for the lease to say.
func (m *Manager) unfinished(ctx context.Context, name string) (string, error) {
	last, err := m.lastChange(ctx, name)
	if err != nil || last.State != state.Running {
		return "", err
	}
	return last.ID, nil
}
