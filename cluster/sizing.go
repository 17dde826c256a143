package cluster

import (
	"fmt"
	"sort"
	"strconv"
)

// The node types: low or high CPU and memory, with capacity (rotating) or
// speed (flash) disks.
const (
	LowCapacity  = "low-capacity"
	HighCapacity = "high-capacity"
	LowSpeed     = "low-speed"
	HighSpeed    = "high-speed"
)

// Machine is what a host has to offer one node.
type Machine struct {
	Memory int64 // bytes
	Swap   int64 // bytes
	CPUs   int
	Disk   int64 // bytes of the data folder's file system; 0 when not known
}

// Share is the part of a machine that one of n nodes may use.
func (m Machine) Share(n int) Machine {
	n = max(n, 1)
	return Machine{Memory: m.Memory / int64(n), Swap: m.Swap / int64(n), CPUs: max(m.CPUs/n, 1), Disk: m.Disk / int64(n)}
}

// Least is the smaller machine in every respect. Settings that a standby must
// have at least as large as its primary are computed from the least of all
// machines, so that any node can follow any other.
func (m Machine) Least(o Machine) Machine {
	return Machine{Memory: min(m.Memory, o.Memory), Swap: min(m.Swap, o.Swap), CPUs: min(m.CPUs, o.CPUs), Disk: min(m.Disk, o.Disk)}
}

// Setting is one line of a configuration file with the reason for its value.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

// profile is a built-in configuration group.
type profile struct {
	connections  int   // max_connections on high node types, half of it on low ones
	maintenance  int64 // memory divided by this is maintenance_work_mem
	maintMax     int64
	walMax       int64 // max_wal_size
	checkpoint   string
	statsTarget  int
	gatherFactor float64 // max_parallel_workers_per_gather as a part of the cores
}

// profiles are the built-in configuration groups: default is a warehouse of
// few, large queries; concurrency many small ones; loading favours bulk
// writes.
var profiles = map[string]profile{ //nolint:gochecknoglobals // constant table
	"default":     {connections: 200, maintenance: 8, maintMax: 2 << 30, walMax: 16 << 30, checkpoint: "15min", statsTarget: 500, gatherFactor: 0.5},
	"concurrency": {connections: 500, maintenance: 16, maintMax: 2 << 30, walMax: 8 << 30, checkpoint: "15min", statsTarget: 100, gatherFactor: 0.25},
	"loading":     {connections: 100, maintenance: 6, maintMax: 4 << 30, walMax: 32 << 30, checkpoint: "30min", statsTarget: 100, gatherFactor: 0.5},
}

// ProfileNames are the built-in configuration groups in alphabetical order.
func ProfileNames() []string {
	names := make([]string, 0, len(profiles))
	for n := range profiles {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Settings computes the configuration of a PostgreSQL node on machine own in
// a cluster whose least machine is least. Sources: "docs" is the PostgreSQL
// manual, chapter 20; "pgtune" the rules of pgtune's data warehouse profile.
//
//   - shared_buffers: a quarter of memory (docs 20.4.1: a reasonable start with
//     1 GB or more), at least 16 MB.
//   - effective_cache_size: three quarters of memory (docs 20.7.2: cache the
//     planner may expect; pgtune 3/4).
//   - maintenance_work_mem: memory/8 up to 2 GB (pgtune DW); /16 and /6 in the
//     other profiles.
//   - work_mem: (memory - shared_buffers) / (3 × max_connections × workers per
//     gather), at least 4 MB (pgtune; 4 MB is PostgreSQL's own default).
//   - max_connections: 200, 500 or 100 by profile, half on low node types
//     (pgtune DW has 40; pools of loaders and monitors need more).
//   - max_worker_processes, max_parallel_workers: the cores, at least 8 and 2
//     (docs 20.4.6: 8 is the default). max_parallel_workers_per_gather and
//     _maintenance_workers: half the cores (pgtune), at most 4 on low types.
//   - max_wal_size: 16 GB (pgtune DW), never more than a tenth of the disk;
//     min_wal_size a quarter of it. max_slot_wal_keep_size: a quarter of the
//     disk, so that a standby that is away cannot fill it (docs 20.6.1: the
//     default is no limit).
//   - random_page_cost, effective_io_concurrency: 1.1 and 200 for flash, 4 and
//     2 for rotating disks (docs 20.7.2 and 20.4.5; pgtune).
//   - checkpoint_timeout, checkpoint_completion_target 0.9, wal_compression:
//     fewer full-page images during bulk loads (docs 30.5).
func Settings(t *Topology, own, least Machine) []Setting {
	p, ok := profiles[t.Profile]
	if !ok { // a file; its base was resolved when it was read
		p = profiles[baseProfile(t)]
	}
	high := t.NodeType == HighCapacity || t.NodeType == HighSpeed
	flash := t.NodeType == LowSpeed || t.NodeType == HighSpeed
	const mb = int64(1) << 20

	connections := p.connections
	perGather := max(int(float64(least.CPUs)*p.gatherFactor+0.5), 1)
	if !high {
		connections /= 2
		perGather = min(perGather, 4)
	}
	buffers := max(own.Memory/4, 16*mb)
	workMem := max((own.Memory-buffers)/int64(3*connections*perGather), 4*mb)
	walMax := p.walMax
	if own.Disk > 0 {
		walMax = min(walMax, own.Disk/10)
	}
	walMax = max(walMax, 128*mb)
	s := []Setting{
		{"max_connections", strconv.Itoa(connections), fmt.Sprintf("profile %s, node type %s", t.Profile, t.NodeType)},
		{"shared_buffers", mega(buffers), "1/4 of memory"},
		{"effective_cache_size", mega(max(own.Memory/4*3, 32*mb)), "3/4 of memory"},
		{"work_mem", mega(workMem), "(memory - shared_buffers) / (3 x connections x workers per gather)"},
		{"maintenance_work_mem", mega(max(min(own.Memory/p.maintenance, p.maintMax), 32*mb)), fmt.Sprintf("1/%d of memory, at most %s", p.maintenance, mega(p.maintMax))},
		{"max_worker_processes", strconv.Itoa(max(least.CPUs, 8)), "cores of the smallest host, at least 8"},
		{"max_parallel_workers", strconv.Itoa(max(least.CPUs, 2)), "cores of the smallest host"},
		{"max_parallel_workers_per_gather", strconv.Itoa(perGather), fmt.Sprintf("%g of the cores", p.gatherFactor)},
		{"max_parallel_maintenance_workers", strconv.Itoa(min(perGather, 4)), "as per gather, at most 4"},
		{"max_wal_size", mega(walMax), fmt.Sprintf("profile %s, at most 1/10 of the disk", t.Profile)},
		{"min_wal_size", mega(max(walMax/4, 64*mb)), "1/4 of max_wal_size"},
		{"wal_keep_size", mega(walMax / 16), "1/16 of max_wal_size: what pg_rewind looks back through"},
		{"checkpoint_timeout", p.checkpoint, "profile " + t.Profile},
		{"checkpoint_completion_target", "0.9", "spread writes"},
		{"wal_compression", "on", "smaller full-page images"},
		{"default_statistics_target", strconv.Itoa(p.statsTarget), "profile " + t.Profile},
	}
	if own.Disk > 0 {
		s = append(s, Setting{"max_slot_wal_keep_size", mega(max(own.Disk/4, 2*walMax)), "1/4 of the disk: an absent standby must not fill it"})
	}
	if flash {
		s = append(s, Setting{"random_page_cost", "1.1", "flash disks"}, Setting{"effective_io_concurrency", "200", "flash disks"})
	} else {
		s = append(s, Setting{"random_page_cost", "4", "rotating disks"}, Setting{"effective_io_concurrency", "2", "rotating disks"})
	}
	return override(s, t.Overrides)
}

// DiskNeed is how many bytes a new node needs: the files of initdb and an
// empty database (measured 40 MB), and WAL up to max_wal_size. Of Greenplum
// 118 MB were measured, to which its first WAL files of 64 MB come.
func DiskNeed(t *Topology, m Machine) int64 {
	if t.Engine.Kind != Postgres {
		return 250 << 20
	}
	p, ok := profiles[t.Profile]
	if !ok {
		p = profiles[baseProfile(t)]
	}
	wal := p.walMax
	if m.Disk > 0 {
		wal = min(wal, m.Disk/10)
	}
	return 64<<20 + max(wal, 128<<20)
}

// override puts the settings of a profile file over computed ones.
func override(s []Setting, over map[string]string) []Setting {
	names := make([]string, 0, len(over))
	for n := range over {
		if n != baseKey {
			names = append(names, n)
		}
	}
	sort.Strings(names)
next:
	for _, n := range names {
		for i := range s {
			if s[i].Name == n {
				s[i] = Setting{n, over[n], "profile file"}
				continue next
			}
		}
		s = append(s, Setting{n, over[n], "profile file"})
	}
	return s
}

// mega writes bytes in the whole megabytes that postgresql.conf calls MB.
func mega(n int64) string { return strconv.FormatInt(n>>20, 10) + "MB" }
