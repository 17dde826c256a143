package postgres

import (
	"context"
	"strings"
	"sync"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// startStep starts a node.
func (e *Engine) startStep(n cluster.Node, needs ...string) step.Step {
	return step.Step{
		ID: "start@" + n.Host, Host: n.Host, Title: "start node " + n.Name(), Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			state, err := e.startable(ctx, n)
			return step.Observed{Done: state == procReady, Note: state}, ignoreNoUser(err)
		},
		Apply: func(ctx context.Context) error {
			if state, err := e.startable(ctx, n); err != nil || state == procReady {
				return err
			}
			if n.Role == cluster.NodePrimary {
				if err := e.onlyPrimary(ctx, n); err != nil {
					return err
				}
			}
			return e.start(ctx, n)
		},
	}
}

// startable is the state of a node's server; its error says why the server
// must not be started, or should not run as it does. The layout says who
// takes writes: a standby that lost its standby.signal would be a second
// primary.
func (e *Engine) startable(ctx context.Context, n cluster.Node) (string, error) {
	out, err := e.sh(ctx, n, `state() { `+procScript+`
}
state "$1"
if [ -e "$1/standby.signal" ]; then echo signal; fi
if [ -e "$2" ]; then echo unfinished; fi`, n.DataDir, unfinished(n))
	if err != nil {
		return "", err
	}
	f := strings.Fields(out)
	if len(f) == 0 || f[0] == procNone {
		return procNone, nil
	}
	signal, broken := strings.Contains(out, "signal"), strings.Contains(out, "unfinished")
	recover := "cw cluster recover " + e.top.Name + " --host " + n.Host
	switch {
	case broken:
		return f[0], fault.New(fault.Check, recover, "node %s on %s cannot be started: a copy or pg_rewind into %s was interrupted", n.Name(), n.Host, n.DataDir)
	case n.Role == cluster.NodeStandby && !signal && f[0] == procStopped:
		return f[0], fault.New(fault.Check, recover, "standby %s on %s cannot be started: without standby.signal it would be a second primary", n.Name(), n.Host)
	case n.Role == cluster.NodeStandby && !signal:
		return f[0], fault.New(fault.Check, recover, "standby %s on %s takes writes: there are two primaries", n.Name(), n.Host)
	case n.Role == cluster.NodePrimary && signal:
		return f[0], fault.New(fault.Check, "cw cluster resume "+e.top.Name+" when a promotion was interrupted, else cw cluster promote "+e.top.Name,
			"primary %s on %s is a standby there", n.Name(), n.Host)
	}
	return f[0], nil
}

// onlyPrimary makes sure, as far as hosts answer, that nobody has taken over
// from the primary n, which is about to be started.
func (e *Engine) onlyPrimary(ctx context.Context, n cluster.Node) error {
	own := e.view(ctx, n)
	standbys := e.lay.Standbys()
	seen := make([]view, len(standbys))
	var wg sync.WaitGroup
	for i, s := range standbys {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookPatience)
			defer cancel()
			seen[i] = e.view(ctx, s)
		})
	}
	wg.Wait()
	for _, v := range seen {
		if v.host == nil && (v.primary() || v.proc != procNone && !v.signal && v.control.tli >= own.control.tli) {
			return fault.New(fault.Check, "cw cluster promote "+e.top.Name+" (or resume, when a promotion was interrupted)",
				"primary %s on %s cannot be started: %s on %s has taken over from it", n.Name(), n.Host, v.node.Name(), v.node.Host)
		}
	}
	return own.host
}
