// Package greenplum runs clusters of Greenplum Database 6 without the
// engine's own management utilities: it makes steps out of initdb, postgres,
// pg_ctl, pg_basebackup, pg_rewind and psql on the hosts.
package greenplum

import (
	"context"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
)

// Config is what an Engine works on.
type Config struct {
	Fleet *hostprep.Fleet
	UID   string // the cluster's unique id, for the markers
	Run   string // id of this run, for the markers and for restart
	Dir   string // folder of this machine for passwords of the cluster
}

// Engine is one Greenplum cluster.
type Engine struct {
	Config
}

// New makes the engine of one cluster; it contacts nobody.
func New(c Config) *Engine { return &Engine{Config: c} }

// Checks are the engine's own checks of a host.
func (e *Engine) Checks(context.Context, string) []hostprep.Check { return nil }

// Version is the engine's major version.
func (e *Engine) Version(context.Context) (string, error) { return "6", nil }

// Status looks at all nodes.
func (e *Engine) Status(context.Context) cluster.Status { return cluster.Status{} }

// Create are the steps from bare hosts to a running cluster.
func (e *Engine) Create() ([]step.Step, error) { return nil, errLater }

// Start starts all nodes.
func (e *Engine) Start() ([]step.Step, error) { return nil, errLater }

// Stop stops all nodes.
func (e *Engine) Stop(cluster.StopMode) ([]step.Step, error) { return nil, errLater }

// Restart restarts all nodes.
func (e *Engine) Restart(cluster.StopMode) ([]step.Step, error) { return nil, errLater }

// Delete removes all nodes.
func (e *Engine) Delete() ([]step.Step, error) { return nil, errLater }

// Left is what Delete did not remove.
func (e *Engine) Left() []string { return nil }
