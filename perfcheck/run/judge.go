package run

import (
	"context"
	"fmt"

	"cw/perfcheck"
)

// test measures and judges one test everywhere.
func (r *runner) test(ctx context.Context, t test) []perfcheck.Test {
	rounds := r.rounds(t)
	if len(rounds) == 0 {
		omitted := perfcheck.Omitted(t.Definition, "a network test needs two machines")
		omitted.Host = r.fleet.Members()[0].Name
		return []perfcheck.Test{omitted}
	}
	if t.derive != nil {
		return r.derived(t)
	}
	if r.o.Engine != "" && t.unsupported != nil {
		if err := t.unsupported(r.o.Engine); err != nil {
			return omit(t, rounds, err.Error())
		}
	}
	if t.Area == perfcheck.Net {
		r.listenAll(ctx, rounds)
	}
	rounds, omitted := withLinks(t, rounds)
	results := map[seat]*result{}
	r.repeat(ctx, t, rounds, r.reps(t), results)
	tests, again := r.judge(t, rounds, results)
	// What looks bad is measured again before it is called so: a single
	// slow moment of a shared machine is no property of it.
	for range rerun {
		if len(again) == 0 || ctx.Err() != nil || t.once {
			break
		}
		r.repeat(ctx, t, only(rounds, again), r.reps(t), results)
		tests, again = r.judge(t, rounds, results)
	}
	if r.o.Profile.Idle > 0 {
		r.recovery(ctx, t, tests)
	}
	return append(tests, omitted...)
}

// derived makes the results of a test that measures nothing itself.
func (r *runner) derived(t test) []perfcheck.Test {
	var out []perfcheck.Test
	for _, m := range r.fleet.Members() {
		got := t.derive(t.Definition, r.report.Tests, m.Name)
		got.Host = m.Name
		perfcheck.Judge(&got, t.Definition, r.o.References)
		out = append(out, got)
	}
	return out
}

// omit leaves a test out everywhere.
func omit(t test, rounds [][]seat, reason string) []perfcheck.Test {
	var out []perfcheck.Test
	for _, round := range rounds {
		for _, s := range round {
			o := perfcheck.Omitted(t.Definition, reason)
			s.place(&o)
			out = append(out, o)
		}
	}
	return out
}

// judge makes the test's results of what was measured, one per seat in the
// order of the rounds, and tells which are to be measured again.
func (r *runner) judge(t test, rounds [][]seat, results map[seat]*result) (tests []perfcheck.Test, again map[seat]bool) {
	again = map[seat]bool{}
	seen := map[seat]bool{}
	var seats []seat
	for _, round := range rounds {
		for _, s := range round {
			if seen[s] {
				continue
			}
			seen[s] = true
			seats = append(seats, s)
			tests = append(tests, r.combine(t, s, results[s]))
		}
	}
	for i := range tests {
		if tests[i].Verdict == perfcheck.Error && len(tests[i].Metrics) == 0 {
			continue
		}
		if perfcheck.Judge(&tests[i], t.Definition, r.o.References) {
			again[seats[i]] = true
		}
	}
	for _, i := range compareOthers(t.Definition, tests) {
		again[seats[i]] = true
	}
	return tests, again
}

// combine makes one result of the repetitions at a seat.
func (r *runner) combine(t test, s seat, res *result) perfcheck.Test {
	var got perfcheck.Test
	switch {
	case res == nil || res.err == nil && len(res.reps) == 0:
		got = perfcheck.Failed(t.Definition, fmt.Errorf("%s was not measured", s))
	case res.err != nil:
		got = perfcheck.Failed(t.Definition, res.err)
	default:
		got = perfcheck.Combine(t.Definition, res.reps)
		health := res.health
		got.Health = &health
		judgeFlags(&got)
		if r.o.Profile.BurstUnsafe && !t.once && mayBurst(t.Definition) {
			got.Flags = append(got.Flags, perfcheck.FlagBurstUnsafe)
		}
	}
	s.place(&got)
	return got
}

// judgeFlags gives the verdict to what engines notice that is wrong in itself,
// whatever the numbers.
func judgeFlags(t *perfcheck.Test) {
	for _, f := range t.Flags {
		switch f {
		case perfcheck.FlagMTUMismatch:
			t.Worsen(perfcheck.Fail, "small packets arrive and large ones vanish: the MTU differs on the way, and the interconnect of a cluster will stall")
		case perfcheck.FlagMTUSilent:
			t.Worsen(perfcheck.Warn, "a smaller MTU on the way is not told, since ICMP is filtered: connections may hang")
		case perfcheck.FlagWrongNIC:
			t.Worsen(perfcheck.Warn, "the traffic did not take the interface that was meant: look at the routes and rp_filter")
		}
	}
}

// mayBurst tells whether a test's result may rest on credits that run out.
func mayBurst(d perfcheck.Definition) bool {
	unit := d.Metrics[0].Unit
	return (d.Area == perfcheck.Disk || d.Area == perfcheck.Net || d.Area == perfcheck.Object || d.Area == perfcheck.DB) && (unit == perfcheck.BytesPerSecond || unit == perfcheck.PerSecond)
}

// only keeps the seats that are to be measured again.
func only(rounds [][]seat, keep map[seat]bool) [][]seat {
	var out [][]seat
	for _, round := range rounds {
		var seats []seat
		for _, s := range round {
			if keep[s] {
				seats = append(seats, s)
			}
		}
		if len(seats) > 0 {
			out = append(out, seats)
		}
	}
	return out
}
