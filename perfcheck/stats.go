package perfcheck

import (
	"math"
	"slices"
)

// madToSigma turns a median absolute deviation into the standard deviation of
// a normal distribution with the same one.
const madToSigma = 1.4826

// medianError is by how much the median of many normal values varies more
// than their mean: the square root of π/2.
const medianError = 1.2533

// median is the middle of the values, 0 of none; the values stay as they are.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// mad is the median absolute deviation from the median, not scaled.
func mad(values []float64) float64 {
	m := median(values)
	deviations := make([]float64, len(values))
	for i, v := range values {
		deviations[i] = math.Abs(v - m)
	}
	return median(deviations)
}

func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// deviation is the sample's standard deviation; 0 of fewer than two values.
func deviation(values []float64) float64 {
	if len(values) < 2 {
		return 0
	}
	m := mean(values)
	var sum float64
	for _, v := range values {
		sum += (v - m) * (v - m)
	}
	return math.Sqrt(sum / float64(len(values)-1))
}

// sigma estimates the standard deviation of the repetitions. With few values
// the robust estimate is often far too small by chance, so the plain one has
// its say as well.
func sigma(values []float64) float64 {
	if len(values) < 6 {
		return deviation(values)
	}
	return (deviation(values) + madToSigma*mad(values)) / 2
}

// finite tells a number that a measurement may yield from what a division by
// nothing does.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// newMetric sums the repetitions of one metric up.
func newMetric(def MetricDef, reps []float64) Metric {
	m := Metric{Unit: def.Unit, Better: def.Better, N: len(reps), Median: median(reps), MAD: mad(reps), Reps: reps}
	m.Value = m.Median
	if def.Worst && len(reps) > 0 {
		if m.Value = slices.Max(reps); def.Better == Higher {
			m.Value = slices.Min(reps)
		}
	}
	if avg := mean(reps); avg != 0 {
		m.CV = deviation(reps) / math.Abs(avg)
	}
	return m
}

// Median is the middle of some values; 0 of none.
func Median(values []float64) float64 { return median(values) }
