package size

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cw/cluster"
	"cw/fault"
	"cw/perfcheck"
)

// resource is one of those that bound the number of segments.
type resource struct {
	name   string
	unit   string
	demand float64
	// tests are the ones that measure it, with their metric, the best first.
	tests [][2]string
	// ask is the command that measures it.
	ask string
}

func resources(d Demand, twice float64) []resource {
	scans := [][2]string{}
	for _, depth := range []string{"16", "64", "4", "1"} {
		scans = append(scans, [2]string{"disk.read.1m.qd" + depth, "throughput"})
	}
	return []resource{
		{name: "cores", unit: perfcheck.Count, demand: d.Cores},
		{name: "memory", unit: perfcheck.Bytes, demand: d.Memory},
		{name: "scan", unit: perfcheck.BytesPerSecond, demand: d.Scan, tests: scans, ask: "cw perf disk --only disk.scan"},
		{name: "write", unit: perfcheck.BytesPerSecond, demand: d.Write * twice, tests: [][2]string{{"disk.write.1m.qd16", "throughput"}, {"disk.write.1m.qd64", "throughput"}, {"disk.write.1m.qd4", "throughput"}}, ask: "cw perf disk --only disk.write"},
		{name: "iops", unit: perfcheck.PerSecond, demand: d.IOPS, tests: [][2]string{{"disk.randread.32k.qd32", "iops"}, {"disk.randread.8k.qd32", "iops"}, {"disk.randread.8k.qd128", "iops"}}, ask: "cw perf disk --only disk.randread"},
		{name: "commits", unit: perfcheck.PerSecond, demand: d.Commits * twice, tests: [][2]string{{"disk.fdatasync.8k.c16", "rate"}, {"disk.fdatasync.8k", "rate"}}, ask: "cw perf disk --only disk.fdatasync"},
		{name: "network", unit: perfcheck.BytesPerSecond, demand: d.Network * twice, tests: [][2]string{{"net.tcp.s16", "throughput"}, {"net.tcp.s4", "throughput"}, {"net.tcp.s1", "throughput"}}, ask: "cw perf net"},
		{name: "memory bandwidth", unit: perfcheck.BytesPerSecond, demand: d.Bandwidth, tests: [][2]string{{"memory.triad.all", "throughput"}, {"memory.copy.all", "throughput"}}, ask: "cw perf memory"},
	}
}

// stealLimit is the share of CPU time taken by the hypervisor up to which the
// virtual CPUs count as whole ones: a little is always gone somewhere, and a
// core less for it would be a segment less.
const stealLimit = 0.05

// measured is what reports say, by host.
type measured struct {
	hosts    []string
	runs     []string
	machines map[string]cluster.Machine
	disks    map[string]int
	steal    map[string]float64
	tests    map[string]map[string]*perfcheck.Test // host, id; of pairs the sending host, its slowest pair
	refused  map[string]string                     // id: why it is not to be believed
}

func collect(reports []*perfcheck.Report, o Options) (*measured, error) {
	m := &measured{machines: map[string]cluster.Machine{}, disks: map[string]int{}, steal: map[string]float64{}, tests: map[string]map[string]*perfcheck.Test{}, refused: map[string]string{}}
	var all []string
	reports = slices.Clone(reports)
	slices.SortStableFunc(reports, func(a, b *perfcheck.Report) int { return a.Run.Started.Compare(b.Run.Started) })
	for _, r := range reports {
		if !slices.Contains(m.runs, r.Run.ID) {
			m.runs = append(m.runs, r.Run.ID)
		}
		for _, h := range r.Hosts {
			if !slices.Contains(all, h.Name) {
				all = append(all, h.Name)
			}
			if len(o.Only) > 0 && !slices.Contains(o.Only, h.Name) {
				continue
			}
			if !slices.Contains(m.hosts, h.Name) {
				m.hosts = append(m.hosts, h.Name)
			}
			m.inventory(h)
		}
		m.add(r, o)
	}
	for _, name := range o.Only {
		if !slices.Contains(m.hosts, name) {
			return nil, fault.New(fault.Usage, "the reports have: "+strings.Join(all, ", "), "host %s is not in the reports", name)
		}
	}
	if len(m.hosts) == 0 {
		return nil, fault.New(fault.Usage, "cw perf all --dir DIR -f HOSTS --report FILE writes one", "the reports have no host")
	}
	return m, nil
}

// inventory reads what a host is made of.
func (m *measured) inventory(h perfcheck.Host) {
	var things struct {
		CPU    struct{ CPUs int }
		Memory struct{ Total, Swap int64 }
		Dirs   []struct {
			Disks []struct{ Name string }
			Size  int64
		} `json:"test_dirs"`
	}
	data, err := json.Marshal(h.Inventory)
	if err != nil || json.Unmarshal(data, &things) != nil {
		return // it says nothing, which is told
	}
	is := m.machines[h.Name]
	if things.CPU.CPUs > 0 {
		is.CPUs = things.CPU.CPUs
	}
	if things.Memory.Total > 0 {
		is.Memory, is.Swap = things.Memory.Total, things.Memory.Swap
	}
	disks := map[string]bool{}
	for i, d := range things.Dirs {
		for _, b := range d.Disks {
			disks[b.Name] = true
		}
		if len(d.Disks) == 0 {
			disks[fmt.Sprint("directory ", i)] = true
		}
		is.Disk = max(is.Disk, d.Size)
	}
	if len(disks) > 0 {
		// Several disks below one directory are joined: it is one place to read from.
		m.disks[h.Name] = min(len(disks), len(things.Dirs))
	}
	m.machines[h.Name] = is
	m.steal[h.Name] = max(m.steal[h.Name], h.Health.Steal)
}

// add takes the results of a report. Of pairs a host has its slowest.
func (m *measured) add(r *perfcheck.Report, o Options) {
	slowest := map[string]bool{}
	for i := range r.Tests {
		t := &r.Tests[i]
		host := t.Host
		if t.Pair != nil {
			host = t.Pair.From
		}
		if len(o.Only) > 0 && !slices.Contains(o.Only, host) {
			continue
		}
		if t.Verdict == perfcheck.Error {
			m.refused[t.ID] = strings.TrimSpace(t.ID + " " + t.Where() + ": " + t.Reason)
			continue
		}
		if len(t.Metrics) == 0 {
			continue
		}
		if m.tests[host] == nil {
			m.tests[host] = map[string]*perfcheck.Test{}
		}
		key := host + " " + t.ID
		if t.Pair != nil && slowest[key] && t.Metrics[t.Main].Value >= m.tests[host][t.ID].Metrics[t.Main].Value {
			continue
		}
		slowest[key] = true
		m.tests[host][t.ID] = t
	}
}

// machine is what all hosts have at least; hosts of different types cannot be
// sized by one number.
func (m *measured) machine(o Options) (cluster.Machine, error) {
	if o.Machine.CPUs > 0 && o.Machine.Memory > 0 {
		for _, h := range m.hosts {
			if is, ok := m.machines[h]; ok && is.CPUs > 0 && is.Memory > 0 {
				likely := cluster.Measured{Machine: cluster.MeasuredMachine{CPUs: o.Machine.CPUs, Memory: o.Machine.Memory}}
				if likely.Fits(h, is) != nil {
					return is, fault.New(fault.Usage, "leave --cores and --memory out: the report says what was measured", "host %s of the report has %d virtual CPUs and %s, not %d and %s", h, is.CPUs, perfcheck.FormatValue(float64(is.Memory), perfcheck.Bytes), o.Machine.CPUs, perfcheck.FormatValue(float64(o.Machine.Memory), perfcheck.Bytes))
				}
			}
		}
		return o.Machine, nil
	}
	least := cluster.Machine{}
	first := ""
	for _, h := range m.hosts {
		is := m.machines[h]
		if is.CPUs == 0 || is.Memory == 0 {
			return is, fault.New(fault.Usage, "add --cores 16 --memory 64GiB", "what host %s has of CPUs and memory is not in the reports", h)
		}
		if first == "" {
			first, least = h, is
			continue
		}
		like := cluster.Measured{Machine: cluster.MeasuredMachine{CPUs: least.CPUs, Memory: least.Memory}}
		if like.Fits(h, is) != nil {
			return is, fault.New(fault.Usage, "size each type by itself: --host "+first, "hosts %s and %s are of different types: %d virtual CPUs and %s, %d and %s",
				first, h, least.CPUs, perfcheck.FormatValue(float64(least.Memory), perfcheck.Bytes), is.CPUs, perfcheck.FormatValue(float64(is.Memory), perfcheck.Bytes))
		}
		least = least.Least(is)
	}
	return least, nil
}

// limit is what the weakest host has of a resource; why says why that is not
// known.
func (m *measured) limit(r resource, machine cluster.Machine) (l Limit, why string) {
	l = Limit{Resource: r.name, Unit: r.unit, Demand: r.demand}
	switch r.name {
	case "cores":
		host := slices.MaxFunc(m.hosts, func(a, b string) int { return cmp.Compare(m.steal[a], m.steal[b]) })
		l.Host, l.Capacity = host, float64(machine.CPUs)
		l.Reason = fmt.Sprintf("%d virtual CPUs ÷ %s", machine.CPUs, format(r.demand, r.unit))
		if m.steal[host] > stealLimit {
			l.Capacity *= 1 - m.steal[host]
			l.Reason = fmt.Sprintf("%d virtual CPUs less the %.1f %% that the hypervisor took of %s ÷ %s", machine.CPUs, 100*m.steal[host], host, format(r.demand, r.unit))
		}
	case "memory":
		system := cluster.SystemMemory(machine.Memory)
		l.Host, l.Capacity = m.hosts[0], float64(max(machine.Memory-system, machine.Memory/4))
		l.Reason = fmt.Sprintf("%s less %s for the system ÷ %s", format(float64(machine.Memory), r.unit), format(float64(machine.Memory)-l.Capacity, r.unit), format(r.demand, r.unit))
	default:
		if why = m.weakest(r, &l); why != "" {
			return l, why
		}
		l.Reason = fmt.Sprintf("%s of %s (%s) ÷ %s", format(l.Capacity, r.unit), l.Host, l.Test, format(r.demand, r.unit))
		if t := m.tests[l.Host][l.Test]; t != nil && slices.Contains(t.Flags, perfcheck.FlagClientLimited) {
			l.Reason += "; the measuring program was at its limit, there may be more"
		}
		if t := m.tests[l.Host][l.Test]; t != nil && slices.Contains(t.Flags, perfcheck.FlagBurstUnsafe) && r.unit != perfcheck.Count {
			l.Reason += "; measured briefly"
		}
	}
	if r.demand > 0 {
		l.Segments = l.Capacity / r.demand
	}
	return l, ""
}

// weakest finds the host with the least of a resource. Every host counts: one
// that was not measured is not known to be as good as the others.
func (m *measured) weakest(r resource, l *Limit) (why string) {
	found := false
	for _, h := range m.hosts {
		test, capacity := m.best(h, r)
		if test == "" {
			return m.missing(h, r)
		}
		if !found || capacity < l.Capacity {
			found, l.Host, l.Test, l.Capacity = true, h, test, capacity
		}
	}
	return ""
}

// best is what a host has of a resource by the first of its tests that was
// run; scans have the most that any number of readers got.
func (m *measured) best(host string, r resource) (test string, capacity float64) {
	if r.name == "scan" {
		for _, id := range slices.Sorted(maps.Keys(m.tests[host])) {
			if _, ok := scanners(id); !ok {
				continue
			}
			if v := m.tests[host][id].Metrics["throughput"].Value; v > capacity {
				test, capacity = id, v
			}
		}
		if test != "" {
			return test, capacity
		}
	}
	for _, c := range r.tests {
		if t := m.tests[host][c[0]]; t != nil && t.Metrics[c[1]].Value > 0 {
			return c[0], t.Metrics[c[1]].Value
		}
	}
	return "", 0
}

func (m *measured) missing(host string, r resource) string {
	for _, c := range r.tests {
		if why := m.refused[c[0]]; why != "" {
			return "not believed: " + why
		}
	}
	return fmt.Sprintf("not measured on %s: %s does", host, r.ask)
}

// scanners reads the number of readers out of the id of a scan.
func scanners(id string) (n float64, ok bool) {
	rest, ok := strings.CutPrefix(id, "disk.scan.k")
	if !ok {
		return 0, false
	}
	_, err := fmt.Sscanf(rest, "%g", &n)
	return n, err == nil && n > 0 && fmt.Sprint(n) == rest
}

// kneeShare is what one more reader must add at least to be worth it.
const kneeShare = 0.05

// knee bounds the segments by the number of readers per disk beyond which
// more of them only wait for each other.
func (m *measured) knee(o Options) (l Limit, why string) {
	l = Limit{Resource: "scan knee", Unit: perfcheck.Count, Demand: 1}
	for _, h := range m.hosts {
		var points []perfcheck.SweepPoint
		for _, id := range slices.Sorted(maps.Keys(m.tests[h])) {
			if n, ok := scanners(id); ok {
				if p, ok := perfcheck.SweepPointOf(m.tests[h][id], n, "throughput", "service_p99"); ok {
					points = append(points, p)
				}
			}
		}
		k, ok := perfcheck.FindKnee(points, perfcheck.PerStream(kneeShare))
		if !ok {
			return l, fmt.Sprintf("a knee takes two numbers of readers, %s has %d: cw perf disk --only disk.scan --profile standard", h, len(points))
		}
		if k.Open {
			// No bound: as many readers as were tried were worth it.
			if l.Host == "" {
				why = fmt.Sprintf("on %s %g readers per disk, the most that were tried, are still worth it", h, k.Streams)
			}
			continue
		}
		disks := o.Disks
		if disks == 0 {
			disks = max(m.disks[h], 1)
		}
		if segments := k.Streams * float64(disks); l.Host == "" || segments < l.Capacity {
			l.Host, l.Test, l.Capacity, l.Segments = h, fmt.Sprintf("disk.scan.k%g", k.Streams), segments, segments
			l.Reason = fmt.Sprintf("%g readers per disk × %d of %s: %s", k.Streams, disks, h, k.Reason)
		}
	}
	if l.Host != "" {
		return l, ""
	}
	return l, why
}
