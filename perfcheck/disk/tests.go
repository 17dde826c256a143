package disk

import (
	"fmt"
	"strings"
	"time"

	"cw/perfcheck"
)

// Test is one test of the catalogue and the job that it runs.
type Test struct {
	perfcheck.Definition
	Job Job // without its Timing
	// MinDuration is the shortest measured phase that makes sense, whatever
	// the profile says; 0 for none.
	MinDuration time.Duration
}

// rateDuration is for open loops, where 3 s are few requests. In a longer one
// a stall of half a second hides behind the 99th percentile: it holds up a
// tenth of 5 s, of which the 99th is late by 0.45 s.
const rateDuration = 5 * time.Second

// Tests lists the catalogue, in the order in which it is best run: reads
// before writes, which fill the caches and credits of a disk.
func Tests() []Test {
	var out []Test
	add := func(t Test) { out = append(out, t) }
	for _, k := range []Kind{Read, Write} {
		for _, depth := range []int{1, 4, 16, 64} {
			add(sequential(k, depth))
		}
	}
	for _, readers := range []int{1, 2, 4, 8} {
		add(scan(readers))
	}
	for _, k := range []Kind{RandRead, RandWrite} {
		for _, block := range []int64{4 * kib, 8 * kib, 32 * kib} {
			for _, depth := range []int{1, 8, 32, 128} {
				add(random8k(k, block, depth))
			}
		}
	}
	add(random8k(Mixed, 8*kib, 1))
	add(random8k(Mixed, 8*kib, 32))
	add(paced(Job{Kind: RandRead, Block: 8 * kib, Depth: 16, Rate: 200}))
	for _, sync := range []string{Fsync, Fdatasync, Dsync, DirectDsync} {
		add(commit(sync, 1))
	}
	add(commit(Fdatasync, 16))
	for _, rate := range []float64{50, 100, 200, 500} {
		add(paced(Job{Kind: Commit, Sync: Fdatasync, Block: 8 * kib, Depth: 1, Rate: rate}))
	}
	add(firstWrite())
	return out
}

// Bounds of the plausible. A latency below, or a rate above, means that no
// disk was asked: the page cache, unwritten extents, or memory.
const (
	fastestRead   = 5e-6  // s: the quickest storage on the market takes about 8 µs
	fastestCommit = 10e-6 // s: with protected write cache about 15 µs
	mostBytes     = 100e9 // B/s of all directories of a host together
	mostRequests  = 20e6  // /s
)

func metric(name, unit string, better perfcheck.Better, gate perfcheck.Gate) perfcheck.MetricDef {
	return perfcheck.MetricDef{Name: name, Unit: unit, Better: better, Gate: gate}
}

func worst(d perfcheck.MetricDef) perfcheck.MetricDef {
	d.Worst = true
	return d
}

func bounded(d perfcheck.MetricDef, floor, ceiling float64) perfcheck.MetricDef {
	d.Floor, d.Ceiling = floor, ceiling
	return d
}

// latency lists the metrics of a histogram. Its median may fail a test where
// one request at a time is under way: with more it says how long the queue
// is, and on a capped disk it jumps between two values.
func latency(prefix string, p50 perfcheck.Gate, floor float64) []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		bounded(metric(prefix+"_p50", perfcheck.Seconds, perfcheck.Lower, p50), floor, 0),
		metric(prefix+"_p99", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateWarn),
		metric(prefix+"_p999", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
		worst(metric(prefix+"_max", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone)),
		metric(prefix+"_avg", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
	}
}

// stalls lists the metrics of what takes far too long.
func stalls() []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		worst(metric("stall_max", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone)),
		worst(metric("over_100ms", perfcheck.Count, perfcheck.Lower, perfcheck.GateNone)),
		worst(metric("over_1s", perfcheck.Count, perfcheck.Lower, perfcheck.GateWarn)),
	}
}

func steadyAt1(depth int) perfcheck.Gate {
	if depth == 1 {
		return perfcheck.GateFail
	}
	return perfcheck.GateNone
}

func throughputMetrics(gate perfcheck.Gate) perfcheck.MetricDef {
	return bounded(metric("throughput", perfcheck.BytesPerSecond, perfcheck.Higher, gate), 0, mostBytes)
}

func sequential(k Kind, depth int) Test {
	j := Job{Kind: k, Block: mib, Depth: depth}
	metrics := []perfcheck.MetricDef{throughputMetrics(perfcheck.GateFail), metric("iops", perfcheck.PerSecond, perfcheck.Higher, perfcheck.GateNone)}
	metrics = append(metrics, latency("service", perfcheck.GateNone, 0)...)
	profiles := []string{standard}
	if depth == 16 {
		profiles = []string{quick, standard, soak}
	}
	return define(fmt.Sprintf("disk.%s.1m.qd%d", k, depth), fmt.Sprintf("sequential 1 MiB %ss, queue depth %d", k, depth), j, profiles, append(metrics, stalls()...))
}

func scan(readers int) Test {
	j := Job{Kind: Scan, Block: mib, Depth: readers}
	profiles := []string{standard}
	if readers == 4 {
		profiles = []string{quick, standard, soak}
	}
	metrics := append([]perfcheck.MetricDef{throughputMetrics(perfcheck.GateFail)}, latency("service", perfcheck.GateNone, 0)...)
	return define(fmt.Sprintf("disk.scan.k%d", readers), fmt.Sprintf("scan, %d sequential 1 MiB readers per disk", readers), j, profiles, append(metrics, stalls()...))
}

func random8k(k Kind, block int64, depth int) Test {
	j := Job{Kind: k, Block: block, Depth: depth}
	what := map[Kind]string{RandRead: "random %d KiB reads", RandWrite: "random %d KiB writes", Mixed: "random %d KiB, 70 %% reads"}[k]
	if k == Mixed {
		j.ReadShare = 0.7
	}
	profiles := []string{standard}
	if block == 8*kib && (depth == 32 || depth == 1 && k == RandRead) {
		profiles = []string{quick, standard}
		if depth == 32 && k != Mixed {
			profiles = append(profiles, soak)
		}
	}
	floor := 0.0
	if k == RandRead && depth == 1 {
		floor = fastestRead
	}
	metrics := []perfcheck.MetricDef{
		bounded(metric("iops", perfcheck.PerSecond, perfcheck.Higher, perfcheck.GateFail), 0, mostRequests),
		throughputMetrics(perfcheck.GateNone),
	}
	metrics = append(metrics, latency("service", steadyAt1(depth), floor)...)
	if k == Mixed {
		metrics = append(metrics, latency("read", perfcheck.GateNone, 0)...)
		metrics = append(metrics, latency("write", perfcheck.GateNone, 0)...)
	}
	return define(fmt.Sprintf("disk.%s.%dk.qd%d", k, block/kib, depth), fmt.Sprintf(what+", queue depth %d", block/kib, depth), j, profiles, append(metrics, stalls()...))
}

func commit(sync string, committers int) Test {
	j := Job{Kind: Commit, Sync: sync, Block: 8 * kib, Depth: committers}
	id, title := fmt.Sprintf("disk.%s.8k", sync), "8 KiB writes, "+map[string]string{
		Fsync: "fsync after each", Fdatasync: "fdatasync after each", Dsync: "O_DSYNC", DirectDsync: "O_DIRECT and O_DSYNC",
	}[sync]
	if committers > 1 {
		id, title = fmt.Sprintf("%s.c%d", id, committers), fmt.Sprintf("%s, %d committers", title, committers)
	}
	profiles := []string{standard}
	if sync == Fdatasync && committers == 1 {
		profiles = []string{quick, standard}
	}
	metrics := append([]perfcheck.MetricDef{metric("rate", perfcheck.PerSecond, perfcheck.Higher, perfcheck.GateFail)},
		latency("service", steadyAt1(committers), fastestCommit)...)
	return define(id, title, j, profiles, append(metrics, stalls()...))
}

// paced is an open loop. One committer, because a database writes its log
// with one at a time.
func paced(j Job) Test {
	id, title := fmt.Sprintf("disk.%s.%dk.rate%g", j.Kind, j.Block/kib, j.Rate), fmt.Sprintf("random %d KiB reads, %g per second", j.Block/kib, j.Rate)
	floor := fastestRead
	if j.Kind == Commit {
		id = fmt.Sprintf("disk.%s.%dk.rate%g", j.Sync, j.Block/kib, j.Rate)
		title = fmt.Sprintf("%d KiB writes, %s after each, %g per second", j.Block/kib, j.Sync, j.Rate)
		floor = fastestCommit
	}
	profiles := []string{standard}
	if j.Kind == Commit && j.Rate == 100 {
		profiles = []string{quick, standard, soak}
	}
	metrics := latency("response", perfcheck.GateFail, floor)
	// The one that tables show is the tail: the median of an open loop says
	// what the closed loop says.
	metrics[0], metrics[1] = worst(metrics[1]), metrics[0]
	metrics[2] = worst(metrics[2])
	metrics = append(metrics, bounded(metric("achieved", perfcheck.Ratio, perfcheck.Higher, perfcheck.GateFail), 0, 1.5),
		metric("rate", perfcheck.PerSecond, perfcheck.Higher, perfcheck.GateNone))
	metrics = append(metrics, latency("service", perfcheck.GateNone, 0)...)
	metrics = append(metrics, stalls()...)
	metrics = append(metrics, metric("unfinished", perfcheck.Count, perfcheck.Lower, perfcheck.GateNone),
		metric("generator_late_p99", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone))
	t := define(id, title, j, profiles, metrics)
	t.MinDuration = rateDuration
	return t
}

func firstWrite() Test {
	return define("disk.firstwrite.1m", "first write into a new file, against overwriting", Job{Kind: FirstWrite, Block: mib, Depth: 4},
		[]string{quick, standard}, []perfcheck.MetricDef{
			throughputMetrics(perfcheck.GateFail),
			metric("overwrite", perfcheck.BytesPerSecond, perfcheck.Higher, perfcheck.GateFail),
			metric("first_ratio", perfcheck.Ratio, perfcheck.Higher, perfcheck.GateWarn),
			metric("bytes", perfcheck.Bytes, perfcheck.Neither, perfcheck.GateNone),
		})
}

// define puts a test together. Its params are what makes numbers comparable.
func define(id, title string, j Job, profiles []string, metrics []perfcheck.MetricDef) Test {
	params := map[string]any{"kind": string(j.Kind), "block": j.Block, "depth": j.Depth, "direct": !strings.HasSuffix(j.Sync, "sync") || j.Sync == DirectDsync}
	if j.Sync != "" {
		params["sync"] = j.Sync
	}
	if j.Rate > 0 {
		params["rate"] = j.Rate
	}
	if j.Kind == Mixed {
		params["read_share"] = j.ReadShare
	}
	return Test{
		Definition: perfcheck.Definition{ID: id, Title: title, Area: perfcheck.Disk, Scope: perfcheck.Together, Metrics: metrics, Profiles: profiles, Params: params},
		Job:        j,
	}
}
