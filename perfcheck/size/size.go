// Package size says how many segments a host carries, from what was measured:
// for each resource the capacity divided by what one segment needs of it, and
// the least of these. What was not measured is said and not made up. The memory
// settings that go with the number come from package cluster, and the document
// is what layout.measured of a topology names.
package size

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/fault"
	"cw/perfcheck"
)

// Demand is what one primary needs when it works. With mirrors what it writes,
// commits and sends comes twice: for itself, and for the mirror of another that
// runs on the same host.
type Demand struct {
	Scan      float64 `json:"scan"`      // B/s read from disk
	Write     float64 `json:"write"`     // B/s written to disk
	IOPS      float64 `json:"iops"`      // random reads per second
	Commits   float64 `json:"commits"`   // fdatasync per second
	Memory    float64 `json:"memory"`    // bytes
	Cores     float64 `json:"cores"`     // virtual CPUs
	Network   float64 `json:"network"`   // B/s, of the interconnect
	Bandwidth float64 `json:"bandwidth"` // B/s of main memory
}

// DefaultDemand is what is assumed of a primary of a warehouse: two virtual
// CPUs and 8 GB, as Greenplum's guides have it; a scan of 150 MB/s, which is
// about what one backend aggregates on such a core, a third of it written in a
// spill or a load, and a quarter of it sent on by a motion; 300 random reads
// and 20 commits per second, since a warehouse commits seldom; and main memory
// for ten times what is scanned.
func DefaultDemand() Demand {
	return Demand{Scan: 150e6, Write: 50e6, IOPS: 300, Commits: 20, Memory: float64(cluster.SegmentMemoryNeed), Cores: 2, Network: 40e6, Bandwidth: 1.5e9}
}

// Options are what the reports do not say.
type Options struct {
	Demand  Demand
	Mirrors string // as layout.mirrors; "" and none are without
	Hosts   int    // segment hosts of the cluster to be, for its memory settings
	Only    []string
	// Machine replaces what reports say of the hosts; a baseline says nothing.
	Machine cluster.Machine
	Disks   int // data disks of a host; 0 is as many as were measured
}

// Limit is one resource.
type Limit struct {
	Resource string  `json:"resource"`
	Capacity float64 `json:"capacity"` // of a host
	Demand   float64 `json:"demand"`   // of a primary, with its share of mirrors
	Unit     string  `json:"unit"`
	Segments float64 `json:"segments"` // Capacity ÷ Demand
	// Headroom is the share of the capacity that is left with the number of
	// segments that the answer gives.
	Headroom float64 `json:"headroom"`
	Test     string  `json:"test,omitempty"`
	Host     string  `json:"host"`
	Reason   string  `json:"reason"`
	Bounds   bool    `json:"bounds"` // it decides
}

// Answer is the document.
type Answer struct {
	SegmentsPerHost int                     `json:"segments_per_host"`
	Bound           string                  `json:"bound"`
	Mirrored        bool                    `json:"mirrored"`
	Mirrors         string                  `json:"mirrors"`
	Machine         cluster.MeasuredMachine `json:"machine"`
	Hosts           []string                `json:"hosts"`
	Runs            []string                `json:"runs"`
	Demand          Demand                  `json:"demand"`
	Limits          []Limit                 `json:"limits"`
	NotConsidered   []string                `json:"not_considered"`
	Warnings        []string                `json:"warnings"`
	Memory          []cluster.SizingLine    `json:"memory"` // settings that go with it
}

// Size computes the answer from reports; of a test that several have on the
// same host the newest run counts.
func Size(reports []*perfcheck.Report, o Options) (*Answer, error) {
	m, err := collect(reports, o)
	if err != nil {
		return nil, err
	}
	if o.Mirrors == "" {
		o.Mirrors = cluster.MirrorsNone
	}
	a := &Answer{Mirrors: o.Mirrors, Mirrored: o.Mirrors != cluster.MirrorsNone, Demand: o.Demand, Hosts: m.hosts, Runs: m.runs, NotConsidered: []string{}, Warnings: []string{}}
	machine, err := m.machine(o)
	if err != nil {
		return nil, err
	}
	a.Machine = cluster.MeasuredMachine{CPUs: machine.CPUs, Memory: machine.Memory}
	twice := 1.0
	if a.Mirrored {
		twice = 2
	}
	for _, r := range resources(o.Demand, twice) {
		l, why := m.limit(r, machine)
		switch {
		case r.demand <= 0:
			a.NotConsidered = append(a.NotConsidered, r.name+": a segment is said to need none of it")
		case why != "":
			a.NotConsidered = append(a.NotConsidered, r.name+": "+why)
		default:
			a.Limits = append(a.Limits, l)
		}
	}
	if len(m.hosts) > 0 {
		if l, why := m.knee(o); why != "" {
			a.NotConsidered = append(a.NotConsidered, "scan knee: "+why)
		} else {
			a.Limits = append(a.Limits, l)
		}
	}
	measured := slices.ContainsFunc(a.Limits, func(l Limit) bool { return l.Test != "" })
	if !measured {
		return nil, fault.New(fault.Usage, "cw perf all --dir DIR -f HOSTS measures it", "the reports have no result that bounds the number of segments: %s", strings.Join(a.NotConsidered, "; "))
	}
	a.conclude()
	return a, a.settings(machine, o)
}

// conclude finds the least limit and what it leaves of the others.
func (a *Answer) conclude() {
	least := 0
	for i, l := range a.Limits {
		if l.Segments < a.Limits[least].Segments {
			least = i
		}
	}
	bound := &a.Limits[least]
	bound.Bounds = true
	// What is a hair below a whole number is that number.
	a.SegmentsPerHost = int(math.Floor(bound.Segments + 1e-6))
	a.Bound = fmt.Sprintf("%s: %s", bound.Resource, bound.Reason)
	if a.SegmentsPerHost < 1 {
		a.SegmentsPerHost = 1
		a.Warnings = append(a.Warnings, fmt.Sprintf("the host carries no whole segment: of %s there is %s and one needs %s", bound.Resource, format(bound.Capacity, bound.Unit), format(bound.Demand, bound.Unit)))
	}
	a.SegmentsPerHost = min(a.SegmentsPerHost, 128)
	if a.SegmentsPerHost > 8 {
		a.Warnings = append(a.Warnings, "cw cluster plan gives a host at most 8 primaries by itself: write the number as layout.segments_per_host to have more")
	}
	for i := range a.Limits {
		l := &a.Limits[i]
		l.Headroom = math.Round(1e6*(1-float64(a.SegmentsPerHost)*l.Demand/l.Capacity)) / 1e6
	}
}

// settings adds the memory settings of a cluster of such hosts.
func (a *Answer) settings(m cluster.Machine, o Options) error {
	hosts := o.Hosts
	if hosts == 0 {
		hosts = 4
	}
	s, err := cluster.SizeShape(cluster.Shape{
		Hosts: hosts, Machine: m, Disks: max(o.Disks, 1), Interconnect: 1, Mirrors: o.Mirrors, SegmentsPerHost: a.SegmentsPerHost,
	})
	if err != nil {
		return fmt.Errorf("memory settings for %d hosts with %d primaries each: %w", hosts, a.SegmentsPerHost, err)
	}
	for _, l := range s.Lines {
		if l.Topic == "memory" || l.Topic == "segments" || l.Topic == "kernel" {
			a.Memory = append(a.Memory, l)
		}
	}
	a.Warnings = append(a.Warnings, s.Warnings...)
	return nil
}

// format writes an amount for people.
func format(v float64, unit string) string {
	if unit == perfcheck.Count {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return perfcheck.FormatValue(v, unit)
}
