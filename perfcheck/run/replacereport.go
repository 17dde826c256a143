package run

import (
	"fmt"
	"maps"

	"cw/perfcheck"
	"cw/perfcheck/replace"
)

// add keeps one repetition's phases.
func (g *replaced) add(once *replacedOnce, rep int) {
	for _, r := range once.results {
		switch {
		case r.Without != "":
			continue
		case r.Err != nil:
			g.errs[r.Phase] = append(g.errs[r.Phase], fmt.Sprintf("repetition %d: %v", rep+1, r.Err))
			continue
		}
		m := perfcheck.Measurement{Values: map[string]float64{}}
		if r.Measurement != nil {
			m = *r.Measurement
			m.Values = maps.Clone(m.Values)
		}
		m.Values[replace.MetricSeconds], m.Values[replace.MetricMax], m.Values[replace.MetricSince] = r.Seconds, r.Seconds, r.Since
		g.reps[r.Phase] = append(g.reps[r.Phase], m)
	}
	if once.site.member != nil && once.site.member.Hello.Inventory != nil {
		g.last = once.site.member.Hello.Inventory
	}
}

// tests makes the results of the phases, and judges them.
func (o ReplaceOptions) tests(got *replaced) []perfcheck.Test {
	var out []perfcheck.Test
	for _, d := range replace.Tests() {
		d.Params = map[string]any{"cloud": o.Cloud, "poll": o.Poll.String()}
		if d.ID == replace.ColdReads {
			d.Params["rate"], d.Params["block"] = o.Rate, "8KiB"
		}
		var t perfcheck.Test
		switch reps := got.reps[d.ID]; {
		case got.without[d.ID] != "":
			t = perfcheck.Omitted(d, got.without[d.ID])
		case len(reps) == 0 && len(got.errs[d.ID]) == 0:
			t = perfcheck.Failed(d, fmt.Errorf("it was not reached"))
		case len(reps) == 0:
			t = perfcheck.Failed(d, fmt.Errorf("%s", got.errs[d.ID][0]))
		default:
			t = perfcheck.Combine(d, reps)
			for _, why := range got.errs[d.ID] {
				t.Worsen(perfcheck.Error, why)
			}
			perfcheck.Judge(&t, d, o.References)
		}
		t.Host = o.Cloud
		out = append(out, t)
	}
	return out
}
