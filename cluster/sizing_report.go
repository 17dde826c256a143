package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Sizing says what hosts can carry and how the database on them is set, each
// number with its reason.
type Sizing struct {
	Cluster         string       `json:"cluster,omitempty"`
	Engine          string       `json:"engine"`
	SegmentHosts    int          `json:"segment_hosts"`
	SegmentsPerHost int          `json:"segments_per_host,omitempty"` // primaries
	Segments        int          `json:"segments,omitempty"`          // primaries of the cluster
	Bound           string       `json:"bound,omitempty"`             // the resource that decides SegmentsPerHost, and how
	Mirrors         string       `json:"mirrors,omitempty"`
	ActingOneFailed int          `json:"acting_one_failed,omitempty"` // primaries that work on a host after another one has failed
	AddHosts        int          `json:"add_hosts,omitempty"`         // segment hosts that are added together
	Memory          int64        `json:"memory"`                      // bytes of the smallest segment host
	Cores           int          `json:"cores"`                       // virtual CPUs of it
	UsableBytes     int64        `json:"usable_bytes,omitempty"`      // of user data that the cluster holds
	Lines           []SizingLine `json:"lines"`
	Warnings        []string     `json:"warnings"`
}

// SizingLine is one number of a Sizing.
type SizingLine struct {
	Topic  string `json:"topic"` // layout, memory, coordinator, segments, kernel, capacity
	Item   string `json:"item"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
	Source string `json:"source"`
}

// The sources of numbers.
const (
	srcBest     = "Greenplum best practices, system configuration"
	srcGUC      = "Greenplum configuration parameters"
	srcPlatform = "Greenplum platform requirements"
	srcCapacity = "Greenplum capacity planning"
	srcWorkload = "Greenplum workload management"
	srcPrepare  = "Greenplum, preparing hosts"
	srcInit     = "gpinitsystem"
	srcSample   = "community: cloudberry-fe sizing"
	srcPostgres = "PostgreSQL manual, chapter 20; pgtune"
)

// SizingOptions are what a topology does not say.
type SizingOptions struct {
	Concurrency int    // queries at a time; 0 is the profile's
	Disks       int    // data disks per host; 0 when only the file system's size is known
	DiskSize    int64  // bytes of each
	RAID        string // none, 10, 5: what of the disks is left; none when ""
	Bound       string // why there are as many primaries per host; "" when nobody computed it
}

// SizeOf says how hosts are used by a layout. machines are the hosts by name,
// not divided between nodes.
func SizeOf(t *Topology, l *Layout, machines map[string]Machine, o SizingOptions) Sizing {
	s := Sizing{Cluster: t.Name, Engine: t.Engine.Kind, Warnings: []string{}}
	if t.Engine.Kind == Postgres {
		s.postgres(t, l, machines)
		return s
	}
	least, acting, beside := Machine{}, 0, false
	for _, h := range t.Hosts {
		own := l.primariesOn(h.Name)
		if own == 0 {
			continue
		}
		s.SegmentHosts++
		s.Segments += own
		s.SegmentsPerHost = max(s.SegmentsPerHost, own)
		if n := l.Acting(h.Name); n > acting {
			acting = n
			beside = slices.ContainsFunc(l.On(h.Name), func(n Node) bool { return n.Content < 0 })
		}
		if m, ok := machines[h.Name]; ok {
			if least.Memory == 0 {
				least = m
			}
			least = least.Least(m)
		}
	}
	s.ActingOneFailed = acting
	s.Mirrors, s.Memory, s.Cores, s.Bound = cmp.Or(t.Layout.Mirrors, MirrorsNone), least.Memory, least.CPUs, o.Bound
	s.layout(t, beside)
	if least.Memory > 0 {
		s.memory(t, least, o)
		s.settings(greenplumSettings(t, l, machines, int64(o.Concurrency)))
		s.kernel(least)
	}
	s.capacity(t, l, least, o)
	return s
}

func (l *Layout) primariesOn(host string) int {
	n := 0
	for _, node := range l.On(host) {
		if node.Content >= 0 && node.PreferredRole == NodePrimary {
			n++
		}
	}
	return n
}

func (s *Sizing) add(topic, item, value, reason, source string) {
	s.Lines = append(s.Lines, SizingLine{topic, item, value, reason, source})
}

func (s *Sizing) layout(t *Topology, beside bool) {
	why := s.Bound
	if why == "" {
		why = "as layout.segments_per_host or the existing layout says"
	}
	s.add("layout", "segments per host", strconv.Itoa(s.SegmentsPerHost), why, srcBest+"; "+srcPlatform)
	s.add("layout", "segments", strconv.Itoa(s.Segments), fmt.Sprintf("on %d segment hosts", s.SegmentHosts), "")
	n := s.SegmentsPerHost
	kind, arg, _ := strings.Cut(s.Mirrors, " ")
	reason := ""
	switch kind {
	case MirrorsGroup:
		s.AddHosts, reason = 2, "group: one host takes over all of another's: twice as many"
	case MirrorsSpread:
		s.AddHosts, reason = n+1, "spread: each of the others takes over at most one: one more"
	case mirrorsBlock:
		size, _ := strconv.Atoi(arg)
		s.AddHosts, reason = max(size, 2), fmt.Sprintf("block: %d others of the block share what a host had", max(size, 2)-1)
	default:
		s.AddHosts, reason = 1, "no mirrors: what was on the host is not to be had until it is back"
		s.Warnings = append(s.Warnings, "without mirrors one host that fails stops the cluster")
	}
	if beside {
		reason += "; and the coordinator or its standby on the same host"
	}
	s.add("layout", "acting primaries after one host failed", strconv.Itoa(s.ActingOneFailed), reason, srcBest)
	s.add("layout", "hosts to add at a time", strconv.Itoa(s.AddHosts), "so that new hosts hold each other's mirrors and nothing that is there moves", srcBest)
	if kind != MirrorsNone && kind != "" && t.NodeType != LowSpeed && s.ActingOneFailed >= 2*n && n > 1 {
		s.Warnings = append(s.Warnings, "after a host failed another one has twice the load: spread or block mirroring divides it")
	}
}

func (s *Sizing) memory(t *Topology, m Machine, o SizingOptions) {
	mem := MemoryOf(m, s.ActingOneFailed)
	reserve := systemMemory(m.Memory)
	s.add("memory", "for the system", gbText(reserve), "7.5 GB and a twentieth of memory", srcGUC)
	if mem.VMem > 0 {
		s.add("memory", "gp_vmem", gbText(mem.VMem), fmt.Sprintf("(%s swap + %s memory - %s) / 1.7", gbText(m.Swap), gbText(m.Memory), gbText(reserve)), srcGUC)
	} else {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%s of memory is less than Greenplum's formula is made for: a quarter of memory and swap is divided instead", gbText(m.Memory)))
	}
	limit := fmt.Sprintf("gp_vmem / %d acting primaries", s.ActingOneFailed)
	if mem.Limit == vmemLeast {
		limit = "the least that is of use"
	}
	s.add("memory", "gp_vmem_protect_limit", fmt.Sprintf("%d MB", mem.Limit), limit, srcGUC)
	if m.Memory >= 256*gib {
		other := memoryBy(m, s.ActingOneFailed, 1.17)
		s.add("memory", "gp_vmem_protect_limit by the rule for 256 GB and more", fmt.Sprintf("%d MB", other.Limit),
			fmt.Sprintf("divisor 1.17: gp_vmem %s of %s, overcommit ratio %d; the guide's own example for 256 GB divides by 1.7, and so does cw", gbText(other.VMem), gbText(m.Memory), other.Overcommit), srcGUC)
	}
	own := max(s.SegmentsPerHost, 1)
	group := (float64(m.Memory)*float64(mem.Overcommit)/100 + float64(m.Swap)) * resourceGroupLimit
	s.add("memory", "with resource groups, per primary", gbText(int64(group/float64(own))),
		fmt.Sprintf("(memory × %d %% + swap) × gp_resource_group_memory_limit 0.7 = %s, for %d primaries", mem.Overcommit, gbText(int64(group)), own), srcWorkload)
	s.add("memory", "with resource groups, after one host failed", gbText(int64(group/float64(max(s.ActingOneFailed, 1)))), fmt.Sprintf("the same for %d", s.ActingOneFailed), srcWorkload)
	if m.Memory < 16*gib {
		s.Warnings = append(s.Warnings, "hosts of less than 16 GB are for trials ("+srcPlatform+")")
	}
	high := baseOrName(t) == "concurrency" || o.Concurrency > 80
	if want := 32 * gib * int64(1+b2i(high)); m.Memory >= 128*gib && reserve < want {
		s.Warnings = append(s.Warnings, fmt.Sprintf("on hosts of this size %s for the system are advised, the formula leaves %s: lower gp_vmem_protect_limit if other programs run there (%s)", gbText(want), gbText(reserve), srcBest))
	}
}

const resourceGroupLimit = 0.7 // gp_resource_group_memory_limit

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func gbText(n int64) string {
	if n < gib {
		return strconv.FormatInt(n>>20, 10) + " MB"
	}
	return strconv.FormatFloat(gb(n), 'f', 2, 64) + " GB"
}

// settings repeats the configuration; what the memory lines say already is
// left out.
func (s *Sizing) settings(coordinator, segments []Setting) {
	for _, list := range []struct {
		topic string
		of    []Setting
	}{{"coordinator", coordinator}, {"segments", segments}} {
		for _, x := range list.of {
			source := srcGUC
			if x.Reason == "profile file" {
				source = "the topology's profile"
			} else if x.Name == "max_connections" || x.Name == "checkpoint_segments" {
				source = srcInit
			}
			s.add(list.topic, x.Name, x.Value, x.Reason, source)
		}
	}
}

func (s *Sizing) kernel(m Machine) {
	mem := MemoryOf(m, s.ActingOneFailed)
	if mem.VMem > 0 && m.Memory >= 16*gib {
		s.add("kernel", "vm.overcommit_memory", "2", "memory is promised once", srcPrepare)
		s.add("kernel", "vm.overcommit_ratio", strconv.Itoa(mem.Overcommit), "(memory - 0.026 × gp_vmem) / memory", srcGUC)
	}
	s.add("kernel", "vm.min_free_kbytes", strconv.FormatInt(m.Memory/1024*3/100, 10), "3 % of memory", srcPrepare)
	s.add("kernel", "kernel.shmmax", strconv.FormatInt(m.Memory/2, 10), "half of memory, at least", srcPrepare)
}

// capacity is what the disks hold: of what is left after RAID and a tenth for
// the file system 70 % are used; user data takes two copies with mirrors, and
// a third of one for the work of queries. Each instance has its catalogue and
// WAL beside that.
func (s *Sizing) capacity(t *Topology, l *Layout, m Machine, o SizingOptions) {
	raw, what := int64(o.Disks)*o.DiskSize, fmt.Sprintf("%d disks of %s", o.Disks, tbText(o.DiskSize))
	left := 1.0
	switch o.RAID {
	case "10", "1":
		left, what = 0.5, what+" as RAID "+o.RAID
	case "5":
		if o.Disks > 2 {
			left = float64(o.Disks-1) / float64(o.Disks)
		}
		what += " as RAID 5"
	}
	if raw == 0 {
		raw, what = m.Disk, "the file system of the first data folder"
		if len(t.Layout.DataDirs) > 1 {
			what += "; other data folders are not counted"
		}
	}
	if raw == 0 || s.SegmentHosts == 0 {
		return
	}
	usable := float64(raw) * left * 0.9 * 0.7
	s.add("capacity", "usable per host", tbText(int64(usable)), what+": 90 % after formatting, 70 % of that in use", srcCapacity)
	copies, why := 1+1.0/3, "one copy and a third for the work of queries"
	if s.Mirrors != MirrorsNone {
		copies, why = 2+1.0/3, "two copies and a third for the work of queries"
	}
	perHost := 0
	for _, h := range t.Hosts {
		if l.primariesOn(h.Name) > 0 {
			perHost = max(perHost, len(l.On(h.Name)))
		}
	}
	overhead := int64(perHost) * (20*mib + 17*walSegment)
	s.add("capacity", "catalogues and WAL per host", tbText(overhead), fmt.Sprintf("20 MB and 1088 MB for each of %d instances", perHost), srcCapacity)
	user := int64(max((usable-float64(overhead))/copies, 0))
	s.UsableBytes = user * int64(s.SegmentHosts)
	s.add("capacity", "user data of the cluster", tbText(s.UsableBytes), fmt.Sprintf("%s, on %d hosts", why, s.SegmentHosts), srcCapacity)
	s.add("capacity", "that is as files before loading", tbText(int64(float64(s.UsableBytes)/1.4)), "text takes 1.4 times its size in tables, without compression", srcCapacity)
	if m.CPUs > 0 && m.Memory > 0 {
		factor, load := 1.0, max(o.Concurrency, int(greenplumProfiles[baseOrName(t)].concurrent))
		switch {
		case load > 120:
			factor = 2
		case load > 80:
			factor = 1.5
		}
		byCPU, byMemory := float64(m.CPUs)/8/factor, gb(m.Memory)/32/factor
		carried := int64(min(byCPU, byMemory) * float64(s.SegmentHosts) * 1e12)
		bound := "processors"
		if byMemory < byCPU {
			bound = "memory"
		}
		s.add("capacity", "data on disk that processors and memory carry", tbText(carried), fmt.Sprintf("8 virtual CPUs and 32 GB per TB, × %g for %d queries at a time; bound by %s", factor, load, bound), srcSample)
		if carried < s.UsableBytes {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the disks hold more than the %s carry well: %s against %s", bound, tbText(s.UsableBytes), tbText(carried)))
		}
	}
}

// tbText writes bytes as disks are sold.
func tbText(n int64) string {
	switch {
	case n >= 1e12:
		return strconv.FormatFloat(float64(n)/1e12, 'f', 2, 64) + " TB"
	case n >= 1e9:
		return strconv.FormatFloat(float64(n)/1e9, 'f', 1, 64) + " GB"
	}
	return strconv.FormatFloat(float64(n)/1e6, 'f', 0, 64) + " MB"
}

// postgres are the settings of the smallest machine, which all nodes can have.
func (s *Sizing) postgres(t *Topology, l *Layout, machines map[string]Machine) {
	var least Machine
	for _, h := range t.Hosts {
		m, ok := machines[h.Name]
		if !ok || len(l.On(h.Name)) == 0 {
			continue
		}
		m = m.Share(len(l.On(h.Name)))
		if least.Memory == 0 {
			least = m
		}
		least = least.Least(m)
	}
	s.Memory, s.Cores = least.Memory, least.CPUs
	s.add("layout", "nodes", strconv.Itoa(len(l.Nodes)), fmt.Sprintf("one primary, %d standbys", len(l.Standbys())), "")
	if least.Memory == 0 {
		return
	}
	for _, x := range Settings(t, least, least) {
		s.add("settings", x.Name, x.Value, x.Reason, srcPostgres)
	}
	if least.Disk > 0 {
		s.UsableBytes = int64(float64(least.Disk) * 0.9 * 0.7)
		s.add("capacity", "user data of the cluster", tbText(s.UsableBytes), "the smallest file system: 90 % after formatting, 70 % of that in use", srcCapacity)
	}
}

// Topics are the topics of the lines in their order.
func (s Sizing) Topics() []string {
	var out []string
	for _, l := range s.Lines {
		if !slices.Contains(out, l.Topic) {
			out = append(out, l.Topic)
		}
	}
	return out
}
