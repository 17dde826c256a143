package redistribute

import (
	"path"
	"strings"
	"time"

	"cw/fault"
	"cw/schema"
)

// Check makes sure that options make sense.
func (o Options) Check() error {
	switch {
	case o.Target < 1:
		return fault.New(fault.Usage, "", "a redistribution to %d segments", o.Target)
	case o.Parallel < 0 || o.Attempts < 0 || o.LockTimeout < 0 || o.MaxLag < 0:
		return fault.New(fault.Usage, "", "a number of the redistribution is negative")
	case o.FreeFactor < 0 || o.MaxBusy < 0 || o.MaxBusy > 1:
		return fault.New(fault.Usage, "free space factors are above 0, the busy part of the time is from 0 to 1", "a number of the redistribution is out of range")
	case o.Order != "" && o.Order != Smallest && o.Order != Largest:
		hint := "smallest or largest"
		if near := schema.Nearest(o.Order, []string{Smallest, Largest}); near != "" {
			hint = "did you mean " + near + "?"
		}
		return fault.New(fault.Usage, hint, "unknown order %q", o.Order)
	}
	for _, list := range [][]string{o.Schemas, o.Tables, o.Exclude, o.First} {
		for _, p := range list {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				return fault.New(fault.Usage, "patterns know * and ?: sales.*, warehouse.public.fact_?", "bad pattern %q", p)
			}
		}
	}
	for _, w := range o.Windows {
		if err := w.check(); err != nil {
			return err
		}
	}
	return nil
}

// The orders of tables.
const (
	Smallest = "smallest"
	Largest  = "largest"
)

// withDefaults fills in what was not said.
func (o Options) withDefaults() Options {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.Parallel, 1)
	set(&o.Attempts, 5)
	if o.LockTimeout == 0 {
		o.LockTimeout = 5 * time.Second
	}
	if o.FreeFactor == 0 {
		o.FreeFactor = 1.2
	}
	if o.Order == "" {
		o.Order = Smallest
	}
	return o
}

// matches says whether a pattern means a table. Slashes in names are nothing
// special, unlike for path.Match.
func matches(pattern string, u *unit) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
	name := u.schema + "." + u.relation
	for _, full := range []string{name, u.Database + "." + name} {
		if ok, _ := path.Match(flat(pattern), flat(full)); ok {
			return true
		}
	}
	return pattern == u.Name || pattern == u.Database+"."+u.Name
}

// wants says whether a table is among those to be moved, and its place in
// First.
func (o Options) wants(u *unit) bool {
	some := func(list []string, ok func(string) bool) bool {
		for _, p := range list {
			if ok(p) {
				return true
			}
		}
		return false
	}
	if len(o.Databases) > 0 && !some(o.Databases, func(d string) bool { return d == u.Database }) {
		return false
	}
	if len(o.Schemas) > 0 && !some(o.Schemas, func(p string) bool {
		ok, _ := path.Match(strings.ReplaceAll(p, "/", "\x01"), strings.ReplaceAll(u.schema, "/", "\x01"))
		return ok
	}) {
		return false
	}
	table := func(p string) bool { return matches(p, u) }
	if len(o.Tables) > 0 && !some(o.Tables, table) {
		return false
	}
	return !some(o.Exclude, table)
}

// place is where a table stands in First, from 1; 0 is nowhere.
func (o Options) place(u *unit) int {
	for i, p := range o.First {
		if matches(p, u) {
			return i + 1
		}
	}
	return 0
}
