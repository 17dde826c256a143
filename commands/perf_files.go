package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"cw/fault"
	"cw/perfcheck"
)

// canWrite finds out before a long run whether its result can be written.
func canWrite(path string) error {
	if path == "" {
		return nil
	}
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fault.Wrap(fault.Usage, "give a file in a folder that exists and that you may write", fmt.Errorf("write the report: %w", err))
	}
	if isNew {
		_ = os.Remove(path) // until there is something to say
	}
	return f.Close()
}

// perfFiles writes the report in the other forms that were asked for.
func (a *App) perfFiles(o *perfOptions, r *perfcheck.Report) error {
	for _, f := range []struct {
		path  string
		write func(*os.File) error
	}{
		{o.JUnit, func(f *os.File) error { return perfcheck.WriteJUnit(f, r) }},
		{o.HTML, htmlTo(r, o.earlier)},
		{o.Markdown, func(f *os.File) error { return perfcheck.WriteMarkdown(f, r) }},
		{o.Report, func(f *os.File) error { return printJSON(f, r) }},
	} {
		if f.path == "" {
			continue
		}
		file, err := os.Create(f.path)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := errors.Join(f.write(file), file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	return nil
}

// printReport prints a report in the format the user chose.
func (a *App) printReport(r *perfcheck.Report) error {
	switch a.flags.output {
	case "json":
		return printJSON(a.IO.Out, r)
	case "yaml":
		return printYAML(a.IO.Out, r)
	case "csv":
		return printCSV(a.IO.Out, perfTable(r))
	}
	return perfcheck.WriteTable(a.IO.Out, r)
}

// perfTable has a line for each metric.
func perfTable(r *perfcheck.Report) table {
	t := table{cols: cols("TEST", "WHERE", "METRIC", "VALUE", "UNIT", "MAD", "CV", "N", "VERDICT", "REASON")}
	for i := range r.Tests {
		test := &r.Tests[i]
		for _, name := range test.MetricNames() {
			m := test.Metrics[name]
			t.add(test.ID, test.Where(), name, fmt.Sprint(m.Value), m.Unit, fmt.Sprint(m.MAD), fmt.Sprint(m.CV), fmt.Sprint(m.N), string(test.Verdict), test.Reason)
		}
		if len(test.Metrics) == 0 {
			t.add(test.ID, test.Where(), "", "", "", "", "", "", string(test.Verdict), test.Reason)
		}
	}
	return t
}
