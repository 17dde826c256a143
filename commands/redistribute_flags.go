package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/cluster/redistribute"
	"cw/schema"
)

// redistributeOptions are the flags of every verb that moves tables between
// segments.
type redistributeOptions struct {
	parallel    int
	order       string
	first       []string
	databases   []string
	schemas     []string
	tables      []string
	exclude     []string
	windows     []string
	until       string
	lockTimeout time.Duration
	attempts    int
	freeFactor  float64
	maxBusy     float64
	maxLag      string
	analyze     bool
}

func (o *redistributeOptions) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.IntVar(&o.parallel, "parallel", 1, "tables that are moved at a time, at most")
	f.StringVar(&o.order, "order", redistribute.Smallest, "smallest or largest tables first")
	f.StringSliceVar(&o.first, "first", nil, "tables to move before all others, in this order (patterns of schema.table)")
	f.StringSliceVar(&o.databases, "database", nil, "only tables of these databases")
	f.StringSliceVar(&o.schemas, "schema", nil, "only tables of these schemas (patterns)")
	f.StringSliceVar(&o.tables, "table", nil, "only these tables (patterns of schema.table or database.schema.table)")
	f.StringSliceVar(&o.exclude, "exclude", nil, "not these tables (patterns)")
	f.StringSliceVar(&o.windows, "window", nil, "move tables at this time of day (of this machine) only, 22:00-06:00 (repeat)")
	f.StringVar(&o.until, "until", "", "stop then: 06:00, 2026-12-24T06:00:00Z, or after 4h")
	f.DurationVar(&o.lockTimeout, "lock-timeout", 5*time.Second, "how long a move waits for its lock, and others behind it")
	f.IntVar(&o.attempts, "attempts", 5, "attempts before a table is given up")
	f.Float64Var(&o.freeFactor, "free-factor", 1.2, "free space that must be there, over what a table takes")
	f.Float64Var(&o.maxBusy, "max-busy", 0, "fewer tables at a time when a disk is busy for more than this percentage of the time; 0 is off")
	f.StringVar(&o.maxLag, "max-lag", "", "fewer tables at a time when a mirror is farther behind than this, as in 256MiB")
	f.BoolVar(&o.analyze, "analyze", false, "ANALYZE each table that was moved")
}

// given are the flags that were given, as they were written.
func (o *redistributeOptions) given(c *cobra.Command) (names []string) {
	own := &cobra.Command{}
	(&redistributeOptions{}).addFlags(own)
	c.Flags().Visit(func(f *pflag.Flag) {
		if own.Flags().Lookup(f.Name) != nil {
			names = append(names, "--"+f.Name)
		}
	})
	return names
}

// warnNoMoves says that flags about moving tables were given for nothing.
func (a *App) warnNoMoves(given []string) {
	if len(given) > 0 {
		a.warnf("%s: no table is moved now, so that has no effect", strings.Join(given, ", "))
	}
}

// options are base with the flags that were given.
func (o *redistributeOptions) options(c *cobra.Command, base redistribute.Options, now time.Time) (redistribute.Options, error) {
	given := func(name string) bool { return c.Flags().Changed(name) }
	for name, set := range map[string]func(){
		"parallel": func() { base.Parallel = o.parallel }, "order": func() { base.Order = o.order }, "first": func() { base.First = o.first },
		"database": func() { base.Databases = o.databases }, "schema": func() { base.Schemas = o.schemas }, "table": func() { base.Tables = o.tables },
		"exclude": func() { base.Exclude = o.exclude }, "lock-timeout": func() { base.LockTimeout = o.lockTimeout }, "attempts": func() { base.Attempts = o.attempts },
		"free-factor": func() { base.FreeFactor = o.freeFactor }, "max-busy": func() { base.MaxBusy = o.maxBusy / 100 }, "analyze": func() { base.Analyze = o.analyze },
	} {
		if given(name) {
			set()
		}
	}
	if given("window") {
		base.Windows = nil
		for _, text := range o.windows {
			w, err := redistribute.ParseWindow(text)
			if err != nil {
				return base, fmt.Errorf("--window: %w", err)
			}
			base.Windows = append(base.Windows, w)
		}
	}
	if given("max-lag") {
		n, err := schema.ParseSize(o.maxLag)
		if err != nil {
			return base, usagef("", "--max-lag: %v", err)
		}
		base.MaxLag = n
	}
	if given("until") {
		at, err := parseUntil(o.until, now)
		if err != nil {
			return base, err
		}
		base.Until = at
	}
	if given("parallel") && (o.parallel < 1 || o.parallel > 96) {
		return base, usagef("from 1 to 96", "--parallel %d", o.parallel)
	}
	if given("attempts") && o.attempts < 1 {
		return base, usagef("at least 1", "--attempts %d", o.attempts)
	}
	if given("lock-timeout") && o.lockTimeout < time.Millisecond {
		return base, usagef("as in 5s", "--lock-timeout %s", o.lockTimeout)
	}
	check := base
	if check.Target == 0 { // is known later
		check.Target = 1
	}
	return base, check.Check()
}

// parseUntil reads a time of day (the next such), a time, or a duration.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if d, err := time.ParseDuration(strings.TrimPrefix(text, "+")); err == nil && d > 0 {
		return now.Add(d), nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, usagef("give 06:00, 2026-12-24T06:00:00Z, or 4h", "--until %q is no time", text)
	}
	y, m, d := now.Date()
	at := time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, now.Location())
	if !at.After(now) {
		at = time.Date(y, m, d+1, t.Hour(), t.Minute(), 0, 0, now.Location())
	}
	return at, nil
}
