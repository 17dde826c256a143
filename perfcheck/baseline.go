package perfcheck

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"cw/fault"
)

// A baseline of fewer runs or hosts is kept, with a warning: it does not know
// how much machines of the type differ.
const (
	enoughRuns  = 5
	enoughHosts = 3
	// spreadTimes is how many times the variance that the repetitions' noise
	// explains the results must have before machines count as different.
	spreadTimes = 2.0
)

// Baseline is what machines of one type measured: the file that cw perf
// baseline save writes. Values are pooled over hosts, pairs and runs, so that
// it holds for machines of other names.
type Baseline struct {
	Name     string
	NodeType string
	Created  time.Time
	Engine   string   // version of the workload engines
	Profiles []string // of the runs
	Runs     []string
	Hosts    []string
	Tests    map[string]BaselineTest
}

// BaselineTest is one test of a baseline.
type BaselineTest struct {
	Params  map[string]string
	Metrics map[string]BaselineMetric
}

// BaselineMetric is one metric of a baseline, in the metric's unit.
type BaselineMetric struct {
	Unit   string
	Better Better
	Median float64
	MAD    float64 // of the runs and hosts: the A/A band
	N      int     // values that were pooled
	Low    float64
	High   float64
	Noise  float64 // standard deviation of one repetition, a share of Median
	Spread float64 // standard deviation between runs and hosts beyond that noise, a share of Median
}

// NewBaseline pools reports. Tests without a result are left out; the warnings
// say what makes the baseline weak.
func NewBaseline(name, nodeType string, created time.Time, reports []*Report) (*Baseline, []string, error) {
	b := &Baseline{Name: name, NodeType: nodeType, Created: created.UTC().Truncate(time.Second), Tests: map[string]BaselineTest{}}
	pool := map[string]map[string][]Metric{}
	params := map[string]map[string]string{}
	for _, r := range reports {
		switch {
		case b.Engine == "":
			b.Engine = r.Tool.Engine
		case b.Engine != r.Tool.Engine:
			return nil, nil, fault.New(fault.Usage, "measure all runs with the same version of cw", "run %s was measured by engines of version %s, the others by %s", r.Run.ID, r.Tool.Engine, b.Engine)
		}
		if slices.Contains(b.Runs, r.Run.ID) {
			return nil, nil, fault.New(fault.Usage, "name every run once", "run %s is given twice", r.Run.ID)
		}
		b.Runs = append(b.Runs, r.Run.ID)
		b.Profiles = insert(b.Profiles, r.Run.Profile)
		for i := range r.Tests {
			t := &r.Tests[i]
			if t.Verdict == Error || t.Verdict == Skipped || len(t.Metrics) == 0 {
				continue
			}
			b.Hosts = insert(b.Hosts, t.hosts()...)
			said := plainParams(t.Params)
			if was, ok := params[t.ID]; ok && !maps.Equal(was, said) {
				return nil, nil, fault.New(fault.Usage, "save a baseline of each", "%s was measured with %v and with %v", t.ID, was, said)
			}
			params[t.ID] = said
			if pool[t.ID] == nil {
				pool[t.ID] = map[string][]Metric{}
			}
			for name, m := range t.Metrics {
				pool[t.ID][name] = append(pool[t.ID][name], m)
			}
		}
	}
	if len(pool) == 0 {
		return nil, nil, fault.Wrap(fault.Usage, "give a report with results", errors.New("the reports hold no result"))
	}
	for id, metrics := range pool {
		t := BaselineTest{Params: params[id], Metrics: map[string]BaselineMetric{}}
		for name, values := range metrics {
			t.Metrics[name] = poolMetric(values)
		}
		b.Tests[id] = t
	}
	return b, b.weak(), nil
}

// weak says what the baseline lacks.
func (b *Baseline) weak() []string {
	if len(b.Runs) >= enoughRuns && len(b.Hosts) >= enoughHosts {
		return nil
	}
	return []string{fmt.Sprintf("the baseline is made of %d runs on %d hosts; it knows how much such machines differ from %d runs on %d hosts on", len(b.Runs), len(b.Hosts), enoughRuns, enoughHosts)}
}

// poolMetric pools the results of one metric of one test.
func poolMetric(of []Metric) BaselineMetric {
	values := make([]float64, len(of))
	var noises, evened []float64
	for i, m := range of {
		values[i] = m.Value // the median, or of a stall the worst
		if m.N > 1 && m.Median > 0 {
			noise := sigma(m.Reps) / m.Median
			noises = append(noises, noise*noise)
			evened = append(evened, noise*noise*medianError*medianError/float64(m.N))
		}
	}
	b := BaselineMetric{
		Unit: of[0].Unit, Better: of[0].Better, Median: median(values), MAD: mad(values), N: len(values),
		Low: slices.Min(values), High: slices.Max(values), Noise: math.Sqrt(mean(noises)),
	}
	if b.Median > 0 && len(values) > 1 {
		// Both estimates vary much with some fifteen results. Only what is
		// clearly more than the repetitions' noise is the machines'.
		total := min(madToSigma*b.MAD, deviation(values)) / b.Median
		if total *= total; total > spreadTimes*mean(evened) {
			b.Spread = math.Sqrt(total - mean(evened))
		}
	}
	return b
}

// Reference is the baseline as Judge takes it.
func (b *Baseline) Reference() Reference {
	r := Reference{ID: b.Name, Kind: KindRecorded, Complete: true, Engine: b.Engine}
	for _, id := range slices.Sorted(maps.Keys(b.Tests)) {
		t := b.Tests[id]
		params := map[string]any{}
		for k, v := range t.Params {
			params[k] = v
		}
		for _, name := range slices.Sorted(maps.Keys(t.Metrics)) {
			m := t.Metrics[name]
			r.Bounds = append(r.Bounds, Bound{Test: id, Metric: name, Value: m.Median, Spread: m.Spread, Noise: m.Noise, Params: params})
		}
	}
	return r
}

// hosts are those that took part in a test.
func (t *Test) hosts() []string {
	if t.Pair != nil {
		return []string{t.Pair.From, t.Pair.To}
	}
	if t.Host == "" {
		return nil
	}
	return []string{t.Host}
}

// plainParams are the settings as a file holds them.
func plainParams(params map[string]any) map[string]string {
	out := map[string]string{}
	for k, v := range params {
		out[k] = fmt.Sprint(v)
	}
	return out
}

// insert adds names to a sorted list, each once.
func insert(list []string, names ...string) []string {
	for _, n := range names {
		if i, ok := slices.BinarySearchFunc(list, n, strings.Compare); !ok && n != "" {
			list = slices.Insert(list, i, n)
		}
	}
	return list
}
