package perfcheck

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func definition() Definition {
	return Definition{
		ID: "disk.randread.8k.qd32", Title: "random reads", Area: Disk, Scope: Together,
		Params: map[string]any{"block": 8192, "depth": 32},
		Metrics: []MetricDef{
			{Name: "iops", Unit: PerSecond, Better: Higher, Gate: GateFail},
			{Name: "service_p50", Unit: Seconds, Better: Lower, Gate: GateFail},
			{Name: "service_p99", Unit: Seconds, Better: Lower, Gate: GateWarn},
			{Name: "stall_max", Unit: Seconds, Better: Lower},
		},
	}
}

// machine measures with noise, factor times as fast as the reference.
func machine(r *rand.Rand, n int, cv, factor float64) []Measurement {
	out := make([]Measurement, n)
	for i := range out {
		speed := factor * max(0.1, 1+cv*r.NormFloat64())
		out[i] = Measurement{Values: map[string]float64{
			"iops": 13000 * speed, "service_p50": 0.002 / speed, "service_p99": 0.008 / speed * (1 + 0.3*r.Float64()), "stall_max": 0.01,
		}}
	}
	return out
}

// recorded is a baseline of runs on hosts of one type.
func recorded(t *testing.T, r *rand.Rand, runs, hosts, reps int, cv float64) Reference {
	t.Helper()
	var reports []*Report
	for run := range runs {
		rep := &Report{Tool: Tool{Engine: EngineVersion}, Run: Run{ID: fmt.Sprint("r", run), Profile: "standard"}}
		for h := range hosts {
			test := Combine(definition(), machine(r, reps, cv, 1))
			test.Host = fmt.Sprint("h", h)
			rep.Tests = append(rep.Tests, test)
		}
		reports = append(reports, rep)
	}
	b, _, err := NewBaseline("base", "", time.Time{}, reports)
	if err != nil {
		t.Fatal(err)
	}
	return b.Reference()
}

// measure does what the runner does: a suspicious result is measured again.
func measure(r *rand.Rand, ref Reference, reps int, cv, factor float64) (Test, int) {
	all := machine(r, reps, cv, factor)
	for again := 0; ; again++ {
		test := Combine(definition(), all)
		if !Judge(&test, definition(), []Reference{ref}) || again == 3 {
			return test, again
		}
		all = append(all, machine(r, reps, cv, factor)...)
	}
}

// The same machine passes, one of 70 % fails, one of 400 % is no machine.
func TestVerdictsUnderNoise(t *testing.T) {
	t.Parallel()
	for _, cv := range []float64{0.03, 0.05, 0.1, 0.15, 0.2} {
		for _, reps := range []int{3, 5} {
			t.Run(fmt.Sprintf("noise %.0f %% of %d", 100*cv, reps), func(t *testing.T) {
				t.Parallel()
				const each = 400
				r := rand.New(rand.NewPCG(uint64(1000*cv), uint64(reps)))
				count := map[string]int{}
				more := 0
				for range each {
					ref := recorded(t, r, 5, 3, reps, cv)
					for _, c := range []struct {
						name   string
						factor float64
					}{{"same", 1}, {"slow", 0.7}, {"fast", 4}} {
						test, again := measure(r, ref, reps, cv, c.factor)
						count[c.name+" "+string(test.Verdict)]++
						if c.factor == 1 {
							more += again
						}
					}
				}
				t.Logf("%v; %.2f repeats of the same machine", count, float64(more)/each)
				// 20 of 20 in every likelihood, as long as so few repetitions
				// of so noisy a machine can tell at all.
				slack := each / 200
				switch {
				case cv > 0.15 && reps == 3:
					slack = each / 20
				case cv > 0.1:
					slack = each / 50
				}
				if ok := count["same pass"] + count["same warn"]; ok < each-slack {
					t.Errorf("the same machine: %v", count)
				}
				if count["same pass"] < each*90/100 {
					t.Errorf("the same machine passes too seldom: %v", count)
				}
				if count["slow fail"] < each-slack {
					t.Errorf("70 %%: %v", count)
				}
				if count["fast error"] < each-slack {
					t.Errorf("400 %%: %v", count)
				}
			})
		}
	}
}

func TestJudgeRules(t *testing.T) {
	t.Parallel()
	still := func(factor float64) []Measurement {
		return machine(rand.New(rand.NewPCG(1, 1)), 5, 0, factor)
	}
	ref := func(value float64) Reference {
		return Reference{ID: "base", Kind: KindRecorded, Bounds: []Bound{{Test: "disk.randread.8k.qd32", Metric: "iops", Value: value}}}
	}
	need := func(metric string, value float64, level Gate) Reference {
		return Reference{ID: "need", Kind: KindRequirement, Bounds: []Bound{{Test: "disk.randread.*", Metric: metric, Value: value, Level: level}}}
	}
	for name, c := range map[string]struct {
		reps       []Measurement
		refs       []Reference
		verdict    Verdict
		suspicious bool
		reason     string
		base       string
	}{
		"nothing asked":            {still(1), nil, Pass, false, "", ""},
		"as the baseline":          {still(1), []Reference{ref(13000)}, Pass, false, "", "base"},
		"12 % below":               {still(0.88), []Reference{ref(13000)}, Warn, false, "0.88 times", "base"},
		"18 % below":               {still(0.82), []Reference{ref(13000)}, Fail, true, "iops of 10.7k/s is 0.82 times of base's 13k/s, beyond the limit of 10.8k/s", "base"},
		"twice as fast":            {still(2), []Reference{ref(13000)}, Pass, true, "", "base"},
		"four times":               {still(4), []Reference{ref(13000)}, Error, true, "too good to be true", "base"},
		"requirement met":          {still(1), []Reference{need("iops", 13000, GateFail)}, Pass, false, "", "need"},
		"requirement missed":       {still(1), []Reference{need("iops", 13001, GateFail)}, Fail, true, "misses the requirement of >= 13k/s", "need"},
		"wish missed":              {still(1), []Reference{need("iops", 20000, GateWarn)}, Warn, false, "misses", "need"},
		"latency requirement":      {still(0.5), []Reference{need("service_p50", 0.003, GateFail)}, Fail, true, "service_p50 of 4 ms misses the requirement of <= 3 ms", "need"},
		"metric without a gate":    {still(1), []Reference{need("stall_max", 0.001, GateFail)}, Fail, true, "stall_max", "need"},
		"worst rule decides":       {still(0.88), []Reference{ref(13000), need("iops", 20000, GateFail)}, Fail, true, "misses the requirement", "need"},
		"baseline without it":      {still(1), []Reference{{ID: "base", Kind: KindRecorded, Complete: true}}, Inconclusive, false, "base has no disk.randread.8k.qd32", "base"},
		"vendor without it":        {still(1), []Reference{{ID: "ssd", Kind: KindVendor}}, Pass, false, "", ""},
		"other settings":           {still(0.5), []Reference{{ID: "base", Bounds: []Bound{{Test: "disk.randread.8k.qd32", Metric: "iops", Value: 13000, Params: map[string]any{"block": "4096"}}}}}, Inconclusive, false, "block was 4096 and is 8192", "base"},
		"recorded by older engine": {still(1), []Reference{{ID: "base", Engine: "0", Bounds: ref(13000).Bounds}}, Warn, false, "version 0", "base"},
		"p99 may only warn":        {still(1), []Reference{{ID: "base", Bounds: []Bound{{Test: "disk.randread.8k.qd32", Metric: "service_p99", Value: 0.001}}}}, Warn, false, "service_p99", "base"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test := Combine(definition(), c.reps)
			suspicious := Judge(&test, definition(), c.refs)
			if test.Verdict != c.verdict || suspicious != c.suspicious || !strings.Contains(test.Reason, c.reason) {
				t.Errorf("%s (suspicious %v): %q; want %s (%v): %q", test.Verdict, suspicious, test.Reason, c.verdict, c.suspicious, c.reason)
			}
			if got := test.Baseline; (got == nil) != (c.base == "") || got != nil && got.ID != c.base {
				t.Errorf("decided by %+v, want %q", got, c.base)
			}
			again := Judge(&test, definition(), c.refs)
			if again != suspicious || len(test.Comparisons) > len(c.refs) {
				t.Error("judging twice is not judging once")
			}
		})
	}
}

func TestNoiseIsInconclusive(t *testing.T) {
	t.Parallel()
	reps := []Measurement{}
	for _, v := range []float64{4000, 20000, 9000, 16000, 3000} {
		reps = append(reps, Measurement{Values: map[string]float64{"iops": v, "service_p50": 1, "service_p99": 1, "stall_max": 0}})
	}
	test := Combine(definition(), reps)
	ref := Reference{ID: "base", Kind: KindRecorded, Bounds: []Bound{{Test: test.ID, Metric: "iops", Value: 13000}}}
	if again := Judge(&test, definition(), []Reference{ref}); !again || test.Verdict != Inconclusive || !strings.Contains(strings.Join(test.Flags, " "), FlagNoisy) {
		t.Errorf("%v %s %q %v", again, test.Verdict, test.Reason, test.Flags)
	}
}

func TestGeneratorLimitIsNoFail(t *testing.T) {
	t.Parallel()
	reps := machine(rand.New(rand.NewPCG(1, 1)), 3, 0, 0.5)
	reps[1].Flags = []string{FlagClientLimited}
	test := Combine(definition(), reps)
	ref := Reference{ID: "base", Kind: KindRecorded, Bounds: []Bound{{Test: test.ID, Metric: "iops", Value: 13000}}}
	if again := Judge(&test, definition(), []Reference{ref}); again || test.Verdict != Inconclusive {
		t.Errorf("%v %s %q", again, test.Verdict, test.Reason)
	}
}
