// Package ledger keeps, in the target database itself, what a load has
// committed: every split's row goes into cw.load_ledger in the transaction of
// its data, so that table and ledger cannot disagree, whatever is killed when.
// It also makes sure that only one runner works on a job: one that was
// overtaken cannot commit any more.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/fault"
)

// Table is the ledger's name.
const Table = "cw.load_ledger"

// Kinds of rows.
const (
	kindRunner = "runner" // etag holds the epoch of the runner that may commit
	kindObject = "object" // an object of the plan; range_start is its place there, range_end its size
	kindSplit  = "split"
)

// Step is a part of a load that happens once.
type Step string

// The steps, in their order.
const (
	Create     Step = "create" // the target table is made
	Truncate   Step = "truncate"
	Before     Step = "before"
	Stage      Step = "stage" // the staging table of the modes update and merge is made
	Merge      Step = "merge" // and its rows are in the target
	After      Step = "after"
	Publishing Step = "publishing" // objects of an unload may be visible from now on
	Unloaded   Step = "unloaded"   // the manifest is published
)

// Range is one committed split: bytes [Start, End) of an object, uncompressed.
type Range struct {
	Object, ETag string
	Source       int // index of the object's SOURCE block
	Start, End   int64
	Rows         int64
	FirstLine    int64 // line number at Start, from 1
	Lines        int64 // line ends in the range
	SourceBytes  int64 // stored bytes it took
	EOF          bool  // the object ends at End
}

// Object is an object of the job's plan.
type Object struct {
	URL, ETag string
	Source    int
	Size      int64
}

// Journal is what the ledger holds of a job.
type Journal struct {
	Objects []Object // in the plan's order; empty while nothing is planned
	Ranges  []Range  // by object and start
	Target  *Target  // nil while nothing is planned, and in jobs of the time before targets were noted
	Skipped []Skipped
	Done    map[Step]bool
}

// Planned tells that the job's objects are decided, be they none.
func (j *Journal) Planned() bool { return j.Target != nil || len(j.Objects) > 0 }

// Ledger is one runner's hold of one job.
type Ledger struct {
	Job   string
	Epoch string // unique to the runner
}

// ErrOvertaken is returned when another runner has taken the job.
var ErrOvertaken = errors.New("another runner has taken over this job")

const ddl = `create table if not exists cw.load_ledger (
	job text not null, kind text not null, object text not null default '', range_start bigint not null default 0,
	range_end bigint not null default 0, etag text not null default '', source int not null default 0,
	rows bigint not null default 0, first_line bigint not null default 1, lines bigint not null default 0,
	source_bytes bigint not null default 0, eof boolean not null default false, committed_at timestamptz not null default clock_timestamp(),
	primary key (job, kind, object, range_start));
	create index load_ledger_targets on cw.load_ledger (range_end) where kind = 'target'`

// Ensure creates the ledger when it is missing. Several loads may do so at
// the same moment.
func Ensure(ctx context.Context, c *pgx.Conn) error { return ensure(ctx, c, Table, ddl) }

// ensure creates a table in schema cw when it is missing.
func ensure(ctx context.Context, c *pgx.Conn, table, create string) error {
	var there bool
	look := func(q interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	},
	) error {
		// to_regclass may remember that there was none a moment ago.
		return q.QueryRow(ctx, "select exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname || '.' || c.relname = '"+table+"')").Scan(&there)
	}
	if err := look(c); err != nil {
		return fmt.Errorf("look for %s: %w", table, err)
	}
	if there {
		return nil
	}
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		// IF NOT EXISTS alone is not safe against a twin.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('cw.load_ledger'))"); err != nil {
			return err
		}
		if err := look(tx); err != nil || there {
			return err
		}
		var schema bool
		if err := tx.QueryRow(ctx, "select exists (select 1 from pg_namespace where nspname = 'cw')").Scan(&schema); err != nil {
			return err
		}
		if !schema {
			if _, err := tx.Exec(ctx, "create schema cw"); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, create)
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" {
		user, db := c.Config().User, c.Config().Database
		return fault.New(fault.Auth, fmt.Sprintf("as the database's owner: create schema cw authorization %q", user),
			"create %s: role %s may not create a schema in database %s: %w", table, user, db, err)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", table, err)
	}
	return nil
}

// Lock takes the job's lock for the session, waiting a moment for a session
// whose client was killed. It is what tells a second runner politely; what
// stops one that does not notice is the epoch.
func (l *Ledger) Lock(ctx context.Context, c *pgx.Conn, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		var ok bool
		err := c.QueryRow(ctx, "select pg_try_advisory_lock(hashtext('cw.load'), hashtext($1))", Root(l.Job)).Scan(&ok)
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fault.New(fault.Locked, "see it with: cw load list", "job %s: another runner is working on it in this database", l.Job)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// TakeOver makes this runner the only one that may commit, waits for what an
// earlier one is committing, and returns what there is.
func (l *Ledger) TakeOver(ctx context.Context, c *pgx.Conn) (*Journal, error) {
	// Without ON CONFLICT, which Greenplum 6 lacks: the session's lock keeps
	// twins away.
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		var known bool
		if err := tx.QueryRow(ctx, "select exists (select 1 from cw.load_ledger where job = $1 and kind = $2)", l.Job, kindRunner).Scan(&known); err != nil {
			return err
		}
		// An update would, on Greenplum 6, wait for every other load that has
		// written here and is not at its end.
		sql := "insert into cw.load_ledger (job, kind, etag) values ($1, $2, $3)"
		if known {
			sql = "update cw.load_ledger set etag = $3, committed_at = clock_timestamp() where job = $1 and kind = $2"
		}
		_, err := tx.Exec(ctx, sql, l.Job, kindRunner, l.Epoch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take over job %s: %w", l.Job, err)
	}
	return l.read(ctx, c)
}

func (l *Ledger) read(ctx context.Context, c *pgx.Conn) (*Journal, error) {
	rows, err := c.Query(ctx, `select kind, object, etag, source, range_start, range_end, rows, first_line, lines, source_bytes, eof
		from cw.load_ledger where job = $1`, l.Job)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer rows.Close()
	j := &Journal{Done: map[Step]bool{}}
	order := map[string]int64{}
	for rows.Next() {
		var kind string
		var r Range
		if err := rows.Scan(&kind, &r.Object, &r.ETag, &r.Source, &r.Start, &r.End, &r.Rows, &r.FirstLine, &r.Lines, &r.SourceBytes, &r.EOF); err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		switch kind {
		case kindRunner, kindEmptied, kindRound:
		case kindTarget:
			j.Target = &Target{OID: uint32(r.End), Name: r.Object, Staged: r.ETag == staged, Again: r.EOF} //nolint:gosec // it was one
		case kindSkipped:
			j.Skipped = append(j.Skipped, Skipped{Job: r.Object, Objects: r.Rows, Bytes: r.SourceBytes})
		case kindObject:
			j.Objects = append(j.Objects, Object{URL: r.Object, ETag: r.ETag, Source: r.Source, Size: r.End})
			order[r.Object] = r.Start
		case kindSplit:
			j.Ranges = append(j.Ranges, r)
		default:
			j.Done[Step(kind)] = true
		}
	}
	sort.Slice(j.Objects, func(a, b int) bool { return order[j.Objects[a].URL] < order[j.Objects[b].URL] })
	sort.Slice(j.Ranges, func(a, b int) bool {
		x, y := j.Ranges[a], j.Ranges[b]
		return x.Object < y.Object || x.Object == y.Object && x.Start < y.Start
	})
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	return j, nil
}

// insert adds a row only while this runner's epoch stands; the row lock makes
// a runner that takes over wait for the end of this transaction.
const insert = `insert into cw.load_ledger (job, kind, object, etag, source, range_start, range_end, rows, first_line, lines, source_bytes, eof)
	select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 from
	(select 1 from cw.load_ledger where job = $1 and kind = 'runner' and object = '' and range_start = 0 and etag = $13 for share) r`

func (l *Ledger) add(ctx context.Context, tx pgx.Tx, kind string, r Range) error {
	tag, err := tx.Exec(ctx, insert, l.Job, kind, r.Object, r.ETag, r.Source, r.Start, r.End, r.Rows, r.FirstLine, r.Lines, r.SourceBytes, r.EOF, l.Epoch)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return fault.Wrap(fault.Locked, "see it with: cw load list", fmt.Errorf("job %s: %w", l.Job, ErrOvertaken))
	}
	return nil
}

// Record notes a split in the transaction that loads it.
func (l *Ledger) Record(ctx context.Context, tx pgx.Tx, r Range) error {
	return l.add(ctx, tx, kindSplit, r)
}

// Committed asks whether a split is in the ledger, and with how many rows,
// after a connection was lost while it was committed.
func (l *Ledger) Committed(ctx context.Context, c *pgx.Conn, r Range) (rows int64, there bool, err error) {
	err = c.QueryRow(ctx, "select rows from cw.load_ledger where job = $1 and kind = $2 and object = $3 and range_start = $4 and range_end = $5",
		l.Job, kindSplit, r.Object, r.Start, r.End).Scan(&rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	return rows, err == nil, err
}

// Once runs a step in one transaction with its row. A step that is in the
// ledger already is not run again.
func (l *Ledger) Once(ctx context.Context, c *pgx.Conn, step Step, run func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error { return l.OnceIn(ctx, tx, step, run) })
}

// OnceIn is Once inside a transaction that does more.
func (l *Ledger) OnceIn(ctx context.Context, tx pgx.Tx, step Step, run func(pgx.Tx) error) error {
	var done bool
	err := tx.QueryRow(ctx, "select exists (select 1 from cw.load_ledger where job = $1 and kind = $2)", l.Job, string(step)).Scan(&done)
	if err != nil || done {
		return err
	}
	if err := l.add(ctx, tx, string(step), Range{}); err != nil {
		return err
	}
	return run(tx)
}

// IsDuplicate tells that a row was in the ledger before: its transaction,
// whose answer was lost, has committed after all.
func IsDuplicate(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "23505" {
		return false
	}
	// Greenplum's segments tell the constraint in the message alone.
	return pg.SchemaName == "cw" && pg.TableName == "load_ledger" || pg.TableName == "" && strings.Contains(pg.Message, `"load_ledger_pkey"`)
}
