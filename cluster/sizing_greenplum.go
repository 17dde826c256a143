package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

const (
	gib = int64(1) << 30
	mib = int64(1) << 20

	segmentMemory  = 8 * gib // per primary on cloud machines (Greenplum, platform requirements)
	segmentsMost   = 8       // primaries per host; the usual range is 4 to 8 (best practices, system configuration)
	connectFactor  = 3       // max_connections of segments over the coordinator's (gpinitsystem, QE_CONNECT_FACTOR)
	vmemLeast      = 1024    // MB; below it not even one query of the default statement_mem runs beside another
	buffersDefault = 125 * mib
	buffersPerConn = 16 << 10 // least shared_buffers for each connection (configuration parameters, shared_buffers)
	walSegment     = 64 * mib
)

// greenplumProfile is a built-in configuration group for engines with
// segments.
type greenplumProfile struct {
	connections int   // of the coordinator on high node types, half of it on low ones
	concurrent  int64 // queries at a time that memory is divided by
	checkpoints int64 // checkpoint_segments
	maintMax    int64
}

var greenplumProfiles = map[string]greenplumProfile{ //nolint:gochecknoglobals // constant table
	"default":     {connections: 250, concurrent: 20, checkpoints: 8, maintMax: 256 * mib},
	"concurrency": {connections: 500, concurrent: 50, checkpoints: 8, maintMax: 256 * mib},
	"loading":     {connections: 150, concurrent: 10, checkpoints: 32, maintMax: gib},
}

// AutoSegments is the number of primaries for a segment host and what bounds
// it: one per core (two virtual CPUs), 8 GB for each after the system's part,
// at most 8; a multiple of the data folders and interconnect addresses where
// that leaves any. (Greenplum's best practices and platform requirements.)
func AutoSegments(m Machine, dataDirs, addresses int) (n int, reason string) {
	return AutoSegmentsAt(m, dataDirs, addresses, 1)
}

// AutoDensity is how many primaries a topology should have per core: with many
// queries at a time and group mirroring half of one, since after a host has
// failed another one has twice the primaries (best practices, system
// configuration).
func AutoDensity(t *Topology) float64 {
	if baseOrName(t) == "concurrency" && t.Layout.Mirrors == MirrorsGroup {
		return 0.5
	}
	return 1
}

func baseOrName(t *Topology) string {
	if _, ok := greenplumProfiles[t.Profile]; ok {
		return t.Profile
	}
	return baseProfile(t)
}

// AutoSegmentsAt is AutoSegments with another number of primaries per core.
func AutoSegmentsAt(m Machine, dataDirs, addresses int, density float64) (n int, reason string) {
	return autoSegments(m, dataDirs, addresses, density)
}

// autoBound is one limit of the number of primaries.
type autoBound struct {
	n    int64
	text string
}

// autoSegments is AutoSegmentsAt with more bounds.
func autoSegments(m Machine, dataDirs, addresses int, density float64, more ...autoBound) (n int, reason string) {
	perCore := "one primary for two"
	if density != 1 {
		perCore = fmt.Sprintf("one primary for %g (density %g)", 2/density, density)
	}
	bounds := []autoBound{
		{int64(float64(m.CPUs) / 2 * density), fmt.Sprintf("%d virtual CPUs: %s", m.CPUs, perCore)},
		{(m.Memory - systemMemory(m.Memory)) / segmentMemory, fmt.Sprintf("%.1f GB of memory: %.1f GB for the system, 8 GB for each primary", gb(m.Memory), gb(systemMemory(m.Memory)))},
		{segmentsMost, fmt.Sprintf("at most %d primaries per host", segmentsMost)},
	}
	least := bounds[0]
	for _, b := range append(bounds[1:], more...) {
		if b.n < least.n {
			least = b
		}
	}
	n, reason = max(int(least.n), 1), least.text
	both := lcm(max(dataDirs, 1), max(addresses, 1))
	for _, unit := range []int{both, max(dataDirs, 1)} {
		if rounded := n - n%unit; rounded > 0 {
			if rounded != n {
				reason += fmt.Sprintf("; rounded from %d to a multiple of %d (data folders and interconnect addresses)", n, unit)
			}
			return rounded, reason
		}
	}
	return n, reason
}

func lcm(a, b int) int {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}

func gb(n int64) float64 { return float64(n) / float64(gib) }

// systemMemory is what the operating system keeps: 7.5 GB and a twentieth of
// memory (configuration parameters, gp_vmem_protect_limit).
func systemMemory(ram int64) int64 { return 15*gib/2 + ram/20 }

// SystemMemory is the same, for those who size by what they measured.
func SystemMemory(ram int64) int64 { return systemMemory(ram) }

// SegmentMemoryNeed is the memory that is wanted for each primary.
const SegmentMemoryNeed = segmentMemory

// SegmentMemory is how much memory queries may use on a host.
type SegmentMemory struct {
	VMem       int64 // bytes of the host for the database, gp_vmem; not positive on small machines
	Limit      int64 // MB for each acting primary, gp_vmem_protect_limit
	Overcommit int   // vm.overcommit_ratio that goes with it
}

// vmemDivisor is Greenplum's for hosts below 256 GB. Its rule for larger ones,
// 1.17, gives the database all memory, and its own example for 256 GB uses 1.7.
const vmemDivisor = 1.7

// MemoryOf computes the memory of a host on which at most acting primaries work
// after another host has failed. On machines too small for Greenplum's formula
// a quarter of memory and swap is divided instead.
func MemoryOf(m Machine, acting int) SegmentMemory {
	return memoryBy(m, acting, vmemDivisor)
}

func memoryBy(m Machine, acting int, divisor float64) SegmentMemory {
	vmem := float64(m.Swap+m.Memory-systemMemory(m.Memory)) / divisor
	s := SegmentMemory{VMem: int64(vmem), Overcommit: 95}
	if vmem > 0 && m.Memory > 0 {
		s.Overcommit = int((float64(m.Memory) - 0.026*vmem) / float64(m.Memory) * 100)
	}
	small := float64(m.Memory+m.Swap) / 4
	s.Limit = max(int64(max(vmem, small)/float64(mib)/float64(max(acting, 1))), vmemLeast)
	return s
}

// GreenplumSettings computes the configuration of the coordinator (and its
// standby) and of all segments. machines are the hosts by name as far as they
// are the cluster's, not divided by nodes. Sources: "docs" is Greenplum 6's
// reference of configuration parameters.
//
//   - gp_vmem_protect_limit: see MemoryOf; the least of all hosts, with the
//     primaries that work on a host after another one has failed.
//   - max_connections: 250, 500 or 150 by profile, half on low node types, and
//     no more than one per 8 MB of the smallest node; three times that on
//     segments (gpinitsystem). max_prepared_transactions: the coordinator's
//     connections, everywhere (docs: at least that, and the same on segments).
//   - shared_buffers: 125 MB (docs: default), on nodes with less than 1 GB an
//     eighth of it; never below 16 kB per connection (docs) and 16 MB.
//   - statement_mem: 0.9 × gp_vmem_protect_limit / concurrent queries (docs);
//     max_statement_mem: memory of a host / concurrent queries (docs).
//   - maintenance_work_mem: a sixteenth of a node's memory, up to 256 MB, for
//     loading 1 GB.
//   - checkpoint_segments: 8 (gpinitsystem), for loading 32, in at most a tenth
//     of a node's part of the disk (docs: (2n+1) files of 64 MB).
//
// A profile file's settings replace these on all nodes; its max_connections is
// the coordinator's.
func GreenplumSettings(t *Topology, l *Layout, machines map[string]Machine) (coordinator, segments []Setting) {
	return greenplumSettings(t, l, machines, 0)
}

// greenplumSettings is GreenplumSettings for a number of queries at a time; 0
// is the profile's.
func greenplumSettings(t *Topology, l *Layout, machines map[string]Machine, concurrent int64) (coordinator, segments []Setting) {
	p := greenplumProfiles[baseOrName(t)]
	if concurrent > 0 {
		p.concurrent = concurrent
	}
	top, seg := leastNode(l, machines, false), leastNode(l, machines, true)
	conns, why := p.connections, "profile"
	if t.NodeType == LowCapacity || t.NodeType == LowSpeed {
		conns /= 2
	}
	switch { // of hosts that do not answer nothing is known
	case top.node.Memory == 0:
		top.node, top.host = seg.node, seg.host
	case seg.node.Memory == 0:
		seg.node, seg.host = top.node, top.host
	}
	if least := min(top.node.Memory, seg.node.Memory); int64(conns) > least/(8*mib) {
		conns, why = max(int(least/(8*mib)), 30), "one per 8 MB of the smallest node"
	}
	over := maps.Clone(t.Overrides)
	if n, err := strconv.Atoi(over["max_connections"]); err == nil {
		conns, why = n, "profile file"
		delete(over, "max_connections")
	}
	stmt := max(seg.limit*9/10/p.concurrent, 16)
	most := max(seg.host.Memory/mib/p.concurrent, stmt, 125)
	list := func(n leastOf, factor int, whyConns string) []Setting {
		buffers, whyBuffers := buffersDefault, "docs: default"
		if n.node.Memory < gib {
			buffers, whyBuffers = max(n.node.Memory/8, 16*mib), "1/8 of a small node"
		}
		if need := int64(conns * factor * buffersPerConn); need > buffers {
			buffers, whyBuffers = need+mib-1, "docs: 16 kB per connection"
		}
		check := p.checkpoints
		if n.node.Disk > 0 {
			check = max(min(check, (n.node.Disk/10/walSegment-1)/2), 3)
		}
		return override([]Setting{
			{"max_connections", strconv.Itoa(conns * factor), whyConns},
			{"max_prepared_transactions", strconv.Itoa(conns), "docs: the coordinator's max_connections"},
			{"shared_buffers", mega(buffers), whyBuffers},
			{"gp_vmem_protect_limit", strconv.FormatInt(n.limit, 10), n.why},
			{"statement_mem", fmt.Sprintf("%dMB", stmt), fmt.Sprintf("docs: 0.9 × gp_vmem_protect_limit of segments / %d queries", p.concurrent)},
			{"max_statement_mem", fmt.Sprintf("%dMB", most), fmt.Sprintf("docs: memory of a segment host / %d queries", p.concurrent)},
			{"maintenance_work_mem", mega(min(max(n.node.Memory/16, 16*mib), p.maintMax)), "1/16 of a node's memory"},
			{"checkpoint_segments", strconv.FormatInt(check, 10), fmt.Sprintf("up to %d MB of WAL", (2*check+1)*walSegment/mib)},
		}, over)
	}
	return list(top, 1, why), list(seg, connectFactor, "3 × the coordinator's (gpinitsystem)")
}

// leastOf is the least that any host gives a node of a kind.
type leastOf struct {
	node  Machine // a node's part
	host  Machine
	limit int64 // gp_vmem_protect_limit
	why   string
}

func leastNode(l *Layout, machines map[string]Machine, segments bool) leastOf {
	var out leastOf
	for _, host := range slices.Sorted(maps.Keys(machines)) {
		nodes := l.On(host)
		if !slices.ContainsFunc(nodes, func(n Node) bool { return (n.Content >= 0) == segments }) {
			continue
		}
		m, acting := machines[host], l.Acting(host)
		one := leastOf{node: m.Share(len(nodes)), host: m, limit: MemoryOf(m, acting).Limit}
		if out.limit == 0 {
			out = one
		}
		out.node, out.host = out.node.Least(one.node), out.host.Least(one.host)
		if out.why == "" || one.limit < out.limit {
			out.limit = one.limit
			out.why = fmt.Sprintf("docs: memory of %s for %d acting", host, acting)
			if m.Memory >= 256*gib {
				out.why += fmt.Sprintf("; with the divisor 1.17 of its rule for 256 GB and more: %d", memoryBy(m, acting, 1.17).Limit)
			}
		}
	}
	if out.limit == 0 {
		out.limit, out.why = vmemLeast, "no host is known"
	}
	return out
}
