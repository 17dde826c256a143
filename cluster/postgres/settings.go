package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cw/cluster"
	"cw/cluster/guc"
	"cw/fault"
	"cw/schema"
)

// gucs asks a running node for settings; where is a condition on s and f.
func (e *Engine) gucs(ctx context.Context, n cluster.Node, where string) ([]guc.Row, error) {
	var out []guc.Row
	err := e.query(ctx, n, fmt.Sprintf(gucQuery, where), &out)
	return out, err
}

// named is the condition for some names.
func named(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = literal(strings.ToLower(n))
	}
	return "lower(s.name) in (" + strings.Join(quoted, ", ") + ")"
}

// Settings are the values of settings on every node. Without names they are
// those that a configuration file sets. A node that does not answer has one
// entry, with an Error.
func (e *Engine) Settings(ctx context.Context, names []string) ([]cluster.NodeSetting, error) {
	where := "s.sourcefile is not null or f.name is not null"
	if len(names) > 0 {
		where = named(names)
	}
	rows := make([][]guc.Row, len(e.lay.Nodes))
	errs := make([]error, len(e.lay.Nodes))
	var wg sync.WaitGroup
	for i, n := range e.lay.Nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookPatience)
			defer cancel()
			state, err := e.proc(ctx, n)
			if err == nil && state != procReady {
				err = fmt.Errorf("the database is %s", state)
			}
			if err == nil {
				rows[i], err = e.gucs(ctx, n, where)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var out []cluster.NodeSetting
	known := map[string]bool{}
	var asked *cluster.Node
	for i, n := range e.lay.Nodes {
		one := cluster.NodeSetting{Node: n.Name(), Role: n.Role, Host: n.Host}
		if errs[i] != nil {
			one.Error = errs[i].Error()
			out = append(out, one)
			continue
		}
		asked = &e.lay.Nodes[i]
		for _, g := range rows[i] {
			known[strings.ToLower(g.Name)] = true
			out = append(out, nodeSetting(g, one))
		}
	}
	if asked == nil {
		return out, nil
	}
	var problems []string
	for _, name := range names {
		if !known[strings.ToLower(name)] {
			problems = append(problems, e.unknown(ctx, *asked, name))
		}
	}
	if len(problems) > 0 {
		return nil, fault.New(fault.Usage, "cw cluster config get "+e.top.Name+" lists what is set", "%s", strings.Join(problems, "\n"))
	}
	return out, nil
}

// nodeSetting fills in the values of a setting.
func nodeSetting(g guc.Row, s cluster.NodeSetting) cluster.NodeSetting {
	s.Name, s.Value, s.PendingRestart = g.Name, g.Show, g.Pending
	if g.File != nil && (g.Pending || g.Source == "configuration file" && !g.Same(*g.File, g.Setting)) {
		s.Configured = *g.File
	}
	if g.Name == "primary_conninfo" {
		s.Value = redactConninfo(s.Value)
		if s.Configured != "" {
			s.Configured = redactConninfo(s.Configured)
		}
	}
	return s
}

// unknown is the sentence about a name that is no setting, with the nearest
// one that is.
func (e *Engine) unknown(ctx context.Context, n cluster.Node, name string) string {
	text := fmt.Sprintf("%s: there is no such setting", name)
	var all []string
	if err := e.query(ctx, n, "select json_agg(name) from pg_settings", &all); err == nil {
		if near := schema.Nearest(strings.ToLower(name), all); near != "" && !slices.Contains(all, strings.ToLower(name)) {
			text += "; did you mean " + near + "?"
		}
	}
	if strings.Contains(name, ".") {
		text += " (an extension's settings are known when it is in shared_preload_libraries)"
	}
	return text
}
