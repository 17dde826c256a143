package cluster

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"cw/fault"
)

// SegmentSocket is the folder of the unix sockets of engines with segments:
// their own tools look for them there and nowhere else.
const SegmentSocket = "/tmp"

// segmentPrefix begins the name of a data folder, as gpinitsystem's
// SEG_PREFIX does in its samples: gpseg-1 is the coordinator's.
const segmentPrefix = "gpseg"

// Auto says whether the number of primaries per host is to be computed from
// the machines.
func (r Rule) Auto() bool { return r.SegmentsPerHost == "" || r.SegmentsPerHost == "auto" }

// grower adds nodes to a layout and keeps count of what each host carries.
type grower struct {
	t       *Topology
	l       *Layout
	next    int // id
	content int // the next segment's
	ports   map[string]map[int]bool
	count   map[string]map[string]int // nodes by host and preferred role
}

func newGrower(t *Topology, l *Layout, next int) *grower {
	g := &grower{t: t, l: l, next: next, ports: map[string]map[int]bool{}, count: map[string]map[string]int{}}
	for _, h := range t.Hosts {
		g.ports[h.Name], g.count[h.Name] = map[int]bool{}, map[string]int{}
	}
	for _, n := range l.Nodes {
		g.note(n)
	}
	return g
}

func (g *grower) note(n Node) {
	g.ports[n.Host][n.Port] = true
	g.count[n.Host][n.PreferredRole]++
	g.content = max(g.content, n.Content+1)
}

// add makes the next node. The i-th primary of a host takes the i-th port,
// data folder and interconnect address, and so does the i-th mirror. Ports
// that a node of the host has already, as in clusters that cw did not make,
// are passed over.
func (g *grower) add(h Host, role string, content int) error {
	r, i, port := g.t.Layout, 0, g.t.Database.Port
	if role == NodePrimary || role == NodeMirror {
		i, port = g.count[h.Name][role], r.PortBase
		if role == NodeMirror {
			port = r.MirrorPortBase
		}
		for port += i; g.ports[h.Name][port]; port++ {
		}
	}
	n := Node{ID: g.next, Content: content, Role: role, PreferredRole: role, Host: h.Name, Port: port, Socket: SegmentSocket}
	switch {
	case port > 65535:
		return fault.New(fault.Usage, "set lower layout.port_base and layout.mirror_port_base", "host %s: no port is left for the %s of content %d", h.Name, role, content)
	case g.ports[h.Name][port]:
		return fault.New(fault.Usage, "set another database.port", "host %s: port %d of the %s is another node's", h.Name, port, role)
	}
	if content >= 0 && len(h.Interconnect) > 1 {
		n.Address = h.Interconnect[i%len(h.Interconnect)]
	}
	n.Dir = nodeDir(r.DataDirs[i%len(r.DataDirs)], g.t.Name, n.ID)
	n.DataDir = path.Join(n.Dir, segmentPrefix+strconv.Itoa(content))
	g.l.Nodes = append(g.l.Nodes, n)
	g.next++
	g.note(n)
	return nil
}

// expandSegments adds what the topology has and the layout has not: the
// coordinator, the primaries host by host, the mirrors by content, the
// standby. Ids are the dbids of the engine's catalogue, which gives them in
// this order. Hosts that carry primaries get more only when the number per host
// was raised; a host that always had fewer than others keeps its number.
func expandSegments(t *Topology, l *Layout, next int) error {
	before := l.SegmentsPerHost
	if n, err := strconv.Atoi(t.Layout.SegmentsPerHost); err == nil {
		l.SegmentsPerHost = n
	} else if l.SegmentsPerHost == 0 {
		l.SegmentsPerHost = max(1, len(t.Layout.DataDirs))
	}
	g := newGrower(t, l, next)
	if l.Primary().ID == 0 {
		for _, h := range t.Hosts {
			if h.Has(RoleCoordinator) {
				if err := g.add(h, NodeCoordinator, -1); err != nil {
					return err
				}
				break
			}
		}
	}
	if err := g.primaries(before > 0 && l.SegmentsPerHost > before); err != nil {
		return err
	}
	if err := g.mirrors(); err != nil {
		return err
	}
	if len(l.Standbys()) > 0 {
		return nil
	}
	for _, h := range t.Hosts {
		if h.Has(RoleStandby) && h.Name != l.Primary().Host {
			return g.add(h, NodeStandby, -1)
		}
	}
	return nil
}

// primaries adds those that hosts lack. Hosts that have some come first, so
// that the highest contents are on the newest hosts: those can go again.
func (g *grower) primaries(raised bool) error {
	var had, bare []Host
	for _, h := range g.t.Hosts {
		switch n := g.count[h.Name][NodePrimary]; {
		case !h.Has(RoleSegment):
		case n == 0:
			bare = append(bare, h)
		case raised:
			had = append(had, h)
		}
	}
	for _, h := range append(had, bare...) {
		for range g.l.SegmentsPerHost - g.count[h.Name][NodePrimary] {
			if err := g.add(h, NodePrimary, g.content); err != nil {
				return err
			}
		}
	}
	return nil
}

// mirrors adds a mirror for every primary that has none.
func (g *grower) mirrors() error {
	if g.t.Layout.Mirrors == "" || g.t.Layout.Mirrors == MirrorsNone {
		return nil
	}
	sets, grows := g.mirrorSets()
	at := map[int]Host{}
	for _, set := range sets {
		placed, err := placeMirrors(g.t.Layout.Mirrors, set, grows)
		if err != nil {
			return err
		}
		maps.Copy(at, placed)
	}
	for content := range g.content {
		if h, ok := at[content]; ok {
			if err := g.add(h, NodeMirror, content); err != nil {
				return err
			}
		}
	}
	return nil
}

// mirrorSets are the hosts with primaries that lack a mirror. New hosts are a
// set of their own, so that nothing moves; with block N hosts that get more
// primaries stay with those that they share mirrors with. grows says whether
// there are mirrors already.
func (g *grower) mirrorSets() (sets [][]source, grows bool) {
	on, lacking, shares := map[string][]string{}, map[string][]int{}, newSharing()
	for _, n := range g.l.Nodes {
		if n.Content < 0 || n.PreferredRole != NodePrimary {
			continue
		}
		m, mirrored := g.l.preferred(NodeMirror, n.Content)
		if !mirrored {
			lacking[n.Host] = append(lacking[n.Host], n.Content)
			continue
		}
		on[n.Host] = append(on[n.Host], m.Host)
		shares.join(n.Host, m.Host)
	}
	kind, arg, _ := strings.Cut(g.t.Layout.Mirrors, " ")
	size := len(g.t.Hosts)
	if n, err := strconv.Atoi(arg); err == nil && kind == mirrorsBlock {
		size = n
	}
	var fresh []source
	old := map[string][]source{}
	var order []string
	for _, h := range g.t.Hosts {
		slices.Sort(lacking[h.Name])
		s := source{h, lacking[h.Name], on[h.Name]}
		switch root, ok := shares.root(h.Name); {
		case ok:
			if old[root] == nil {
				order = append(order, root)
			}
			old[root] = append(old[root], s)
		case len(s.contents) > 0:
			fresh = append(fresh, s)
		}
	}
	// Sets that came out smaller than a block, as with few primaries per host,
	// are put together.
	var open []source
	for _, root := range order {
		if open = append(open, old[root]...); len(open) >= size {
			sets, open = append(sets, open), nil
		}
	}
	sets = append(sets, open, fresh)
	sets = slices.DeleteFunc(sets, func(set []source) bool {
		return !slices.ContainsFunc(set, func(s source) bool { return len(s.contents) > 0 })
	})
	return sets, len(order) > 0
}

// sharing puts hosts that hold mirrors of each other together.
type sharing struct{ up map[string]string }

func newSharing() sharing { return sharing{map[string]string{}} }

// root is the host that stands for all that a host shares with.
func (s sharing) root(host string) (string, bool) {
	up, ok := s.up[host]
	for ok && up != host {
		host, up = up, s.up[up]
	}
	return host, ok
}

func (s sharing) join(a, b string) {
	for _, h := range []string{a, b} {
		if s.up[h] == "" {
			s.up[h] = h
		}
	}
	ra, _ := s.root(a)
	rb, _ := s.root(b)
	s.up[ra] = rb
}

// preferred is a segment's node by preferred role.
func (l *Layout) preferred(role string, content int) (Node, bool) {
	for _, n := range l.Nodes {
		if n.Content == content && n.PreferredRole == role {
			return n, true
		}
	}
	return Node{}, false
}
