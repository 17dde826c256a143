package perfcheck

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// SweepPoint is one measurement of a sweep: what so many streams together
// carry, and how long the slowest of their requests take.
type SweepPoint struct {
	Streams float64
	Value   float64 // aggregate
	Noise   float64 // standard error of Value
	Tail    float64 // a high percentile of the latency; 0 is not known
	// TailNoise is the standard error of Tail.
	TailNoise float64
}

// Knee is where a sweep stops to be worth it.
type Knee struct {
	Streams float64
	Value   float64 // aggregate there
	// Open says that the last point was still worth it: the knee lies beyond
	// what was measured.
	Open bool
	// Low and High are the knees that the same sweep may have as far as its
	// noise can tell.
	Low, High float64
	Reason    string
}

// kneeSigmas is how far a gain must be above what is asked for to be believed.
const kneeSigmas = 2.0

// unknownTail is the standard error of a percentile, as a share of it, of
// which a single repetition is known.
const unknownTail = 0.15

// PerDoubling is the factor by which the aggregate must grow from one number
// of streams to another when every doubling is to add a share.
func PerDoubling(share float64) func(from, to float64) float64 {
	return func(from, to float64) float64 { return math.Pow(1+share, math.Log2(to/from)) }
}

// PerStream is the same when every single stream is to add a share.
func PerStream(share float64) func(from, to float64) float64 {
	return func(from, to float64) float64 { return 1 + share*(to-from) }
}

// FindKnee finds the knee of a sweep: the first point after which no later
// one carries as much more as worth asks, by more than the noise of both; or
// after which the tail doubles for good. That a single point is low or its
// tail long is not enough: all later ones must be. ok is false with fewer than
// two points.
func FindKnee(points []SweepPoint, worth func(from, to float64) float64) (k Knee, ok bool) {
	points = slices.Clone(points)
	slices.SortFunc(points, func(a, b SweepPoint) int { return cmp.Compare(a.Streams, b.Streams) })
	points = slices.DeleteFunc(points, func(p SweepPoint) bool { return p.Value <= 0 || p.Streams <= 0 })
	if len(points) < 2 {
		return k, false
	}
	at, tail := kneeAt(points, worth, kneeSigmas)
	k.Streams, k.Value = points[at].Streams, points[at].Value
	late, _ := kneeAt(points, worth, -kneeSigmas)
	middle, _ := kneeAt(points, worth, 0)
	k.Low = min(k.Streams, points[middle].Streams)
	k.High = max(points[late].Streams, points[middle].Streams, k.Streams)
	switch {
	case at == len(points)-1:
		k.Open = true
		k.Reason = fmt.Sprintf("still worth it at %g, the most that was measured", k.Streams)
	case tail:
		k.Reason = fmt.Sprintf("beyond %g the slowest requests take twice as long", k.Streams)
	default:
		next := points[at+1]
		k.Reason = fmt.Sprintf("from %g to %g the aggregate changes by %+.1f %%", k.Streams, next.Streams, 100*(next.Value/points[at].Value-1))
	}
	if k.High > k.Low {
		k.Reason += fmt.Sprintf("; the noise allows %g to %g", k.Low, k.High)
	}
	return k, true
}

// kneeAt is the index of the knee when gains must be believed by so many
// standard errors; tail says that the latency decided.
func kneeAt(points []SweepPoint, worth func(from, to float64) float64, sigmas float64) (at int, tail bool) {
	for i := range points[:len(points)-1] {
		if tailDoubles(points, i, sigmas) {
			return i, true
		}
		if !slices.ContainsFunc(points[i+1:], func(later SweepPoint) bool {
			gain := later.Value / points[i].Value
			chance := gain * math.Hypot(later.Noise/later.Value, points[i].Noise/points[i].Value)
			return gain-sigmas*chance > worth(points[i].Streams, later.Streams)
		}) {
			return i, false
		}
	}
	return len(points) - 1, false
}

// tailDoubles says whether the tail is at least twice as long at every later
// point.
func tailDoubles(points []SweepPoint, i int, sigmas float64) bool {
	if points[i].Tail <= 0 {
		return false
	}
	for _, later := range points[i+1:] {
		if later.Tail <= 0 {
			return false
		}
		ratio := later.Tail / points[i].Tail
		if ratio-max(sigmas, 0)*ratio*math.Hypot(later.TailNoise/later.Tail, points[i].TailNoise/points[i].Tail) < 2 {
			return false
		}
	}
	return true
}

// SweepPointOf reads a point out of a result. The noise of its value is that
// of the repetitions or of the seconds of the series, whichever is more: both
// are taken from the median absolute deviation, which a single slow second
// does not move. ok is false when the result has no value that can be
// believed.
func SweepPointOf(t *Test, streams float64, value, tail string) (p SweepPoint, ok bool) {
	m, ok := t.Metrics[value]
	if !ok || m.Value <= 0 || t.Verdict == Error {
		return p, false
	}
	p = SweepPoint{Streams: streams, Value: m.Value}
	if n := float64(len(m.Reps)); n >= 2 {
		p.Noise = medianError * max(madToSigma*mad(m.Reps), deviation(m.Reps)/2) / math.Sqrt(n)
	} else if n == 0 && m.N >= 2 { // a baseline's, which has no repetitions
		p.Noise = medianError * madToSigma * m.MAD / math.Sqrt(float64(m.N))
	}
	for _, s := range t.Series {
		if s.Name != value || len(s.Values) < 2 {
			continue
		}
		p.Noise = max(p.Noise, medianError*madToSigma*mad(s.Values)/math.Sqrt(float64(len(s.Values)*max(m.N, 1))))
	}
	if x, known := t.Metrics[tail]; known && x.Value > 0 {
		p.Tail, p.TailNoise = x.Value, unknownTail*x.Value
		if n := float64(len(x.Reps)); n >= 3 {
			p.TailNoise = medianError * max(madToSigma*mad(x.Reps), deviation(x.Reps)/2) / math.Sqrt(n)
		}
	}
	return p, true
}
