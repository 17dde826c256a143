package run

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/format"
	"cw/loadspec/source"
	"cw/loadspec/split"
	"cw/loadspec/throttle"
)

// Report is what a check has found: the plan of the load.
type Report struct {
	Server     *copy.Server
	Plan       *copy.Plan
	Objects    []source.Object
	BytesTotal int64
	Splits     int64  // estimate for objects that are not compressed
	Codec      string // of the first object
	Workers    int
	Sampled    int64 // rows of the first object that were tried against the table
	Warnings   []string
}

// sampleSize is how much of an object is tried.
const sampleSize = 64 << 10

// Check looks at everything a run will need without changing anything: the
// database, the table and its columns, the objects, and the first rows, which
// are copied into a temporary table and thrown away.
func Check(ctx context.Context, o Options) (*Report, error) {
	j := newJob(o)
	conn, err := j.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	if err := j.prepare(ctx, conn); err != nil {
		return nil, err
	}
	if err := j.privileges(ctx, conn); err != nil {
		return nil, err
	}
	rep := &Report{Warnings: []string{}, Server: j.server, Plan: j.plan, Workers: j.workers}
	if rep.Objects, err = j.set.List(ctx); err != nil {
		return nil, err
	}
	for _, obj := range rep.Objects {
		rep.BytesTotal += obj.Size
		rep.Splits += max(1, (obj.Size+j.spec.Split-1)/j.spec.Split)
	}
	warnings, _ := j.spec.OnPostgres()
	for _, w := range append(j.spec.Warnings, warnings...) {
		rep.Warnings = append(rep.Warnings, w.String())
	}
	return rep, j.sample(ctx, conn, rep)
}

// privileges checks what the role may do with the table.
func (j *job) privileges(ctx context.Context, conn *pgx.Conn) error {
	t := j.plan.Target
	var insert, truncate bool
	err := conn.QueryRow(ctx, "select has_table_privilege($1::regclass, 'insert') or has_any_column_privilege($1::regclass, 'insert'), has_table_privilege($1::regclass, 'truncate')", t.Name()).Scan(&insert, &truncate)
	if err != nil {
		return copy.Explain(err)
	}
	for _, need := range []struct {
		what string
		has  bool
	}{{"INSERT", insert}, {"TRUNCATE", truncate || !j.spec.Truncate}} {
		if !need.has {
			return fault.New(fault.Auth, fmt.Sprintf("grant %s on %s to %s", need.what, t.Name(), loadspec.QuoteIdent(j.server.User)),
				"role %s has no privilege %s on table %s.%s", j.server.User, need.what, t.Schema, t.Table)
		}
	}
	return nil
}

// sample reads the first rows of the first object and tries them.
func (j *job) sample(ctx context.Context, conn *pgx.Conn, rep *Report) error {
	first := rep.Objects[0]
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := j.set.Stream(ctx, first, j.spec.Format.Compression, 0, throttle.New(0, nil))
	if err != nil {
		return err
	}
	defer st.Close()
	rep.Codec = st.Codec
	c, err := split.NewCutter(st, split.Options{
		Dialect: format.Dialect(j.spec.Format), Size: sampleSize, MaxRow: j.spec.MaxRow,
		Header: j.spec.Format.Header, BOM: format.UTF8(j.encoding),
	}, 1)
	if err != nil {
		return err
	}
	p, err := c.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		return cutError(first.URL, err)
	}
	if p == nil || p.Records == 0 {
		rep.Warnings = append(rep.Warnings, first.URL+": has no rows")
		return nil
	}
	if err := j.countFields(first.URL, p); err != nil {
		return err
	}
	rep.Sampled, err = j.try(ctx, conn, first, p, rep)
	return err
}

// countFields compares the first record with the columns.
func (j *job) countFields(url string, p *split.Piece) error {
	d := format.Dialect(j.spec.Format)
	scan := split.NewScanner(d)
	end := int64(len(p.Data))
	for i := range p.Data {
		scan.Feed(p.Data[i : i+1])
		if _, n := scan.End(); n > 0 {
			end = scan.First()
			break
		}
	}
	got, want := format.Fields(p.Data[:end], j.spec.Format), len(j.plan.Columns)
	if got == want {
		return nil
	}
	names := make([]string, want)
	for i, c := range j.plan.Columns {
		names[i] = c.Name
	}
	hint := "check DELIMITER and QUOTE, or list the file's columns under COLUMNS"
	return fault.New(fault.Usage, hint, "%s line %d: has %d fields, but %d columns are expected (%s)\n  row: %s", url, p.FirstLine, got, want,
		format.Columns(names), shortened(p.Data[:end]))
}

func shortened(b []byte) string {
	if len(b) > 200 {
		return string(b[:200]) + "…"
	}
	return string(b)
}

// try copies the sample into a temporary table made like the target, in a
// transaction that is rolled back.
func (j *job) try(ctx context.Context, conn *pgx.Conn, o source.Object, p *split.Piece, rep *Report) (int64, error) {
	const table = "cw_load_check"
	trial := *j.plan.Target
	trial.Schema, trial.Table = "pg_temp", table
	plan, err := copy.NewPlan(j.spec, &trial, j.encoding)
	if err != nil {
		return 0, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, copy.Explain(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s INCLUDING ALL EXCLUDING INDEXES) ON COMMIT DROP", table, j.plan.Target.Name()))
	if err != nil {
		rep.Warnings = append(rep.Warnings, fmt.Sprintf("the first rows were not tried: no temporary table: %v", err))
		return 0, nil
	}
	return copy.Try(ctx, tx, plan, p, o.URL, format.Dialect(j.spec.Format))
}
