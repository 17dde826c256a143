package size

import "cw/perfcheck"

// FromBaseline makes a report of a baseline, as of one host of its name: the
// medians of its machines. What such machines have of CPUs and memory it does
// not say.
func FromBaseline(b *perfcheck.Baseline) *perfcheck.Report {
	r := &perfcheck.Report{Hosts: []perfcheck.Host{{Name: b.Name}}}
	r.Run.ID, r.Run.Started = "baseline "+b.Name, b.Created
	for id, t := range b.Tests {
		out := perfcheck.Test{ID: id, Host: b.Name, Verdict: perfcheck.Pass, Metrics: map[string]perfcheck.Metric{}}
		for name, m := range t.Metrics {
			out.Metrics[name] = perfcheck.Metric{Value: m.Median, Unit: m.Unit, Better: m.Better, N: m.N, Median: m.Median, MAD: m.MAD}
		}
		r.Tests = append(r.Tests, out)
	}
	return r
}
