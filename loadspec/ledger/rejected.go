package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Rejected is a row that the database would not take.
type Rejected struct {
	Object string
	Line   int64 // in the uncompressed object, from 1; 0 unknown
	Offset int64 // bytes, in the uncompressed object; 0 unknown
	Reason string
	Row    string
	Loaded bool // the rows around it were committed
}

// Column is the column that the row was refused for, "" when that is not about
// one: both engines end the reason with it.
func (r *Rejected) Column() string {
	const mark = ", column "
	i := strings.LastIndex(r.Reason, mark)
	if i < 0 || strings.ContainsAny(r.Reason[i+len(mark):], ":;\n") {
		return ""
	}
	return r.Reason[i+len(mark):]
}

// Execer is a session or a transaction.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

const errorsDDL = `create table cw.load_errors (job text not null, object text not null, line bigint not null, byte_offset bigint not null,
	reason text not null, row_text text not null, loaded boolean not null, rejected_at timestamptz not null default clock_timestamp())`

// EnsureErrors creates the table of rejected rows when it is missing; the
// ledger is there already.
func EnsureErrors(ctx context.Context, c *pgx.Conn) error {
	return ensure(ctx, c, "cw.load_errors", errorsDDL)
}

// Reject keeps rejected rows. In the transaction of the rows around them they
// are kept exactly once.
func (l *Ledger) Reject(ctx context.Context, to Execer, rows []Rejected) error {
	const most = 1000
	for len(rows) > 0 {
		part := rows[:min(len(rows), most)]
		rows = rows[len(part):]
		objects, reasons, texts := make([]string, len(part)), make([]string, len(part)), make([]string, len(part))
		lines, offsets, loaded := make([]int64, len(part)), make([]int64, len(part)), make([]bool, len(part))
		for i, r := range part {
			objects[i], lines[i], offsets[i], reasons[i], texts[i], loaded[i] = r.Object, r.Line, r.Offset, r.Reason, r.Row, r.Loaded
		}
		_, err := to.Exec(ctx, `insert into cw.load_errors (job, object, line, byte_offset, reason, row_text, loaded)
			select $1::text, unnest($2::text[]), unnest($3::bigint[]), unnest($4::bigint[]), unnest($5::text[]), unnest($6::text[]), unnest($7::boolean[])`,
			l.Job, objects, lines, offsets, reasons, texts, loaded)
		if err != nil {
			return fmt.Errorf("keep the rejected rows: %w", err)
		}
	}
	return nil
}

// RejectedBefore is how many rows a job has left out in transactions that are
// committed.
func (l *Ledger) RejectedBefore(ctx context.Context, c *pgx.Conn) (n int64, err error) {
	if err := c.QueryRow(ctx, "select count(*) from cw.load_errors where job = $1 and loaded", l.Job).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the rejected rows: %w", err)
	}
	return n, nil
}

// RejectedRows reads the rejected rows of a job, in the order of their
// objects.
func RejectedRows(ctx context.Context, c *pgx.Conn, job string) ([]Rejected, error) {
	var there bool
	if err := c.QueryRow(ctx, "select to_regclass('cw.load_errors') is not null").Scan(&there); err != nil || !there {
		return nil, err
	}
	rows, err := c.Query(ctx, "select object, line, byte_offset, reason, row_text, loaded from cw.load_errors where "+ofRounds+" order by object, line, byte_offset", job)
	if err != nil {
		return nil, fmt.Errorf("read the rejected rows: %w", err)
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (x Rejected, err error) {
		return x, r.Scan(&x.Object, &x.Line, &x.Offset, &x.Reason, &x.Row, &x.Loaded)
	})
}
