package run

import (
	"context"
	"fmt"
	"time"

	"cw/perfcheck"
)

// recovery looks, after an idle time, whether the speed that a throttle took
// away has come back: credits refill, a limit stays.
func (r *runner) recovery(ctx context.Context, t test, tests []perfcheck.Test) {
	seats := map[string]seat{}
	var rounds [][]seat
	for _, round := range r.rounds(t) {
		var again []seat
		for _, s := range round {
			for i := range tests {
				if tests[i].Where() == s.String() && throttleOf(&tests[i]) != nil && s.lost() == nil && seats[s.String()].from == nil {
					again = append(again, s)
					seats[s.String()] = s
				}
			}
		}
		if len(again) > 0 {
			rounds = append(rounds, again)
		}
	}
	if len(rounds) == 0 {
		return
	}
	r.o.Reporter.Phase(fmt.Sprintf("%s was throttled: idle for %s, then another look", t.ID, r.o.Profile.Idle))
	if perfcheck.WaitUntil(ctx, time.Now().Add(r.o.Profile.Idle)) != nil {
		return
	}
	short := r.o.Profile
	short.Timing = perfcheck.Timing{Duration: r.o.Profile.Retest} // credits would be gone after a warm-up
	long := r.o.Profile
	r.o.Profile = short
	defer func() { r.o.Profile = long }()
	results := map[seat]*result{}
	r.repeat(ctx, t, rounds, 1, results)
	for i := range tests {
		s, ok := seats[tests[i].Where()]
		if !ok || results[s] == nil || len(results[s].reps) == 0 {
			continue
		}
		throttle := throttleOf(&tests[i])
		series := results[s].reps[0].Series
		if len(series) == 0 {
			continue
		}
		if share, ok := perfcheck.Recovered(*throttle, series[0]); ok { // the one that throttles are found in
			tests[i].Events = append(tests[i].Events, perfcheck.Event{
				Kind: perfcheck.EventRecovery, At: long.Timing.Duration.Seconds() + long.Idle.Seconds(), Before: throttle.After, After: throttle.After + share*(throttle.Before-throttle.After),
				Text: fmt.Sprintf("after %s of idling %s of what the throttle took is back", long.Idle, percent(min(max(share, 0), 1))),
			})
		}
	}
}

// throttleOf is the first throttle of a test; nil when there was none.
func throttleOf(t *perfcheck.Test) *perfcheck.Event {
	for i := range t.Events {
		if t.Events[i].Kind == perfcheck.EventThrottle {
			return &t.Events[i]
		}
	}
	return nil
}
