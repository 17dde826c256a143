package html

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cw/chart"
	"cw/perfcheck"
	"cw/template"
)

// latencies draws the percentiles of every histogram of a test: how long all
// but the slowest took, the tail stretched so that it can be read.
func (g *group) latencies() []figure {
	names := map[string]bool{}
	for _, t := range g.tests {
		for name := range t.Histograms {
			names[name] = true
		}
	}
	var out []figure
	for _, name := range slices.Sorted(maps.Keys(names)) {
		base, phase, _ := cutLast(name)
		if names[base+"_"+before] && names[base+"_"+during] && names[base+"_"+after] {
			if phase == before { // one chart for the three
				out = append(out, g.phases(base))
			}
			continue
		}
		curves := percentilesOf(g.tests, name)
		if len(curves) == 0 {
			continue
		}
		legends := colour(curves, highest)
		old := percentilesOf(g.earlier, name)
		for i := range old {
			old[i].class = "line earlier"
			old[i].name += " (earlier run)"
		}
		if len(old) > 0 {
			legends = append(legends, legend{"earlier", "earlier run"})
		}
		out = append(out, figure{
			Caption: name + " latency by percentile", Legend: legends,
			SVG: drawPercentiles(append(old, curves...), g.ID+": "+name+" latency by percentile"),
		})
	}
	return out
}

// The ends of the names of what was measured before, during and after
// something happened.
const before, during, after = "before", "during", "after"

// cutLast parts a name at its last underscore.
func cutLast(name string) (base, end string, ok bool) {
	i := strings.LastIndexByte(name, '_')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// phases draws a latency before, during and after in one chart, all places
// together.
func (g *group) phases(base string) figure {
	c := figure{Caption: base + " latency by percentile: before, during and after"}
	var curves []curve
	for i, phase := range []string{before, during, after} {
		all := perfcheck.NewHistogram()
		for _, t := range g.tests {
			if h := t.Histograms[base+"_"+phase]; h != nil {
				all.Merge(h)
			}
		}
		class := "s" + strconv.Itoa(i+1)
		for _, one := range percentilesOf([]*perfcheck.Test{{Histograms: map[string]*perfcheck.Histogram{base: all}}}, base) {
			one.name, one.class = phase, "line "+class
			curves, c.Legend = append(curves, one), append(c.Legend, legend{class, phase})
		}
	}
	c.SVG = drawPercentiles(curves, g.ID+": "+c.Caption)
	return c
}

// median is where the curves begin: the faster half is of no interest.
const median = 0.5

// nines are the marked percentiles: each lies as far from the one before as
// its share of slower ones is ten times less.
var nines = []float64{median, 0.9, 0.99, 0.999, 0.9999, 0.99999} //nolint:gochecknoglobals // constant table

// tail is where a percentile lies on the stretched axis.
func tail(q float64) float64 { return -math.Log10(1 - q) }

// percentilesOf are the curves: points of stretched percentile and seconds.
func percentilesOf(tests []*perfcheck.Test, name string) []curve {
	var out []curve
	for _, t := range tests {
		h := t.Histograms[name]
		if h == nil || h.Count() < 2 {
			continue
		}
		c := curve{name: t.Where()}
		end := tail(1 - 1/float64(h.Count()))
		begin := tail(median)
		const steps = 60
		for i := range steps + 1 {
			at := begin + (end-begin)*float64(i)/steps
			c.points = append(c.points, chart.Point{X: at, Y: max(h.Quantile(1-math.Pow(10, -at)), 1e-9)})
		}
		c.points = append(c.points, chart.Point{X: end, Y: max(h.Max(), 1e-9)})
		out = append(out, c)
	}
	return out
}

func drawPercentiles(curves []curve, label string) template.Trusted {
	low, high, end := math.Inf(1), 0.0, 0.0
	if len(curves) == 0 {
		return ""
	}
	for _, c := range curves {
		for _, p := range c.points {
			low, high, end = min(low, p.Y), max(high, p.Y), max(end, p.X)
		}
	}
	d := chart.New(chart.Width, chart.Height, "chart", label)
	x := &chart.Axis{Low: tail(median), High: end, From: chart.Left, To: chart.Right}
	for _, q := range nines {
		if tail(q) <= end*1.001 {
			x.Marks = append(x.Marks, tail(q))
		}
	}
	x.Format = func(at float64) string {
		for _, q := range nines {
			if math.Abs(tail(q)-at) < 1e-9 {
				return fmt.Sprintf("p%g", math.Round(q*1e7)/1e5)
			}
		}
		return ""
	}
	y := chart.Logarithmic(low, high, chart.Bottom, chart.Top, func(v float64) string { return perfcheck.FormatValue(v, perfcheck.Seconds) })
	d.Frame(x, y)
	d.Text(chart.Right, chart.Height-2, "end", "percentile")
	for _, c := range curves {
		var points []chart.Point
		for _, p := range c.points {
			points = append(points, chart.Point{X: x.At(p.X), Y: y.At(p.Y)})
		}
		d.Path(c.class, points, c.name)
	}
	return d.HTML()
}

// strip shows the main metric of all places as dots on one line from zero.
func (g *group) strip() template.Trusted {
	all, m := values(g.tests)
	if len(all) < 2 {
		return ""
	}
	high := slices.Max(all)
	if high <= 0 {
		return ""
	}
	const width, middle, margin = 160.0, 8.0, 5.0
	d := chart.New(width, 2*middle, "strip", "by place, from 0 to "+perfcheck.FormatValue(high, m.Unit))
	d.Line("axis", margin, middle, width-margin, middle)
	for _, t := range g.tests {
		if m, ok := t.Metrics[t.Main]; ok {
			at := margin + max(0, m.Value)/high*(width-2*margin)
			d.Dot("v-"+string(t.Verdict), at, middle, 4, t.Where()+": "+perfcheck.FormatValue(m.Value, m.Unit))
		}
	}
	return d.HTML()
}
