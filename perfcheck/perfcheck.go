// Package perfcheck holds the words of cw perf: tests and their stable ids,
// what a workload engine measures, reports, verdicts, baselines and the
// printers of a report. It is a leaf: no SSH, no workload. The engines are in
// the folders disk, net, memory and cpu, and know nothing of each other; run
// brings them to the hosts.
package perfcheck

import (
	"context"
	"time"
)

// Area is a family of tests, and a verb of cw perf.
type Area string

// The areas.
const (
	Disk   Area = "disk"
	Net    Area = "net"
	Memory Area = "memory"
	CPU    Area = "cpu"

	Snapshot Area = "snapshot"
	VIP      Area = "vip"
	Replace  Area = "replace"
	Object   Area = "object"
	DB       Area = "db"
)

// Scope says who takes part in one measurement of a test.
type Scope string

// The scopes.
const (
	Together Scope = "together" // every host at once, each measured by itself: a shared backend shows
	Alone    Scope = "alone"    // one host after another, the others idle
	Pair     Scope = "pair"     // from one host to another
)

// Units of metrics. Sizes are bytes, rates per second, durations seconds.
const (
	BytesPerSecond = "B/s"
	PerSecond      = "/s"
	Seconds        = "s"
	Bytes          = "B"
	Ratio          = "ratio" // a share of 1, or a quotient
	Count          = "count"
)

// Better says in which direction a metric is good.
type Better string

// The directions.
const (
	Higher  Better = "higher"
	Lower   Better = "lower"
	Neither Better = "" // said, never judged
)

// Gate says what a metric outside its bounds does to the verdict.
type Gate string

// The gates.
const (
	GateFail Gate = "fail" // may fail the test
	GateWarn Gate = "warn" // may only warn: too noisy to fail a job
	GateNone Gate = ""     // said, never judged
)

// MetricDef describes one number that a test yields.
type MetricDef struct {
	Name   string
	Unit   string
	Better Better
	Gate   Gate
	// Floor and Ceiling are bounds of the plausible: beyond them a number
	// means that something else was measured (a cache, or nothing), whatever
	// the baseline. 0 is none.
	Floor, Ceiling float64
	// Worst makes the value the worst of the repetitions, not their median:
	// of what happens seldom, as a stall, the median would hide it.
	Worst bool
}

// Definition is one test. The engine's own package lists its tests together
// with the job that each runs.
type Definition struct {
	ID      string // stable, as disk.randread.8k.qd32
	Title   string // for people, as "random 8 KiB reads, queue depth 32"
	Area    Area
	Scope   Scope
	Metrics []MetricDef // the first is the one that tables show
	// Profiles in which the test runs: quick, standard, soak.
	Profiles []string
	// Params are the settings that make the numbers comparable.
	Params map[string]any
}

// Second is one value of a series while it is measured, for whoever watches.
type Second struct {
	At    float64 // seconds since the measured phase began
	Value float64 // of the series' first metric
}

// Series is one value per interval, from the beginning of the measured phase.
// The last, incomplete interval is left out.
type Series struct {
	Name     string    `json:"name"`     // the metric
	Unit     string    `json:"unit"`     //
	Interval float64   `json:"interval"` // seconds, usually 1
	Values   []float64 `json:"values"`
}

// Event is something that happened in the course of a series.
type Event struct {
	Kind   string  `json:"kind"` // throttle, recovery, stall
	At     float64 `json:"at"`   // seconds since the measured phase began
	Length float64 `json:"length,omitempty"`
	Before float64 `json:"before,omitempty"` // level before it
	After  float64 `json:"after,omitempty"`
	// Credit is what was moved above the later level before a throttle, in
	// the series' unit times seconds: bytes, or operations.
	Credit float64 `json:"credit,omitempty"`
	Text   string  `json:"text"`
}

// Kinds of events.
const (
	EventThrottle = "throttle" // the level fell at once and stayed there
	EventRecovery = "recovery" // it rose again after a throttle
	EventStall    = "stall"    // next to nothing for some seconds
)

// Flags that a measurement or a test can carry.
const (
	FlagClientLimited = "client_limited"     // the generator, not the thing measured, was the limit
	FlagRateMissed    = "rate_missed"        // the open loop could not keep its rate
	FlagCachedSuspect = "cached_suspect"     // too good to be true
	FlagBurstUnsafe   = "burst_unsafe"       // too short to see credits run out
	FlagNoisy         = "noisy"              // repetitions differ too much to judge
	FlagReceiverDrops = "receiver_drops"     // lost at the receiving socket, not in the network
	FlagStartSkew     = "start_skew"         // hosts did not begin together
	FlagSteal         = "steal"              // the hypervisor took CPU time away
	FlagOtherLoad     = "other_load"         // other programs used the CPUs meanwhile
	FlagExternal      = "external"           // measured by fio or iperf3
	FlagSmallFile     = "small_file"         // smaller than 32 GiB and a tenth of the filesystem: a cache behind the disk may hold it
	FlagSameDevice    = "same_device"        // two of the directories share a disk
	FlagRootDisk      = "root_disk"          // the operating system's disk was measured
	FlagNoFiemap      = "extents_unchecked"  // the filesystem cannot tell whether the file's extents are written
	FlagMemoryBacked  = "memory_backed"      // a loop device on a file in memory
	FlagCopyOnWrite   = "copy_on_write"      // each write goes to a new place: overwriting is not what it is elsewhere
	FlagWrongNIC      = "wrong_nic"          // the traffic did not leave or arrive by the interface that was meant
	FlagMTUMismatch   = "mtu_mismatch"       // small datagrams arrive, large ones vanish
	FlagMTUSilent     = "mtu_silent"         // a smaller MTU on the path is not told by ICMP: a black hole
	FlagSmallArrays   = "small_arrays"       // less than four times the last-level cache
	FlagPublicAddress = "public_address"     // what was spoken to has an address of the internet, not of the private network
	FlagSlower        = "slower_than_others" // clearly slower than the other machines or pairs of the run
)

// Measurement is what an engine measured once, on one host or pair.
type Measurement struct {
	Values     map[string]float64    `json:"values"` // metric name → value in the metric's unit
	Histograms map[string]*Histogram `json:"histograms,omitempty"`
	Series     []Series              `json:"series,omitempty"`
	Events     []Event               `json:"events,omitempty"`
	Flags      []string              `json:"flags,omitempty"`
	Began      time.Time             `json:"began"` // when the measured phase began, by the clock of the host that ran it
}

// Timing is how long the phases of one measurement take. It travels to the
// hosts as part of every job.
type Timing struct {
	Warmup   time.Duration `json:"warmup"`
	Duration time.Duration `json:"duration"` // of the measured phase
	// Start is when the warm-up begins, by the clock of the host that runs
	// it: all hosts of a barrier are told the same moment. Zero is at once.
	Start time.Time `json:"start"`
}

// Phases is the timing itself: jobs embed a Timing and have this method by it.
func (t Timing) Phases() Timing { return t }

// Await waits for the barrier: until Start, by this machine's clock.
func (t Timing) Await(ctx context.Context) error { return WaitUntil(ctx, t.Start) }

// WaitUntil waits for a moment, or for the end of the context, whose cause it
// returns. A moment that has passed takes no time.
func WaitUntil(ctx context.Context, at time.Time) error {
	if d := time.Until(at); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
