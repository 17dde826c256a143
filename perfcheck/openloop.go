package perfcheck

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// OpenLoop makes requests on a schedule, whether or not earlier ones have been
// answered: what waits, waits in the response times.
type OpenLoop struct {
	Timing
	Rate float64 // requests per second
	Most int     // how many may be under way; beyond it they wait, which counts
}

// rateKept is the share of the wanted rate below which it was missed.
const rateKept = 0.95

// Request makes one request and returns how long it took by itself. after,
// which may be nil, is done when its time has been taken.
type Request func(ctx context.Context, i int, measured bool) (took time.Duration, after func(), err error)

// Run measures once; on, which may be nil, hears every second. The values are
// response and service times, the rate, and the share of it that was achieved;
// own is the share of all CPUs that this process used. A request that fails
// ends it. Without Histograms no request was made in the measured phase.
func (o OpenLoop) Run(parent context.Context, on func(Second), request Request) (m Measurement, own float64, err error) {
	m = Measurement{Values: map[string]float64{}}
	if err := o.Await(parent); err != nil {
		return m, 0, err
	}
	ctx, end := context.WithCancelCause(parent)
	defer end(nil)
	origin := time.Now()
	m.Began = origin.Add(o.Warmup)
	last := m.Began.Add(o.Duration)
	due := func(i int) time.Time { return origin.Add(time.Duration(float64(i) / o.Rate * 1e9)) }
	response, service := NewHistogram(), NewHistogram()
	var mu sync.Mutex
	var done atomic.Int64
	var all sync.WaitGroup
	slots := make(chan struct{}, o.Most)
	series := func() []float64 { return nil }
	cpu, counting := ReadCPU(), false
	for i := 0; due(i).Before(last) && WaitUntil(ctx, due(i)) == nil; i++ {
		measured := !due(i).Before(m.Began)
		if measured && !counting {
			counting, cpu = true, ReadCPU()
			series = CountSeconds(&done, 1, on)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		all.Go(func() {
			defer func() { <-slots }()
			took, after, err := request(ctx, i, measured)
			now := time.Now()
			if after != nil {
				defer after()
			}
			switch {
			case err != nil:
				end(err)
			case measured:
				mu.Lock()
				response.Record(now.Sub(due(i)))
				service.Record(took)
				mu.Unlock()
				if now.Before(last) {
					done.Add(1)
				}
			}
		})
	}
	_ = WaitUntil(ctx, last)
	own = cpu.Share()
	m.Series = []Series{{Name: "rate", Unit: PerSecond, Interval: 1, Values: series()}}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return m, own, err
	}
	if response.Count() == 0 {
		return m, own, nil
	}
	response.Values("response", m.Values)
	service.Values("service", m.Values)
	m.Histograms = map[string]*Histogram{"response": response, "service": service}
	m.Values["rate"] = float64(done.Load()) / o.Duration.Seconds()
	m.Values["achieved"] = m.Values["rate"] / o.Rate
	if m.Values["achieved"] < rateKept {
		m.Flags = append(m.Flags, FlagRateMissed)
	}
	return m, own, nil
}
