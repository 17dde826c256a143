package cluster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// segmented is a topology of a coordinator, a standby and hosts with segments;
// zones, if given, are theirs by turns of zone names.
func segmented(mirrors string, per int, zones ...string) *Topology {
	t := &Topology{Name: "gp1", Engine: Engine{Kind: Greenplum}, Database: Database{Port: 5432}}
	t.Layout = Rule{SegmentsPerHost: fmt.Sprint(per), Mirrors: mirrors, DataDirs: []string{"/data1", "/data2"}, PortBase: 6000, MirrorPortBase: 7000}
	t.Hosts = []Host{{Name: "cdw", Roles: []string{RoleCoordinator}}, {Name: "scdw", Roles: []string{RoleStandby}}}
	addHosts(t, zones...)
	return t
}

func addHosts(t *Topology, zones ...string) {
	for _, z := range zones {
		t.Hosts = append(t.Hosts, Host{Name: fmt.Sprintf("sdw%d", len(t.Hosts)-1), Roles: []string{RoleSegment}, Zone: z})
	}
}

func mustExpand(t *testing.T, top *Topology, prev *Layout) *Layout {
	t.Helper()
	l, err := Expand(top, prev)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestExpandSegments(t *testing.T) {
	t.Parallel()
	top := segmented(MirrorsGroup, 2, "", "")
	top.Hosts[2].Interconnect = []string{"10.1.0.1", "10.2.0.1"}
	var got []string
	for _, n := range mustExpand(t, top, nil).Nodes {
		got = append(got, fmt.Sprintf("%d %d %s %s %d %s %s", n.ID, n.Content, n.Role, n.Host, n.Port, n.DataDir, n.Address))
		if n.SocketDir() != "/tmp" || n.Role != n.PreferredRole || !strings.HasPrefix(n.DataDir, n.Dir+"/gpseg") {
			t.Errorf("node %+v", n)
		}
	}
	want := []string{
		"1 -1 coordinator cdw 5432 /data1/gp1/n1/gpseg-1 ",
		"2 0 primary sdw1 6000 /data1/gp1/n2/gpseg0 10.1.0.1",
		"3 1 primary sdw1 6001 /data2/gp1/n3/gpseg1 10.2.0.1",
		"4 2 primary sdw2 6000 /data1/gp1/n4/gpseg2 ",
		"5 3 primary sdw2 6001 /data2/gp1/n5/gpseg3 ",
		"6 0 mirror sdw2 7000 /data1/gp1/n6/gpseg0 ",
		"7 1 mirror sdw2 7001 /data2/gp1/n7/gpseg1 ",
		"8 2 mirror sdw1 7000 /data1/gp1/n8/gpseg2 10.1.0.1",
		"9 3 mirror sdw1 7001 /data2/gp1/n9/gpseg3 10.2.0.1",
		"10 -1 standby scdw 5432 /data1/gp1/n10/gpseg-1 ",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("nodes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestExpandOnOneHost(t *testing.T) {
	t.Parallel()
	top := segmented(MirrorsNone, 2)
	top.Hosts = []Host{{Name: "one", Roles: []string{RoleCoordinator, RoleSegment}}}
	if l := mustExpand(t, top, nil); len(l.On("one")) != 3 || l.Primary().Role != NodeCoordinator {
		t.Errorf("nodes = %+v", l.Nodes)
	}
}

func TestSegmentsPerHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		prev *Layout
		want int
	}{
		{"auto", nil, 2}, // the data folders
		{"auto", &Layout{SegmentsPerHost: 5}, 5},
		{"3", &Layout{SegmentsPerHost: 5}, 3},
		{"", nil, 2},
	} {
		top := segmented(MirrorsNone, 0, "")
		top.Layout.SegmentsPerHost = tt.rule
		l := mustExpand(t, top, tt.prev)
		if l.SegmentsPerHost != tt.want || len(l.On("sdw1")) != tt.want {
			t.Errorf("%q with %+v: %d decided, %d nodes, want %d", tt.rule, tt.prev, l.SegmentsPerHost, len(l.On("sdw1")), tt.want)
		}
		addHosts(top, "")
		if again := mustExpand(t, top, l); len(again.On("sdw2")) != tt.want {
			t.Errorf("%q: a new host has %d primaries, want %d", tt.rule, len(again.On("sdw2")), tt.want)
		}
	}
}

func TestMirrorsThatCannotBe(t *testing.T) {
	t.Parallel()
	grown := segmented(MirrorsGroup, 2, "", "")
	lay := mustExpand(t, grown, nil)
	addHosts(grown, "")
	for _, tt := range []struct {
		name string
		top  *Topology
		prev *Layout
		want string
	}{
		{"one host", segmented(MirrorsGroup, 2, ""), nil, "host sdw1 alone cannot hold mirrors"},
		{"one new host", grown, lay, "host sdw3 alone cannot hold mirrors"},
		{"spread", segmented(MirrorsSpread, 2, "", ""), nil, "there are 2 segment hosts with 2 primaries each"},
		{"ports", func() *Topology {
			t := segmented(MirrorsNone, 3, "")
			t.Layout.PortBase = 65534
			return t
		}(), nil, "no port is left"},
	} {
		if _, err := Expand(tt.top, tt.prev); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestLaterMirrorsAndStandby(t *testing.T) {
	t.Parallel()
	top := segmented(MirrorsNone, 2, "", "", "")
	top.Hosts[1].Roles = []string{RoleSegment} // no standby yet
	bare := mustExpand(t, top, nil)
	top.Layout.Mirrors = MirrorsSpread
	top.Hosts[1].Roles = []string{RoleSegment, RoleStandby}
	full := mustExpand(t, top, bare)
	if !reflect.DeepEqual(full.Nodes[:len(bare.Nodes)], bare.Nodes) {
		t.Error("nodes that were there have changed")
	}
	checkPlacement(t, "later", top, full)
	if s := full.Standbys(); len(s) != 1 || s[0].Host != "scdw" || s[0].ID != len(full.Nodes) {
		t.Errorf("standbys = %+v", s)
	}
	if again := mustExpand(t, top, full); !reflect.DeepEqual(again, full) {
		t.Error("expanding again adds something")
	}
}

// TestPlacementProperties lays out random clusters and grows them. The seed is
// fixed: a failure can be looked at again.
func TestPlacementProperties(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 7))
	names := []string{"", "", "a", "b", "c", "d"}
	some := func(n int) []string {
		zones := make([]string, n)
		for i := range zones {
			zones[i] = names[r.IntN(len(names))]
		}
		if r.IntN(3) == 0 {
			clear(zones)
		}
		return zones
	}
	for range 3000 {
		per := 1 + r.IntN(6)
		rule := []string{MirrorsGroup, MirrorsSpread, fmt.Sprintf("block %d", 2+r.IntN(4))}[r.IntN(3)]
		least := 2
		if rule == MirrorsSpread {
			least = per + 1
		}
		zones := some(least + r.IntN(9))
		top := segmented(rule, per, zones...)
		name := fmt.Sprintf("%s, %d per host, %v", rule, per, zonesOf(top))
		lay := mustExpand(t, top, nil)
		checkPlacement(t, name, top, lay)
		if again := mustExpand(t, top, nil); !reflect.DeepEqual(again, lay) {
			t.Errorf("%s: not the same twice", name)
		}
		addHosts(top, some(least+r.IntN(4))...)
		more := mustExpand(t, top, lay)
		name += " grown to " + fmt.Sprint(zonesOf(top))
		if !reflect.DeepEqual(more.Nodes[:len(lay.Nodes)], lay.Nodes) {
			t.Errorf("%s: nodes that were there have changed", name)
		}
		checkPlacement(t, name, top, more, len(zones))
		if t.Failed() {
			return
		}
	}
}

// TestRaisedPlacementProperties grows random clusters in every way: hosts, more
// segments per host, hosts again.
func TestRaisedPlacementProperties(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 5))
	for range 2000 {
		per, most := 1+r.IntN(3), 3+r.IntN(3)
		rule := []string{MirrorsGroup, MirrorsSpread, fmt.Sprintf("block %d", 2+r.IntN(4))}[r.IntN(3)]
		least := 2
		if rule == MirrorsSpread {
			least = most + 1
		}
		zones := make([]string, least+r.IntN(6))
		if r.IntN(2) == 0 {
			for i := range zones {
				zones[i] = string(rune('a' + r.IntN(4)))
			}
		}
		top := segmented(rule, per, zones...)
		lay := mustExpand(t, top, nil)
		for _, grow := range []func(){
			func() { top.Layout.SegmentsPerHost = fmt.Sprint(min(per+1, most)) },
			func() { addHosts(top, make([]string, least+r.IntN(2))...) },
			func() { top.Layout.SegmentsPerHost = fmt.Sprint(most) },
		} {
			grow()
			name := fmt.Sprintf("%s, %d then %s per host, %v", rule, per, top.Layout.SegmentsPerHost, zonesOf(top))
			more := mustExpand(t, top, lay)
			if !reflect.DeepEqual(more.Nodes[:len(lay.Nodes)], lay.Nodes) {
				t.Errorf("%s: nodes that were there have changed", name)
			}
			if again := mustExpand(t, top, more); !reflect.DeepEqual(again, more) {
				t.Errorf("%s: expanding again adds something", name)
			}
			for _, h := range top.Hosts[2:] {
				if n := primariesOn(more, h.Name); fmt.Sprint(n) != top.Layout.SegmentsPerHost {
					t.Errorf("%s: %d primaries on %s", name, n, h.Name)
				}
			}
			checkNodes(t, name, more)
			checkRule(t, name, top, more)
			if t.Failed() {
				return
			}
			lay = more
		}
	}
}

func primariesOn(l *Layout, host string) int {
	n := 0
	for _, node := range l.On(host) {
		if node.Role == NodePrimary {
			n++
		}
	}
	return n
}

// TestUnevenHostsKeepTheirNumber: a cluster that others made may have hosts
// with fewer primaries; hosts that join it change nothing there.
func TestUnevenHostsKeepTheirNumber(t *testing.T) {
	t.Parallel()
	top := segmented(MirrorsGroup, 2, "", "")
	lay := mustExpand(t, top, nil)
	lay.Nodes = slices.DeleteFunc(lay.Nodes, func(n Node) bool { return n.Content == 3 })
	top.Layout.SegmentsPerHost = "auto"
	addHosts(top, "", "")
	more := mustExpand(t, top, lay)
	if a, b := primariesOn(more, "sdw2"), primariesOn(more, "sdw3"); a != 1 || b != 2 {
		t.Errorf("%d primaries on the old host, %d on the new", a, b)
	}
	top.Layout.SegmentsPerHost = "3"
	more = mustExpand(t, top, more)
	for _, h := range top.Hosts[2:] {
		if n := primariesOn(more, h.Name); n != 3 {
			t.Errorf("%d primaries on %s", n, h.Name)
		}
	}
	for _, n := range more.Nodes {
		p, _ := more.preferred(NodePrimary, n.Content)
		if m, ok := more.preferred(NodeMirror, n.Content); n.Content >= 0 && (!ok || m.Host == p.Host) {
			t.Errorf("content %d: mirror %+v of %+v", n.Content, m, p)
		}
	}
}

func zonesOf(t *Topology) []string {
	var out []string
	for _, h := range t.Hosts {
		if h.Has(RoleSegment) {
			out = append(out, h.Zone)
		}
	}
	return out
}

// checkPlacement holds a layout against what is promised of every layout.
func checkPlacement(t *testing.T, name string, top *Topology, l *Layout, at ...int) {
	t.Helper()
	checkNodes(t, name, l)
	checkBatches(t, name, top, l, checkRule(t, name, top, l), at)
}

// checkNodes wants nothing twice, mirrors away from their primaries, and as
// many of these as of those on every host.
func checkNodes(t *testing.T, name string, l *Layout) {
	t.Helper()
	seen := map[string]bool{}
	once := func(format string, args ...any) {
		key := fmt.Sprintf(format, args...)
		if seen[key] {
			t.Errorf("%s: %s twice", name, key)
		}
		seen[key] = true
	}
	primaries, mirrors := map[string]int{}, map[string]int{}
	for i, n := range l.Nodes {
		if n.ID != i+1 {
			t.Errorf("%s: node %d has id %d", name, i, n.ID)
		}
		once("port %s %d", n.Host, n.Port)
		once("folder %s %s", n.Host, n.DataDir)
		once("content %d %s", n.Content, n.Role)
		switch n.Role {
		case NodePrimary:
			primaries[n.Host]++
		case NodeMirror:
			mirrors[n.Host]++
			if p, ok := l.preferred(NodePrimary, n.Content); !ok || p.Host == n.Host {
				t.Errorf("%s: mirror of content %d is with its primary on %s", name, n.Content, n.Host)
			}
		}
	}
	if !reflect.DeepEqual(primaries, mirrors) {
		t.Errorf("%s: primaries %v, mirrors %v", name, primaries, mirrors)
	}
}

// checkRule holds a layout against layout.mirrors. It returns how many mirrors
// each host has on which others.
func checkRule(t *testing.T, name string, top *Topology, l *Layout) map[string]map[string]int {
	t.Helper()
	targets := map[string]map[string]int{}
	for _, m := range l.Nodes {
		if m.Role != NodeMirror {
			continue
		}
		p, _ := l.preferred(NodePrimary, m.Content)
		if targets[p.Host] == nil {
			targets[p.Host] = map[string]int{}
		}
		targets[p.Host][m.Host]++
	}
	anyZone := false
	for _, z := range zonesOf(top) {
		anyZone = anyZone || z != ""
	}
	for from, to := range targets {
		switch rule := top.Layout.Mirrors; {
		case rule == MirrorsGroup && len(to) != 1:
			t.Errorf("%s: mirrors of %s are on %v", name, from, to)
		case rule == MirrorsSpread && !anyZone && len(to) != len(l.On(from))/2:
			// One more primary at most for each survivor.
			t.Errorf("%s: mirrors of %s are on %v", name, from, to)
		}
	}
	return targets
}

// checkBatches is checkPlacement for each batch of hosts that came together: a
// host's mirrors are all in its batch.
func checkBatches(t *testing.T, name string, top *Topology, l *Layout, targets map[string]map[string]int, at []int) {
	t.Helper()
	for _, batch := range placedTogether(top, at) {
		size, most := map[string]int{}, 0
		for _, h := range batch {
			size[zoneOf(h)]++
			most = max(most, size[zoneOf(h)])
		}
		for _, h := range batch {
			if c := l.SameZone(top, h.Name); len(c) > 0 && 2*most <= len(batch) {
				t.Errorf("%s: mirrors of contents %v of %s stay in its zone, of hosts %v", name, c, h.Name, batch)
			}
			for to := range targets[h.Name] {
				if !slices.ContainsFunc(batch, func(o Host) bool { return o.Name == to }) {
					t.Errorf("%s: mirrors of %s are on %s, not among %v", name, h.Name, to, batch)
				}
			}
		}
	}
}

// placedTogether are the sets of hosts inside which mirrors were placed: the
// segment hosts before and after each index of at, which are those at which
// the cluster grew, and the blocks of those.
func placedTogether(top *Topology, at []int) [][]Host {
	var all []source
	for _, h := range top.Hosts {
		if h.Has(RoleSegment) {
			all = append(all, source{host: h})
		}
	}
	var out [][]Host
	from := 0
	for _, to := range append(at, len(all)) {
		size := to - from
		if n, ok := strings.CutPrefix(top.Layout.Mirrors, "block "); ok {
			size, _ = strconv.Atoi(n)
		}
		for _, b := range blocks(zoneOrder(all[from:to]), size) {
			var hosts []Host
			for _, s := range b {
				hosts = append(hosts, s.host)
			}
			out = append(out, hosts)
		}
		from = to
	}
	return out
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n, size int
		want    []int
	}{
		{8, 4, []int{4, 4}}, {9, 4, []int{5, 4}}, {10, 4, []int{4, 4, 2}}, {3, 4, []int{3}}, {2, 2, []int{2}}, {3, 2, []int{3}}, {5, 2, []int{3, 2}},
	} {
		var got []int
		for _, b := range blocks(make([]source, tt.n), tt.size) {
			got = append(got, len(b))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%d hosts in blocks of %d: %v, want %v", tt.n, tt.size, got, tt.want)
		}
	}
}

func TestSpreadUsesTheWholeOtherZone(t *testing.T) {
	t.Parallel()
	// Two zones of two have one valid shift only; matchings find two.
	top := segmented(MirrorsSpread, 2, "a", "a", "b", "b")
	l := mustExpand(t, top, nil)
	for _, h := range []string{"sdw1", "sdw2", "sdw3", "sdw4"} {
		if a := l.Acting(h); a != 3 {
			t.Errorf("%s carries up to %d primaries, want 3", h, a)
		}
	}
	for _, tt := range []struct {
		top  *Topology
		want int
	}{
		{segmented(MirrorsGroup, 4, "", "", ""), 8},
		{segmented("block 4", 8, "", "", "", ""), 11}, // the example of Greenplum's best practices
		{segmented(MirrorsNone, 4, "", ""), 4},
	} {
		if a := mustExpand(t, tt.top, nil).Acting("sdw1"); a != tt.want {
			t.Errorf("%s: %d acting, want %d", tt.top.Layout.Mirrors, a, tt.want)
		}
	}
}

func TestUnbalancedZonesOverlapLeast(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{MirrorsGroup, MirrorsSpread} {
		top := segmented(rule, 1, "a", "b", "a", "a", "c")
		l, bad := mustExpand(t, top, nil), 0
		for _, h := range top.Hosts {
			bad += len(l.SameZone(top, h.Name))
		}
		if bad != 1 { // three hosts in a, two elsewhere
			t.Errorf("%s: %d mirrors are in their primary's zone, want 1", rule, bad)
		}
	}
}
