// Package manage is the verbs of `cw cluster`: it chooses the engine by the
// topology's kind, keeps clusters, runs and events in the store, holds the
// lease while something is changed, and runs the engine's steps. It is the
// only package that knows both the engines and the store.
package manage

import (
	"context"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/postgres"
	"cw/cluster/step"
	"cw/fault"
)

// Engine is one cluster of one kind. Its methods that return steps contact no
// host: the steps do, when they are looked at or run. Each must work whatever
// an earlier, interrupted run has left.
type Engine interface {
	// Checks are the engine's own checks of a host that can be reached.
	Checks(ctx context.Context, host string) []hostprep.Check
	// Version is the engine's major version on the hosts; once a cluster is made
	// it stays.
	Version(ctx context.Context) (string, error)
	// Create are the steps from bare hosts to a running cluster.
	Create() ([]step.Step, error)
	Start() ([]step.Step, error)
	Stop(mode cluster.StopMode) ([]step.Step, error)
	Restart(mode cluster.StopMode) ([]step.Step, error)
	// Delete are the steps that leave nothing of the cluster on the hosts. What
	// is not the cluster's is not touched; Left says what that was.
	Delete() ([]step.Step, error)
	Left() []string
	// Status answers within five seconds, whatever the hosts do.
	Status(ctx context.Context) cluster.Status
}

// engine makes the engine of a cluster.
func (m *Manager) engine(fleet *hostprep.Fleet, uid, run string) (Engine, error) {
	t := fleet.Topology
	switch t.Engine.Kind {
	case cluster.Postgres:
		return postgres.New(postgres.Config{Fleet: fleet, UID: uid, Run: run, Dir: m.Dir(t.Name)}), nil
	default:
		return nil, fault.New(fault.Usage, "set engine.kind: postgres", "engine %s is not supported by this version of cw", t.Engine.Kind)
	}
}
