package vip

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cw/perfcheck"
)

// lateLimit is by how much of the interval the client may send too late
// before it is called the limit.
const lateLimit = 5

// Results makes the tests of an outcome. client and holders are names of
// machines, every the interval between questions in seconds.
func Results(out *Outcome, tests []string, client string, holders [2]string, every float64, params map[string]any) []perfcheck.Test {
	var all []perfcheck.Test
	for _, id := range tests {
		d := Find(id)
		d.Params = params
		moves := out.Moves[id]
		var t perfcheck.Test
		switch {
		case out.Failed[id] != nil:
			t = perfcheck.Failed(d, out.Failed[id])
		case len(moves) == 0:
			t = perfcheck.Failed(d, fmt.Errorf("no move was measured"))
		default:
			t = perfcheck.Combine(d, measurements(moves, every))
			addARP(&t, moves)
			twice(&t, moves)
		}
		t.Pair = &perfcheck.PairOf{From: client, To: holders[0] + "/" + holders[1]}
		all = append(all, t)
	}
	return all
}

// measurements makes a repetition of each move.
func measurements(moves []Move, every float64) []perfcheck.Measurement {
	var reps []perfcheck.Measurement
	p95 := quantile(moves) // of all, so that each repetition has the same
	for _, m := range moves {
		outage := perfcheck.NewHistogram()
		outage.Record(time.Duration(m.Outage * float64(time.Second)))
		rep := perfcheck.Measurement{Began: m.Began, Histograms: map[string]*perfcheck.Histogram{"outage": outage}, Values: map[string]float64{
			"outage": m.Outage, P95: p95, "outage_max": m.Outage, "tcp_outage": m.TCPOutage, "tcp_outage_max": m.TCPOutage,
			"lost": float64(m.Lost), "tcp_lost": float64(m.TCPLost), "moved": m.Moved,
		}}
		if m.Late > lateLimit*every {
			rep.Flags = append(rep.Flags, perfcheck.FlagClientLimited)
		}
		reps = append(reps, rep)
	}
	return reps
}

// quantile is the outage that one move in twenty is above.
func quantile(moves []Move) float64 {
	var sorted []float64
	for _, m := range moves {
		sorted = append(sorted, m.Outage)
	}
	slices.Sort(sorted)
	return sorted[int(math.Ceil(0.95*float64(len(sorted))))-1]
}

// addARP adds when the client's table had the new hardware address, where it
// has one at all.
func addARP(t *perfcheck.Test, moves []Move) {
	var reps []float64
	for _, m := range moves {
		if m.ARP >= 0 {
			reps = append(reps, m.ARP)
		}
	}
	if len(reps) > 0 {
		v := perfcheck.Median(reps)
		t.Metrics["arp_changed"] = perfcheck.Metric{Value: v, Median: v, Unit: perfcheck.Seconds, Better: perfcheck.Lower, N: len(reps), Reps: reps}
	}
}

// twice warns of two machines that had the address at the same time.
func twice(t *perfcheck.Test, moves []Move) {
	for i, m := range moves {
		if m.Both > 0 {
			t.Worsen(perfcheck.Warn, fmt.Sprintf("%s still answered %d times after %s had begun to, in move %d: both had the address", m.From, m.Both, m.To, i+1))
			return
		}
	}
}
