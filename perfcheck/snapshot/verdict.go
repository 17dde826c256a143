package snapshot

import (
	"fmt"

	"cw/perfcheck"
)

// From when on an impact is called one, beyond what the control moved.
const (
	impactP99   = 0.020 // seconds, and at least as much as there was before
	impactStall = 0.3   // seconds
	impactLoss  = 0.10  // share of the throughput
)

// compare holds the experiments against their controls.
func (r *runner) compare() {
	for test, control := range controls() {
		m, ok := r.out.Measured[test]
		i, c := r.out.Impacts[test], r.out.Impacts[control]
		if _, known := r.out.Impacts[control]; ok && known && len(m.Values) > 0 {
			m.Values["excess_p99"] = max(0, i.DeltaP99-c.DeltaP99)
		}
	}
}

func controls() map[string]string {
	return map[string]string{TestFullWrite: TestControlWrite, TestIncrementalWrite: TestControlWrite, TestFullRead: TestControlRead}
}

// Verdict says in words what an experiment did beyond its control; "" when it
// was nothing to speak of.
func Verdict(i, control Impact) string {
	switch excess := i.DeltaP99 - control.DeltaP99; {
	case i.Stall-control.Stall >= impactStall:
		return fmt.Sprintf("requests stood still for %s%s", sec(i.Stall), without(control.Stall))
	case excess > max(impactP99, i.Before.P99):
		return fmt.Sprintf("p99 of the response rose from %s to %s%s", sec(i.Before.P99), sec(i.During.P99), without(control.DeltaP99))
	case i.Loss-control.Loss > impactLoss:
		return fmt.Sprintf("%.0f %% of the throughput was lost, beyond the %.0f %% of the control", 100*i.Loss, 100*control.Loss)
	}
	return ""
}

func without(v float64) string {
	if v == 0 {
		return ""
	}
	return " (the control moved it by " + sec(v) + ")"
}

func sec(v float64) string { return perfcheck.FormatValue(v, perfcheck.Seconds) }

// Results makes the tests of the outcomes of some repetitions, with the
// verdicts that need no reference.
func Results(outs []*Outcome, host string, params map[string]any) []perfcheck.Test {
	var tests []perfcheck.Test
	for _, d := range Tests() {
		d.Params = params
		var reps []perfcheck.Measurement
		var failed error
		metrics := d.Metrics
		for _, out := range outs {
			if m, ok := out.Measured[d.ID]; ok && out.Failed[d.ID] == nil {
				reps = append(reps, m)
			} else if failed == nil {
				if failed = out.Failed[d.ID]; failed == nil {
					failed = fmt.Errorf("%s was not measured", d.ID)
				}
			}
			metrics = told(metrics, d.ID, out)
		}
		d.Metrics = metrics
		t := perfcheck.Combine(d, reps)
		if why := omitted(outs, d.ID); why != "" {
			t = perfcheck.Omitted(d, why)
		} else if failed != nil {
			t = perfcheck.Failed(d, failed)
		} else {
			judge(&t, outs)
		}
		t.Host = host
		tests = append(tests, t)
	}
	return tests
}

func omitted(outs []*Outcome, test string) string {
	for _, out := range outs {
		if why := out.Omitted[test]; why != "" {
			return why
		}
	}
	return ""
}

// told leaves out the metrics that the driver does not tell.
func told(metrics []perfcheck.MetricDef, test string, out *Outcome) []perfcheck.MetricDef {
	var left []perfcheck.MetricDef
	for _, m := range metrics {
		if out.Untold[test+" "+m.Name] == "" {
			left = append(left, m)
		}
	}
	return left
}

// judge gives the verdicts that need no reference.
func judge(t *perfcheck.Test, outs []*Outcome) {
	for _, out := range outs {
		if d := out.Doubts[t.ID]; d != "" {
			t.Worsen(perfcheck.Warn, d)
		}
		if p := out.Problems[t.ID]; p != "" {
			t.Worsen(perfcheck.Fail, "what was restored is not what was there at the moment of the snapshot: "+p)
		}
		i, ok := out.Impacts[t.ID]
		if !ok {
			continue
		}
		alone := Verdict(i, Impact{})
		control, compared := out.Impacts[controls()[t.ID]]
		switch {
		case alone == "":
		case controls()[t.ID] == "": // it is the control
			t.Flags = append(t.Flags, perfcheck.FlagNoisy)
			t.Worsen(perfcheck.Inconclusive, "without any snapshot "+alone+": the machine is not quiet enough to tell what a snapshot does")
		case !compared:
			t.Worsen(perfcheck.Inconclusive, alone+", and there is no control to compare it with")
		default:
			if beyond := Verdict(i, control); beyond != "" {
				t.Worsen(perfcheck.Warn, beyond)
			} else {
				t.Worsen(perfcheck.Inconclusive, alone+", and around no snapshot it was about as bad: whose doing it was cannot be told")
			}
		}
	}
}
