package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/format"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/loadspec/split"
	"cw/loadspec/throttle"
)

// Report is what a check has found: the plan of the load.
type Report struct {
	Server     *copy.Server
	Table      string            // target, schema.table
	Columns    []loadspec.Column // of the file, with their types
	Statement  string            // that loads the rows
	Staged     string            // statement from the staging table into the target; "" without one
	Segments   int               // that read in parallel; 0 on PostgreSQL
	Addresses  []string          // this machine, as segments are told
	Objects    []source.Object
	Skipped    []ledger.Skipped // of the objects, by the jobs that have loaded them
	BytesTotal int64
	Splits     int64  // estimate for objects that are not compressed
	Codec      string // of the first object
	Workers    int
	FirstRows  []string // as converted: fields between tabs, \N for NULL; none when objects are rows already
	Sampled    int64    // rows of the first object that were tried against the table
	Warnings   []string
	Create     []string // statements that would create the table; none: it exists
}

// describe fills what the engine has to say.
func (j *job) describe(rep *Report) {
	if g := j.gp; g != nil {
		load := *g.load
		load.From = "the external table"
		rep.Table, rep.Columns, rep.Statement = load.Target.Schema+"."+load.Target.Table, load.Mapping.Columns, load.Insert()
		rep.Segments, rep.Addresses, rep.Workers = load.Target.Engine.Primaries, g.addrs, 1
		if j.spec.Output.Mode != loadspec.ModeInsert {
			rep.Statement, rep.Staged = load.Fill(), load.UpdateRows()
		}
		return
	}
	p := j.plan
	rep.Table, rep.Columns, rep.Statement = p.Target.Schema+"."+p.Target.Table, p.Columns, p.Copy
	if p.Stage != "" {
		rep.Staged = p.Insert
	}
}

// sampleSize is how much of an object is tried.
const sampleSize = 64 << 10

// Check looks at everything a run will need without changing anything: the
// database, the table and its columns, the objects, and the first rows, which
// are copied into a temporary table and thrown away.
func Check(ctx context.Context, o Options) (*Report, error) {
	var warned []string
	said := o.Warn
	o.Warn = func(text string) {
		warned = append(warned, text)
		if said != nil {
			said(text)
		}
	}
	j := newJob(o)
	j.checking = true
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
	if err := j.steering.begin(j); err != nil {
		return nil, err
	}
	if err := j.tryProbe(ctx, conn); err != nil {
		return nil, err
	}
	rep := &Report{Warnings: []string{}, Server: j.server, Workers: j.workers}
	j.describe(rep)
	j.describeCreation(rep)
	if rep.Objects, err = j.set.List(ctx); err != nil {
		return nil, err
	}
	if err := j.foresee(ctx, conn, rep); err != nil {
		return nil, err
	}
	for _, obj := range rep.Objects {
		rep.BytesTotal += obj.Size
		rep.Splits += max(1, (obj.Size+j.spec.Split-1)/j.spec.Split)
	}
	for _, w := range j.spec.Warnings {
		rep.Warnings = append(rep.Warnings, w.String())
	}
	rep.Warnings = append(rep.Warnings, warned...)
	return rep, j.sample(ctx, conn, rep)
}

// privileges checks what the role may do with the table.
func (j *job) privileges(ctx context.Context, conn *pgx.Conn) error {
	var schemaName, table string
	if j.gp != nil {
		schemaName, table = j.gp.load.Target.Schema, j.gp.load.Target.Table
	} else {
		schemaName, table = j.table.Schema, j.table.Table
	}
	name := j.target()
	var insert, truncate bool
	err := conn.QueryRow(ctx, "select has_table_privilege($1::regclass, 'insert') or has_any_column_privilege($1::regclass, 'insert'), has_table_privilege($1::regclass, 'truncate')", name).Scan(&insert, &truncate)
	if err != nil {
		return copy.Explain(err)
	}
	for _, need := range []struct {
		what string
		has  bool
	}{{"INSERT", insert}, {"TRUNCATE", truncate || !j.spec.Truncate}} {
		if !need.has {
			return fault.New(fault.Auth, fmt.Sprintf("grant %s on %s to %s", need.what, name, loadspec.QuoteIdent(j.server.User)),
				"role %s has no privilege %s on table %s.%s", j.server.User, need.what, schemaName, table)
		}
	}
	return nil
}

// sample reads the first rows of the first object and tries them.
func (j *job) sample(ctx context.Context, conn *pgx.Conn, rep *Report) error {
	if len(rep.Objects) == 0 {
		rep.Warnings = append(rep.Warnings, "there is nothing to load")
		return nil
	}
	first := rep.Objects[0]
	if first.URL == source.StdinURL {
		rep.Warnings = append(rep.Warnings, "standard input is not tried: it can be read once")
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := j.open(ctx, first, 0, throttle.New(0, nil))
	if err != nil {
		return err
	}
	defer st.Close()
	rep.Codec = st.codec
	c, err := split.NewCutter(st, split.Options{
		Dialect: format.Dialect(j.spec.Format), Size: sampleSize, MaxRow: j.spec.MaxRow,
		Header: j.spec.Format.Header, BOM: format.UTF8(j.encoding),
	}, split.NewPool(1))
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
	if j.spec.Convert != nil && format.Marked(p.Data) {
		leaveOut(p, rep, first.URL)
		if p.Records == 0 {
			return nil
		}
	}
	if j.spec.Convert != nil {
		rep.FirstRows = firstRows(p.Data)
	}
	if err := j.countFields(first.URL, p, rep); err != nil {
		return err
	}
	if j.gp != nil {
		rep.Sampled, err = j.tryGreenplum(ctx, conn, first, p)
		return err
	}
	rep.Sampled, err = j.try(ctx, conn, first, p, rep)
	return err
}

// leaveOut takes the rows out of the sample that could not be converted.
func leaveOut(p *split.Piece, rep *Report, url string) {
	var good []byte
	_ = format.EachRun(p.Data, func(begin, end int, _ int64) error {
		good = append(good, p.Data[begin:end]...)
		return nil
	}, func(_, _ int, u format.Unconverted) error {
		p.Records--
		rep.Warnings = append(rep.Warnings, url+": would be rejected: "+u.Reason)
		return nil
	})
	p.Data = good
}

// countFields compares the first record with the columns.
func (j *job) countFields(url string, p *split.Piece, rep *Report) error {
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
	columns := rep.Columns
	got, want := format.Fields(p.Data[:end], j.spec.Format), len(columns)
	if got == want || got < want && j.spec.Format.FillMissing {
		return nil
	}
	names := make([]string, want)
	for i, c := range columns {
		names[i] = c.Name
	}
	hint := "check DELIMITER and QUOTE, or list the file's columns under COLUMNS"
	return fault.New(fault.Usage, hint, "%s line %d: has %d fields, but %d columns are expected (%s)\n  row: %s", url, p.FirstLine, got, want,
		format.Columns(names), shortened(p.Data[:end]))
}

// shownRows is how many converted rows a check shows.
const shownRows = 5

func firstRows(data []byte) []string {
	var rows []string
	for line := range bytes.Lines(data) {
		if len(rows) == shownRows {
			break
		}
		rows = append(rows, shortened(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return rows
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
	plan, err := copy.NewPlan(j.spec, copy.Trial(j.table), j.encoding)
	if err != nil {
		return 0, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return 0, copy.Explain(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s INCLUDING ALL EXCLUDING INDEXES) ON COMMIT DROP", copy.TrialTable, j.table.Name()))
	if err != nil {
		rep.Warnings = append(rep.Warnings, fmt.Sprintf("the first rows were not tried: no temporary table: %v", err))
		return 0, nil
	}
	return copy.Try(ctx, tx, plan, p, o.URL, format.Dialect(j.spec.Format))
}
