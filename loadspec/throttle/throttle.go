// Package throttle is the speed limit of a job: one budget of bytes that all
// its goroutines draw from, whose rate can be changed, or stopped, while they
// wait. A change works at once; what was not used in the past cannot be spent
// later, beyond a moment's worth.
package throttle

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// idleBurst is how much of the past may be spent after a time in which
	// nobody asked.
	idleBurst = 20 * time.Millisecond
	// lateBurst is how much of the past may be spent by one who was waiting
	// when the machine woke him late: the rate stays true over a second.
	lateBurst = 250 * time.Millisecond
	// quantum is the time that one grant stands for.
	quantum = 10 * time.Millisecond

	minQuantum = 1 << 10
	maxQuantum = 256 << 10
)

// Clock is time as the limiter needs it.
type Clock interface {
	Now() time.Time
	// After sends once when d has passed; stop frees what it holds.
	After(d time.Duration) (c <-chan time.Time, stop func())
}

// Limiter is a token budget in bytes per second, for any number of
// goroutines. While there is no limit it costs two atomic operations a call.
type Limiter struct {
	clock Clock
	free  atomic.Bool // no limit and not paused
	taken atomic.Int64
	slept atomic.Int64  // nanoseconds
	turn  chan struct{} // whoever holds it is the one that waits for tokens; the others queue in order

	mu      sync.Mutex
	rate    int64 // bytes per second; 0 no limit
	paused  bool
	balance float64 // bytes; negative is debt
	last    time.Time
	changed chan struct{} // closed when rate or paused change
}

// New makes a limiter of rate bytes per second, 0 for none. A nil clock is
// the machine's.
func New(rate int64, clock Clock) *Limiter {
	if clock == nil {
		clock = realClock{}
	}
	l := &Limiter{clock: clock, rate: max(rate, 0), last: clock.Now(), turn: make(chan struct{}, 1), changed: make(chan struct{})}
	l.free.Store(l.rate == 0)
	return l
}

// SetRate changes the limit, in force at once also for those who wait.
func (l *Limiter) SetRate(rate int64) {
	l.change(func() { l.rate = max(rate, 0) })
}

// Pause stops all who ask until it is called with false.
func (l *Limiter) Pause(on bool) {
	l.change(func() { l.paused = on })
}

func (l *Limiter) change(set func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate, paused := l.rate, l.paused
	l.refill(idleBurst)
	set()
	if rate == l.rate && paused == l.paused {
		return
	}
	if l.rate == 0 || rate == 0 || paused {
		l.balance = 0 // neither debt nor credit of the time without a rate
	}
	// A moment's worth at a high rate is many seconds' at a low one.
	l.balance = min(l.balance, float64(l.rate)*idleBurst.Seconds())
	l.free.Store(l.rate == 0 && !l.paused)
	close(l.changed)
	l.changed = make(chan struct{})
}

// Rate is the limit in bytes per second, 0 for none.
func (l *Limiter) Rate() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate
}

// Paused tells whether everybody is stopped.
func (l *Limiter) Paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

// Taken is the number of bytes granted so far.
func (l *Limiter) Taken() int64 { return l.taken.Load() }

// Held is for how long so far the limit has held somebody up. One waits at a
// time, so that it is time by the clock.
func (l *Limiter) Held() time.Duration { return time.Duration(l.slept.Load()) }

// Quantum is how many bytes to ask for at a time: so few that the rate is
// even, so many that asking costs nothing.
func (l *Limiter) Quantum() int {
	if l.free.Load() {
		return maxQuantum
	}
	rate := l.Rate()
	if rate == 0 {
		return maxQuantum
	}
	return int(min(max(float64(rate)*quantum.Seconds(), minQuantum), maxQuantum))
}

// Wait takes n bytes from the budget, waiting for them in the order of
// arrival. It returns early, without them, only with ctx's error.
func (l *Limiter) Wait(ctx context.Context, n int) error {
	if l.free.Load() {
		l.taken.Add(int64(n))
		return ctx.Err()
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.turn }()
	burst := idleBurst
	for {
		wait, changed := l.take(n, burst)
		if wait == 0 {
			return nil
		}
		burst = lateBurst
		began := l.clock.Now()
		err := l.sleep(ctx, wait, changed)
		l.slept.Add(int64(l.clock.Now().Sub(began)))
		if err != nil {
			return err
		}
	}
}

// forever is a wait that only a change ends.
const forever = time.Duration(-1)

// take grants n bytes, or says how long to wait for them. The balance may go
// into debt by one grant, so that a grant larger than the burst is possible.
func (l *Limiter) take(n int, burst time.Duration) (wait time.Duration, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused {
		return forever, l.changed
	}
	if l.rate > 0 {
		l.refill(burst)
		if l.balance < 0 {
			return max(time.Duration(-l.balance/float64(l.rate)*float64(time.Second)), time.Microsecond), l.changed
		}
		l.balance -= float64(n)
	}
	l.taken.Add(int64(n))
	return 0, nil
}

// refill adds what the time since the last refill is worth.
func (l *Limiter) refill(burst time.Duration) {
	now := l.clock.Now()
	passed := now.Sub(l.last)
	l.last = now
	if l.rate == 0 || l.paused || passed <= 0 {
		return
	}
	limit := max(float64(l.rate)*burst.Seconds(), l.balance)
	l.balance = min(l.balance+float64(l.rate)*passed.Seconds(), limit)
}

func (l *Limiter) sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	var timer <-chan time.Time
	if d != forever {
		c, stop := l.clock.After(d)
		defer stop()
		timer = c
	}
	select {
	case <-timer:
	case <-changed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
