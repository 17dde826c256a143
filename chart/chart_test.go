package chart

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Thinning keeps the greatest and the least of every stretch.
func TestThinKeepsPeaks(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{10, 399, 400, 401, 3600, 7201} {
		var points []Point
		for i := range n {
			points = append(points, Point{X: float64(i), Y: rng.Float64()})
		}
		points[n/2].Y, points[n/3].Y = 7, -7
		got := Thin(points)
		if len(got) > 402 || !slices.ContainsFunc(got, func(p Point) bool { return p.Y == 7 }) || !slices.ContainsFunc(got, func(p Point) bool { return p.Y == -7 }) {
			t.Errorf("%d points became %d", n, len(got))
		}
		if !slices.IsSortedFunc(got, func(a, b Point) int { return int(a.X - b.X) }) {
			t.Errorf("%d points are out of order", n)
		}
	}
}

// Marks are round, begin at zero and end at or beyond the greatest value; what
// is beyond an axis stays in the plot.
func TestAxes(t *testing.T) {
	t.Parallel()
	for _, high := range []float64{0.003, 1, 7, 99, 100, 12345, 8e12} {
		a := Linear(high, Bottom, Top, func(float64) string { return "" })
		if a.Marks[0] != 0 || len(a.Marks) < 3 || len(a.Marks) > 7 || a.High < high*0.998 {
			t.Errorf("%g: %+v", high, a)
		}
		if a.At(0) != Bottom || a.At(-5) != Bottom || a.At(10*a.High) != Top {
			t.Errorf("%g is at %g, %g, %g", high, a.At(0), a.At(-5), a.At(10*a.High))
		}
	}
	l := Logarithmic(0.002, 30, Bottom, Top, nil)
	if l.At(0.001) != Bottom || l.At(100) != Top || math.Abs(l.At(math.Sqrt(0.001*100))-(Bottom+Top)/2) > 1e-6 {
		t.Errorf("%+v", l)
	}
}

// No text gets out of its element.
func TestTextIsEscaped(t *testing.T) {
	t.Parallel()
	const evil = `</svg><script>"x"</script>`
	d := New(1, 1, "chart", evil)
	d.Text(0, 0, "end", evil)
	d.Dot("a", 0, 0, 1, evil)
	d.Bar("a", 0, 0, 1, 1, evil)
	d.Path("a", []Point{{1, 2}, {3, 4}}, evil)
	d.Span(0, 1, evil)
	got := string(d.HTML())
	if strings.Contains(got, "<script") || strings.Count(got, "</svg>") != 1 || strings.Contains(got, `"x"`) {
		t.Error(got)
	}
}
