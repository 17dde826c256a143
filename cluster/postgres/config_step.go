package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// step makes the change on all nodes.
func (x *change) step(olds map[int]before) step.Step {
	e := x.then
	return step.Step{
		ID: "configure", Title: x.title(e.lay.Nodes),
		Check: func(ctx context.Context) (step.Observed, error) {
			var not []string
			for _, n := range e.lay.Nodes {
				_, done, err := x.look(ctx, n)
				if err != nil {
					return step.Observed{}, fmt.Errorf("node %s: %w", n.Name(), err)
				}
				if !done {
					not = append(not, n.Name())
				}
			}
			return step.Observed{Done: len(not) == 0, Note: choose(len(not) == 0, "set", "not set on "+strings.Join(not, ", "))}, nil
		},
		Apply: func(ctx context.Context) error {
			for _, n := range e.lay.Nodes {
				if err := x.make(ctx, n); err != nil {
					return fault.Wrap(fault.KindOf(err), choose(fault.HintOf(err) != "", fault.HintOf(err), "cw cluster status "+e.top.Name), fmt.Errorf("node %s on %s: %w", n.Name(), n.Host, err))
				}
			}
			return nil
		},
		Undo: func(ctx context.Context) error {
			var errs []error
			for _, n := range e.lay.Nodes {
				if err := x.takeBack(ctx, n, olds[n.ID]); err != nil {
					errs = append(errs, fmt.Errorf("node %s on %s keeps the change: %w", n.Name(), n.Host, err))
				}
			}
			return errors.Join(errs...)
		},
	}
}

func (x *change) title(nodes []cluster.Node) string {
	var parts, on []string
	if x.Profile != "" {
		parts = append(parts, "apply profile "+x.Profile)
	}
	for _, name := range x.names {
		if v, ok := x.Set[name]; ok {
			parts = append(parts, "set "+name+" = "+v)
		} else {
			parts = append(parts, "reset "+name)
		}
	}
	for _, n := range nodes {
		on = append(on, n.Name())
	}
	return strings.Join(parts, ", ") + " on " + strings.Join(on, ", ")
}

// make changes one node.
func (x *change) make(ctx context.Context, n cluster.Node) error {
	e := x.then
	if x.Profile != "" {
		text, err := e.profileConf(ctx, n, nil)
		if err != nil {
			return err
		}
		if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, profileFile(n), []byte(text), 0o600); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, name := range x.names {
		if v, ok := x.Set[name]; ok {
			b.WriteString(setStatement(name, v))
		} else {
			b.WriteString(resetStatement(name))
		}
	}
	return e.alterAndReload(ctx, n, b.String())
}

// takeBack gives one node what it had.
func (x *change) takeBack(ctx context.Context, n cluster.Node, old before) error {
	e := x.then
	if x.Profile != "" && old.profile != "" {
		if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, profileFile(n), []byte(old.profile), 0o600); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, name := range x.names {
		if v := old.auto[name]; v != nil {
			b.WriteString(setStatement(name, *v))
		} else {
			b.WriteString(resetStatement(name))
		}
	}
	return e.alterAndReload(ctx, n, b.String())
}

func (e *Engine) alterAndReload(ctx context.Context, n cluster.Node, statements string) error {
	if statements != "" {
		if err := e.alter(ctx, n, statements); err != nil {
			return sqlError(err)
		}
	}
	return e.reload(ctx, n)
}
