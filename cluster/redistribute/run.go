package redistribute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cw/fault"
)

// Run moves all tables that the options mean, until none is left to be moved,
// their time is over or ctx ends. Nothing that a table does ends it: one that
// cannot be moved is tried again and at last set aside. report is called about
// every second, by one goroutine.
func Run(ctx context.Context, c Cluster, o Options, report func(Progress)) (Progress, error) {
	o = o.withDefaults()
	if err := o.Check(); err != nil {
		return Progress{}, err
	}
	var last Progress
	tell := func(p Progress) {
		last = p
		if report != nil {
			report(p)
		}
	}
	s, sc, err := begin(ctx, c, o)
	if err != nil {
		return last, err
	}
	defer s.end()
	ctl := newController(o, sc, s, max(1, c.Sessions()-2), tell) // one is the controller's, one is for what comes up
	err = ctl.run(ctx)
	last.Active = false
	if err == nil {
		err = outcome(last)
	} else if ctx.Err() != nil {
		err = fault.Wrap(fault.Interrupted, "", fmt.Errorf("%d of %d tables are on %d segments: %w", last.Moved, last.Tables, last.Target, err))
	}
	if last.Done() && len(o.Databases)+len(o.Schemas)+len(o.Tables)+len(o.Exclude) == 0 {
		err = errors.Join(err, verified(ctx, c, o.Target))
	}
	return last, err
}

// verified is Verify, which is tried again when the database does not answer:
// segments come back.
func verified(ctx context.Context, c Cluster, target int) error {
	for try := 1; ; try++ {
		err := Verify(ctx, c, target)
		if err == nil || fault.KindOf(err) == fault.Check || try == verifyTries || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(verifyPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

const (
	verifyTries = 6
	verifyPause = 5 * time.Second
)

// begin takes the lock and writes all tables down, before the first is touched.
func begin(ctx context.Context, c Cluster, o Options) (*sqlSite, scene, error) {
	s, err := c.Open(ctx, "")
	if err != nil {
		return nil, scene{}, err
	}
	w, err := settingOf(ctx, s)
	d, derr := dialectOf(ctx, s)
	s.Close()
	if err = errors.Join(err, derr); err != nil {
		return nil, scene{}, err
	}
	if o.Target > w.segments {
		return nil, scene{}, fault.New(fault.Usage, "add segments first", "the cluster has %d segments, not %d", w.segments, o.Target)
	}
	if d.modern && o.Target < w.segments {
		return nil, scene{}, fault.New(fault.Usage, "use the engine's own tool for that, if it has one", "tables can be moved to fewer segments on Greenplum 6 only")
	}
	site := &sqlSite{c: c, o: o, down: o.Target < w.segments, idle: map[string][]Session{}}
	if site.book, err = openBook(ctx, c, o.Target, site.down, o.By); err != nil {
		var runs *RunsError
		if errors.As(err, &runs) {
			err = fault.Wrap(fault.Locked, "", err)
		}
		return nil, scene{}, err
	}
	sc, err := survey(ctx, c, o)
	if err == nil {
		sortUnits(sc.units, o.Order)
		err = site.list(ctx, tablesOfUnits(sc.units))
	}
	if err != nil {
		site.end()
		return nil, scene{}, err
	}
	return site, sc, nil
}

// outcome says what a run left undone.
func outcome(p Progress) error {
	if p.Done() {
		return nil
	}
	var parts []string
	for _, l := range []struct {
		what   string
		tables []Table
	}{{"given up", p.Quarantined}, {"refused", p.Refused}} {
		for i, t := range l.tables {
			if i == 5 {
				parts = append(parts, fmt.Sprintf("and %d more %s", len(l.tables)-5, l.what))
				break
			}
			parts = append(parts, fmt.Sprintf("%s %s: %s", l.what, strings.Trim(t.Database+"."+t.Name, "."), t.Error))
		}
	}
	if rest := p.Tables - p.Moved - len(p.Quarantined) - len(p.Refused); rest > 0 {
		parts = append(parts, fmt.Sprintf("%d were not begun", rest))
	}
	return fault.New(fault.Partial, "", "%d of %d tables are on %d segments; %s", p.Moved, p.Tables, p.Target, strings.Join(parts, "\n  "))
}
