package memory

import (
	"sync"
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// seconds makes a series of a counter, one value a second.
type seconds struct {
	once sync.Once
	quit chan struct{}
	out  chan []float64
}

// watchSeconds begins; each unit of the counter is so many bytes.
func watchSeconds(counter *atomic.Int64, bytes float64, on func(perfcheck.Second)) *seconds {
	s := &seconds{quit: make(chan struct{}), out: make(chan []float64, 1)}
	began, before := time.Now(), counter.Load()
	ticker := time.NewTicker(time.Second)
	go func() {
		defer ticker.Stop()
		values := []float64{}
		last := began
		take := func(now time.Time) {
			n := counter.Load()
			v := float64(n-before) * bytes / now.Sub(last).Seconds()
			values = append(values, v)
			if on != nil {
				on(perfcheck.Second{At: now.Sub(began).Seconds(), Value: v})
			}
			before, last = n, now
		}
		for {
			select {
			case <-s.quit:
				// The tick of the last second may have lost the race.
				if now := time.Now(); now.Sub(last) >= 950*time.Millisecond {
					take(now)
				}
				s.out <- values
				return
			case now := <-ticker.C:
				take(now)
			}
		}
	}()
	return s
}

// stop ends it; the incomplete second is left out.
func (s *seconds) stop() { s.once.Do(func() { close(s.quit) }) }

// end ends it and returns the values.
func (s *seconds) end() []float64 {
	s.stop()
	return <-s.out
}
