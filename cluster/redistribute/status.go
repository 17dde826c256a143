package redistribute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cw/fault"
)

// Status is how far the redistribution is, and all tables as they were last
// written down. Where none ever was it looks which tables are on how many
// segments.
func Status(ctx context.Context, c Cluster) (Progress, []Table, error) {
	s, err := c.Open(ctx, "")
	if err != nil {
		return Progress{}, nil, err
	}
	defer s.Close()
	out, err := one(ctx, s, fmt.Sprintf(`select row_to_json(x) from (select c.target, c.paused, c.doc, c.cluster = (`+fingerprint+`) as same, l.pid is not null as active from cw_expand.control c
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
