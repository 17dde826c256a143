package gpload

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cw/loadspec/external"
)

// reportErrors counts the rows that the statement since then has rejected and
// says so. Only LOG_ERRORS makes them a warning, as in gpload.
func (r *course) reportErrors(ctx context.Context, since time.Time) error {
	r.rejected = r.db.rejected
	if !r.plan.logErrors {
		return nil
	}
	if r.mustDrop || r.rejected == 0 { // a table of its own has nobody else's rows
		if r.mustDrop {
			since = time.Time{}
		}
		n, err := external.CountRejected(ctx, r.db.Conn, r.load.From, since)
		if err != nil {
			return r.databaseText(err)
		}
		r.rejected = n
	}
	if r.rejected == 0 {
		return nil
	}
	r.warned = true
	r.log.logf(LevelWarn, "%s", plural(r.rejected))
	if !r.mustDrop {
		r.log.logf(LevelWarn, "Please use following query to access the detailed error")
		r.log.logf(LevelWarn, "%s", r.rejectedQuery(since))
		return nil
	}
	return r.keepRejected(ctx, since)
}

// rejectedQuery is how a person gets at the rejected rows of a table that
// stays.
func (r *course) rejectedQuery(since time.Time) string {
	return fmt.Sprintf("select * from gp_read_error_log('%s') where cmdtime > to_timestamp('%.6f')", strings.ReplaceAll(r.shown, "'", "''"), float64(since.UnixMicro()-1)/1e6)
}

// keepAfterFailure keeps the rows that have made a statement fail: its tables
// go with the transaction.
func (r *course) keepAfterFailure(ctx context.Context, since time.Time) {
	if r.db.IsClosed() {
		return
	}
	if _, err := r.db.run(ctx, "ROLLBACK TO SAVEPOINT gpload_rows"); err != nil {
		return
	}
	if err := r.keepRejected(ctx, since); err != nil {
		r.log.onlyFile("the rejected rows could not be read: " + err.Error())
	}
}

// keptRows is how many rejected rows are kept at most.
const keptRows = 100_000

// keepRejected writes the rejected rows to a file beside the log, because
// they go with their table. gpload loses them.
func (r *course) keepRejected(ctx context.Context, since time.Time) error {
	rows, err := external.ReadRejected(ctx, r.db.Conn, r.load.From, since, keptRows)
	if err != nil {
		return r.databaseText(err)
	}
	if len(rows) == 0 {
		return nil
	}
	f, path, err := r.rejects()
	if err != nil {
		r.log.onlyFile("the rejected rows could not be kept: " + err.Error())
		return nil
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"cmdtime", "filename", "linenum", "bytenum", "errmsg", "rawdata"})
	for _, x := range rows {
		text := x.Text
		if text == "" && len(x.Bytes) > 0 {
			text = fmt.Sprintf("\\x%x", x.Bytes)
		}
		_ = w.Write([]string{x.Time.Format(time.RFC3339Nano), x.File, strconv.FormatInt(x.Line, 10), strconv.FormatInt(x.Byte, 10), x.Message, text})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	first := rows[0]
	r.log.onlyFile(fmt.Sprintf("the first rejected row: %s line %d: %s", first.File, first.Line, first.Message))
	r.log.onlyFile(fmt.Sprintf("the rejected rows are kept in %s", path))
	return nil
}

func plural(n int64) string {
	if n == 1 {
		return "1 bad row"
	}
	return strconv.FormatInt(n, 10) + " bad rows"
}
