package net_test

import (
	"fmt"
	"slices"
	"testing"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/net"
)

func names(n int) []string {
	var h []string
	for i := range n {
		h = append(h, fmt.Sprint("sdw", i+1))
	}
	return h
}

// TestRounds holds for every topology and up to 33 hosts: nobody meets
// himself, no direction twice, no host twice in a round but in the matrix.
func TestRounds(t *testing.T) {
	t.Parallel()
	for _, topology := range []net.Topology{net.Serial, net.Pairs, net.Tournament, net.Matrix} {
		for n := 2; n <= 33; n++ {
			hosts := names(n)
			rounds, err := net.Rounds(topology, hosts)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[perfcheck.PairOf]bool{}
			for _, r := range rounds {
				busy := map[string]bool{}
				if len(r) == 0 {
					t.Errorf("%s %d: an empty round", topology, n)
				}
				for _, p := range r {
					if p.From == p.To || !slices.Contains(hosts, p.From) || !slices.Contains(hosts, p.To) {
						t.Errorf("%s %d: %v", topology, n, p)
					}
					if seen[p] {
						t.Errorf("%s %d: %v twice", topology, n, p)
					}
					seen[p] = true
					if topology != net.Matrix && (busy[p.From] || busy[p.To]) {
						t.Errorf("%s %d: a host twice in %v", topology, n, r)
					}
					busy[p.From], busy[p.To] = true, true
				}
			}
			for p := range seen {
				if !seen[perfcheck.PairOf{From: p.To, To: p.From}] {
					t.Errorf("%s %d: %v in one direction only", topology, n, p)
				}
			}
			odd := n % 2
			pairs, count := n+odd, n+odd
			switch topology {
			case net.Pairs:
				count = 2 + 2*odd
			case net.Tournament:
				pairs, count = n*(n-1), 2*(n-1+odd)
			case net.Matrix:
				pairs, count = n*(n-1), 1
			}
			if n == 2 && topology != net.Matrix {
				count = 2
			}
			if len(seen) != pairs || len(rounds) != count {
				t.Errorf("%s %d: %d directions in %d rounds, want %d in %d", topology, n, len(seen), len(rounds), pairs, count)
			}
		}
	}
}

// TestOddHost: gpcheckperf measures the last of an odd number with the first.
func TestOddHost(t *testing.T) {
	t.Parallel()
	got, _ := net.Rounds(net.Serial, names(3))
	want := []net.Round{{{From: "sdw1", To: "sdw2"}}, {{From: "sdw2", To: "sdw1"}}, {{From: "sdw3", To: "sdw1"}}, {{From: "sdw1", To: "sdw3"}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v", got)
	}
}

func TestHostsListedTwice(t *testing.T) {
	t.Parallel()
	for _, topology := range []net.Topology{net.Serial, net.Pairs, net.Tournament, net.Matrix} {
		once, _ := net.Rounds(topology, []string{"a", "b", "c"})
		twice, _ := net.Rounds(topology, []string{"a", "a", "b", "c", "b", "a"})
		if fmt.Sprint(once) != fmt.Sprint(twice) {
			t.Errorf("%s: %v and %v", topology, once, twice)
		}
	}
	if u, again := net.Unique([]string{"a", "b", "a", "a"}); fmt.Sprint(u, again) != "[a b] [a a]" {
		t.Error(u, again)
	}
	for _, hosts := range [][]string{nil, {"a"}, {"a", "a"}} {
		if _, err := net.Rounds(net.Serial, hosts); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%v: %v", hosts, err)
		}
	}
	if _, err := net.Rounds("ring", names(4)); fault.KindOf(err) != fault.Usage {
		t.Error(err)
	}
}
