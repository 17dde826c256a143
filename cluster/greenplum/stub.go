package greenplum

import (
	"context"
	"errors"

	"cw/cluster"
	"cw/cluster/step"
)

var errLater = errors.New("not built yet")

// Recover brings back nodes that are down or do not follow.
func (e *Engine) Recover(context.Context, cluster.RecoverOptions) ([]step.Step, error) {
	return nil, errLater
}

// Promote makes a node the primary.
func (e *Engine) Promote(context.Context, cluster.PromoteOptions) (cluster.Node, []step.Step, error) {
	return cluster.Node{}, nil, errLater
}

// Grow adds nodes.
func (e *Engine) Grow([]cluster.Node) ([]step.Step, error) { return nil, errLater }

// Shrink takes nodes out.
func (e *Engine) Shrink([]cluster.Node) ([]step.Step, error) { return nil, errLater }

// Settings are the values of settings on every node that answers.
func (e *Engine) Settings(context.Context, []string) ([]cluster.NodeSetting, error) {
	return nil, errLater
}

// Configure changes settings.
func (e *Engine) Configure(context.Context, cluster.ConfigChange) ([]step.Step, cluster.ConfigChange, error) {
	return nil, cluster.ConfigChange{}, errLater
}

