package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A job that watches its source loads in rounds. The first is the job itself;
// each later one has rows of its own in the ledger, as job l7q2mx4/1 and so
// on, for it is a load like any other: it has its plan, its steps and its
// staging, and an object that is there once more in another version is another
// object. The job's row of kind round tells which is the newest.

const kindRound = "round" // range_start is its number, from 1

// Root is the job that a round belongs to, and that people know: l7q2mx4 of
// l7q2mx4/3.
func Root(job string) string {
	root, _, _ := strings.Cut(job, "/")
	return root
}

// Round is the ledger of a job's round.
func (l *Ledger) Round(n int64) *Ledger {
	if n == 0 {
		return &Ledger{Job: Root(l.Job), Epoch: l.Epoch}
	}
	return &Ledger{Job: Root(l.Job) + "/" + strconv.FormatInt(n, 10), Epoch: l.Epoch}
}

// LastRound is the number of the job's newest round, 0 before there is one.
func (l *Ledger) LastRound(ctx context.Context, c *pgx.Conn) (n int64, err error) {
	if err := c.QueryRow(ctx, "select coalesce(max(range_start), 0) from cw.load_ledger where job = $1 and kind = $2", Root(l.Job), kindRound).Scan(&n); err != nil {
		return 0, fmt.Errorf("read the ledger: %w", err)
	}
	return n, nil
}

// Begin makes round n of the job the newest, if l's runner is still the one
// that may, and returns its ledger.
func (l *Ledger) Begin(ctx context.Context, tx pgx.Tx, n int64) (*Ledger, error) {
	root, round := l.Round(0), l.Round(n)
	if err := root.add(ctx, tx, kindRound, Range{Start: n}); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "insert into cw.load_ledger (job, kind, etag) values ($1, $2, $3)", round.Job, kindRunner, round.Epoch); err != nil {
		return nil, fmt.Errorf("write the ledger: %w", err)
	}
	return round, nil
}

// Totals are what the rounds of a job before one have loaded.
type Totals struct{ Bytes, Rows, Objects, Rejected int64 }

const ofRounds = "(job = $1 or substr(job, 1, length($1) + 1) = $1 || '/')"

// Before adds up the rounds before l's.
func (l *Ledger) Before(ctx context.Context, c *pgx.Conn) (t Totals, err error) {
	err = c.QueryRow(ctx, `select coalesce(sum(source_bytes), 0)::bigint, coalesce(sum(rows), 0)::bigint, coalesce(sum(case when eof then 1 else 0 end), 0)::bigint
		from cw.load_ledger where kind = 'split' and job <> $2 and `+ofRounds, Root(l.Job), l.Job).Scan(&t.Bytes, &t.Rows, &t.Objects)
	if err != nil {
		return t, fmt.Errorf("read the ledger: %w", err)
	}
	var there bool
	if err := c.QueryRow(ctx, "select to_regclass('cw.load_errors') is not null").Scan(&there); err != nil || !there {
		return t, err
	}
	err = c.QueryRow(ctx, "select count(*) from cw.load_errors where loaded and job <> $2 and "+ofRounds, Root(l.Job), l.Job).Scan(&t.Rejected)
	return t, err
}
