package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cw/perfcheck"
)

// seat is one place where a test is measured: a machine, or a pair of them.
type seat struct {
	from, to *Member // to is nil unless the test is of a pair
}

func (s seat) place(t *perfcheck.Test) {
	if s.to == nil {
		t.Host = s.from.Name
		return
	}
	t.Pair = &perfcheck.PairOf{From: s.from.Name, To: s.to.Name}
}

func (s seat) String() string {
	if s.to == nil {
		return s.from.Name
	}
	return s.from.Name + " -> " + s.to.Name
}

// lost is why a seat cannot be measured; nil while it can.
func (s seat) lost() error {
	if err := s.from.Err(); err != nil {
		return err
	}
	if s.to != nil {
		return s.to.Err()
	}
	return nil
}

// result is what has been measured at a seat.
type result struct {
	reps   []perfcheck.Measurement
	health perfcheck.Health
	err    error
}

// repeat measures a test n times on the seats of the rounds: a round's seats
// at once, the rounds one after another, the repetitions outermost so that
// they see different moments.
func (r *runner) repeat(ctx context.Context, t test, rounds [][]seat, n int, into map[seat]*result) {
	for rep := range n {
		for _, round := range rounds {
			if ctx.Err() != nil {
				return
			}
			r.clock.rep(rep+1, n)
			r.barrier(ctx, t, round, into)
		}
	}
}

// barrier measures a round once. All begin at the same moment.
func (r *runner) barrier(ctx context.Context, t test, round []seat, into map[seat]*result) {
	start := time.Now().Add(r.lead())
	var all sync.WaitGroup
	var mu sync.Mutex
	var first, last time.Time
	healths := map[seat]perfcheck.Health{}
	for _, s := range round {
		res := into[s]
		if res == nil {
			res = &result{}
			into[s] = res
		}
		if res.err != nil {
			continue
		}
		if res.err = s.unfit(t.Area); res.err != nil {
			continue
		}
		all.Go(func() {
			got, err := r.one(ctx, t, s, start)
			if err != nil {
				res.err = err
				return
			}
			began := s.from.Here(got.Began)
			mu.Lock()
			defer mu.Unlock()
			if first.IsZero() || began.Before(first) {
				first = began
			}
			if began.After(last) {
				last = began
			}
			res.reps = append(res.reps, got.Measurement)
			healths[s] = got.Health
		})
	}
	all.Wait()
	for s, health := range healths {
		health.StartSkew = last.Sub(first).Seconds()
		res := into[s]
		rep := &res.reps[len(res.reps)-1]
		rep.Flags = append(rep.Flags, healthFlags(t.Area, health)...)
		res.health = worse(res.health, health)
	}
}

// one measures a test once at a seat.
func (r *runner) one(ctx context.Context, t test, s seat, start time.Time) (Measured, error) {
	timing := r.timing(t)
	timing.Start = s.from.There(start)
	limit := 4*(timing.Warmup+timing.Duration) + time.Minute + t.MinDuration
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s: %s did not end within %s", s, t.ID, limit))
	defer cancel()
	job, err := t.job(ctx, r, s, timing)
	if err != nil {
		return Measured{}, err
	}
	got, err := s.from.Measure(ctx, t.Area, job, func(sec perfcheck.Second) { r.clock.second(s, sec) })
	if err != nil && s.to != nil {
		err = fmt.Errorf("%s: %w", s, err) // either end may be at fault
	}
	return got, err
}

// manyRounds is the number of rounds from which on the pairs of a quick run
// are measured more briefly: all pairs of 16 hosts are to be seen in minutes.
const manyRounds = 6

// timing is how long a measurement of a test takes in this run's profile.
func (r *runner) timing(t test) perfcheck.Timing {
	p := r.o.Profile
	timing := p.Timing
	if t.Scope == perfcheck.Pair && p.Name == "quick" && !p.TimingGiven && len(r.rounds(t)) > manyRounds {
		timing = perfcheck.Timing{Warmup: timing.Warmup / 2, Duration: timing.Duration / 2}
	}
	if t.once && !p.TimingGiven {
		timing.Duration = sustainedFor
	}
	timing.Duration = max(timing.Duration, t.MinDuration)
	return timing
}

// lead is the time between the order and the start: enough for the order to
// reach every machine.
func (r *runner) lead() time.Duration {
	lead := 50 * time.Millisecond
	for _, m := range r.fleet.Members() {
		lead = max(lead, 4*m.trip)
	}
	return min(lead, time.Second)
}
