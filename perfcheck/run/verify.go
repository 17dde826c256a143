package run

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// VerifyOptions are what an engine check does.
type VerifyOptions struct {
	Options
	Pairs int // of measurements by cw and by its peer, at least 6 to say anything
}

// EngineCheck is cw's engines beside the tools they are meant to agree with.
type EngineCheck struct {
	Pairs   int               `json:"pairs"`
	Cases   []EngineCase      `json:"cases"`
	Verdict perfcheck.Verdict `json:"verdict"`
}

// EngineCase is one test measured by both.
type EngineCase struct {
	ID     string   `json:"id"`
	Where  string   `json:"where"`
	Metric string   `json:"metric"`
	Unit   string   `json:"unit"`
	Peer   string   `json:"peer"`       // fio or iperf3
	Own    float64  `json:"cw"`         // median
	Other  float64  `json:"peer_value"` // median
	Ratio  Interval `json:"ratio"`      // cw ÷ peer of each pair
	// Control is the peer against itself in the same rounds: what the
	// machine's noise makes of two equal things.
	Control Interval          `json:"control"`
	Floor   float64           `json:"floor"` // the ratio below which cw's engine is too slow
	Verdict perfcheck.Verdict `json:"verdict"`
	Reason  string            `json:"reason"`
}

// Interval is the median of some ratios with where it lies 95 times of 100.
type Interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// engineTests are what is verified; the floors are the goals for an uncapped
// device (reference: benchmarking, 3.4).
func engineTests() map[string]float64 {
	return map[string]float64{
		"disk.read.1m.qd1": 0.90, "disk.read.1m.qd16": 0.90, "disk.write.1m.qd1": 0.90, "disk.randread.4k.qd1": 0.90,
		"disk.randread.4k.qd32": 0.85, "disk.randread.8k.qd32": 0.90, "disk.randread.32k.qd32": 0.90, "disk.fdatasync.8k": 0.90,
		"net.tcp.s1": 0.90, "net.tcp.s4": 0.90,
	}
}

// VerifyEngine measures the same by cw's engines and by fio and iperf3, by
// turns in random order, and the peer a second time as a control.
func VerifyEngine(ctx context.Context, o VerifyOptions) (*EngineCheck, error) {
	floors := engineTests()
	var tests []test
	for _, t := range catalogue(o.Areas) {
		_, named := floors[t.ID]
		if named && (len(o.Only) == 0 || slices.ContainsFunc(o.Only, func(p string) bool { return matches(p, t.ID) })) {
			tests = append(tests, t)
		}
	}
	if len(tests) == 0 {
		return nil, fault.New(fault.Usage, "choose from these: disk.read.1m, disk.write.1m, disk.randread, disk.fdatasync.8k, net.tcp", "none of these tests is verified")
	}
	fleet, err := StartFleet(ctx, o.Machines, o.Agent)
	if err != nil {
		return nil, err
	}
	defer fleet.Close(ctx)
	for _, m := range fleet.Members() {
		if err := m.Err(); err != nil {
			return nil, err
		}
	}
	r := &runner{o: o.Options, fleet: fleet, ports: map[*Member]int{}, token: newToken(), report: &perfcheck.Report{}}
	s := seat{from: fleet.Members()[0]}
	peer := s.from // of network tests; the loopback when there is one machine
	if len(fleet.Members()) > 1 {
		peer = fleet.Members()[1]
	}
	check := &EngineCheck{Pairs: o.Pairs, Verdict: perfcheck.Pass}
	prepared := false
	for _, t := range tests {
		at := s
		if t.Area == perfcheck.Net {
			at.to = peer
		} else if !prepared {
			prepared = true
			if err := r.prepare(ctx); err != nil {
				return nil, err
			}
		}
		c, err := r.verify(ctx, t, at, floors[t.ID], o.Pairs)
		if err != nil {
			return nil, err
		}
		check.Cases = append(check.Cases, c)
		if c.Verdict != perfcheck.Pass && check.Verdict != perfcheck.Fail {
			check.Verdict = c.Verdict
		}
	}
	return check, nil
}

// verify measures one case.
func (r *runner) verify(ctx context.Context, t test, s seat, floor float64, pairs int) (EngineCase, error) {
	metric := t.Metrics[0]
	c := EngineCase{ID: t.ID, Where: s.String(), Metric: metric.Name, Unit: metric.Unit, Peer: "fio", Floor: floor}
	if t.Area == perfcheck.Net {
		c.Peer = "iperf3"
	}
	random := rand.New(rand.NewPCG(r.o.Seed, uint64(len(t.ID)))) //nolint:gosec // an order, no secret
	var own, other, ratios, controls []float64
	for pair := range pairs {
		r.o.Reporter.Phase(fmt.Sprintf("%s: pair %d of %d", t.ID, pair+1, pairs))
		var got [3]float64
		for _, i := range random.Perm(3) {
			r.o.Engine = ""
			if i > 0 {
				r.o.Engine = c.Peer
			}
			m, err := r.one(ctx, t, s, time.Now().Add(r.lead()))
			if err != nil {
				return c, err
			}
			if got[i] = m.Values[metric.Name]; got[i] <= 0 {
				return c, fmt.Errorf("%s: %s gave no %s", t.ID, cmp.Or(r.o.Engine, "cw"), metric.Name)
			}
		}
		own, other = append(own, got[0]), append(other, got[1])
		ratios, controls = append(ratios, got[0]/got[1]), append(controls, got[2]/got[1])
	}
	c.Own, c.Other = perfcheck.Median(own), perfcheck.Median(other)
	c.Ratio, c.Control = interval(ratios, random), interval(controls, random)
	c.judge()
	return c, nil
}

// judge says whether the engine agrees: its ratio is above the floor and not
// out of reach of 1, or no further from 1 than the peer is from itself.
func (c *EngineCase) judge() {
	low := min(c.Control.Low, 1/c.Control.High)
	high := max(c.Control.High, 1/c.Control.Low)
	switch {
	case c.Ratio.Median >= low && c.Ratio.Median <= high:
		c.Verdict, c.Reason = perfcheck.Pass, fmt.Sprintf("as far from %s as %s is from itself", c.Peer, c.Peer)
	case c.Ratio.Median >= c.Floor && c.Ratio.Median <= 1/c.Floor:
		c.Verdict, c.Reason = perfcheck.Pass, fmt.Sprintf("at least %.2f of %s", c.Floor, c.Peer)
	case c.Ratio.Median > 1:
		c.Verdict, c.Reason = perfcheck.Warn, fmt.Sprintf("cw measures more than %s does: look at both", c.Peer)
	case c.Ratio.High >= c.Floor:
		c.Verdict, c.Reason = perfcheck.Inconclusive, "too noisy to tell: more --pairs, or a quieter machine"
	default:
		c.Verdict, c.Reason = perfcheck.Fail, fmt.Sprintf("below %.2f of %s", c.Floor, c.Peer)
	}
}

// interval is the median of ratios and its 95 % interval, by resampling.
func interval(ratios []float64, random *rand.Rand) Interval {
	const samples = 2000
	medians := make([]float64, samples)
	sample := make([]float64, len(ratios))
	for i := range medians {
		for j := range sample {
			sample[j] = ratios[random.IntN(len(ratios))]
		}
		medians[i] = perfcheck.Median(sample)
	}
	slices.Sort(medians)
	at := func(q float64) float64 { return medians[int(math.Round(q*(samples-1)))] }
	return Interval{Median: perfcheck.Median(ratios), Low: at(0.025), High: at(0.975)}
}
