package external

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Rejected is a row that a load has refused.
type Rejected struct {
	Time    time.Time // of the statement
	File    string    // as the server named it: url [file]
	Line    int64     // in the file; 0 unknown
	Byte    int64     // in the file; 0 unknown
	Message string
	Text    string // the row; "" when its encoding is wrong
	Bytes   []byte // the row, when its encoding is wrong
}

// CountRejected counts the rows in a table's error log from since on, the
// zero time for all. from is the external table's name in SQL.
func CountRejected(ctx context.Context, c *pgx.Conn, from string, since time.Time) (int64, error) {
	var n int64
	err := c.QueryRow(ctx, `select count(*) from pg_catalog.gp_read_error_log($1::text) where cmdtime >= $2::timestamptz`, from, floor(since)).Scan(&n)
	return n, err
}

// ReadRejected reads the error log of a table from since on, the zero time
// for all, at most limit rows, 0 for all, in the order of files and lines.
func ReadRejected(ctx context.Context, c *pgx.Conn, from string, since time.Time, limit int) ([]Rejected, error) {
	query := `select cmdtime, coalesce(filename, ''), coalesce(linenum, 0)::int8, coalesce(bytenum, 0)::int8, coalesce(errmsg, ''), coalesce(rawdata, ''), coalesce(rawbytes, ''::bytea)
		from pg_catalog.gp_read_error_log($1::text) where cmdtime >= $2::timestamptz order by cmdtime, filename, linenum`
	args := []any{from, floor(since)}
	if limit > 0 {
		query += " limit $3"
		args = append(args, limit)
	}
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (x Rejected, err error) {
		return x, r.Scan(&x.Time, &x.File, &x.Line, &x.Byte, &x.Message, &x.Text, &x.Bytes)
	})
}

// TruncateRejected empties the error log of a table.
func TruncateRejected(ctx context.Context, c *pgx.Conn, from string) error {
	_, err := c.Exec(ctx, `select pg_catalog.gp_truncate_error_log($1::text)`, from)
	return err
}

// floor keeps the zero time inside what the database knows.
func floor(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

// Now is the database's clock, which error logs are stamped by.
func Now(ctx context.Context, c *pgx.Conn) (now time.Time, err error) {
	return now, c.QueryRow(ctx, "select pg_catalog.clock_timestamp()").Scan(&now)
}
