package perfcheck

import (
	"sync/atomic"
	"time"
)

// lastSecond is what an interval needs at the end of a series to count as its
// last whole second: the tick may have lost the race against the end.
const lastSecond = 900 * time.Millisecond

// CountSeconds makes a series of a counter, one value a second, until end is
// called, which returns it; the incomplete second is left out. A unit of the
// counter is worth size in the values. on, which may be nil, hears each as it
// is taken.
func CountSeconds(counter *atomic.Int64, size float64, on func(Second)) (end func() []float64) {
	quit, out := make(chan struct{}), make(chan []float64, 1)
	began, before := time.Now(), counter.Load()
	ticker := time.NewTicker(time.Second)
	go func() {
		defer ticker.Stop()
		values := []float64{}
		last := began
		take := func(now time.Time) {
			n := counter.Load()
			v := float64(n-before) * size / now.Sub(last).Seconds()
			values = append(values, v)
			if on != nil {
				on(Second{At: now.Sub(began).Seconds(), Value: v})
			}
			before, last = n, now
		}
		for {
			select {
			case <-quit:
				if now := time.Now(); now.Sub(last) >= lastSecond {
					take(now)
				}
				out <- values
				return
			case now := <-ticker.C:
				take(now)
			}
		}
	}()
	return func() []float64 {
		close(quit)
		return <-out
	}
}
