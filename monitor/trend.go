package monitor

import (
	"slices"
	"time"
)

// Point is a value at a time.
type Point struct {
	At    time.Time `json:"at"`
	Value float64   `json:"value"`
}

// trendPoints is how many points are compared, each with each.
const trendPoints = 200

// Thin keeps at most n points, spread evenly.
func Thin(points []Point, n int) []Point {
	if len(points) <= n {
		return points
	}
	out := make([]Point, 0, n)
	for i := range n {
		out = append(out, points[i*(len(points)-1)/(n-1)])
	}
	return out
}

// Slope is Theil's and Sen's, the median of the slopes between all pairs of
// points, per second: a nightly clean-up or one large load does not turn it,
// as it would a line of least squares.
func Slope(points []Point) float64 {
	points = Thin(points, trendPoints)
	var slopes []float64
	for i, a := range points {
		for _, b := range points[i+1:] {
			if dt := b.At.Sub(a.At).Seconds(); dt > 0 {
				slopes = append(slopes, (b.Value-a.Value)/dt)
			}
		}
	}
	return Median(slopes)
}

// Median is the median, 0 of none. It sorts what it is given.
func Median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}
