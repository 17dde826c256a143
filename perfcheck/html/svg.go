package html

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// The size of a chart in its own units: as wide as a small telephone, so that
// its text is never scaled down to be illegible.
const (
	chartWidth, chartHeight               = 360.0, 190.0
	plotLeft, plotRight, plotTop, plotEnd = 58.0, 350.0, 12.0, 160.0
)

// drawing is an SVG that is being written.
type drawing struct{ b strings.Builder }

func newDrawing(w, h float64, class, label string) *drawing {
	d := &drawing{}
	fmt.Fprintf(&d.b, `<svg class="%s" viewBox="0 0 %g %g" role="img" aria-label="%s">`, class, w, h, template.HTMLEscapeString(label))
	return d
}

func (d *drawing) html() template.HTML {
	d.b.WriteString("</svg>")
	return template.HTML(d.b.String()) //nolint:gosec // every text in it is escaped
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

func (d *drawing) text(x, y float64, anchor, text string) {
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, template.HTMLEscapeString(text))
}

func (d *drawing) dot(class string, x, y, r float64, title string) {
	fmt.Fprintf(&d.b, `<circle class="%s" cx="%.1f" cy="%.1f" r="%g"><title>%s</title></circle>`, class, x, y, r, template.HTMLEscapeString(title))
}

// span shades a stretch of time.
func (d *drawing) span(from, to float64, kind string) {
	fmt.Fprintf(&d.b, `<rect class="span" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s</title></rect>`, from, plotTop, max(1, to-from), plotEnd-plotTop, template.HTMLEscapeString(kind))
}

type point struct{ x, y float64 }

func (d *drawing) path(class string, points []point, title string) {
	fmt.Fprintf(&d.b, `<path class="%s" d="`, class)
	for i, p := range points {
		op := 'L'
		if i == 0 {
			op = 'M'
		}
		fmt.Fprintf(&d.b, "%c%.1f %.1f", op, p.x, p.y)
	}
	fmt.Fprintf(&d.b, `"><title>%s</title></path>`, template.HTMLEscapeString(title))
}

// axis maps values to places and knows where its marks are.
type axis struct {
	low, high float64 // of the values; logarithms when log
	from, to  float64 // places
	log       bool
	marks     []float64
	format    func(float64) string
}

func (a *axis) at(v float64) float64 {
	if a.log {
		v = math.Log10(max(v, 1e-12))
	}
	if a.high == a.low {
		return a.from
	}
	share := min(1, max(0, (v-a.low)/(a.high-a.low)))
	return a.from + share*(a.to-a.from)
}

// linear is an axis from zero to a round number above high.
func linear(high, from, to float64, format func(float64) string) *axis {
	step := roundStep(high / 4)
	a := &axis{from: from, to: to, format: format, high: step * math.Ceil(high/step*0.999)}
	for v := 0.0; v <= a.high*1.0001; v += step {
		a.marks = append(a.marks, v)
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

// logarithmic is an axis over whole decades around low and high.
func logarithmic(low, high, from, to float64, format func(float64) string) *axis {
	a := &axis{log: true, from: from, to: to, format: format, low: math.Floor(math.Log10(low)), high: math.Ceil(math.Log10(high) - 1e-9)}
	if a.high <= a.low {
		a.high = a.low + 1
	}
	step := math.Ceil((a.high - a.low) / 5)
	for e := a.low; e <= a.high; e += step {
		a.marks = append(a.marks, math.Pow(10, e))
	}
	return a
}

// frame draws the grid and the marks of both axes.
func (d *drawing) frame(x, y *axis) {
	for _, m := range y.marks {
		d.line("grid", plotLeft, y.at(m), plotRight, y.at(m))
		d.text(plotLeft-5, y.at(m)+3.5, "end", y.format(m))
	}
	d.line("axis", plotLeft, plotEnd, plotRight, plotEnd)
	for i, m := range x.marks {
		anchor := "middle"
		if i == len(x.marks)-1 && x.at(m) > plotRight-12 {
			anchor = "end"
		}
		d.line("axis", x.at(m), plotEnd, x.at(m), plotEnd+3)
		d.text(x.at(m), plotEnd+14, anchor, x.format(m))
	}
}
