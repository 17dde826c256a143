package run

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/format"
	"cw/loadspec/infer"
	"cw/loadspec/source"
	"cw/loadspec/split"
)

// inferTable looks at the objects: at the schema of the first one where its
// format has one, else at the first rows of as many as it takes.
func (j *job) inferTable(ctx context.Context) (*infer.Table, error) {
	j.state.phase(PhaseInfer)
	objects, err := j.set.List(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case len(objects) == 0:
		return nil, fault.New(fault.Failed, "create the table by hand, or begin when there is an object", "there is no object yet to tell the columns of %s", targetName(j.spec.Output))
	case objects[0].URL == source.StdinURL:
		return nil, fault.New(fault.Usage, "create the table by hand, or load a file", "standard input, which can be read once, cannot tell the columns of %s", targetName(j.spec.Output))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := j.inferFrom(ctx, objects)
	if err != nil {
		var cut *split.Error
		if errors.As(err, &cut) || fault.HintOf(err) != "" || fault.KindOf(err) != fault.Failed {
			return nil, err
		}
		return nil, fault.New(fault.Failed, "create the table by hand, or list names and types under COLUMNS", "infer the table from %s: %w", objects[0].URL, err)
	}
	if len(j.spec.Columns) > 0 && j.spec.Convert != nil {
		if err := chosen(t, j.spec.Columns, objects[0].URL); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (j *job) inferFrom(ctx context.Context, objects []source.Object) (*infer.Table, error) {
	if j.spec.Convert == nil {
		rows := infer.NewRows(j.spec.Format, format.Dialect(j.spec.Format), j.spec.MaxRow)
		err := j.eachSample(ctx, objects, rows, func(o source.Object, st *source.Stream) error {
			err := rows.Add(st, format.UTF8(orRows(j.spec.Format.Encoding)) || j.spec.Format.Encoding == "" && format.UTF8(j.server.Encoding))
			if err != nil {
				return cutError(o.URL, err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return rows.Table(j.spec.Columns)
	}
	in := format.Input{URL: objects[0].URL, Convert: *j.spec.Convert, Columns: j.spec.Columns, MaxRow: j.spec.MaxRow}
	switch in.Convert.Kind {
	case loadspec.FormatJSON:
		values := infer.NewJSON(in.Convert.Paths)
		if err := j.eachSample(ctx, objects, values, func(_ source.Object, st *source.Stream) error { return values.Add(st) }); err != nil {
			return nil, err
		}
		return values.Table(j.spec.Columns)
	case loadspec.FormatFixed:
		in.Tolerant = true
		in.Columns = make([]loadspec.Column, len(j.spec.Columns))
		for i, c := range j.spec.Columns {
			in.Columns[i] = loadspec.Column{Name: c.Name, Type: orElse(c.Type, "any")}
		}
		rows := infer.NewRows(j.spec.Format, format.Dialect(j.spec.Format), j.spec.MaxRow)
		err := j.eachSample(ctx, objects, rows, func(_ source.Object, st *source.Stream) error {
			r, err := format.Rows(in, st)
			if err != nil {
				return err
			}
			return rows.Add(r, false)
		})
		if err != nil {
			return nil, err
		}
		return rows.Table(j.spec.Columns)
	case loadspec.FormatParquet:
		return format.ParquetTable(in, j.set.ReaderAt(ctx, objects[0], j.limiter), objects[0].Size)
	}
	st, err := j.set.Stream(ctx, objects[0], j.spec.Format.Compression, 0, j.limiter)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return format.Table(in, st)
}

// sampler decides by values.
type sampler interface {
	Full() bool
	Skipped()
}

// eachSample reads the objects until there is enough.
func (j *job) eachSample(ctx context.Context, objects []source.Object, s sampler, look func(source.Object, *source.Stream) error) error {
	for _, o := range objects {
		if s.Full() {
			s.Skipped()
			return nil
		}
		st, err := j.set.Stream(ctx, o, j.spec.Format.Compression, 0, j.limiter)
		if err != nil {
			return err
		}
		err = look(o, st)
		st.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// chosen leaves the columns that the control file names, with its types where
// it gives some.
func chosen(t *infer.Table, columns []loadspec.Column, url string) error {
	have := map[string]infer.Column{}
	var names []string
	for _, c := range t.Columns {
		have[c.Name] = c
		names = append(names, c.Name)
	}
	t.Columns = nil
	kept := map[string]bool{}
	for _, c := range columns {
		col, ok := have[c.Name]
		if !ok && c.Type == "" {
			return fault.New(fault.Usage, "it has: "+format.Columns(names), "COLUMNS: %s has no column %s", url, c.Name)
		}
		if c.Type != "" {
			col = infer.Column{Name: c.Name, Type: c.Type, NotNull: col.NotNull}
		}
		kept[c.Name] = true
		t.Columns = append(t.Columns, col)
	}
	for _, key := range append([][]string{t.Primary}, t.Unique...) {
		for _, name := range key {
			if !kept[name] {
				t.Primary, t.Unique = nil, nil
				t.Notes = append(t.Notes, fmt.Sprintf("keys not taken over: column %s is not loaded", name))
				return nil
			}
		}
	}
	return nil
}

// wider says how a column of a table that a job has created takes a value that
// its type does not.
func (j *job) wider(err error) error {
	if !j.created || err == nil {
		return err
	}
	var row *copy.RowError
	var limit *copy.LimitError
	column := ""
	switch {
	case errors.As(err, &row) && row.Err.Code[:2] == "22":
		column = row.Column
	case errors.As(err, &limit) || j.gp != nil && fault.KindOf(err) == fault.Failed:
		if m := refusedColumn.FindStringSubmatch(err.Error()); m != nil {
			column = m[1]
		}
	}
	if column == "" {
		return err
	}
	sql := fmt.Sprintf("alter table %s alter column %s type text", j.target(), loadspec.QuoteIdent(column))
	return fault.Wrap(fault.KindOf(err), fmt.Sprintf("its type was inferred; widen it: %s; then cw load resume %s; or give its type under COLUMNS in a new load", sql, j.o.Job), err)
}

// refusedColumn is the column at the end of a reason.
var refusedColumn = regexp.MustCompile(`, column "?([^",\n]+)"?(?:\n|$)`)

func orElse(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// targetName is the target as the control file has it.
func targetName(o loadspec.Output) string {
	if o.Schema == "" {
		return o.Table
	}
	return o.Schema + "." + o.Table
}
