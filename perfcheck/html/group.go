package html

import (
	"maps"
	"math"
	"slices"

	"cw/perfcheck"
	"cw/template"
)

// group is a test on all its hosts or pairs.
type group struct {
	ID, Title string
	Verdict   verdict
	Main      string // the main metric's name
	Value     string // of the main metric: one value, or from to
	Strip     template.Trusted
	Rows      []row
	Flags     []string // that all places have
	Metrics   *grid
	Matrix    *matrix
	Charts    []figure
	Open      bool

	tests, earlier []*perfcheck.Test
}

// figure is a drawing with its caption.
type figure struct {
	Caption string
	SVG     template.Trusted
	Legend  []legend
}

type legend struct {
	Class, Name string
}

// grid is a table of all metrics: by place while there are few, else least,
// median and greatest.
type grid struct {
	Head []string
	Rows [][]string
}

// mostPlaces is how many places get a column, a colour or a row of their own
// in the tables and charts of a test.
const mostPlaces = 6

// worst orders verdicts from good to bad.
func worst(tests []*perfcheck.Test) perfcheck.Verdict {
	order := []perfcheck.Verdict{perfcheck.Skipped, perfcheck.Pass, perfcheck.Warn, perfcheck.Inconclusive, perfcheck.Error, perfcheck.Fail}
	v := 0
	for _, t := range tests {
		v = max(v, slices.Index(order, t.Verdict))
	}
	return order[v]
}

func (g *group) fill() {
	v := worst(g.tests)
	g.Verdict = verdict(v)
	g.Open = v != perfcheck.Pass && v != perfcheck.Skipped
	for _, t := range g.tests {
		g.Rows = append(g.Rows, rowOf(t))
		if g.Main == "" {
			g.Main = t.Main
		}
	}
	g.Flags = shared(g.Rows)
	if g.Title == g.ID {
		g.Title = ""
	}
	g.Value = g.span()
	g.Strip = g.strip()
	g.Metrics = g.grid()
	g.Matrix = newMatrix(g.tests)
	g.Charts = append(g.overTime(), g.latencies()...)
}

// shared takes the flags that all rows have out of them, to be said once.
func shared(rows []row) []string {
	if len(rows) < 2 {
		return nil
	}
	var out []string
	for _, f := range slices.Clone(rows[0].Flags) {
		if slices.ContainsFunc(rows, func(r row) bool { return !slices.Contains(r.Flags, f) }) {
			continue
		}
		out = append(out, f)
		for i := range rows {
			rows[i].Flags = slices.DeleteFunc(rows[i].Flags, func(g string) bool { return g == f })
		}
	}
	return out
}

// values are the main metric's of all places that have one.
func values(tests []*perfcheck.Test) (out []float64, m perfcheck.Metric) {
	for _, t := range tests {
		if got, ok := t.Metrics[t.Main]; ok {
			out, m = append(out, got.Value), got
		}
	}
	return out, m
}

func (g *group) span() string {
	all, m := values(g.tests)
	if len(all) == 0 {
		return "–"
	}
	low, high := perfcheck.FormatValue(slices.Min(all), m.Unit), perfcheck.FormatValue(slices.Max(all), m.Unit)
	if low == high {
		return low
	}
	return low + " to " + high
}

func (g *group) grid() *grid {
	names := map[string]perfcheck.Metric{}
	for _, t := range g.tests {
		maps.Copy(names, t.Metrics)
	}
	if len(names) == 0 {
		return nil
	}
	out := &grid{Head: []string{"metric"}}
	few := len(g.tests) <= mostPlaces
	if few {
		for _, t := range g.tests {
			out.Head = append(out.Head, t.Where())
		}
	} else {
		out.Head = append(out.Head, "least", "median", "greatest")
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		line := []string{name}
		var all []float64
		for _, t := range g.tests {
			m, ok := t.Metrics[name]
			if ok {
				all = append(all, m.Value)
			}
			if !few {
				continue
			}
			if !ok {
				line = append(line, "–")
				continue
			}
			text := perfcheck.FormatValue(m.Value, m.Unit)
			if s := m.Spread(); s != "-" {
				text += " " + s
			}
			line = append(line, text)
		}
		if !few {
			slices.Sort(all)
			unit := names[name].Unit
			for _, v := range []float64{all[0], all[len(all)/2], all[len(all)-1]} {
				line = append(line, perfcheck.FormatValue(v, unit))
			}
		}
		out.Rows = append(out.Rows, line)
	}
	return out
}

// onScale places a ratio on a logarithmic scale from a quarter to four times.
func onScale(ratio float64) float64 {
	return 50 + 50*min(1, max(-1, math.Log(ratio)/math.Log(4)))
}
