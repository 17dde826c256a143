package greenplum

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"cw/cluster"
	"cw/cluster/guc"
	"cw/cluster/step"
	"cw/fault"
)

// fixedSettings are what makes an instance this one; the postgres engine has
// its own list in the leaf.
var fixedSettings = []string{"gp_dbid", "gp_contentid", "synchronous_standby_names", "max_replication_slots", "gp_role", "gp_session_role"} //nolint:gochecknoglobals // constant table

// Configure sets and resets settings in postgresql.conf of the coordinators,
// of the segments, or of all, the way the stock gpconfig does: older lines
// become comments, the new one is appended. What it is asked for is held
// against pg_settings first, all mistakes at once. When one host fails the
// others get their files back.
func (e *Engine) Configure(ctx context.Context, c cluster.ConfigChange) ([]step.Step, cluster.ConfigChange, error) {
	none := cluster.ConfigChange{}
	nodes, err := e.inScope(c.Scope)
	if err != nil {
		return nil, none, err
	}
	all, err := e.readValues(ctx)
	if err != nil {
		return nil, none, err
	}
	files := map[int]map[string]string{}
	for i, n := range e.lay.Nodes {
		if all[i].file == nil {
			return nil, none, fault.New(fault.KindOf(all[i].err), "cw cluster recover "+e.top.Name, "settings change on all nodes or on none, and %s on %s cannot take part: %w", describe(n), n.Host, all[i].err)
		}
		files[n.ID] = all[i].file
	}
	want, err := e.wanted(ctx, c, nodes, e.anyRows(all))
	if err != nil {
		return nil, none, err
	}
	undo, done := cluster.ConfigChange{Scope: c.Scope, Set: map[string]string{}}, true
	for _, n := range nodes {
		for name, value := range want[n.ID] {
			old, set := files[n.ID][name]
			same := set == (value != nil) && (value == nil || e.anyRows(all)[name].Same(old, *value))
			done = done && same
			if _, noted := undo.Set[name]; noted || slices.Contains(undo.Reset, name) {
				continue // the first node speaks for its scope
			}
			if set {
				undo.Set[name] = old
			} else {
				undo.Reset = append(undo.Reset, name)
			}
		}
	}
	slices.Sort(undo.Reset)
	if done {
		return nil, undo, nil
	}
	return []step.Step{e.configStep(nodes, want)}, undo, nil
}

// inScope are the nodes that a change concerns.
func (e *Engine) inScope(scope string) ([]cluster.Node, error) {
	switch scope {
	case "", cluster.ScopeAll, cluster.ScopeCoordinator, cluster.ScopeSegments:
	default:
		return nil, fault.New(fault.Usage, "one of: all, coordinator, segments", "scope %q is not known", scope)
	}
	var out []cluster.Node
	for _, n := range e.lay.Nodes {
		if scope == cluster.ScopeCoordinator && !isCoordinator(n) || scope == cluster.ScopeSegments && isCoordinator(n) {
			continue
		}
		out = append(out, n)
	}
	return out, nil
}

// wanted is what each node is to have, nil for a setting that goes back to its
// default. All mistakes come back as one error.
func (e *Engine) wanted(ctx context.Context, c cluster.ConfigChange, nodes []cluster.Node, known map[string]guc.Row) (map[int]map[string]*string, error) {
	if known == nil {
		return nil, fault.New(fault.Check, "cw cluster start "+e.top.Name, "no node of cluster %s answers: values cannot be checked", e.top.Name)
	}
	set := map[string]*string{}
	var problems []string
	add := func(name, format string, args ...any) {
		problems = append(problems, name+": "+fmt.Sprintf(format, args...))
	}
	check := func(name string, value *string) {
		name = strings.ToLower(strings.TrimSpace(name))
		row, is := known[name]
		switch _, twice := set[name]; {
		case twice:
			add(name, "both set and reset")
		case cluster.OwnsSetting(name) || slices.Contains(fixedSettings, name):
			add(name, "cw decides it from the topology")
		case !is:
			problems = append(problems, unknownSetting(name, known))
		case row.Context == "internal":
			add(name, "nobody can change it: it is fixed when the database is made or built")
		case value != nil:
			if _, err := row.Canonical(*value); err != nil {
				add(name, "%v", err)
			}
		}
		set[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		v := c.Set[name]
		check(name, &v)
	}
	for _, name := range c.Reset {
		check(name, nil)
	}
	if c.Profile != "" && c.Overrides == nil && !slices.Contains(cluster.ProfileNames(), c.Profile) {
		problems = append(problems, fmt.Sprintf("profile %s: there is none; %s are", c.Profile, strings.Join(cluster.ProfileNames(), ", ")))
	}
	switch {
	case len(problems) > 0:
		return nil, fault.New(fault.Usage, "nothing was changed; cw cluster config get "+e.top.Name+" shows what is set", "%s", strings.Join(problems, "\n"))
	case len(set) == 0 && c.Profile == "":
		return nil, fault.New(fault.Usage, "name a setting, as statement_mem=250MB", "nothing was named that is to be changed")
	}
	of := computed{}
	if c.Profile != "" {
		machines, err := e.Fleet.Machines(ctx)
		if err != nil {
			return nil, err
		}
		top := *e.top
		top.Profile, top.Overrides = c.Profile, c.Overrides
		of.coordinator, of.segments = cluster.GreenplumSettings(&top, e.lay, machines)
	}
	out := map[int]map[string]*string{}
	for _, n := range nodes {
		out[n.ID] = map[string]*string{}
		list := of.segments
		if isCoordinator(n) {
			list = of.coordinator
		}
		for _, s := range list {
			if _, is := known[s.Name]; is {
				out[n.ID][s.Name] = &s.Value
			}
		}
		maps.Copy(out[n.ID], set)
	}
	return out, nil
}

// editScript changes postgresql.conf files, given as data directory, number
// of settings and, for each, name, s or r, and the line that sets it. The file
// as it was stays beside it until keepScript or backScript.
const editScript = `set -e
while [ $# -gt 0 ]; do
  d=$1 n=$2; shift 2
  [ -e "$d/postgresql.conf.cw-before" ] || cp -p -- "$d/postgresql.conf" "$d/postgresql.conf.cw-before"
  cp -p -- "$d/postgresql.conf" "$d/postgresql.conf.cw-new"
  while [ $n -gt 0 ]; do
    sed -i -E "s/^([[:space:]]*$1[[:space:]]*[= ].*)/#\1/I" "$d/postgresql.conf.cw-new"
    [ "$2" = r ] || printf '%s' "$3" >>"$d/postgresql.conf.cw-new"
    shift 3; n=$((n-1))
  done
  mv -T -- "$d/postgresql.conf.cw-new" "$d/postgresql.conf"
done`

const (
	keepScript = `for d in "$@"; do rm -f -- "$d/postgresql.conf.cw-before"; done`
	backScript = `for d in "$@"; do [ ! -e "$d/postgresql.conf.cw-before" ] || mv -T -- "$d/postgresql.conf.cw-before" "$d/postgresql.conf"; done`
)

// configStep writes the files of all hosts, has them read, and takes
// everything back when one of them fails.
func (e *Engine) configStep(nodes []cluster.Node, want map[int]map[string]*string) step.Step {
	on := map[string][]cluster.Node{}
	var hosts []string
	for _, n := range nodes {
		if len(on[n.Host]) == 0 {
			hosts = append(hosts, n.Host)
		}
		on[n.Host] = append(on[n.Host], n)
	}
	each := func(fn func(host string, nodes []cluster.Node) error) error {
		errs := make([]error, len(hosts))
		var wg sync.WaitGroup
		for i, h := range hosts {
			wg.Go(func() { errs[i] = fn(h, on[h]) })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	script := func(ctx context.Context, text string) error {
		return each(func(h string, nodes []cluster.Node) error {
			var dirs []string
			for _, n := range nodes {
				dirs = append(dirs, n.DataDir)
			}
			_, err := e.sh(ctx, h, text, dirs...)
			return err
		})
	}
	reload := func(ctx context.Context) error {
		return each(func(h string, nodes []cluster.Node) error { return e.reload(ctx, h, nodes) })
	}
	return step.Step{
		ID: "config", Title: fmt.Sprintf("change settings of %d nodes on %d hosts", len(nodes), len(hosts)),
		Check: func(context.Context) (step.Observed, error) {
			return step.Observed{Note: "other values"}, nil // Configure has compared them
		},
		Apply: func(ctx context.Context) error {
			err := each(func(h string, nodes []cluster.Node) error {
				var args []string
				for _, n := range nodes {
					args = append(args, n.DataDir, fmt.Sprint(len(want[n.ID])))
					for _, name := range slices.Sorted(maps.Keys(want[n.ID])) {
						if v := want[n.ID][name]; v != nil {
							args = append(args, name, "s", confLine(name, *v))
						} else {
							args = append(args, name, "r", "")
						}
					}
				}
				_, err := e.sh(ctx, h, editScript, args...)
				return err
			})
			if err == nil {
				err = reload(ctx)
			}
			if err == nil {
				err = script(ctx, keepScript)
			}
			return err
		},
		Verify: verified,
		Undo:   func(ctx context.Context) error { return errors.Join(script(ctx, backScript), reload(ctx)) },
	}
}
