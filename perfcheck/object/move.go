package object

import (
	"context"
	"errors"
	"sync"
	"time"

	"cw/perfcheck"
)

// drainTime is how long requests that are under way at the end of the measured
// phase may take to end.
const drainTime = 20 * time.Second

// interruptTime is the same after an interruption.
const interruptTime = 2 * time.Second

// either is over when one of two contexts is, with its cause.
func either(a, b context.Context) (context.Context, context.CancelFunc) {
	both, end := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { end(context.Cause(b)) })
	return both, func() { stop(); end(nil) }
}

var errDrained = errors.New("the time for what was under way is over")

// move runs workers over a warm-up and a measured phase. Each calls its work
// until the tally is over. What is under way then may end: given up, the
// slowest requests would be the ones that are not counted.
func (s *Set) move(ctx context.Context, j Job, on func(perfcheck.Second), work func(ctx context.Context, worker int, t *tally, h *perfcheck.Histogram) error) (perfcheck.Measurement, error) {
	m := perfcheck.Measurement{Values: map[string]float64{}}
	t := &tally{}
	if err := j.Await(ctx); err != nil {
		return m, err
	}
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	// A part that is cut off may be taken by the store all the same, after its
	// upload was given up: what is under way has a moment to end.
	stopped := context.AfterFunc(ctx, func() {
		t.over.Store(true)
		time.AfterFunc(interruptTime, func() { end(context.Cause(ctx)) })
	})
	defer stopped()
	histograms := make([]*perfcheck.Histogram, j.Streams)
	var all sync.WaitGroup
	for i := range j.Streams {
		histograms[i] = perfcheck.NewHistogram()
		all.Go(func() {
			for !t.over.Load() && life.Err() == nil {
				if err := work(life, i, t, histograms[i]); err != nil {
					end(err) // the first counts: none after the time to drain
					return
				}
			}
		})
	}
	both, release := either(ctx, life)
	defer release()
	err := perfcheck.WaitUntil(both, time.Now().Add(j.Warmup))
	m.Began = time.Now()
	t.measuring.Store(true)
	t.begun.Store(true)
	cpu := perfcheck.ReadCPU()
	series := perfcheck.CountSeconds(&t.live, 1, on)
	if err == nil {
		err = perfcheck.WaitUntil(both, m.Began.Add(j.Duration))
	}
	t.measuring.Store(false)
	t.over.Store(true)
	elapsed := time.Since(m.Began).Seconds()
	own := cpu.Share()
	m.Series = []perfcheck.Series{{Name: "throughput", Unit: perfcheck.BytesPerSecond, Interval: 1, Values: series()}}
	stop := time.AfterFunc(drainTime, func() { end(errDrained) })
	defer stop.Stop()
	all.Wait()
	if why := context.Cause(life); err == nil && why != nil && !errors.Is(why, errDrained) {
		err = why // while it drained
	}
	if err != nil {
		return m, err
	}
	sum := perfcheck.NewHistogram()
	for _, h := range histograms {
		sum.Merge(h)
	}
	if sum.Count() == 0 || t.window.Load() <= 0 {
		return m, t.nothing()
	}
	sum.Values("service", m.Values)
	m.Histograms = map[string]*perfcheck.Histogram{"service": sum}
	m.Values["throughput"] = float64(t.window.Load()) / elapsed
	m.Values["requests"] = float64(t.requests.Load())
	t.values(&m)
	s.s.markLimit(&m, own)
	return m, nil
}
