package redistribute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

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
		if verr := Verify(ctx, c, o.Target); verr != nil && err == nil {
			err = verr
		}
	}
	return last, err
}

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

// Prepare writes all tables down without moving one, so that ranks can be set.
func Prepare(ctx context.Context, c Cluster, o Options) error {
	o = o.withDefaults()
	if err := o.Check(); err != nil {
		return err
	}
	s, _, err := begin(ctx, c, o)
	if err == nil {
		s.end()
	}
	return err
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

// Status is how far the redistribution is, and all tables as they were last
// written down. Where none ever was it looks which tables are on how many
// segments.
func Status(ctx context.Context, c Cluster) (Progress, []Table, error) {
	s, err := c.Open(ctx, "")
	if err != nil {
		return Progress{}, nil, err
	}
	defer s.Close()
	out, err := one(ctx, s, fmt.Sprintf(`select row_to_json(x) from (select c.target, c.paused, c.doc, c.cluster = (` + fingerprint + `) as same, l.pid is not null as active from cw_expand.control c
left join (select pid from pg_catalog.pg_locks where locktype = 'advisory' and classid = 0 and objid = %d and granted and gp_segment_id = -1 limit 1) l on true where c.id = 1) x;`, lockKey))
	if err != nil {
		var said *StatementError
		if errors.As(err, &said) {
			return observed(ctx, c, s)
		}
		return Progress{}, nil, err
	}
	var row struct {
		Target         int
		Paused, Active bool
		Same           bool
		Doc            string
	}
	var seen control
	err = json.Unmarshal([]byte(out), &row)
	if err == nil && row.Doc != "" {
		err = json.Unmarshal([]byte(row.Doc), &seen)
	}
	if err != nil {
		return Progress{}, nil, fmt.Errorf("reading schema cw_expand: %w", err)
	}
	tables, err := written(ctx, s, row.Active)
	if err != nil {
		return Progress{}, nil, err
	}
	p := Progress{Target: row.Target, Paused: row.Paused, Active: row.Active, ETA: -1}
	if p.Active {
		p.Waiting, p.Parallel, p.Why, p.Rate, p.ETA = seen.Waiting, seen.Parallel, seen.Why, seen.Rate, seen.ETA
	}
	tally(&p, tables)
	if !p.Active && !row.Same && p.Done() {
		return observed(ctx, c, s) // that one is over, and the cluster is another since
	}
	return p, tables, nil
}

// Segments is how many segments the cluster has.
func Segments(ctx context.Context, c Cluster) (int, error) {
	s, err := c.Open(ctx, "")
	if err != nil {
		return 0, err
	}
	defer s.Close()
	w, err := settingOf(ctx, s)
	return w.segments, err
}

// written are the tables of schema cw_expand. Without a controller none moves.
func written(ctx context.Context, s Session, active bool) ([]Table, error) {
	out, err := one(ctx, s, `select row_to_json(x) from (select database, coalesce(name, '') as name, oid::int8, coalesce(bytes, 0) as bytes, rank, state, coalesce(segments, 0) as segments, coalesce(attempts, 0) as attempts, coalesce(error, '') as error,
to_char(started at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as started, to_char(finished at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as finished
from cw_expand.tables order by rank, bytes, database, name) x;`)
	if err != nil {
		return nil, err
	}
	var tables []Table
	for line := range strings.Lines(out) {
		var t Table
		if err := json.Unmarshal([]byte(line), &t); err != nil {
			return nil, fmt.Errorf("reading schema cw_expand: %w", err)
		}
		if t.State == Moving && !active {
			t.State = Pending
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func observed(ctx context.Context, c Cluster, s Session) (Progress, []Table, error) {
	w, err := settingOf(ctx, s)
	if err != nil {
		return Progress{}, nil, err
	}
	tables, err := Plan(ctx, c, Options{Target: w.segments})
	if err != nil {
		return Progress{}, nil, err
	}
	p := Progress{Target: w.segments, ETA: -1}
	tally(&p, tables)
	return p, tables, nil
}

// Pause makes the controller begin no further table, wherever it runs; with now
// it ends those that are being moved, which then are as they were before.
func Pause(ctx context.Context, c Cluster, by string, now bool) error {
	return order(ctx, c, fmt.Sprintf("update cw_expand.control set paused = true, now = %t, changed_by = %s where id = 1", now, literal(by)))
}

// Continue takes a pause back. It says whether a controller is there to go on.
func Continue(ctx context.Context, c Cluster, by string) (active bool, err error) {
	if err := order(ctx, c, fmt.Sprintf("update cw_expand.control set paused = false, now = false, changed_by = %s where id = 1", literal(by))); err != nil {
		return false, err
	}
	p, _, err := Status(ctx, c)
	return p.Active, err
}

func order(ctx context.Context, c Cluster, statement string) error {
	s, err := c.Open(ctx, "")
	if err != nil {
		return err
	}
	defer s.Close()
	err = all(ctx, s, "set lock_timeout = '20s';", statement+";")
	var said *StatementError
	if errors.As(err, &said) && (said.Code == "42P01" || said.Code == "3F000") {
		return fault.New(fault.Usage, "", "no tables are being redistributed")
	}
	return err
}

// Verify makes sure that every policy of every database, on the coordinator
// and on the segments, names the wanted number of segments; on a cluster that is
// to shrink, none more. Temporary tables are their sessions' own.
func Verify(ctx context.Context, c Cluster, target int) error {
	s, err := c.Open(ctx, "")
	if err != nil {
		return err
	}
	w, err := settingOf(ctx, s)
	s.Close()
	if err != nil {
		return err
	}
	if len(w.closed) > 0 {
		return fault.New(fault.Check, "allow connections to it for a while", "database %s allows no connections: its tables cannot be looked at", w.closed[0])
	}
	var wrong []string
	for _, name := range w.databases {
		found, err := verifyOne(ctx, c, name, target, target < w.segments)
		if err != nil {
			return err
		}
		wrong = append(wrong, found...)
	}
	if len(wrong) == 0 {
		return nil
	}
	n := len(wrong)
	if n > 10 {
		wrong = append(wrong[:10], fmt.Sprintf("and %d more", n-10))
	}
	return fault.New(fault.Check, "", "not everything is on %d segments:\n  %s", target, strings.Join(wrong, "\n  "))
}

func verifyOne(ctx context.Context, c Cluster, database string, target int, down bool) ([]string, error) {
	s, err := c.Open(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", database, err)
	}
	defer s.Close()
	bad := fmt.Sprintf("p.numsegments <> %d", target)
	if down {
		bad = fmt.Sprintf("p.numsegments > %d", target)
	}
	const named = `pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(k.relname)`
	of := `join pg_catalog.pg_class k on k.oid = p.localoid join pg_catalog.pg_namespace n on n.oid = k.relnamespace where k.relpersistence <> 't' and ` + bad
	out, err := one(ctx, s, `select to_json(x) from (select `+named+` || ' is on ' || p.numsegments as x from pg_catalog.gp_distribution_policy p `+of+`
union all select `+named+` || ' is on ' || p.numsegments || ' by segment ' || p.gp_segment_id from gp_dist_random('pg_catalog.gp_distribution_policy') p `+of+`) y;`)
	if err != nil {
		return nil, fmt.Errorf("verifying database %s: %w", database, err)
	}
	var wrong []string
	for line := range strings.Lines(out) {
		var text string
		if err := json.Unmarshal([]byte(line), &text); err != nil {
			return nil, fmt.Errorf("verifying database %s: %q: %w", database, line, err)
		}
		wrong = append(wrong, database+": "+text)
	}
	return wrong, nil
}

// Clean drops schema cw_expand.
func Clean(ctx context.Context, c Cluster) error {
	s, err := c.Open(ctx, "")
	if err != nil {
		return err
	}
	defer s.Close()
	if err := all(ctx, s, "set client_min_messages = error;", "set lock_timeout = '20s';"); err != nil {
		return err
	}
	got, err := one(ctx, s, fmt.Sprintf("select pg_catalog.pg_try_advisory_lock(%d);", lockKey))
	if err == nil && got != "t" {
		err = fault.Wrap(fault.Locked, "", locked(ctx, s))
	}
	if err != nil {
		return err
	}
	return all(ctx, s, "drop schema if exists cw_expand cascade;")
}
