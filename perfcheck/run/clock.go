package run

import (
	"sync"
	"time"

	"cw/perfcheck"
)

// clock tells the reporter how far a run is and how long it will still take.
type clock struct {
	r       *runner
	mu      sync.Mutex
	cur     int
	p       Progress
	planned []time.Duration // of each test
	begun   time.Time       // of the current test
	spent   time.Duration   // on the tests that are over, by the clock
	should  time.Duration   // and by the plan
	told    time.Time
}

func newClock(r *runner) *clock {
	c := &clock{r: r}
	for _, t := range r.tests {
		c.planned = append(c.planned, r.estimate(t))
	}
	c.p.Total = len(r.tests)
	return c
}

// estimate is how long a test takes when nothing is measured again.
func (r *runner) estimate(t test) time.Duration {
	if t.derive != nil {
		return 0
	}
	timing := r.timing(t)
	rounds := len(r.rounds(t))
	return time.Duration(r.reps(t)*rounds) * (timing.Warmup + timing.Duration + 200*time.Millisecond)
}

// at tells that test i begins.
func (c *clock) at(i int, t test) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i > 0 && !c.begun.IsZero() {
		c.spent += time.Since(c.begun)
		c.should += c.planned[i-1]
	}
	c.cur, c.begun = i, time.Now()
	c.p.Test, c.p.Done, c.p.Value, c.p.Where, c.p.Unit = t.ID, i, 0, "", liveUnit(t.Definition)
	c.tell()
}

func (c *clock) rep(n, of int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.p.Rep, c.p.Reps = n, of
	c.tell()
}

// second is a value as it is measured.
func (c *clock) second(s seat, v perfcheck.Second) {
	if c == nil {
		return // an engine check, which tells by pairs
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.told) < 900*time.Millisecond {
		return
	}
	c.p.Value, c.p.Where = v.Value, s.String()
	c.tell()
}

// tell reports; the rest of the plan is stretched by how much longer than
// planned the past took. c.mu is held.
func (c *clock) tell() {
	c.told = time.Now()
	var left time.Duration
	for i := c.cur; i < len(c.planned); i++ {
		left += c.planned[i]
	}
	stretch := 1.0
	if c.should > 0 && c.spent > c.should {
		stretch = min(float64(c.spent)/float64(c.should), 3)
	}
	left = time.Duration(float64(left)*stretch) - time.Since(c.begun)
	c.p.ETASeconds = max(left, 0).Round(time.Second).Seconds()
	c.r.o.Reporter.Progress(c.p)
}

// liveUnit is the unit of what is seen while a test runs: its first metric,
// or of one that is about latency the rate at which it goes.
func liveUnit(d perfcheck.Definition) string {
	for _, m := range d.Metrics {
		if m.Unit == perfcheck.BytesPerSecond || m.Unit == perfcheck.PerSecond {
			return m.Unit
		}
	}
	return d.Metrics[0].Unit
}
