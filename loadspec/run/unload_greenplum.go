package run

import (
	"context"

	"github.com/jackc/pgx/v5"

	"cw/loadspec"
	"cw/loadspec/external"
	"cw/loadspec/format"
	"cw/loadspec/sink"
	"cw/loadspec/split"
)

// header is the heading of what is unloaded from Greenplum.
func (r *unload) header(ctx context.Context, conn *pgx.Conn, from string) ([]byte, error) {
	encoding := r.u.Format.Encoding
	if encoding == "" {
		encoding = r.server.Encoding
	}
	statement := "COPY (SELECT * FROM (" + from + "\n) q LIMIT 0) TO STDOUT WITH (" + format.CopyOptions(r.u.Format, nil, encoding) + ", HEADER true)"
	return headerOf(ctx, conn, statement, r.u.Format.Newline)
}

// asJSON makes t a table of JSON texts, one a line, and gives the query that
// fills it. Line ends stand between JSON's words only and become blanks.
func asJSON(t *external.Table, from, newline string) string {
	t.Columns = []loadspec.Column{{Name: "row", Type: "text"}}
	t.DistributedBy = nil
	t.Encoding = "UTF8"
	t.Format = external.Format{Kind: loadspec.FormatText, Delimiter: "off", Escape: "off", Newline: newline}
	return "SELECT translate(row_to_json(" + rowAlias + `)::text, E'\r\n', '  ') FROM (` + from + "\n) " + rowAlias
}

// rowCounter counts rows as a loader would.
func rowCounter(f loadspec.Format) func() sink.RowCounter {
	d := format.Dialect(f)
	if f.Kind == loadspec.FormatJSON {
		d = split.Dialect{Newline: d.Newline}
	}
	if d.Newline == split.Auto {
		d.Newline = split.LF
	}
	return func() sink.RowCounter { return &scanned{s: split.NewScanner(d)} }
}

// scanned counts records.
type scanned struct{ s *split.Scanner }

// Feed takes rows.
func (c *scanned) Feed(rows []byte) { c.s.Feed(rows) }

// Rows is how many there were.
func (c *scanned) Rows() int64 {
	_, n := c.s.End()
	return n
}
