package net

import (
	"cw/fault"
	"cw/perfcheck"
	"cw/schema"
)

// Topology says which pairs of hosts are measured, and which at the same time.
type Topology string

// The topologies.
const (
	Serial     Topology = "serial"     // neighbours in the list, one direction of one pair at a time (gpcheckperf -r n)
	Pairs      Topology = "pairs"      // all neighbours at once, then the other way round (gpcheckperf -r N)
	Tournament Topology = "tournament" // every pair, in rounds in which no host is twice
	Matrix     Topology = "matrix"     // every pair and direction at once (gpcheckperf -r M)
)

// Round is what is measured at the same time.
type Round []perfcheck.PairOf

// Unique is hosts without those that are listed again, and these.
func Unique(hosts []string) (unique, again []string) {
	seen := make(map[string]bool, len(hosts))
	for _, h := range hosts {
		if seen[h] {
			again = append(again, h)
			continue
		}
		seen[h] = true
		unique = append(unique, h)
	}
	return unique, again
}

// Rounds is the schedule of a topology. A host that is listed twice counts
// once: the result must not depend on it. With an odd number of hosts the
// last neighbour is measured with the first host, in rounds of their own.
//
// In no round but those of the matrix is a host twice, and no direction of a
// pair is measured twice. A tournament of N hosts has N-1 rounds (N when odd)
// for each direction.
func Rounds(topology Topology, hosts []string) ([]Round, error) {
	hosts, _ = Unique(hosts)
	if len(hosts) < 2 {
		return nil, fault.New(fault.Usage, "name two hosts or more", "a network test takes two hosts, there is %d", len(hosts))
	}
	switch topology {
	case Serial:
		return serial(hosts), nil
	case Pairs:
		return pairs(hosts), nil
	case Tournament:
		return tournament(hosts), nil
	case Matrix:
		return []Round{matrix(hosts)}, nil
	}
	hint := "serial, pairs, tournament or matrix"
	if near := schema.Nearest(string(topology), []string{"serial", "pairs", "tournament", "matrix"}); near != "" {
		hint = "did you mean " + near + "?"
	}
	return nil, fault.New(fault.Usage, hint, "there is no topology %q", topology)
}

// neighbours are 0-1, 2-3, …, and of an odd number the last with the first.
func neighbours(hosts []string) (even Round, odd *perfcheck.PairOf) {
	for i := 0; i+1 < len(hosts); i += 2 {
		even = append(even, perfcheck.PairOf{From: hosts[i], To: hosts[i+1]})
	}
	if len(hosts)%2 == 1 {
		odd = &perfcheck.PairOf{From: hosts[len(hosts)-1], To: hosts[0]}
	}
	return even, odd
}

func reversed(p perfcheck.PairOf) perfcheck.PairOf {
	return perfcheck.PairOf{From: p.To, To: p.From}
}

func (r Round) reversed() Round {
	back := make(Round, len(r))
	for i, p := range r {
		back[i] = reversed(p)
	}
	return back
}

func serial(hosts []string) []Round {
	all, odd := neighbours(hosts)
	if odd != nil {
		all = append(all, *odd)
	}
	var rounds []Round
	for _, p := range all {
		rounds = append(rounds, Round{p}, Round{reversed(p)})
	}
	return rounds
}

func pairs(hosts []string) []Round {
	even, odd := neighbours(hosts)
	rounds := []Round{even, even.reversed()}
	if odd != nil {
		rounds = append(rounds, Round{*odd}, Round{reversed(*odd)})
	}
	return rounds
}

// tournament is the circle method: the first host stays, the others go round.
// With an odd number who meets nobody has a rest.
func tournament(hosts []string) []Round {
	ring := append([]string(nil), hosts...)
	if len(ring)%2 == 1 {
		ring = append(ring, "")
	}
	n := len(ring)
	var rounds []Round
	for range n - 1 {
		var r Round
		for i := range n / 2 {
			a, b := ring[i], ring[n-1-i]
			if a != "" && b != "" {
				r = append(r, perfcheck.PairOf{From: a, To: b})
			}
		}
		rounds = append(rounds, r, r.reversed())
		last := ring[n-1]
		copy(ring[2:], ring[1:n-1])
		ring[1] = last
	}
	return rounds
}

func matrix(hosts []string) Round {
	var r Round
	for _, a := range hosts {
		for _, b := range hosts {
			if a != b {
				r = append(r, perfcheck.PairOf{From: a, To: b})
			}
		}
	}
	return r
}
