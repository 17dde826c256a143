package net_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"cw/perfcheck"
	"cw/perfcheck/net"
)

// matrix gives every direction between n hosts a rate.
func matrix(n int, rate func(from, to int) float64) map[perfcheck.PairOf]float64 {
	m := map[perfcheck.PairOf]float64{}
	for i := range n {
		for k := range n {
			if i != k {
				m[perfcheck.PairOf{From: fmt.Sprint(i), To: fmt.Sprint(k)}] = rate(i, k)
			}
		}
	}
	return m
}

func TestSlowPairs(t *testing.T) {
	t.Parallel()
	noise := rand.New(rand.NewPCG(1, 2))
	around := func(v, share float64) float64 { return v * (1 + share*(2*noise.Float64()-1)) }
	for hosts := 3; hosts <= 8; hosts++ {
		noisy := 0
		for range 1000 {
			// One pair, both ways, at 60 % with 5 % of noise around everything.
			slow := net.SlowPairs(matrix(hosts, func(i, k int) float64 {
				if i+k == 1 {
					return around(60, 0.05)
				}
				return around(100, 0.05)
			}))
			if len(slow) != 2 || slow[0].Pair.From+slow[0].Pair.To != "01" && slow[0].Pair.From+slow[0].Pair.To != "10" {
				t.Fatalf("%d hosts, one pair capped: %v", hosts, slow)
			}
			if r := slow[0].Ratio; r < 0.5 || r > 0.7 {
				t.Errorf("ratio %g", r)
			}
			// One direction of it.
			if slow := net.SlowPairs(matrix(hosts, func(i, k int) float64 {
				if i == 0 && k == 1 {
					return around(50, 0.05)
				}
				return around(100, 0.05)
			})); len(slow) != 1 || slow[0].Pair != (perfcheck.PairOf{From: "0", To: "1"}) {
				t.Fatalf("%d hosts, one direction capped: %v", hosts, slow)
			}
			// All equally slow.
			if slow := net.SlowPairs(matrix(hosts, func(int, int) float64 { return around(10, 0.02) })); len(slow) != 0 {
				t.Fatalf("%d hosts, all slow: %v", hosts, slow)
			}
			if hosts < 4 {
				continue
			}
			// Nothing but 20 % of noise.
			if slow := net.SlowPairs(matrix(hosts, func(int, int) float64 { return around(100, 0.2) })); len(slow) != 0 {
				noisy++
			}
			// A capped host: all its pairs, half of them all with 4 hosts.
			if slow := net.SlowPairs(matrix(hosts, func(i, k int) float64 {
				if i == 2 || k == 2 {
					return around(50, 0.05)
				}
				return around(100, 0.05)
			})); len(slow) != 2*(hosts-1) {
				t.Fatalf("%d hosts, a host capped: %d %v", hosts, len(slow), slow)
			}
		}
		// Twelve random values look like a slow pair once in hundreds of times.
		if noisy > 6 || noisy > 0 && hosts > 5 {
			t.Errorf("%d hosts: noise alone was flagged %d times of 1000", hosts, noisy)
		}
	}
}

// TestSlowNeighbours: gpcheckperf's topologies have few pairs, of which one
// slow pair is half.
func TestSlowNeighbours(t *testing.T) {
	t.Parallel()
	p := func(a, b string) perfcheck.PairOf { return perfcheck.PairOf{From: a, To: b} }
	for _, c := range []struct {
		rates map[perfcheck.PairOf]float64
		want  int
	}{
		{nil, 0},
		{map[perfcheck.PairOf]float64{p("a", "b"): 1}, 0},
		{map[perfcheck.PairOf]float64{p("a", "b"): 100, p("b", "a"): 95}, 0},
		{map[perfcheck.PairOf]float64{p("a", "b"): 100, p("b", "a"): 45}, 1},
		{map[perfcheck.PairOf]float64{p("a", "b"): 100, p("b", "a"): 102, p("c", "d"): 50, p("d", "c"): 51}, 2},
		{map[perfcheck.PairOf]float64{p("a", "b"): 100, p("b", "a"): 100, p("c", "d"): 100, p("d", "c"): 89}, 1},
		{map[perfcheck.PairOf]float64{p("a", "b"): 100, p("b", "a"): 100, p("c", "d"): 100, p("d", "c"): 91}, 0},
		{map[perfcheck.PairOf]float64{p("a", "b"): 0, p("b", "a"): 0}, 0},
	} {
		if got := net.SlowPairs(c.rates); len(got) != c.want {
			t.Errorf("%v: %v", c.rates, got)
		}
	}
}

func TestLineClass(t *testing.T) {
	t.Parallel()
	if g := net.Goodput(1500); math.Abs(g-1448.0/1538) > 1e-9 {
		t.Error(g)
	}
	if g := net.Goodput(9000); math.Abs(g-0.990) > 0.0005 {
		t.Error(g)
	}
	for _, c := range []struct {
		mbit float64
		mtu  int
		name string
		of   float64
	}{
		{941, 1500, "1G", 1},
		{940, 0, "1G", 1},
		{800, 1500, "1G", 0.85},
		{478, 1500, "below 1G", 0.51},
		{0, 1500, "below 1G", 0},
		{1300, 1500, "1G", 1.38},
		{2350, 1500, "2.5G", 1},
		{9410, 1500, "10G", 1},
		{9900, 9000, "10G", 1},
		{8000, 9000, "10G", 0.81},
		{4950, 1500, "10G", 0.53},
		{23500, 1500, "25G", 1},
		{37000, 1500, "40G", 0.98},
		{94000, 1500, "100G", 1},
		{190000, 9000, "above 100G", 1.92},
	} {
		got := net.LineClass(c.mbit*1e6/8, c.mtu)
		if got.Name != c.name || math.Abs(got.Ratio-c.of) > 0.01 {
			t.Errorf("%g Mbit/s at %d: %+v", c.mbit, c.mtu, got)
		}
	}
}

func TestTiers(t *testing.T) {
	t.Parallel()
	noise := rand.New(rand.NewPCG(3, 4))
	// Hosts 0, 1 on one machine; 2, 3 in the same rack; 4, 5 far away.
	place := func(i int) (machine, rack int) { return []int{0, 0, 1, 2, 3, 4}[i], []int{0, 0, 0, 0, 1, 2}[i] }
	for range 100 {
		rtt := matrix(6, func(i, k int) float64 {
			mi, ri := place(i)
			mk, rk := place(k)
			base := 500e-6
			switch {
			case mi == mk:
				base = 30e-6
			case ri == rk:
				base = 110e-6
			}
			return base * (1 + 0.15*noise.Float64())
		})
		tiers := net.Tiers(rtt)
		var got []string
		for _, tier := range tiers {
			got = append(got, fmt.Sprint(tier.Name, " ", len(tier.Pairs)))
		}
		if want := []string{"same host 2", "rack 10", "far 18"}; !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	for _, c := range []struct {
		seconds []float64
		want    string
	}{
		{nil, "[]"},
		{[]float64{30e-6}, "[same host]"},
		{[]float64{100e-6, 110e-6, 120e-6, 130e-6}, "[rack]"},
		{[]float64{1e-3, 1.1e-3}, "[far]"},
		{[]float64{100e-6, 110e-6, 1e-3, 1.1e-3}, "[rack far]"},
		{[]float64{20e-6, 21e-6, 45e-6, 46e-6}, "[same host rack]"},
		{[]float64{400e-6, 410e-6, 2e-3}, "[rack far]"},
		{[]float64{0, -1}, "[]"},
		{[]float64{100e-6, 120e-6, 145e-6, 175e-6, 210e-6, 250e-6}, "[rack]"}, // a slope has no tiers
	} {
		rtt := map[perfcheck.PairOf]float64{}
		for i, s := range c.seconds {
			rtt[perfcheck.PairOf{From: "a", To: fmt.Sprint(i)}] = s
		}
		got := []string{}
		for _, tier := range net.Tiers(rtt) {
			got = append(got, tier.Name)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v: %v, want %s", c.seconds, got, c.want)
		}
	}
}

// TestCatalogue: ids are stable words, unique, and every job is one that Run
// takes; the quick profile is short enough for two hosts.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	quick := 0
	for _, test := range net.Tests() {
		if seen[test.ID] {
			t.Errorf("%s twice", test.ID)
		}
		seen[test.ID] = true
		if test.Title == "" || len(test.Metrics) == 0 || len(test.Profiles) == 0 || test.Area != perfcheck.Net || test.Scope != perfcheck.Pair {
			t.Errorf("%+v", test.Definition)
		}
		if test.RateFrom != "" && (test.Job.Share == 0 || !seen[test.RateFrom]) {
			t.Errorf("%s takes its rate from %q, which does not come before it", test.ID, test.RateFrom)
		}
		if slices.Contains(test.Profiles, "quick") {
			quick++
		}
		names := map[string]bool{}
		for _, m := range test.Metrics {
			if names[m.Name] || m.Unit == "" || m.Gate != perfcheck.GateNone && m.Better == perfcheck.Neither {
				t.Errorf("%s: metric %+v", test.ID, m)
			}
			names[m.Name] = true
		}
	}
	for _, id := range []string{"net.tcp.s1", "net.tcp.s16", "net.udp.8192.p50", "net.udp.1400.p100", "net.rr", "net.rr.rate1000", "net.crr", "net.pps", "net.http.keepalive.1k", "net.http.close.64k.p90", "net.pmtu", "net.nics"} {
		if !seen[id] {
			t.Errorf("%s is missing", id)
		}
	}
	// 3 repetitions of 1 s and 3 s, both directions.
	if quick*3*(1+3+2)*2 > 240 {
		t.Errorf("%d quick tests take too long", quick)
	}
}

// TestSlowPairsOfBusyHosts: the others differ by factors, as on machines with
// fewer CPUs than senders, and one pair is capped far below all of them.
func TestSlowPairsOfBusyHosts(t *testing.T) {
	t.Parallel()
	noise := rand.New(rand.NewPCG(3, 4))
	around := func(v, sigma float64) float64 { return v * math.Exp(sigma*noise.NormFloat64()) }
	for hosts := 4; hosts <= 8; hosts++ {
		missed, false4, false1 := 0, 0, 0
		for range 1000 {
			slow := net.SlowPairs(matrix(hosts, func(i, k int) float64 {
				if i+k == 1 {
					return around(24, 0.02)
				}
				return around(800, 0.35)
			}))
			if len(slow) < 2 || slow[0].Pair.From+slow[1].Pair.From != "01" && slow[0].Pair.From+slow[1].Pair.From != "10" {
				missed++
			} else if len(slow) > 2 {
				false4++
			}
			// Gaussian noise of a fifth with nothing wrong.
			if slow := net.SlowPairs(matrix(hosts, func(int, int) float64 { return 100 * max(0.05, 1+0.1*noise.NormFloat64()) })); len(slow) > 0 {
				false1++
			}
		}
		if missed > 0 || false4 > 60 || false1 > 40 {
			t.Errorf("%d hosts: missed %d, more than the pair %d, noise alone %d of 1000", hosts, missed, false4, false1)
		}
	}
}
