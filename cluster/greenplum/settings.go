package greenplum

import (
	"context"

	"cw/cluster"
	"cw/cluster/hostprep"
)

// settings are the computed settings of a node.
func (e *Engine) settings(n cluster.Node) map[string]string {
	if isCoordinator(n) {
		return map[string]string{"max_connections": "250", "shared_buffers": "125MB"}
	}
	return map[string]string{"max_connections": "750", "shared_buffers": "125MB"}
}

// home is the folder of the engine's software on a host.
func (e *Engine) home(context.Context, string) (string, error) {
	if e.top.Engine.Home != "" {
		return e.top.Engine.Home, nil
	}
	return "/usr/local/greenplum-db", nil
}

// Checks are the engine's own checks of a host.
func (e *Engine) Checks(context.Context, string) []hostprep.Check { return nil }
