package perfcheck

import (
	"math"
	"math/rand/v2"
	"testing"
)

// curve makes the points of a machine that carries at most limit, each stream
// at most one: n seconds of a series with noise, of which the median counts.
func curve(rng *rand.Rand, one, limit, noise float64, seconds int) []SweepPoint {
	var out []SweepPoint
	for _, k := range []float64{1, 2, 4, 8, 16, 32, 64} {
		level := math.Min(k*one, limit)
		values := make([]float64, seconds)
		for i := range values {
			values[i] = level * math.Max(0.05, 1+noise*rng.NormFloat64())
			if rng.Float64() < 0.05 { // a neighbour is at it
				values[i] *= 0.4
			}
		}
		t := Test{Metrics: map[string]Metric{"throughput": newMetric(MetricDef{Unit: BytesPerSecond, Better: Higher}, []float64{median(values)})}, Series: []Series{{Name: "throughput", Interval: 1, Values: values}}}
		p, ok := SweepPointOf(&t, k, "throughput", "p99")
		if !ok {
			panic("no point")
		}
		// In a closed loop what is queued waits.
		p.Tail = math.Max(1, k*one/limit) * 0.01 * math.Exp(0.1*rng.NormFloat64())
		p.TailNoise = unknownTail * p.Tail
		out = append(out, p)
	}
	return out
}

func TestKneeOfNoisyCurves(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, noise, want float64
		open               bool
	}{
		{100, 0.02, 1, false},
		{100, 0.15, 1, false},
		{400, 0, 4, false},
		{400, 0.05, 4, false},
		{400, 0.15, 4, false},
		{400, 0.30, 4, false},
		{1600, 0.15, 16, false},
		{1e6, 0.15, 64, true},
	} {
		rng := rand.New(rand.NewPCG(7, 11))
		wrong := 0
		const rounds = 300
		for range rounds {
			k, ok := FindKnee(curve(rng, 100, c.limit, c.noise, 60), PerDoubling(0.05))
			if !ok {
				t.Fatal("no knee of seven points")
			}
			if k.Streams != c.want || k.Open != c.open {
				wrong++
			}
			if k.Low > k.Streams || k.High < k.Streams || k.Reason == "" {
				t.Fatalf("%+v", k)
			}
		}
		if wrong > rounds*4/100 {
			t.Errorf("limit %g, noise %g: %d of %d knees are not at %g", c.limit, c.noise, wrong, rounds, c.want)
		}
	}
}

func TestKnee(t *testing.T) {
	t.Parallel()
	flat := func(values ...float64) (points []SweepPoint) {
		for i, v := range values {
			points = append(points, SweepPoint{Streams: math.Exp2(float64(i)), Value: v})
		}
		return points
	}
	tails := func(points []SweepPoint, tails ...float64) []SweepPoint {
		for i, v := range tails {
			points[i].Tail = v
		}
		return points
	}
	for name, c := range map[string]struct {
		points []SweepPoint
		worth  func(from, to float64) float64
		want   float64
		open   bool
		none   bool
	}{
		"one point":                    {points: flat(1), worth: PerDoubling(.05), none: true},
		"nothing moved":                {points: flat(0, 0, 0), worth: PerDoubling(.05), none: true},
		"one point is low":             {points: flat(100, 200, 120, 400, 400), worth: PerDoubling(.05), want: 8},
		"slower at the end":            {points: flat(100, 200, 150, 120), worth: PerDoubling(.05), want: 2},
		"four percent per doubling":    {points: flat(100, 104, 108.1, 112.4), worth: PerDoubling(.05), want: 1},
		"six percent per doubling":     {points: flat(100, 106, 112.4, 119.1), worth: PerDoubling(.05), want: 8, open: true},
		"per stream":                   {points: flat(100, 140, 160, 170), worth: PerStream(.05), want: 4},
		"the tail doubles for good":    {points: tails(flat(100, 200, 400, 800), 1, 1, 3, 4), worth: PerDoubling(.05), want: 2},
		"the tail is long at one only": {points: tails(flat(100, 200, 400, 800), 1, 5, 1, 1), worth: PerDoubling(.05), want: 8, open: true},
		"a gain within the noise":      {points: []SweepPoint{{Streams: 1, Value: 100, Noise: 10}, {Streams: 2, Value: 112, Noise: 10}}, worth: PerDoubling(.05), want: 1},
	} {
		k, ok := FindKnee(c.points, c.worth)
		if ok == c.none || k.Streams != c.want || k.Open != c.open {
			t.Errorf("%s: %+v, %v", name, k, ok)
		}
	}
	if k, _ := FindKnee([]SweepPoint{{Streams: 1, Value: 100, Noise: 10}, {Streams: 2, Value: 112, Noise: 10}}, PerDoubling(.05)); k.High != 2 {
		t.Errorf("what the noise allows is not said: %+v", k)
	}
}
