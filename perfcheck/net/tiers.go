package net

import (
	"cmp"
	"math"
	"slices"

	"cw/perfcheck"
)

// Tier is a group of pairs that are equally far from each other.
type Tier struct {
	Name  string             `json:"name"` // same host, rack, far
	RTT   float64            `json:"rtt"`  // median of the group, seconds
	Pairs []perfcheck.PairOf `json:"pairs"`
}

// The names of tiers, from near to far.
const (
	TierHost = "same host"
	TierRack = "rack"
	TierFar  = "far"
)

// What a round trip of a tier takes at most where nothing else tells, in
// seconds: from one VM to another on its machine, and within a rack.
const (
	hostRTT = 50e-6
	rackRTT = 300e-6
)

// tierGap is the least ratio between two neighbours in the sorted times that
// parts tiers, whatever the other gaps are.
const tierGap = 1.7

// Tiers groups pairs by round-trip time (median, seconds), nearest first: the
// sorted times are parted at their widest gaps on a logarithmic scale, at most
// two, each at least a factor of 1.7 and clearly wider than the usual gap.
// Three groups are same host, rack and far; of fewer the usual times of such
// ways decide the names.
func Tiers(rtt map[perfcheck.PairOf]float64) []Tier {
	type timed struct {
		pair perfcheck.PairOf
		rtt  float64
	}
	var all []timed
	for p, v := range rtt {
		if v > 0 { // not measured
			all = append(all, timed{p, v})
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b timed) int {
		return cmp.Or(cmp.Compare(a.rtt, b.rtt), cmp.Compare(a.pair.From, b.pair.From), cmp.Compare(a.pair.To, b.pair.To))
	})
	values := make([]float64, len(all))
	for i := range all {
		values[i] = all[i].rtt
	}
	cuts := append(wideGaps(values), len(all))
	var tiers []Tier
	from := 0
	for _, to := range cuts {
		t := Tier{RTT: median(values[from:to])}
		for _, p := range all[from:to] {
			t.Pairs = append(t.Pairs, p.pair)
		}
		tiers = append(tiers, t)
		from = to
	}
	nameTiers(tiers)
	return tiers
}

// wideGaps are the indexes at which sorted values are parted, at most two.
func wideGaps(sorted []float64) []int {
	type gap struct {
		at   int
		wide float64
	}
	var gaps []gap
	var widths []float64
	for i := 1; i < len(sorted); i++ {
		w := math.Log(sorted[i] / sorted[i-1])
		gaps = append(gaps, gap{i, w})
		widths = append(widths, w)
	}
	slices.Sort(widths)
	// With few pairs the median gap may be one between tiers itself.
	usual := 0.0
	if len(widths) >= 5 {
		usual = median(widths)
	}
	least := max(math.Log(tierGap), 5*usual)
	gaps = slices.DeleteFunc(gaps, func(g gap) bool { return g.wide < least })
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(b.wide, a.wide) })
	var cuts []int
	for _, g := range gaps[:min(len(gaps), 2)] {
		cuts = append(cuts, g.at)
	}
	slices.Sort(cuts)
	return cuts
}

func nameTiers(tiers []Tier) {
	names := []string{TierHost, TierRack, TierFar}
	guess := func(rtt float64) int {
		switch {
		case rtt < hostRTT:
			return 0
		case rtt < rackRTT:
			return 1
		}
		return 2
	}
	switch len(tiers) {
	case 1:
		tiers[0].Name = names[guess(tiers[0].RTT)]
	case 2:
		a, b := guess(tiers[0].RTT), guess(tiers[1].RTT)
		if a == b { // they are not the same: the nearer one is nearer, or the other farther
			if a > 0 {
				a--
			} else {
				b++
			}
		}
		tiers[0].Name, tiers[1].Name = names[a], names[b]
	default:
		for i := range tiers {
			tiers[i].Name = names[i]
		}
	}
}
