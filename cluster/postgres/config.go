package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cw/cluster"
	"cw/cluster/guc"
	"cw/cluster/step"
	"cw/fault"
)

// profileFile is where the settings of the profile are.
func profileFile(n cluster.Node) string { return n.DataDir + "/conf.d/cw-20-profile.conf" }

// before is what a node had: what takes a change back.
type before struct {
	auto    map[string]*string // by name; nil for not set by ALTER SYSTEM
	profile string             // the text of profileFile
}

// change is a ConfigChange with everything that was found out about it.
type change struct {
	cluster.ConfigChange
	names []string // of Set and Reset, sorted
	gucs  map[string]guc.Row
	then  *Engine // with the new profile
}

// Configure sets and resets settings with ALTER SYSTEM on every node over its
// own socket, has them read, and reads them back. What it is asked for is held
// against pg_settings first, all mistakes at once; all nodes must run. When one
// node fails the others get back what they had.
func (e *Engine) Configure(ctx context.Context, c cluster.ConfigChange) ([]step.Step, cluster.ConfigChange, error) {
	none := cluster.ConfigChange{}
	x, err := e.newChange(ctx, c)
	if err != nil {
		return nil, none, err
	}
	olds := make(map[int]before, len(e.lay.Nodes))
	done := true
	for _, n := range e.lay.Nodes {
		old, is, err := x.look(ctx, n)
		if err != nil {
			return nil, none, err
		}
		olds[n.ID], done = old, done && is
	}
	undo := cluster.ConfigChange{Scope: c.Scope, Set: map[string]string{}}
	for _, name := range x.names {
		if v := olds[e.lay.Primary().ID].auto[name]; v != nil {
			undo.Set[name] = *v
		} else {
			undo.Reset = append(undo.Reset, name)
		}
	}
	if c.Profile != "" {
		undo.Profile, undo.Overrides = e.top.Profile, e.top.Overrides
	}
	if done {
		return nil, undo, nil
	}
	return []step.Step{x.step(olds)}, undo, nil
}

// newChange validates.
func (e *Engine) newChange(ctx context.Context, c cluster.ConfigChange) (*change, error) {
	name := e.top.Name
	lower := cluster.ConfigChange{Scope: c.Scope, Set: map[string]string{}, Profile: c.Profile, Overrides: c.Overrides}
	for n, v := range c.Set {
		lower.Set[strings.ToLower(strings.TrimSpace(n))] = v
	}
	for _, n := range c.Reset {
		lower.Reset = append(lower.Reset, strings.ToLower(strings.TrimSpace(n)))
	}
	x := &change{ConfigChange: lower, then: e, gucs: map[string]guc.Row{}}
	if c.Scope == cluster.ScopeSegments {
		return nil, fault.New(fault.Usage, "leave --scope out", "cluster %s runs postgres, which has no segments", name)
	}
	x.names = slices.Sorted(maps.Keys(x.Set))
	for _, n := range x.Reset {
		if !slices.Contains(x.names, n) {
			x.names = append(x.names, n)
		}
	}
	slices.Sort(x.names)
	var problems []string
	if c.Profile != "" {
		switch {
		case adopted(e.lay.Primary()):
			problems = append(problems, "profile "+c.Profile+": cluster "+name+" was adopted and has no profile; set the settings one by one")
		case c.Overrides == nil && !slices.Contains(cluster.ProfileNames(), c.Profile):
			problems = append(problems, fmt.Sprintf("profile %s: there is none; %s are", c.Profile, strings.Join(cluster.ProfileNames(), ", ")))
		}
		top := *e.top
		top.Profile, top.Overrides = c.Profile, c.Overrides
		x.then = e.with(&top, e.lay)
	} else if len(x.names) == 0 {
		return nil, fault.New(fault.Usage, "name a setting, as work_mem=64MB", "nothing was named that is to be changed")
	}
	for _, n := range e.lay.Nodes {
		state, err := e.proc(ctx, n)
		if err == nil && state != procReady {
			err = fmt.Errorf("the database is %s", state)
		}
		if err != nil {
			kind := fault.KindOf(err)
			if kind == fault.Failed {
				kind = fault.Check
			}
			return nil, fault.New(kind, "cw cluster recover "+name, "settings change on all nodes or on none, and node %s on %s cannot take part: %w", n.Name(), n.Host, err)
		}
	}
	if err := x.validate(ctx, e, &problems); err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, fault.New(fault.Usage, "nothing was changed; cw cluster config get "+name+" shows what is set", "%s", strings.Join(problems, "\n"))
	}
	return x, nil
}

// validate holds the change against a running server.
func (x *change) validate(ctx context.Context, e *Engine, problems *[]string) error {
	if len(x.names) == 0 {
		return nil
	}
	p := e.lay.Primary()
	rows, err := e.gucs(ctx, p, named(x.names))
	if err != nil {
		return err
	}
	for _, g := range rows {
		x.gucs[strings.ToLower(g.Name)] = g
	}
	for _, name := range x.names {
		value, set := x.Set[name]
		g, known := x.gucs[name]
		add := func(format string, args ...any) {
			*problems = append(*problems, name+": "+fmt.Sprintf(format, args...))
		}
		switch {
		case set && slices.Contains(x.Reset, name):
			add("both set and reset")
		case cluster.OwnsSetting(name):
			add("cw decides it from the topology")
		case !known:
			*problems = append(*problems, e.unknown(ctx, p, name))
		case g.Context == "internal":
			add("nobody can change it: it is fixed when the database is made or built")
		case set && slices.Contains(quotedLists, name) && strings.TrimSpace(value) == "":
			add("an empty list is its default: reset it")
		case set:
			if _, err := g.Canonical(value); err != nil {
				add("%v", err)
			}
		}
	}
	return nil
}

// look says what a node has, and whether that is what is wanted.
func (x *change) look(ctx context.Context, n cluster.Node) (before, bool, error) {
	old, done := before{auto: map[string]*string{}}, true
	e := x.then
	if len(x.names) > 0 {
		rows, err := e.gucs(ctx, n, named(x.names))
		if err != nil {
			return old, false, err
		}
		for _, g := range rows {
			name := strings.ToLower(g.Name)
			old.auto[name] = g.Auto
			want, set := x.Set[name]
			switch {
			case set && (g.Auto == nil || !g.Same(*g.Auto, want)), !set && g.Auto != nil:
				done = false
			case g.File != nil && !g.Pending && g.Source == "configuration file" && !g.Same(*g.File, g.Setting):
				done = false // written, but not read yet
			}
		}
	}
	if x.Profile == "" {
		return old, done, nil
	}
	var err error
	if old.profile, err = e.sh(ctx, n, `cat -- "$1"`, profileFile(n)); err != nil {
		return old, false, err
	}
	want, err := e.profileConf(ctx, n, nil)
	return old, done && old.profile == want, err
}
