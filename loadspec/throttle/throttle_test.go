package throttle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// drain asks for quanta until ctx ends.
func drain(ctx context.Context, l *Limiter) {
	for l.Wait(ctx, l.Quantum()) == nil {
	}
}

// within fails unless got is within percent of want.
func within(t *testing.T, what string, got, want int64, percent float64) {
	t.Helper()
	if math.Abs(float64(got-want)) > float64(want)*percent/100 {
		t.Errorf("%s: %d bytes, want %d within %.1f %%", what, got, want, percent)
	}
}

func TestRateInEverySecond(t *testing.T) {
	t.Parallel()
	for _, rate := range []int64{100_000, 7_000_000, 200_000_000, 5_000_000_000} {
		for _, workers := range []int{1, 8} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				l := New(rate, nil)
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() { drain(ctx, l) })
				}
				for range 5 {
					before := l.Taken()
					time.Sleep(time.Second)
					synctest.Wait()
					within(t, "one second", l.Taken()-before, rate, 2)
				}
				cancel()
				wg.Wait()
			})
		}
	}
}

func TestChangeWorksAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := New(1000, nil) // a waiter sleeps about a second
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { drain(ctx, l) })
		}
		step := func(what string, change func(), want int64) {
			change()
			before := l.Taken()
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			within(t, what, l.Taken()-before, want, 12)
			before = l.Taken()
			time.Sleep(time.Second)
			synctest.Wait()
			within(t, what+", next second", l.Taken()-before, want*10, 2)
		}
		time.Sleep(300 * time.Millisecond)
		step("up", func() { l.SetRate(50_000_000) }, 5_000_000)
		step("down", func() { l.SetRate(10_000_000) }, 1_000_000)
		step("paused", func() { l.Pause(true) }, 0)
		step("paused with another rate", func() { l.SetRate(20_000_000) }, 0)
		step("continued", func() { l.Pause(false) }, 2_000_000)
		l.Pause(true)
		l.SetRate(0)
		before := l.Taken()
		time.Sleep(time.Second)
		if got := l.Taken() - before; got > maxQuantum {
			t.Errorf("paused without limit: %d bytes", got)
		}
		cancel()
		wg.Wait()
	})
}

func TestNoLimitIsNeverAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(10, nil)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 100 {
				if err := l.Wait(t.Context(), 1<<20); err != nil {
					t.Error(err)
				}
			}
		})
		time.Sleep(time.Second)
		l.SetRate(0)
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want exactly the second with a limit", took)
		}
	})
}

func TestIdleTimeIsNotSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate = 10_000_000
		l := New(rate, nil)
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		drain(ctx, l)
		within(t, "the second after an hour's idleness", l.Taken(), rate, 4)
	})
}

// What was saved at a high rate is not spent at a low one.
func TestCreditShrinksWithTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(1_000_000_000, nil)
		time.Sleep(time.Second)
		_ = l.Wait(t.Context(), 1)
		time.Sleep(time.Second)
		l.SetRate(100_000)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := l.Taken()
		drain(ctx, l)
		within(t, "the second after", l.Taken()-before, 100_000, 4)
	})
}

func TestLateWakingIsMadeUpFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const rate = 10_000_000
		l := New(rate, late{})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		drain(ctx, l)
		within(t, "five seconds of late timers", l.Taken(), 5*rate, 3)
	})
}

// late is a clock whose timers fire 60 ms late, as on a crowded machine.
type late struct{}

func (late) Now() time.Time { return time.Now() }
func (late) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d + 60*time.Millisecond)
	return t.C, func() { t.Stop() }
}

func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(1, nil)
		l.Pause(true)
		cause := errors.New("cancelled by the operator")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for range 3 { // one holds the turn, two queue for it
			wg.Go(func() {
				if err := l.Wait(ctx, 10); !errors.Is(err, cause) {
					t.Errorf("got %v, want the cause", err)
				}
			})
		}
		synctest.Wait()
		cancel(cause)
		wg.Wait()
		if l.Taken() != 0 {
			t.Errorf("%d bytes taken by nobody", l.Taken())
		}
	})
}

func TestReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data := bytes.Repeat([]byte("0123456789"), 100_000)
		l := New(500_000, nil)
		start := time.Now()
		got, err := io.ReadAll(l.Reader(t.Context(), bytes.NewReader(data)))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if took := time.Since(start); took < 1900*time.Millisecond || took > 2050*time.Millisecond {
			t.Errorf("1 MB at 500 kB/s took %v", took)
		}
	})
}

func BenchmarkNoLimit(b *testing.B) {
	l := New(0, nil)
	for b.Loop() {
		_ = l.Wait(b.Context(), maxQuantum)
	}
}
