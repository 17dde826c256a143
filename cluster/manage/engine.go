// Package manage is the verbs of `cw cluster`: it chooses the engine by the
// topology's kind, keeps clusters, runs and events in the store, holds the
// lease while something is changed, and runs the engine's steps. It is the
// only package that knows both the engines and the store.
package manage

import (
	"context"

	"cw/cluster"
	"cw/cluster/greenplum"
	"cw/cluster/hostprep"
	"cw/cluster/postgres"
	"cw/cluster/step"
	"cw/fault"
)

// Engine is one cluster of one kind. Its methods that return steps decide from
// the hosts what is to be done, now or when the steps are looked at or run.
// Each must work whatever an earlier, interrupted run has left: resuming is
// planning again with the same arguments.
type Engine interface {
	// Checks are the engine's own checks of a host that can be reached.
	Checks(ctx context.Context, host string) []hostprep.Check
	// Version is the engine's major version on the hosts; once a cluster is made
	// it stays.
	Version(ctx context.Context) (string, error)
	// Endpoint is where clients connect; it contacts nobody.
	Endpoint() (cluster.Endpoint, *cluster.TLSStatus)
	// Status answers within five seconds, whatever the hosts do.
	Status(ctx context.Context) cluster.Status

	// Create are the steps from bare hosts to a running cluster.
	Create() ([]step.Step, error)
	Start() ([]step.Step, error)
	Stop(mode cluster.StopMode) ([]step.Step, error)
	Restart(mode cluster.StopMode) ([]step.Step, error)
	Reload() ([]step.Step, error)
	// Delete are the steps that leave nothing of the cluster on the hosts. What
	// is not the cluster's is not touched; Left says what that was.
	Delete() ([]step.Step, error)
	Left() []string

	// Recover brings back nodes that are down or do not follow.
	Recover(ctx context.Context, o cluster.RecoverOptions) ([]step.Step, error)
	// Promote makes a standby the primary (the coordinator). The node it chose is
	// returned; the layout changes its roles when all steps are done.
	Promote(ctx context.Context, o cluster.PromoteOptions) (cluster.Node, []step.Step, error)
	// Grow adds nodes of the layout that do not exist yet to a running cluster.
	Grow(nodes []cluster.Node) ([]step.Step, error)
	// Shrink takes nodes out and removes them; the layout drops them afterwards.
	Shrink(nodes []cluster.Node) ([]step.Step, error)

	// Settings are the values of settings on every node that answers; no names
	// are those that cw or a user has set.
	Settings(ctx context.Context, names []string) ([]cluster.NodeSetting, error)
	// Configure changes settings; it also returns the change that takes it back.
	// Values are validated against the running server before anything is written.
	Configure(ctx context.Context, c cluster.ConfigChange) ([]step.Step, cluster.ConfigChange, error)
	// Logs writes the last lines of a node's server log.
	Logs(ctx context.Context, n cluster.Node, lines int) (string, error)
}

// engine makes the engine of a cluster.
func (m *Manager) engine(fleet *hostprep.Fleet, uid, run string) (Engine, error) {
	t := fleet.Topology
	switch t.Engine.Kind {
	case cluster.Postgres:
		return postgres.New(postgres.Config{Fleet: fleet, UID: uid, Run: run, Dir: m.Dir(t.Name)}), nil
	case cluster.Greenplum, cluster.Cloudberry:
		c := greenplum.Config{Fleet: fleet, UID: uid, Run: run, Dir: m.Dir(t.Name)}
		if t.Engine.ByUtilities() {
			return greenplum.NewUtilities(c), nil
		}
		return greenplum.New(c), nil
	default:
		return nil, fault.New(fault.Usage, "set engine.kind: postgres, greenplum or cloudberry", "engine %s is not supported by this version of cw", t.Engine.Kind)
	}
}
