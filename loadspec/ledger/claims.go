package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
)

// More kinds of rows.
const (
	kindTarget  = "target"  // the table: object its name, range_end its oid, lines the ledger's own oid, etag Staged, eof Again
	kindSkipped = "skipped" // object is an earlier job, rows how many objects were left to it, source_bytes their size
	kindEmptied = "emptied" // by a TRUNCATE: the rows of as many of the object's splits as range_start says are gone
)

const staged = "staged"

// Target is the table that a job loads. It is known by its oid: a table that
// was dropped and made again is another one. Not so when the ledger itself has
// another oid than it had: then all of the database comes from a dump, and the
// name decides.
type Target struct {
	OID    uint32
	Name   string // schema.table
	Staged bool   // rows are in it from the step Merge on only
	Again  bool   // what other jobs have loaded does not matter
}

// Skipped is how much a job has left out because another had loaded it.
type Skipped struct {
	Job     string
	Objects int64
	Bytes   int64
}

// Claim is what another job has to do with an object of the same target.
type Claim struct {
	Job          string
	Object, ETag string
	Size         int64
	Splits       int64 // committed
	Emptied      int64 // of these, whose rows a TRUNCATE has taken away
	Covered      bool  // the splits are the whole object
	Staged       bool  // the rows wait in a staging table
}

// Loaded tells that all of the object's rows are in the target.
func (c *Claim) Loaded() bool { return c.Covered && c.Emptied == 0 && !c.Staged }

// Gone tells that the job is through with the object, and nothing of it is in
// the target.
func (c *Claim) Gone() bool { return c.Covered && !c.Staged && c.Emptied == c.Splits }

// Begun tells that something of the object is in the target or on its way.
func (c *Claim) Begun() bool { return c.Splits > c.Emptied }

// sameTarget is the condition on target rows t: $1 is this job, $2 the table's
// oid, $3 its name.
const sameTarget = `t.kind = 'target' and t.job <> $1 and (t.lines = 'cw.load_ledger'::regclass::oid::bigint and t.range_end = $2
	or t.lines <> 'cw.load_ledger'::regclass::oid::bigint and t.object = $3)`

// LockTarget makes planning for a table one job's at a time, until the end of
// the transaction.
func LockTarget(ctx context.Context, tx pgx.Tx, t Target) error {
	_, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('cw.load.plan'), $1::bigint::int)", int64(int32(t.OID))) //nolint:gosec // wraps as it should
	return err
}

// Claims are those of other jobs on objects of the same names, whatever their
// version.
func (l *Ledger) Claims(ctx context.Context, q Queryer, t Target, urls []string) ([]Claim, error) {
	rows, err := q.Query(ctx, `select o.job, o.object, o.etag, o.range_end,
			sum(case when s.kind = 'split' then 1 else 0 end)::bigint, max(case when s.kind = 'emptied' then s.range_start else 0 end)::bigint,
			coalesce(bool_or(s.kind = 'split' and s.eof), false)
				and sum(case when s.kind = 'split' then s.range_end - s.range_start else 0 end) = max(case when s.kind = 'split' then s.range_end else 0 end),
			t.etag = 'staged' and g.job is null
		from cw.load_ledger t join cw.load_ledger o on o.job = t.job and o.kind = 'object'
			left join cw.load_ledger s on s.job = o.job and s.object = o.object and s.kind in ('split', 'emptied')
			left join cw.load_ledger g on g.job = o.job and g.kind = 'merge'
		where `+sameTarget+` and o.object = any($4::text[])
		group by o.job, o.object, o.etag, o.range_end, t.etag, g.job order by max(o.committed_at), o.job, o.object`, l.Job, int64(t.OID), t.Name, urls)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	claims, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (c Claim, err error) {
		return c, r.Scan(&c.Job, &c.Object, &c.ETag, &c.Size, &c.Splits, &c.Emptied, &c.Covered, &c.Staged)
	})
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return claims, nil
}

// Queryer is a session or a transaction.
type Queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Exists tells whether the database has a ledger.
func Exists(ctx context.Context, q Queryer) (there bool, err error) {
	return there, q.QueryRow(ctx, "select to_regclass('"+Table+"') is not null").Scan(&there)
}

// aMoment is how long a session that has gone may still hold its locks: until
// the server has noticed.
const aMoment, moments = 50 * time.Millisecond, 20

// Running tells whether somebody holds a job's lock, and goes on doing so for
// a second: a job that has just ended is not one that runs.
func Running(ctx context.Context, tx pgx.Tx, job string) (bool, error) {
	for n := 0; ; n++ {
		var free bool
		if err := tx.QueryRow(ctx, "select pg_try_advisory_lock(hashtext('cw.load'), hashtext($1))", Root(job)).Scan(&free); err != nil {
			return false, err
		}
		if free {
			_, err := tx.Exec(ctx, "select pg_advisory_unlock(hashtext('cw.load'), hashtext($1))", Root(job))
			return false, err
		}
		if n == moments {
			return true, nil
		}
		if _, err := tx.Exec(ctx, "select pg_sleep($1)", aMoment.Seconds()); err != nil {
			return false, err
		}
	}
}

// Fence keeps whoever may still run a job that nobody seems to run from
// committing, and waits for what is being committed. Resuming it undoes that.
func (l *Ledger) Fence(ctx context.Context, tx pgx.Tx, job string) error {
	_, err := tx.Exec(ctx, "update cw.load_ledger set etag = $2 where job = $1 and kind = 'runner'", job, "stopped by job "+l.Job)
	return err
}

// Plan writes down what a job is about: its table, its objects, and what it
// leaves to others. It is part of the transaction that has looked at the
// claims.
func (l *Ledger) Plan(ctx context.Context, tx pgx.Tx, t Target, objects []Object, skipped []Skipped) error {
	if err := l.claim(ctx, tx, t); err != nil {
		return err
	}
	for _, s := range skipped {
		if err := l.add(ctx, tx, kindSkipped, Range{Object: s.Job, Rows: s.Objects, SourceBytes: s.Bytes}); err != nil {
			return err
		}
	}
	const most = 5000
	for first := 0; first < len(objects); first += most {
		part := objects[first:min(first+most, len(objects))]
		urls, etags := make([]string, len(part)), make([]string, len(part))
		places, sizes, sources := make([]int64, len(part)), make([]int64, len(part)), make([]int64, len(part))
		for i, o := range part {
			urls[i], etags[i], places[i], sizes[i], sources[i] = o.URL, o.ETag, int64(first+i), o.Size, int64(o.Source)
		}
		_, err := tx.Exec(ctx, `insert into cw.load_ledger (job, kind, object, etag, range_start, range_end, source)
			select $1::text, 'object', unnest($2::text[]), unnest($3::text[]), unnest($4::bigint[]), unnest($5::bigint[]), unnest($6::int[])`, l.Job, urls, etags, places, sizes, sources)
		if err != nil {
			return fmt.Errorf("write the ledger: %w", err)
		}
	}
	return nil
}

// claim writes the target's row, which marks the job as planned; the epoch is
// looked at, so that only its one runner can.
func (l *Ledger) claim(ctx context.Context, tx pgx.Tx, t Target) error {
	var own int64
	if err := tx.QueryRow(ctx, "select '"+Table+"'::regclass::oid::bigint").Scan(&own); err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	r := Range{Object: t.Name, End: int64(t.OID), Lines: own, EOF: t.Again}
	if t.Staged {
		r.ETag = staged
	}
	return l.add(ctx, tx, kindTarget, r)
}

// Emptied notes, in the transaction of a TRUNCATE and after it, that the rows
// that other jobs have loaded into the table are gone. It only adds rows:
// changing some would hold up every other load into a Greenplum.
func (l *Ledger) Emptied(ctx context.Context, tx pgx.Tx, t Target) error {
	_, err := tx.Exec(ctx, `insert into cw.load_ledger (job, kind, object, range_start) select job, 'emptied', object, splits from (
			select s.job, s.object, sum(case when s.kind = 'split' then 1 else 0 end)::bigint as splits, max(case when s.kind = 'emptied' then s.range_start else 0 end) as before
			from cw.load_ledger t join cw.load_ledger s on s.job = t.job and s.kind in ('split', 'emptied')
				left join cw.load_ledger g on g.job = t.job and g.kind = 'merge'
			where `+sameTarget+` and (t.etag <> 'staged' or g.job is not null) group by s.job, s.object) n where splits > before`, l.Job, int64(t.OID), t.Name)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}

// ErrClaimed says that another job has to do with objects of this one.
var ErrClaimed = errors.New("is another job's")

// ClaimedError names the objects that another job has begun, or is at.
type ClaimedError struct {
	Job     string
	Target  string
	Running bool
	Objects []string
	Hint    string
}

func (e *ClaimedError) Error() string {
	what := fmt.Sprintf("%d objects are", len(e.Objects))
	if len(e.Objects) == 1 {
		what = "1 object is"
	}
	const shown = 5
	names := strings.Join(e.Objects[:min(len(e.Objects), shown)], ", ")
	if more := len(e.Objects) - shown; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	if e.Running {
		return fmt.Sprintf("%s being loaded into %s by job %s now: %s", what, e.Target, e.Job, names)
	}
	return fmt.Sprintf("%s partly in %s: job %s has not finished with %s", what, e.Target, e.Job, names)
}

// Is makes it ErrClaimed.
func (e *ClaimedError) Is(err error) bool { return err == ErrClaimed }

// FaultKind says that it is another job's turn.
func (e *ClaimedError) FaultKind() fault.Kind { return fault.Locked }

// FaultHint says how to go on.
func (e *ClaimedError) FaultHint() string { return e.Hint }
