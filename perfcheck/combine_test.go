package perfcheck

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/fault"
)

func reps(iops ...float64) []Measurement {
	var out []Measurement
	for _, v := range iops {
		h := NewHistogram()
		h.Record(2 * time.Millisecond)
		out = append(out, Measurement{
			Values:     map[string]float64{"iops": v, "service_p50": 0.002, "service_p99": 0.008, "stall_max": 0},
			Histograms: map[string]*Histogram{"service": h},
			Series:     []Series{{Name: "iops", Unit: PerSecond, Interval: 1, Values: []float64{v, v, v}}},
		})
	}
	return out
}

func TestCombine(t *testing.T) {
	t.Parallel()
	got := Combine(definition(), reps(100, 120, 110))
	m := got.Metrics["iops"]
	if m.Value != 110 || m.Median != 110 || m.MAD != 10 || m.N != 3 || math.Abs(m.CV-10.0/110) > 1e-9 || !slices.Equal(m.Reps, []float64{100, 120, 110}) {
		t.Errorf("%+v", m)
	}
	if got.Verdict != Pass || got.Reason != "" || got.Main != "iops" || got.Series[0].Values[0] != 110 || got.Histograms["service"].Count() != 3 {
		t.Errorf("%+v", got)
	}
	if names := got.MetricNames(); !slices.Equal(names, []string{"iops", "service_p50", "service_p99", "stall_max"}) {
		t.Errorf("metrics %v", names)
	}
}

func TestCombineRefuses(t *testing.T) {
	t.Parallel()
	with := func(change func([]Measurement)) []Measurement {
		r := reps(100, 100, 100)
		change(r)
		return r
	}
	bounded := definition()
	bounded.Metrics = slices.Clone(bounded.Metrics)
	bounded.Metrics[0].Ceiling, bounded.Metrics[1].Floor = 500, 0.001
	for name, c := range map[string]struct {
		def  Definition
		reps []Measurement
		want string
		flag string
	}{
		"no repetition":      {definition(), nil, "was not measured", ""},
		"a metric missing":   {definition(), with(func(r []Measurement) { delete(r[1].Values, "service_p99") }), "service_p99 is missing in repetition 2 of 3", ""},
		"missing everywhere": {definition(), with(func(r []Measurement) { r[0].Values, r[1].Values, r[2].Values = nil, nil, nil }), "iops is missing", ""},
		"nothing moved":      {definition(), with(func(r []Measurement) { r[2].Values["iops"] = 0 }), "iops is 0 in repetition 3 of 3: nothing was moved", ""},
		"no number":          {definition(), with(func(r []Measurement) { r[0].Values["iops"] = math.NaN() }), "iops is NaN", ""},
		"infinite":           {definition(), with(func(r []Measurement) { r[0].Values["service_p50"] = math.Inf(1) }), "is +Inf", ""},
		"negative":           {definition(), with(func(r []Measurement) { r[0].Values["service_p50"] = -1 }), "is -1", ""},
		"above the ceiling":  {bounded, reps(501), "iops of 501/s is above the plausible 500/s", FlagCachedSuspect},
		"below the floor": {bounded, with(func(r []Measurement) {
			for i := range r {
				r[i].Values["service_p50"] = 0.0005
			}
		}), "service_p50 of 500 µs is below the plausible 1 ms", FlagCachedSuspect},
		"the engine says so": {definition(), with(func(r []Measurement) { r[0].Flags = []string{FlagCachedSuspect} }), "a cache answered", FlagCachedSuspect},
	} {
		got := Combine(c.def, c.reps)
		if got.Verdict != Error || !strings.Contains(got.Reason, c.want) || c.flag != "" && !slices.Contains(got.Flags, c.flag) {
			t.Errorf("%s: %s %q %v", name, got.Verdict, got.Reason, got.Flags)
		}
		if Judge(&got, c.def, nil); got.Verdict != Error {
			t.Errorf("%s: judging heals it", name)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCombineUnites(t *testing.T) {
	t.Parallel()
	r := reps(100, 100)
	r[0].Flags, r[1].Flags = []string{FlagSteal, FlagRateMissed}, []string{FlagSteal}
	r[1].Events = []Event{{Kind: EventStall, Text: "stalled"}}
	r[0].Series[0].Values = append(repeat(100, 20), repeat(20, 20)...)
	got := Combine(definition(), r)
	if !slices.Equal(got.Flags, []string{FlagRateMissed, FlagSteal}) || len(got.Events) != 2 {
		t.Errorf("%v %+v", got.Flags, got.Events)
	}
	if got.Verdict != Warn || !strings.Contains(got.Reason, "fell from 100/s to 20/s (-80 %) after 20 s") || !strings.Contains(got.Reason, "repetition 1 of 2") {
		t.Errorf("a throttle: %s %q", got.Verdict, got.Reason)
	}
	if noisy := Combine(definition(), reps(10, 100, 200)); !slices.Contains(noisy.Flags, FlagNoisy) {
		t.Error("not noisy")
	}
}

func report(tests ...Test) *Report {
	return &Report{
		APIVersion: "cw/v1", Kind: "PerfReport", Tool: Tool{Version: "1.2", Engine: EngineVersion}, Tests: tests,
		Run:   Run{ID: "p1", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Finished: time.Date(2026, 1, 2, 3, 5, 5, 0, time.UTC), Profile: "quick", Argv: []string{"cw", "perf"}, Complete: true, Seed: 1},
		Hosts: []Host{{Name: "sdw1"}, {Name: "sdw2"}},
	}
}

func on(host string, v Verdict, reason string) Test {
	t := Combine(definition(), reps(100, 101, 102))
	t.Host, t.Verdict, t.Reason = host, v, reason
	return t
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	pass, warn, fail := on("a", Pass, ""), on("b", Warn, "w"), on("c", Fail, "f")
	unsure, broken, left := on("d", Inconclusive, "i"), Failed(definition(), errors.New("gone")), Omitted(definition(), "no need")
	need := []Reference{{Kind: KindRequirement, Bounds: []Bound{{Test: "disk.other", Metric: "iops", Value: 1}}}}
	lost := func(r *Report) *Report { r.Hosts[1].Error = "connection lost"; return r }
	const none = fault.Kind(-1)
	for name, c := range map[string]struct {
		r       *Report
		refs    []Reference
		on      FailOn
		verdict Verdict
		kind    fault.Kind
	}{
		"pass":                       {report(pass, left), nil, FailOnFail, Pass, none},
		"nothing ran":                {report(left), nil, FailOnFail, Skipped, none},
		"warn":                       {report(pass, warn), nil, FailOnFail, Warn, none},
		"warn, asked for":            {report(pass, warn), nil, FailOnWarn, Warn, fault.Check},
		"inconclusive":               {report(pass, unsure), nil, FailOnFail, Inconclusive, none},
		"inconclusive, asked for":    {report(pass, unsure), nil, FailOnInconclusive, Inconclusive, fault.Check},
		"inconclusive, warn asked":   {report(pass, unsure), nil, FailOnWarn, Inconclusive, fault.Check},
		"fail":                       {report(pass, fail, warn), nil, FailOnFail, Fail, fault.Check},
		"some not measured":          {report(pass, broken), nil, FailOnFail, Error, fault.Partial},
		"none measured":              {report(broken, left), nil, FailOnFail, Error, fault.Failed},
		"fail and not measured":      {report(fail, broken), nil, FailOnFail, Fail, fault.Check},
		"a host lost":                {lost(report(pass)), nil, FailOnFail, Error, fault.Partial},
		"requirement not measured":   {report(pass), need, FailOnFail, Inconclusive, none},
		"not measured, asked for":    {report(pass), need, FailOnInconclusive, Inconclusive, fault.Check},
		"requirement without result": {report(broken), []Reference{{Kind: KindRequirement, Bounds: []Bound{{Test: "disk.*", Metric: "iops"}}}}, FailOnFail, Error, fault.Failed},
	} {
		c.r.Conclude(c.refs)
		err := c.r.Outcome(c.on)
		if c.r.Verdict != c.verdict || (err == nil) != (c.kind == none) || err != nil && fault.KindOf(err) != c.kind {
			t.Errorf("%s: %s %q, %v; want %s", name, c.r.Verdict, c.r.Reason, err, c.verdict)
		}
	}
}

func TestReportRoundTrip(t *testing.T) {
	t.Parallel()
	a, b := on("sdw1", Pass, ""), on("sdw2", Fail, "slow")
	b.Host, b.Pair = "", &PairOf{"sdw1", "sdw2"}
	b.Events = []Event{{Kind: EventThrottle, At: 3, Before: 2, After: 1, Credit: 4, Text: "x"}}
	b.Health = &Health{CPU: 0.5}
	b.Comparisons = []Comparison{{ID: "base", Kind: KindRecorded, Metric: "iops", Value: 200, Ratio: 0.5, Verdict: Fail}}
	b.Baseline = &b.Comparisons[0]
	r := report(a, b)
	r.Conclude(nil)
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseReport(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil || string(again) != string(data) {
		t.Errorf("%v\n%s\n%s", err, data, again)
	}
	var one, two any
	if json.Unmarshal(data, &one) != nil || json.Unmarshal(again, &two) != nil || !reflect.DeepEqual(one, two) {
		t.Error("the documents differ")
	}
	for _, bad := range []string{"", "{}", `{"apiVersion":"cw/v1","kind":"Cluster"}`, `{"apiVersion":"cw/v1","kind":"PerfReport","tests":[{}]}`, `{"apiVersion":"cw/v1","kind":"PerfReport","tests":[{"id":"x","verdict":"great"}]}`} {
		if _, err := ParseReport([]byte(bad)); err == nil {
			t.Errorf("%q is read as a report", bad)
		}
	}
}

// TestWorst: a stall in one of three repetitions is what the value says.
func TestWorst(t *testing.T) {
	t.Parallel()
	def := Definition{ID: "disk.x", Metrics: []MetricDef{
		{Name: "response_p99", Unit: Seconds, Better: Lower, Worst: true},
		{Name: "achieved", Unit: Ratio, Better: Higher, Worst: true},
		{Name: "response_p50", Unit: Seconds, Better: Lower},
	}}
	measured := make([]Measurement, 0, 3)
	for _, v := range []float64{0.002, 0.5, 0.001} {
		measured = append(measured, Measurement{Values: map[string]float64{"response_p99": v, "achieved": 1 - v, "response_p50": v}})
	}
	got := Combine(def, measured).Metrics
	if got["response_p99"].Value != 0.5 || got["response_p99"].Median != 0.002 || got["achieved"].Value != 0.5 || got["response_p50"].Value != 0.002 {
		t.Errorf("%+v", got)
	}
}
