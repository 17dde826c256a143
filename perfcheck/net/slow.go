package net

import (
	"cmp"
	"math"
	"slices"

	"cw/perfcheck"
)

// SlowPair is a pair that is clearly slower than the others.
type SlowPair struct {
	Pair  perfcheck.PairOf `json:"pair"`
	Rate  float64          `json:"rate"`  // what was given to SlowPairs
	Usual float64          `json:"usual"` // the median of the pairs that are not slow
	Ratio float64          `json:"ratio"` // Rate ÷ Usual
}

// The thresholds of SlowPairs.
const (
	noGood     = 0.9  // gpcheckperf's word: below nine tenths
	outlier    = 4.5  // modified z-score; the usual 3.5 is met by mere noise in one of 100 runs on 4 hosts
	leastMAD   = 0.01 // of the median: identical values would make anything an outlier
	fastest    = 1.5  // the fastest value's distance from the median, in spreads
	far        = 0.5  // of the median: low enough to be held against the spread of the logarithms
	hopeless   = 0.2  // of the median: no noise explains that
	split      = 0.75 // a group below this part of the others' slowest is another group
	splitFew   = 0.67 // the same where three values or fewer are all there is
	splitTight = 3.0  // the gap is so many times the spread of the group above it
)

// SlowPairs finds the pairs whose rate is clearly below the others', slowest
// first: below nine tenths of the median and an outlier by the median
// absolute deviation; or, where the median itself may lie in between because
// up to half of the pairs are slow, a group of their own below a wide gap.
// When all are equally slow, none is: that is for a baseline to say.
func SlowPairs(rates map[perfcheck.PairOf]float64) []SlowPair {
	all := make([]SlowPair, 0, len(rates))
	for p, r := range rates {
		all = append(all, SlowPair{Pair: p, Rate: r})
	}
	slices.SortFunc(all, func(a, b SlowPair) int {
		return cmp.Or(cmp.Compare(a.Rate, b.Rate), cmp.Compare(a.Pair.From, b.Pair.From), cmp.Compare(a.Pair.To, b.Pair.To))
	})
	values := make([]float64, len(all))
	for i := range all {
		values[i] = all[i].Rate
	}
	n := max(outliers(values), farBelow(values), lowerGroup(values))
	if n == 0 {
		return nil
	}
	usual := median(values[n:])
	slow := all[:n]
	for i := range slow {
		slow[i].Usual = usual
		slow[i].Ratio = slow[i].Rate / usual
	}
	return slow
}

// outliers is how many of the sorted values are below the rest by the MAD.
func outliers(sorted []float64) int {
	if len(sorted) < 3 {
		return 0
	}
	m := median(sorted)
	dev := make([]float64, len(sorted))
	for i, v := range sorted {
		dev[i] = math.Abs(v - m)
	}
	slices.Sort(dev)
	// A few values may lie close together by chance: how far the fastest is
	// above the median says, too, how wide the usual spread is.
	mad := max(median(dev), (sorted[len(sorted)-1]-m)/fastest, leastMAD*m)
	n := 0
	for n < len(sorted) && sorted[n] < noGood*m && 0.6745*(m-sorted[n])/mad > outlier {
		n++
	}
	return n
}

// farBelow is how many of the sorted values are below the rest by the MAD of
// the logarithms. Where the others differ by factors, as on busy hosts, the
// MAD itself is so wide that next to nothing would be within it.
func farBelow(sorted []float64) int {
	if len(sorted) < 3 {
		return 0
	}
	m := median(sorted)
	dev := make([]float64, len(sorted))
	for i, v := range sorted {
		dev[i] = math.Abs(math.Log(max(v, math.SmallestNonzeroFloat64) / m))
	}
	slices.Sort(dev)
	mad := max(median(dev), leastMAD)
	n := 0
	for n < len(sorted) && sorted[n] < far*m {
		spread := 0.6745 * math.Log(m/max(sorted[n], math.SmallestNonzeroFloat64)) / mad
		if spread <= outlier && (sorted[n] >= hopeless*m || n >= len(sorted)/3) {
			break
		}
		n++
	}
	return n
}

// lowerGroup is how many of the sorted values, at most half, are a group of
// their own below a gap.
func lowerGroup(sorted []float64) int {
	limit := split
	if len(sorted) <= 3 {
		limit = splitFew
	}
	for n := len(sorted) / 2; n >= 1; n-- {
		above := sorted[n:]
		gap, spread := above[0]-sorted[n-1], above[len(above)-1]-above[0]
		if sorted[n-1] < limit*above[0] && gap > splitTight*spread {
			return n
		}
	}
	return 0
}

// median of sorted values; 0 of none.
func median(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
