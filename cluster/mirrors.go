package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cw/fault"
)

// The rules of layout.mirrors; block is followed by a number of hosts.
const (
	MirrorsNone   = "none"
	MirrorsGroup  = "group"
	MirrorsSpread = "spread"
	mirrorsBlock  = "block"
)

// source is a host with the segments whose primaries are there and have no
// mirror yet, and the hosts of the mirrors that its other segments have.
type source struct {
	host     Host
	contents []int
	on       []string
}

// placeMirrors chooses the host of every mirror. Mirrors of the given hosts go
// to the given hosts only, so that nothing moves when a cluster grows:
//
//   - group: all mirrors of a host on one other host;
//   - spread: the mirrors of a host on as many others as there are;
//   - block N: spread inside blocks of N hosts, so that a second host that
//     fails is less likely to hold what the first one lost.
//
// Every host gets as many mirrors as it has primaries. A mirror is in another
// zone than its primary where no zone has more than half of the hosts. Hosts
// that have mirrors already are one block, and new mirrors follow the rule
// together with the old: on the host that has the group, or on those that have
// none of the host's yet.
func placeMirrors(rule string, hosts []source, grows bool) (map[int]Host, error) {
	if len(hosts) == 0 {
		return nil, nil
	}
	most, rounds, shared := 0, 0, false
	for _, s := range hosts {
		rounds, most = max(rounds, len(s.contents)), max(most, len(s.contents)+len(s.on))
		shared = shared || len(s.on) > 0
	}
	if len(hosts) == 1 {
		hint := "name a second segment host, or set layout.mirrors: none"
		if grows {
			hint = "add two segment hosts at a time: they hold each other's mirrors"
		}
		return nil, fault.New(fault.Usage, hint, "host %s alone cannot hold mirrors: those of its own primaries protect nothing there", hosts[0].host.Name)
	}
	kind, arg, _ := strings.Cut(rule, " ")
	size := len(hosts)
	switch kind {
	case MirrorsGroup:
		rounds = 1
	case MirrorsSpread:
		if most >= len(hosts) {
			what := fmt.Sprintf("%d segment hosts", len(hosts))
			if grows && !shared {
				what = fmt.Sprintf("%d new segment hosts", len(hosts))
			}
			return nil, fault.New(fault.Usage, fmt.Sprintf("add hosts until there are %d, lower layout.segments_per_host, or set layout.mirrors: group", most+1),
				"mirrors: spread needs more hosts than primaries per host: there are %s with %d primaries each", what, most)
		}
	case mirrorsBlock:
		if n, err := strconv.Atoi(arg); err == nil && !shared { // the parser has seen to it
			size = n
		}
	default:
		return nil, fault.New(fault.Usage, "set layout.mirrors to none, group, spread or block N", "mirrors: %q is not known", rule)
	}
	at := map[int]Host{}
	for _, block := range blocks(zoneOrder(hosts), max(size, 2)) {
		perms := rotations(block, rounds)
		for i, s := range block {
			for j, content := range s.contents {
				at[content] = block[perms[j%len(perms)][i]].host
				if kind == MirrorsGroup && len(s.on) > 0 {
					at[content] = hostNamed(hosts, s.on[0])
				}
			}
		}
	}
	return at, nil
}

// hostNamed is the host of a name, which is among the sources.
func hostNamed(hosts []source, name string) Host {
	for _, s := range hosts {
		if s.host.Name == name {
			return s.host
		}
	}
	return Host{}
}

// zoneOf is a host's zone; a host without one is a zone of its own.
func zoneOf(h Host) string {
	if h.Zone != "" {
		return "zone " + h.Zone
	}
	return "host " + h.Name
}

// zoneOrder puts the hosts of a zone together, zones by their first host.
func zoneOrder(hosts []source) []source {
	first := map[string]int{}
	for i, s := range hosts {
		if _, ok := first[zoneOf(s.host)]; !ok {
			first[zoneOf(s.host)] = i
		}
	}
	out := slices.Clone(hosts)
	slices.SortStableFunc(out, func(a, b source) int { return cmp.Compare(first[zoneOf(a.host)], first[zoneOf(b.host)]) })
	return out
}

// blocks deals hosts in zone order round-robin over blocks of a size, so that
// each block has hosts of many zones. What remains is a smaller block; one
// host that remains joins another block, since it could not mirror itself.
func blocks(hosts []source, size int) [][]source {
	n := len(hosts)
	var room []int
	for range n / size {
		room = append(room, size)
	}
	switch rest := n % size; {
	case rest == 1 && len(room) > 0:
		room[0]++
	case rest > 0:
		room = append(room, rest)
	}
	out := make([][]source, len(room))
	b := 0
	for _, h := range hosts {
		for len(out[b]) == room[b] {
			b = (b + 1) % len(room)
		}
		out[b] = append(out[b], h)
		b = (b + 1) % len(room)
	}
	return out
}

// rotations are permutations of the hosts of a block: in round j host i has
// its j-th mirror on host out[j][i]. No two rounds send a host to the same
// place while that is possible, nor to one that has a mirror of it already.
func rotations(block []source, rounds int) [][]int {
	n := len(block)
	zones, largest := make([]string, n), 0
	size := map[string]int{}
	for i, s := range block {
		zones[i] = zoneOf(s.host)
		size[zones[i]]++
		largest = max(largest, size[zones[i]])
	}
	if 2*largest > n {
		return leastOverlap(block, zones, rounds)
	}
	// In zone order a shift by the size of the largest zone leaves every zone,
	// so that a first round always exists. The later ones are matchings between
	// hosts that have not been used yet.
	used := usedPlaces(block, zones)
	var out [][]int
	for len(out) < rounds {
		perm := match(n, largest, func(from, to int) bool { return zones[from] != zones[to] && !used[from*n+to] })
		if perm == nil {
			clear(used) // every place had its turn: begin again
			continue
		}
		for from, to := range perm {
			used[from*n+to] = true
		}
		out = append(out, perm)
	}
	return out
}

// usedPlaces marks, of the places in other zones that each host's mirrors can
// go to, those that hold more of them already than another does.
func usedPlaces(block []source, zones []string) []bool {
	n := len(block)
	used := make([]bool, n*n)
	for from, s := range block {
		least := len(s.on)
		for to := range block {
			if zones[from] != zones[to] {
				least = min(least, s.holds(block[to].host))
			}
		}
		for to := range block {
			used[from*n+to] = s.holds(block[to].host) > least
		}
	}
	return used
}

// holds is how many of a source's mirrors are on a host.
func (s source) holds(h Host) int {
	n := 0
	for _, name := range s.on {
		if name == h.Name {
			n++
		}
	}
	return n
}

// leastOverlap are shifts for hosts of which more than half are in one zone.
// Those from n-m to m (m hosts in the largest zone of n) leave 2m-n mirrors in
// that zone, and fewer are not possible; the others follow. Shifts that mirrors
// have followed already come last.
func leastOverlap(block []source, zones []string, rounds int) [][]int {
	n := len(zones)
	shifts, overlap, used := make([]int, 0, n), make([]int, n), make([]int, n)
	for s := 1; s < n; s++ {
		shifts = append(shifts, s)
		for i := range zones {
			used[s] += block[i].holds(block[(i+s)%n].host)
			if zones[i] == zones[(i+s)%n] {
				overlap[s]++
			}
		}
	}
	slices.SortStableFunc(shifts, func(a, b int) int {
		return cmp.Or(cmp.Compare(used[a], used[b]), cmp.Compare(overlap[a], overlap[b]))
	})
	out := make([][]int, min(rounds, len(shifts)))
	for j := range out {
		out[j] = make([]int, n)
		for i := range n {
			out[j][i] = (i + shifts[j]) % n
		}
	}
	return out
}

// match is a perfect matching of n hosts with n hosts along the allowed pairs,
// found by augmenting paths (Kuhn); nil when there is none. Host i looks at
// i+first, i+first+1 and so on, which gives plain shifts where they will do.
func match(n, first int, allowed func(from, to int) bool) []int {
	owner := make([]int, n) // of a place, -1 for none
	for i := range owner {
		owner[i] = -1
	}
	var seen []bool
	var place func(from int) bool
	place = func(from int) bool {
		for k := range n {
			to := (from + first + k) % n
			if seen[to] || !allowed(from, to) {
				continue
			}
			seen[to] = true
			if owner[to] < 0 || place(owner[to]) {
				owner[to] = from
				return true
			}
		}
		return false
	}
	for from := range n {
		seen = make([]bool, n)
		if !place(from) {
			return nil
		}
	}
	out := make([]int, n)
	for to, from := range owner {
		out[from] = to
	}
	return out
}

// SameZone are the segments with the primary on a host whose mirror is in the
// host's zone, where one failure takes both.
func (l *Layout) SameZone(t *Topology, host string) []int {
	h, _ := t.Host(host)
	var out []int
	for _, n := range l.On(host) {
		if n.Content < 0 || n.PreferredRole != NodePrimary || h.Zone == "" {
			continue
		}
		if m, ok := l.preferred(NodeMirror, n.Content); ok {
			if other, _ := t.Host(m.Host); other.Zone == h.Zone {
				out = append(out, n.Content)
			}
		}
	}
	return out
}

// Acting is how many nodes work on a host at most after one other host has
// failed: its own primaries and coordinator, and the mirrors of the host that
// shares most with it.
func (l *Layout) Acting(host string) int {
	own, from := 0, map[string]int{}
	worst := 0
	for _, n := range l.On(host) {
		switch {
		case n.PreferredRole != NodeMirror:
			own++
		default:
			if p, ok := l.preferred(NodePrimary, n.Content); ok {
				from[p.Host]++
				worst = max(worst, from[p.Host])
			}
		}
	}
	return own + worst
}
