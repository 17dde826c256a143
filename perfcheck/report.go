package perfcheck

import (
	"maps"
	"slices"
	"time"
)

// Verdict is the outcome of a test or of a run.
type Verdict string

// The verdicts, from best to worst.
const (
	Pass         Verdict = "pass"
	Skipped      Verdict = "skipped"      // not run, for a reason that is no fault of the machine
	Warn         Verdict = "warn"         // outside the first band
	Inconclusive Verdict = "inconclusive" // too noisy, or nothing to compare with where a comparison was asked for
	Fail         Verdict = "fail"
	Error        Verdict = "error" // not measured, or what was measured cannot be true
)

// Report is the document of a run (design, section 6).
type Report struct {
	APIVersion string `json:"apiVersion"` // cw/v1
	Kind       string `json:"kind"`       // PerfReport
	Tool       Tool   `json:"tool"`
	Run        Run    `json:"run"`
	Hosts      []Host `json:"hosts"`
	Tests      []Test `json:"tests"`
	// Network is what the network seems to be, when it was measured.
	Network *Network `json:"network,omitempty"`
	Verdict Verdict  `json:"verdict"`
	Reason  string   `json:"reason,omitempty"`
}

// Network is what throughput and round trips say of all pairs.
type Network struct {
	Lines []Line `json:"lines,omitempty"`
	Tiers []Tier `json:"tiers,omitempty"` // nearest first
}

// Line is the class of Ethernet that a pair's throughput speaks for.
type Line struct {
	Pair       PairOf  `json:"pair"`
	Class      string  `json:"class"`      // 10G; "below 1G" and "above 100G" outside of the classes
	Throughput float64 `json:"throughput"` // B/s, the best of its TCP tests
	Expected   float64 `json:"expected"`   // B/s of TCP payload that such a line carries
	MTU        int     `json:"mtu,omitempty"`
}

// Tier is a group of pairs that are equally far from each other.
type Tier struct {
	Name  string   `json:"name"` // same host, rack, far
	RTT   float64  `json:"rtt"`  // median of the group, seconds
	Pairs []PairOf `json:"pairs"`
}

// Tool says what measured.
type Tool struct {
	Version string `json:"version"`
	// Engine is the version of the workload engines: numbers of different
	// ones are not compared without a word.
	Engine string `json:"engine"`
}

// EngineVersion changes when an engine measures differently than before.
const EngineVersion = "1"

// Run says what was run.
type Run struct {
	ID       string    `json:"id"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Complete bool      `json:"complete"` // false when it was interrupted: cw perf resume goes on
	Profile  string    `json:"profile"`
	Argv     []string  `json:"argv"`
	Seed     uint64    `json:"seed"` // of the random data and offsets
}

// Host is one machine of a run.
type Host struct {
	Name      string         `json:"name"`
	Inventory map[string]any `json:"inventory,omitempty"`
	Health    Health         `json:"health"`
	Error     string         `json:"error,omitempty"` // why it took no part, or from when on
}

// Health is the state of the generator over a measured phase, and of a host
// the worst of its measurements.
type Health struct {
	CPU       float64 `json:"cpu"`        // share of all CPUs in use, 0 to 1
	Own       float64 `json:"own"`        // share used by the generator itself
	Steal     float64 `json:"steal"`      // share that the hypervisor took
	StartSkew float64 `json:"start_skew"` // seconds between the first and the last start of a barrier
	Pressure  float64 `json:"pressure"`   // PSI: share of time in which some task waited for CPU
}

// PairOf names the two ends of a network test.
type PairOf struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Test is the result of one test on one host or pair.
type Test struct {
	ID      string            `json:"id"`
	Area    Area              `json:"area"`
	Title   string            `json:"title"`
	Host    string            `json:"host,omitempty"`
	Pair    *PairOf           `json:"pair,omitempty"`
	Params  map[string]any    `json:"params,omitempty"`
	Metrics map[string]Metric `json:"metrics,omitempty"`
	// Main names the metric that tables show.
	Main string `json:"main,omitempty"`
	// Histograms are merged over the repetitions.
	Histograms map[string]*Histogram `json:"histograms,omitempty"`
	Series     []Series              `json:"series,omitempty"` // of the last repetition
	Events     []Event               `json:"events,omitempty"`
	Flags      []string              `json:"flags,omitempty"`
	Health     *Health               `json:"health,omitempty"`
	// Baseline is the comparison that decided the verdict, Comparisons are
	// all that were made.
	Baseline    *Comparison  `json:"baseline,omitempty"`
	Comparisons []Comparison `json:"comparisons,omitempty"`
	Verdict     Verdict      `json:"verdict"`
	Reason      string       `json:"reason,omitempty"`
}

// Where is the host or the pair of a test, for people.
func (t *Test) Where() string {
	if t.Pair != nil {
		return t.Pair.From + " -> " + t.Pair.To
	}
	return t.Host
}

// MetricNames lists the metrics, the main one first.
func (t *Test) MetricNames() []string {
	names := slices.Sorted(maps.Keys(t.Metrics))
	if i := slices.Index(names, t.Main); i > 0 {
		copy(names[1:i+1], names[:i])
		names[0] = t.Main
	}
	return names
}

// Metric is one number of a test with how sure it is.
type Metric struct {
	Value  float64   `json:"value"` // the median of the repetitions, or the worst where that is what counts
	Unit   string    `json:"unit"`
	Better Better    `json:"better"`
	N      int       `json:"n"`
	Median float64   `json:"median"`
	MAD    float64   `json:"mad"` // median absolute deviation
	CV     float64   `json:"cv"`  // standard deviation ÷ mean
	Reps   []float64 `json:"reps"`
}

// Comparison is one metric against one reference.
type Comparison struct {
	ID      string  `json:"id"`   // of the reference: recorded name, vendor formula, requirement
	Kind    string  `json:"kind"` // recorded, vendor, requirement
	Metric  string  `json:"metric"`
	Value   float64 `json:"value"` // what the reference says
	Ratio   float64 `json:"ratio"` // measured ÷ Value
	Warn    float64 `json:"warn"`  // bounds in the metric's unit
	Fail    float64 `json:"fail"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
}
