package greenplum

import (
	"context"
	"errors"

	"cw/cluster"
	"cw/cluster/step"
)

var errLater = errors.New("not built yet")

// Settings are the values of settings on every node that answers.
func (e *Engine) Settings(context.Context, []string) ([]cluster.NodeSetting, error) {
	return nil, errLater
}

// Configure changes settings.
func (e *Engine) Configure(context.Context, cluster.ConfigChange) ([]step.Step, cluster.ConfigChange, error) {
	return nil, cluster.ConfigChange{}, errLater
}
