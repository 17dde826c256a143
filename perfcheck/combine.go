package perfcheck

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// noisyCV is the coefficient of variation of a test's first metric from which
// on its repetitions are called noisy.
const noisyCV = 0.25

// Combine makes one test result of its repetitions on one host or pair: the
// median of every metric, the merged histograms, the series of the last
// repetition, the events and flags of all. What the definition asks for and
// no repetition gave, or gave as nonsense, makes the verdict Error: nothing is
// dropped in silence. Else the verdict is Pass, or Warn after a throttle, and
// Judge may worsen it.
func Combine(def Definition, reps []Measurement) Test {
	t := Test{ID: def.ID, Area: def.Area, Title: def.Title, Params: def.Params, Metrics: map[string]Metric{}, Main: firstMetric(def), Verdict: Pass}
	if len(reps) == 0 {
		t.refuse("was not measured")
		return t
	}
	for i, d := range def.Metrics {
		values, problem := collect(d, reps)
		if problem != "" {
			t.refuse(problem)
		}
		if len(values) == 0 {
			continue
		}
		m := newMetric(d, values)
		t.Metrics[d.Name] = m
		t.checkPlausible(d, m)
		if i == 0 && m.CV > noisyCV && m.N > 1 {
			t.flag(FlagNoisy)
		}
	}
	for i, r := range reps {
		for name, h := range r.Histograms {
			if t.Histograms == nil {
				t.Histograms = map[string]*Histogram{}
			}
			if t.Histograms[name] == nil {
				t.Histograms[name] = NewHistogram()
			}
			t.Histograms[name].Merge(h)
		}
		for _, f := range r.Flags {
			t.flag(f)
		}
		t.addEvents(i, len(reps), r)
	}
	t.Series = reps[len(reps)-1].Series
	if slices.Contains(t.Flags, FlagCachedSuspect) {
		t.refuse("the engine says that a cache answered, not the thing measured")
	}
	for _, e := range t.Events {
		if e.Kind == EventThrottle {
			t.Worsen(Warn, e.Text)
			break
		}
	}
	return t
}

// collect takes one metric's values out of the repetitions and says what is
// wrong with them.
func collect(d MetricDef, reps []Measurement) (values []float64, problem string) {
	for i, r := range reps {
		v, ok := r.Values[d.Name]
		switch {
		case !ok && d.Gate != GateFail && slices.Contains(r.Flags, FlagExternal):
			continue // other tools do not tell everything
		case !ok:
			problem = fmt.Sprintf("%s is missing%s", d.Name, inRepetition(i, len(reps)))
			continue
		case !finite(v) || v < 0:
			problem = fmt.Sprintf("%s is %v%s, which is no result", d.Name, v, inRepetition(i, len(reps)))
			continue
		case v == 0 && d.Better == Higher && (d.Unit == BytesPerSecond || d.Unit == PerSecond):
			problem = fmt.Sprintf("%s is 0%s: nothing was moved", d.Name, inRepetition(i, len(reps)))
		}
		values = append(values, v)
	}
	return values, problem
}

func inRepetition(i, of int) string {
	if of == 1 {
		return ""
	}
	return fmt.Sprintf(" in repetition %d of %d", i+1, of)
}

// checkPlausible compares a value with the bounds that hold for every machine.
func (t *Test) checkPlausible(d MetricDef, m Metric) {
	switch {
	case d.Ceiling > 0 && m.Value > d.Ceiling:
		t.flag(FlagCachedSuspect)
		t.refuse(fmt.Sprintf("%s of %s is above the plausible %s: a cache was measured", d.Name, FormatValue(m.Value, d.Unit), FormatValue(d.Ceiling, d.Unit)))
	case d.Floor > 0 && m.Value < d.Floor:
		t.flag(FlagCachedSuspect)
		t.refuse(fmt.Sprintf("%s of %s is below the plausible %s: a cache answered", d.Name, FormatValue(m.Value, d.Unit), FormatValue(d.Floor, d.Unit)))
	}
}

// addEvents takes the engine's events and finds throttling, stalls and
// recoveries in the repetition's first series.
func (t *Test) addEvents(i, of int, r Measurement) {
	events := slices.Clone(r.Events)
	if len(r.Series) > 0 {
		events = append(events, Detect(r.Series[0])...)
	}
	for _, e := range events {
		if of > 1 {
			e.Text += inRepetition(i, of)
		}
		t.Events = append(t.Events, e)
	}
}

// flag sets a flag once.
func (t *Test) flag(f string) {
	if !slices.Contains(t.Flags, f) {
		t.Flags = append(t.Flags, f)
		slices.Sort(t.Flags)
	}
}

// refuse makes the verdict Error for one more reason.
func (t *Test) refuse(reason string) { t.Worsen(Error, reason) }

// Worsen sets a worse verdict with its reason, and adds the reason to those of
// an equal one.
func (t *Test) Worsen(v Verdict, reason string) {
	switch {
	case rank(v) > rank(t.Verdict):
		t.Verdict, t.Reason = v, reason
	case v == t.Verdict && t.Reason == "":
		t.Reason = reason
	case v == t.Verdict && v != Pass && !strings.Contains(t.Reason, reason):
		t.Reason += "; " + reason
	}
}

// Failed makes the result of a test that could not be measured on a host or
// pair.
func Failed(def Definition, err error) Test {
	return Test{ID: def.ID, Area: def.Area, Title: def.Title, Params: maps.Clone(def.Params), Verdict: Error, Reason: err.Error()}
}

// Omitted makes the result of a test that was left out for a reason that is no
// fault of the machine.
func Omitted(def Definition, reason string) Test {
	return Test{ID: def.ID, Area: def.Area, Title: def.Title, Params: maps.Clone(def.Params), Verdict: Skipped, Reason: reason}
}

// rank orders the verdicts of a single test from best to worst.
func rank(v Verdict) int {
	return slices.Index([]Verdict{"", Pass, Skipped, Warn, Inconclusive, Fail, Error}, v)
}
