package html

import (
	"fmt"
	"slices"
	"strconv"

	"cw/chart"
	"cw/perfcheck"
	"cw/template"
)

// curve is a line of a chart.
type curve struct {
	name   string
	class  string
	points []chart.Point // in the values' units
	events []perfcheck.Event
}

// overTime draws the series of a test, one chart for each quantity, a line for
// each place.
func (g *group) overTime() []figure {
	var names []string
	for _, t := range g.tests {
		for _, s := range t.Series {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	var out []figure
	for _, name := range names {
		curves, unit := seriesOf(g.tests, name)
		old, _ := seriesOf(g.earlier, name)
		if len(curves) == 0 {
			continue
		}
		legends := colour(curves, lowest)
		for i := range old {
			old[i].class = "line earlier"
			old[i].name += " (earlier run)"
			old[i].events = nil
		}
		if len(old) > 0 {
			legends = append(legends, legend{"earlier", "earlier run"})
		}
		out = append(out, figure{
			Caption: fmt.Sprintf("%s over time, %s", name, unitText(unit)), Legend: legends,
			SVG: drawSeries(append(old, curves...), unit, g.ID+": "+name+" over time"),
		})
	}
	return out
}

// seriesOf are the lines of one quantity that have at least two points.
func seriesOf(tests []*perfcheck.Test, name string) (out []curve, unit string) {
	for _, t := range tests {
		for _, s := range t.Series {
			if s.Name != name || len(s.Values) < 2 {
				continue
			}
			c := curve{name: t.Where(), events: t.Events}
			for i, v := range s.Values {
				c.points = append(c.points, chart.Point{X: (float64(i) + 0.5) * s.Interval, Y: v})
			}
			out, unit = append(out, c), s.Unit
		}
	}
	return out, unit
}

// lowest is the curve with the lowest mean, which is what catches the eye when
// there are too many for colours of their own.
func lowest(curves []curve) int { return extreme(curves, -1) }

func highest(curves []curve) int { return extreme(curves, 1) }

func extreme(curves []curve, sign float64) int {
	best, at := 0.0, 0
	for i, c := range curves {
		sum := 0.0
		for _, p := range c.points {
			sum += p.Y
		}
		if v := sign * sum / float64(len(c.points)); i == 0 || v > best {
			best, at = v, i
		}
	}
	return at
}

// colour gives each curve a colour, or where they are many one of them.
func colour(curves []curve, which func([]curve) int) []legend {
	if len(curves) <= mostPlaces {
		var out []legend
		for i := range curves {
			class := "s" + strconv.Itoa(i+1)
			curves[i].class = "line " + class
			out = append(out, legend{class, curves[i].name})
		}
		if len(curves) == 1 && curves[0].name == "" {
			return nil
		}
		return out
	}
	for i := range curves {
		curves[i].class = "line many"
	}
	w := which(curves)
	curves[w].class = "line s2"
	out := []legend{{"s2", curves[w].name}, {"many", fmt.Sprintf("the other %d", len(curves)-1)}}
	curves[w], curves[len(curves)-1] = curves[len(curves)-1], curves[w] // drawn last, on top
	return out
}

func drawSeries(curves []curve, unit, label string) template.Trusted {
	var width, high float64
	for _, c := range curves {
		for _, p := range c.points {
			width, high = max(width, p.X), max(high, p.Y)
		}
	}
	d := chart.New(chart.Width, chart.Height, "chart", label)
	x := chart.Linear(width, chart.Left, chart.Right, func(v float64) string { return clockText(v, width) })
	x.High = width // the marks are round, the end is the data's
	x.Marks = slices.DeleteFunc(x.Marks, func(m float64) bool { return m > width*1.001 })
	y := chart.Linear(high, chart.Bottom, chart.Top, func(v float64) string { return perfcheck.FormatValue(v, unit) })
	for _, c := range curves {
		for _, e := range c.events {
			if e.Length > 0 {
				d.Span(x.At(e.At), x.At(e.At+e.Length), e.Kind)
			}
		}
	}
	d.Frame(x, y)
	d.Text(chart.Right, chart.Height-2, "end", "time")
	for _, c := range curves {
		var points []chart.Point
		for _, p := range chart.Thin(c.points) {
			points = append(points, chart.Point{X: x.At(p.X), Y: y.At(p.Y)})
		}
		d.Path(c.class, points, c.name)
		for _, e := range c.events {
			at := x.At(e.At)
			d.Line("event", at, chart.Top, at, chart.Bottom)
			d.Dot("event", at, chart.Top, 4, fmt.Sprintf("%s, %s after %s: %s", c.name, e.Kind, clockText(e.At, e.At), e.Text))
		}
	}
	return d.HTML()
}

// clockText writes a time since the beginning, in the unit that fits the whole.
func clockText(seconds, whole float64) string {
	if whole >= 600 {
		return strconv.FormatFloat(seconds/60, 'f', -1, 64) + " min"
	}
	return strconv.FormatFloat(seconds, 'f', -1, 64) + " s"
}

// unitText names a unit in a caption.
func unitText(unit string) string {
	switch unit {
	case perfcheck.BytesPerSecond:
		return "bytes per second"
	case perfcheck.PerSecond:
		return "per second"
	case perfcheck.Seconds:
		return "seconds"
	}
	return unit
}
