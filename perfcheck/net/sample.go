package net

import (
	"context"
	"time"

	"cw/perfcheck"
)

// watch waits out the warm-up, calls begin, and reads the counter at every
// full second of the measured phase. Every value is divided by the time that
// really passed: on a busy host a timer is late.
func watch(ctx context.Context, origin time.Time, t perfcheck.Timing, count func() int64, begin func(), on func(perfcheck.Second)) (half, error) {
	var h half
	if err := perfcheck.WaitUntil(ctx, origin.Add(t.Warmup)); err != nil {
		return h, err
	}
	begin()
	start, first := time.Now(), count()
	lastAt, last := start, first
	end := start.Add(t.Duration)
	for next := start.Add(time.Second); !next.After(end); next = next.Add(time.Second) {
		if err := perfcheck.WaitUntil(ctx, next); err != nil {
			return h, err
		}
		now, n := time.Now(), count()
		v := float64(n-last) / now.Sub(lastAt).Seconds()
		h.Series = append(h.Series, v)
		if on != nil {
			on(perfcheck.Second{At: now.Sub(start).Seconds(), Value: v})
		}
		lastAt, last = now, n
	}
	if err := perfcheck.WaitUntil(ctx, end); err != nil {
		return h, err
	}
	h.Bytes = float64(count() - first)
	h.Elapsed = time.Since(start).Seconds()
	return h, nil
}

// series wraps values of one second each.
func series(name, unit string, values []float64) perfcheck.Series {
	return perfcheck.Series{Name: name, Unit: unit, Interval: 1, Values: values}
}
