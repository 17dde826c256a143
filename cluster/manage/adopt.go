package manage

import (
	"context"
	"errors"
	"fmt"

	"cw/cluster"
	"cw/cluster/greenplum"
	"cw/cluster/postgres"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
	"cw/state"
)

// adopter is an Engine whose clusters may have been made by somebody else.
type adopter interface {
	// Adopt are the steps that mark the nodes as the cluster's. They change
	// nothing of how the nodes run.
	Adopt() ([]step.Step, error)
}

// Adopt looks at a cluster that somebody else made and plans to take it over:
// its nodes are marked on their hosts and kept in the store, nothing of them
// changes. Operation.Found is what was found.
func (m *Manager) Adopt(ctx context.Context, o cluster.AdoptOptions) (*Operation, error) {
	if !cluster.ValidName(o.Name) {
		return nil, fault.New(fault.Usage, "use up to 40 lower-case letters, digits, - and _, a letter first", "%q is not a cluster name", o.Name)
	}
	if k, err := m.find(ctx, o.Name); err == nil {
		return nil, fault.New(fault.Usage, "give it another name, or see cw cluster status "+k.record.Name, "there is a cluster %s already", o.Name)
	} else if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	pool, err := m.Pool(o.Name)
	if err != nil {
		return nil, err
	}
	found, err := discover(ctx, pool, o)
	if err != nil {
		return nil, err
	}
	if err := m.free(ctx, found); err != nil {
		return nil, err
	}
	k := &known{top: found.Topology, lay: found.Layout, record: state.Cluster{
		Name: o.Name, Engine: found.Topology.Engine.Kind, State: state.ClusterUp, Facts: map[string]string{factUID: state.NewID("c")},
	}}
	if err := k.encode(); err != nil {
		return nil, err
	}
	op, err := m.operation(ctx, k, VerbAdopt, params{})
	if err != nil {
		return nil, err
	}
	op.fresh, op.Found = true, found
	return op, nil
}

// discover finds the nodes; the engine is found out where it is not said.
func discover(ctx context.Context, pool *remote.Pool, o cluster.AdoptOptions) (*cluster.Found, error) {
	switch o.Engine {
	case cluster.Postgres:
		return postgres.Discover(ctx, pool, o)
	case cluster.Greenplum:
		return greenplum.Discover(ctx, pool, o)
	case "":
		found, err := greenplum.Discover(ctx, pool, o)
		var other *greenplum.NotGreenplumError
		if errors.As(err, &other) {
			return postgres.Discover(ctx, pool, o)
		}
		return found, err
	}
	return nil, fault.New(fault.Usage, "--engine postgres or greenplum", "clusters of engine %s cannot be adopted by this version of cw", o.Engine)
}

// free fails when a cluster of the store has one of the nodes already.
func (m *Manager) free(ctx context.Context, found *cluster.Found) error {
	records, err := m.Store.Clusters(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		k, err := m.find(ctx, r.Name)
		if err != nil {
			return err
		}
		for _, n := range k.lay.Nodes {
			at, _ := k.top.Host(n.Host)
			for _, f := range found.Layout.Nodes {
				h, _ := found.Topology.Host(f.Host)
				if h.Address == at.Address && f.DataDir == n.DataDir && f.Port == n.Port {
					return fault.New(fault.Usage, "cw cluster status "+r.Name, "%s port %d is node %s of cluster %s already", h.Address, f.Port, n.Name(), r.Name)
				}
			}
		}
	}
	return nil
}

// newMachines forgets which machines were behind the hosts of standbys: who
// has them copied anew by name may have put other machines in their place.
func (k *known) newMachines(hosts []string) {
	for _, h := range hosts {
		if h != k.lay.Primary().Host {
			delete(k.record.Facts, factMachine+h)
		}
	}
}

// Describe says in one line per node what an adoption takes over.
func Describe(f *cluster.Found) []string {
	lines := []string{fmt.Sprintf("%s %s, owned by %s, database %s", f.Topology.Engine.Kind, f.Layout.Version, f.Topology.OSUser, f.Topology.Database.Name)}
	for _, n := range f.Layout.Nodes {
		h, _ := f.Topology.Host(n.Host)
		lines = append(lines, fmt.Sprintf("%s %s on %s (%s), port %d, %s", n.Name(), n.Role, n.Host, h.Address, n.Port, n.DataDir))
	}
	return append(lines, f.Notes...)
}
