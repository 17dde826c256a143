// Package chart draws the charts of cw's pages: inline SVG whose colours come
// from the page's style, so that light and dark both fit, and the style that
// the pages have in common. It is a leaf; what is drawn is the callers'.
package chart

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"cw/template"
)

// The size of a chart in its own units: as wide as a small telephone, so that
// its text is never scaled down to be illegible.
const (
	Width  = 360.0
	Height = 190.0
)

// The plot in it, between the marks of its axes.
const (
	Left   = 58.0
	Right  = 350.0
	Top    = 12.0
	Bottom = 160.0
)

// Drawing is an SVG that is being written.
type Drawing struct{ b strings.Builder }

// New begins a drawing; label says what it shows to those who do not see it.
func New(w, h float64, class, label string) *Drawing {
	d := &Drawing{}
	fmt.Fprintf(&d.b, `<svg class="%s" viewBox="0 0 %g %g" role="img" aria-label="%s">`, class, w, h, html.EscapeString(label))
	return d
}

// HTML ends the drawing.
func (d *Drawing) HTML() template.Trusted {
	d.b.WriteString("</svg>")
	return template.Trusted(d.b.String()) // every text in it is escaped
}

// Line draws a straight line.
func (d *Drawing) Line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

// Text writes a text; anchor is start, middle or end.
func (d *Drawing) Text(x, y float64, anchor, text string) {
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(text))
}

// Dot draws a dot that says title under the mouse.
func (d *Drawing) Dot(class string, x, y, r float64, title string) {
	fmt.Fprintf(&d.b, `<circle class="%s" cx="%.1f" cy="%.1f" r="%g"><title>%s</title></circle>`, class, x, y, r, html.EscapeString(title))
}

// Span shades a stretch of time.
func (d *Drawing) Span(from, to float64, kind string) {
	fmt.Fprintf(&d.b, `<rect class="span" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`, from, Top, max(1, to-from), Bottom-Top, html.EscapeString(kind))
}

// Point is a place, or a pair of values.
type Point struct{ X, Y float64 }

// Bar draws a bar from left to right that says title under the mouse.
func (d *Drawing) Bar(class string, x, y, w, h float64, title string) {
	fmt.Fprintf(&d.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`, class, x, y, max(0.5, w), h, html.EscapeString(title))
}

// Path draws a line through points.
func (d *Drawing) Path(class string, points []Point, title string) {
	fmt.Fprintf(&d.b, `<path class="%s" d="`, class)
	for i, p := range points {
		op := 'L'
		if i == 0 {
			op = 'M'
		}
		fmt.Fprintf(&d.b, "%c%.1f %.1f", op, p.X, p.Y)
	}
	fmt.Fprintf(&d.b, `"><title>%s</title></path>`, html.EscapeString(title))
}

// Axis maps values to places and knows where its marks are.
type Axis struct {
	Low, High float64 // of the values; logarithms when Log
	From, To  float64 // places
	Log       bool
	Marks     []float64
	Format    func(float64) string
}

// At is the place of a value; what is beyond the axis is at its end.
func (a *Axis) At(v float64) float64 {
	if a.Log {
		v = math.Log10(max(v, 1e-12))
	}
	if a.High == a.Low {
		return a.From
	}
	share := min(1, max(0, (v-a.Low)/(a.High-a.Low)))
	return a.From + share*(a.To-a.From)
}

// Linear is an axis from zero to a round number above high.
func Linear(high, from, to float64, format func(float64) string) *Axis {
	step := roundStep(high / 4)
	a := &Axis{From: from, To: to, Format: format, High: step * math.Ceil(high/step*0.999)}
	for v := 0.0; v <= a.High*1.0001; v += step {
		a.Marks = append(a.Marks, v)
	}
	return a
}

// roundStep is 1, 2 or 5 times a power of ten, at least v.
func roundStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*0.999 {
			return m * p
		}
	}
	return 10 * p
}

// Logarithmic is an axis over whole decades around low and high.
func Logarithmic(low, high, from, to float64, format func(float64) string) *Axis {
	a := &Axis{Log: true, From: from, To: to, Format: format, Low: math.Floor(math.Log10(low)), High: math.Ceil(math.Log10(high) - 1e-9)}
	if a.High <= a.Low {
		a.High = a.Low + 1
	}
	step := math.Ceil((a.High - a.Low) / 5)
	for e := a.Low; e <= a.High; e += step {
		a.Marks = append(a.Marks, math.Pow(10, e))
	}
	return a
}

// Frame draws the grid and the marks of both axes.
func (d *Drawing) Frame(x, y *Axis) {
	for _, m := range y.Marks {
		d.Line("grid", Left, y.At(m), Right, y.At(m))
		d.Text(Left-5, y.At(m)+3.5, "end", y.Format(m))
	}
	d.Line("axis", Left, Bottom, Right, Bottom)
	for i, m := range x.Marks {
		anchor := "middle"
		if i == len(x.Marks)-1 && x.At(m) > Right-12 {
			anchor = "end"
		}
		d.Line("axis", x.At(m), Bottom, x.At(m), Bottom+3)
		d.Text(x.At(m), Bottom+14, anchor, x.Format(m))
	}
}

// mostPoints is how many points a line of a chart has at most: more than the
// chart has places for.
const mostPoints = 400

// Thin keeps of every few points the least and the greatest, so that no stall
// and no peak is lost from a long series.
func Thin(points []Point) []Point {
	if len(points) <= mostPoints {
		return points
	}
	per := 2 * (len(points) + mostPoints - 1) / mostPoints
	var out []Point
	for part := range slices.Chunk(points, per) {
		low, high := 0, 0
		for i, p := range part {
			if p.Y < part[low].Y {
				low = i
			}
			if p.Y > part[high].Y {
				high = i
			}
		}
		out = append(out, part[min(low, high)])
		if low != high {
			out = append(out, part[max(low, high)])
		}
	}
	return out
}
