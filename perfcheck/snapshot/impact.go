package snapshot

import (
	"math"

	"cw/perfcheck"
)

// Impact is what an experiment did to the probe.
type Impact struct {
	Before, During, After Latency
	// The rise of the response time from before to during, in seconds; never
	// below 0.
	DeltaP50, DeltaP99, DeltaMax float64
	Loss                         float64 // share of the throughput
	Stall                        float64 // seconds in windows with less than half of the throughput
	Gap                          float64 // longest time without a finished request
	Recover                      float64 // seconds after the end until it was as before for a second
	Recovered                    bool
	Achieved                     float64 // share of the wanted rate before
}

// Latency of one phase, in seconds.
type Latency struct {
	P50, P99, Max float64
	ServiceP99    float64
	Count         int64
}

func latency(r ProbeResult, phase string) Latency {
	var l Latency
	if h := r.Response[phase]; h != nil && h.Count() > 0 {
		l = Latency{P50: h.Quantile(0.5), P99: h.Quantile(0.99), Max: h.Max(), Count: h.Count()}
	}
	if h := r.Service[phase]; h != nil && h.Count() > 0 {
		l.ServiceP99 = h.Quantile(0.99)
	}
	return l
}

// calm is how long the probe must be as before to count as recovered.
const calm = 1.0

// ImpactOf sums up what a probe saw.
func ImpactOf(r ProbeResult) Impact {
	i := Impact{Before: latency(r, Before), During: latency(r, During), After: latency(r, After), Gap: r.Gap}
	i.DeltaP50 = max(0, i.During.P50-i.Before.P50)
	i.DeltaP99 = max(0, i.During.P99-i.Before.P99)
	i.DeltaMax = max(0, i.During.Max-i.Before.Max)
	first, last := r.window(r.Trigger), r.window(r.Done)
	before := counts(r.Windows[:first])
	usual := perfcheck.Median(before)
	if mean := average(before); usual > 0 {
		i.Achieved = mean / (r.Rate * r.Window)
	}
	// A window in which the snapshot began or ended is part of it, and what
	// had to wait is seen to have been done a little later.
	during := r.Windows[first:min(last+1, len(r.Windows))]
	for _, w := range during {
		if float64(w.Done) < usual/2 {
			i.Stall += r.Window
		}
	}
	if mean := average(counts(during)); usual > 0 && len(during) > 0 {
		i.Loss = min(max(0, 1-mean/average(before)), 1)
	}
	i.Recover, i.Recovered = r.recovery(min(last+1, len(r.Windows)), usual, i.Before)
	return i
}

// window is the index of the window that a moment is in.
func (r ProbeResult) window(at float64) int {
	return min(max(int(at/r.Window), 0), len(r.Windows))
}

// recovery is how long after the end the probe is disturbed: until a second
// begins in which no window is.
func (r ProbeResult) recovery(from int, usual float64, before Latency) (float64, bool) {
	need := int(math.Ceil(calm / r.Window))
	limit := max(before.P99, 2*before.P50, 0.001)
	quiet := 0
	for n, w := range r.Windows[from:] {
		if float64(w.Done) < usual/2 || w.P50 > limit {
			quiet = 0
			continue
		}
		if quiet++; quiet >= need {
			return float64(n+1-quiet) * r.Window, true
		}
	}
	return float64(len(r.Windows)-from) * r.Window, false
}

func counts(windows []Window) []float64 {
	out := make([]float64, len(windows))
	for i, w := range windows {
		out[i] = float64(w.Done)
	}
	return out
}

func average(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// perSecond makes the series of a report: finished requests a second.
func (r ProbeResult) perSecond() perfcheck.Series {
	s := perfcheck.Series{Name: "rate", Unit: perfcheck.PerSecond, Interval: 1, Values: []float64{}}
	per := max(int(math.Round(1/r.Window)), 1)
	for i := 0; i+per <= len(r.Windows); i += per {
		s.Values = append(s.Values, average(counts(r.Windows[i:i+per]))/r.Window)
	}
	return s
}

// worst makes the series of the longest response in each second.
func (r ProbeResult) worst() perfcheck.Series {
	s := perfcheck.Series{Name: "response_max", Unit: perfcheck.Seconds, Interval: 1, Values: []float64{}}
	per := max(int(math.Round(1/r.Window)), 1)
	for i := 0; i+per <= len(r.Windows); i += per {
		var v float64
		for _, w := range r.Windows[i : i+per] {
			v = max(v, w.Max)
		}
		s.Values = append(s.Values, v)
	}
	return s
}
