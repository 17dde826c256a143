package html

import (
	"slices"

	"cw/perfcheck"
)

// matrix is the heat map of a test between pairs of hosts: the further a pair
// is behind the best, the stronger its colour.
type matrix struct {
	Caption string
	Names   []string
	Rows    []matrixRow
}

type matrixRow struct {
	Name  string
	Cells []cell
}

type cell struct {
	Text, Title string
	Self        bool    // from a host to itself
	Missing     bool    // not measured
	Heat        float64 // 0 for the best, 100 for half of the best or worse
	Verdict     verdict
}

// newMatrix is nil for what is not between at least three hosts.
func newMatrix(tests []*perfcheck.Test) *matrix {
	var names []string
	var metric perfcheck.Metric
	best, found := 0.0, false
	better := func(v float64) bool { return !found || (v > best) == (metric.Better == perfcheck.Higher) }
	for _, t := range tests {
		if t.Pair == nil {
			return nil
		}
		for _, n := range []string{t.Pair.From, t.Pair.To} {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		if m, ok := t.Metrics[t.Main]; ok && t.Verdict != perfcheck.Error {
			if metric = m; better(m.Value) {
				best, found = m.Value, true
			}
		}
	}
	if len(names) < 3 || !found {
		return nil
	}
	slices.Sort(names)
	out := &matrix{Caption: tests[0].Main + ", from the row's host to the column's; the stronger the colour, the further behind the best (" + perfcheck.FormatValue(best, metric.Unit) + ")", Names: names}
	for _, from := range names {
		row := matrixRow{Name: from}
		for _, to := range names {
			row.Cells = append(row.Cells, cellOf(tests, from, to, best))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func cellOf(tests []*perfcheck.Test, from, to string, best float64) cell {
	if from == to {
		return cell{Self: true}
	}
	i := slices.IndexFunc(tests, func(t *perfcheck.Test) bool { return t.Pair.From == from && t.Pair.To == to })
	if i < 0 {
		return cell{Missing: true, Title: from + " to " + to + ": not measured"}
	}
	t := tests[i]
	c := cell{Verdict: verdict(t.Verdict), Title: t.Where() + ": " + string(t.Verdict)}
	m, ok := t.Metrics[t.Main]
	if !ok || t.Verdict == perfcheck.Error {
		c.Text, c.Heat, c.Title = "✕", 100, c.Title+": "+t.Reason
		return c
	}
	c.Text = perfcheck.FormatValue(m.Value, m.Unit)
	c.Title += ", " + c.Text
	behind := 1.0 // share that is missing of the best
	switch {
	case m.Better == perfcheck.Lower && m.Value > 0:
		behind = 1 - best/m.Value
	case best > 0:
		behind = 1 - m.Value/best
	}
	c.Heat = 100 * min(1, max(0, 2*behind))
	return c
}
