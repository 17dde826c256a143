package commands

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/perfcheck"
)

func newPerfCompare(a *App) *cobra.Command {
	var all, failOnWorse bool
	var markdown string
	c := &cobra.Command{
		Use: "compare A B", Short: "Compare two runs: what became better or worse, beyond the noise", Args: args(2, 2),
		Long: `Compare two runs test by test. A and B are ids of runs (or how they begin), or
files written with --report or -o json. A difference that is smaller than the
noise of the two runs is none.` + exitHelp(6),
		Example: `  cw perf compare p3fk2q p7hx0m
  cw perf compare before.json after.json --markdown diff.md
  cw perf compare before.json after.json --fail-on-worse`,
		RunE: func(_ *cobra.Command, args []string) error {
			dir := filepath.Join(a.Paths.State, "perf")
			first, err := perfcheck.ReadReport(dir, args[0])
			if err != nil {
				return err
			}
			second, err := perfcheck.ReadReport(dir, args[1])
			if err != nil {
				return err
			}
			d := perfcheck.Compare(first, second)
			if markdown != "" {
				if err := writeTo(markdown, func(f *os.File) error { return d.WriteMarkdown(f) }); err != nil {
					return err
				}
			}
			if err := a.printDifference(&d, all); err != nil {
				return err
			}
			if n := d.Worse(); failOnWorse && n > 0 {
				return fault.New(fault.Check, "", "%d metrics became worse", n)
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&all, "all", false, "show all metrics, not only the main one of each test and those that changed")
	f.BoolVar(&failOnWorse, "fail-on-worse", false, "end with exit code 6 when a metric became worse")
	f.StringVar(&markdown, "markdown", "", "write the comparison for a pull request to this file")
	return c
}

func (a *App) printDifference(d *perfcheck.Difference, all bool) error {
	switch a.flags.output {
	case "json":
		return d.WriteJSON(a.IO.Out)
	case "yaml":
		return printYAML(a.IO.Out, d)
	case "csv":
		t := table{cols: cols("TEST", "WHERE", "METRIC", "UNIT", "A", "B", "RATIO", "NOISE", "CHANGE", "NOTE")}
		for _, c := range d.Metrics {
			t.add(c.ID, c.Where, c.Metric, c.Unit, fmt.Sprint(c.A), fmt.Sprint(c.B), fmt.Sprint(c.Ratio), fmt.Sprint(c.Noise), c.Change, c.Note)
		}
		return printCSV(a.IO.Out, t)
	}
	return d.WriteTable(a.IO.Out, all || a.flags.output == "wide")
}

// writeTo makes a file.
func writeTo(path string, write func(*os.File) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	err = write(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
