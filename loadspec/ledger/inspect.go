package ledger

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ObjectProgress is how far a job is with one object, as committed.
type ObjectProgress struct {
	URL      string
	Size     int64 // bytes, as stored
	Bytes    int64 // of those
	Rows     int64
	Rejected int64
	Done     bool
}

// Objects tells how far a job is with each of its objects, in the order of
// the plan. A job that has not planned yet has none.
func Objects(ctx context.Context, c *pgx.Conn, job string) ([]ObjectProgress, error) {
	// A job that watches has a job of the ledger for each of its rounds.
	ofJob := strings.ReplaceAll(ofRounds, "job", "o.job")
	rows, err := c.Query(ctx, `select o.object, o.range_end, least(coalesce(sum(s.source_bytes), 0), o.range_end)::bigint, coalesce(sum(s.rows), 0)::bigint,
			coalesce(bool_or(s.eof), false) and coalesce(sum(s.range_end - s.range_start), 0) = coalesce(max(s.range_end), 0)
		from cw.load_ledger o left join cw.load_ledger s on s.job = o.job and s.object = o.object and s.kind = 'split'
		where `+ofJob+` and o.kind = 'object' group by o.job, o.object, o.range_end, o.range_start order by length(o.job), o.job, o.range_start`, job)
	list, err := collect(rows, err, func(o *ObjectProgress) []any { return []any{&o.URL, &o.Size, &o.Bytes, &o.Rows, &o.Done} })
	if err != nil || len(list) == 0 {
		return nil, missing(err)
	}
	type count struct {
		object string
		n      int64
	}
	rows, err = c.Query(ctx, "select object, count(*) from cw.load_errors where "+ofRounds+" and loaded group by object", job)
	rejected, err := collect(rows, err, func(r *count) []any { return []any{&r.object, &r.n} })
	if err != nil {
		return list, missing(err)
	}
	of := map[string]int64{}
	for _, r := range rejected {
		of[r.object] = r.n
	}
	for i := range list {
		list[i].Rejected = of[list[i].URL]
	}
	return list, nil
}

// WorkerSession is a session of a running job.
type WorkerSession struct {
	PID   int32
	State string // of pg_stat_activity
	Wait  string // what it waits for; "" nothing, or not known
	Since time.Time
	Doing string // the statement's first words
}

// Sessions lists the sessions of a job in its database. old says that the
// server tells who waits as PostgreSQL did before 9.6.
func Sessions(ctx context.Context, c *pgx.Conn, job string, old bool) ([]WorkerSession, error) {
	wait := "coalesce(wait_event_type || ': ' || wait_event, '')"
	if old {
		wait = "case when waiting then 'lock' else '' end"
	}
	rows, err := c.Query(ctx, `select pid, coalesce(state, ''), `+wait+`, coalesce(query_start, backend_start), coalesce(left(query, 60), '')
		from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid() order by pid`, "cw load "+job)
	return collect(rows, err, func(s *WorkerSession) []any { return []any{&s.PID, &s.State, &s.Wait, &s.Since, &s.Doing} })
}

func collect[T any](rows pgx.Rows, err error, to func(*T) []any) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v T, err error) { return v, row.Scan(to(&v)...) })
}

// missing makes tables that are not there yet an empty answer.
func missing(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000") {
		return nil
	}
	return err
}
