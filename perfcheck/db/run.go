package db

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// Run measures once. on hears every second; it may be nil.
func Run(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	if err := j.check(); err != nil {
		return perfcheck.Measurement{}, err
	}
	way := &path{}
	open, err := j.Target.opener(way)
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	measure := reads
	if j.Kind == Connect {
		measure = connects
	}
	m, err := measure(ctx, j, open, on)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return m, err
	}
	way.describe(&m, j.Kind == Connect)
	m.MarkClientLimit(m.Values["own_cpu"], m.Values["throughput"], way.local)
	return m, nil
}

// describe says where connections went: always, or when it is no private
// address.
func (p *path) describe(m *perfcheck.Measurement, always bool) {
	m.Values["private"] = 1 // a socket of this machine is
	address, ok := netip.AddrFromSlice(p.peer)
	if !ok {
		return
	}
	event, private := perfcheck.Addresses(p.host, []netip.Addr{address})
	if !private {
		m.Values["private"] = 0
		m.Flags = append(m.Flags, perfcheck.FlagPublicAddress)
	}
	if !private || always {
		m.Events = append(m.Events, event)
	}
}

// reads streams rows by several connections, each its query again when it has
// ended. The connections are there before the barrier.
func reads(parent context.Context, j Job, open opener, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	m := perfcheck.Measurement{Values: map[string]float64{}}
	ctx, end := context.WithCancelCause(parent)
	defer end(nil)
	sessions := make([]session, 0, j.Streams)
	defer func() {
		var all sync.WaitGroup
		for _, s := range sessions {
			all.Go(func() { s.close(parent) })
		}
		all.Wait()
	}()
	for range j.Streams {
		s, err := open(ctx)
		if err != nil {
			return m, err
		}
		sessions = append(sessions, s)
	}
	if err := j.Await(ctx); err != nil {
		return m, err
	}
	var bytes, rows, queries atomic.Int64
	var over atomic.Bool
	firsts := make([]*perfcheck.Histogram, j.Streams)
	var all sync.WaitGroup
	for i, s := range sessions {
		firsts[i] = perfcheck.NewHistogram()
		all.Go(func() {
			if err := stream(ctx, s, &bytes, &rows, &queries, &over, firsts[i]); err != nil {
				end(err)
			}
		})
	}
	err := perfcheck.WaitUntil(ctx, time.Now().Add(j.Warmup))
	m.Began = time.Now()
	bytes0, rows0, cpu := bytes.Load(), rows.Load(), perfcheck.ReadCPU()
	series := perfcheck.CountSeconds(&bytes, 1, on)
	if err == nil {
		err = perfcheck.WaitUntil(ctx, m.Began.Add(j.Duration))
	}
	moved, count, elapsed := bytes.Load()-bytes0, rows.Load()-rows0, time.Since(m.Began).Seconds()
	m.Values["own_cpu"] = cpu.Share()
	m.Series = []perfcheck.Series{{Name: "throughput", Unit: perfcheck.BytesPerSecond, Interval: 1, Values: series()}}
	over.Store(true)
	// One that sends no row does not notice that it is over.
	stop := time.AfterFunc(closeTime, func() { end(errOver) })
	defer stop.Stop()
	all.Wait()
	if why := context.Cause(ctx); err == nil && why != nil && !errors.Is(why, errOver) {
		err = why
	}
	if err != nil {
		return m, err
	}
	first := perfcheck.NewHistogram()
	for _, h := range firsts {
		first.Merge(h)
	}
	if moved <= 0 || count <= 0 || first.Count() == 0 {
		return m, fault.New(fault.Failed, "measure longer (--duration), or read something else (--query, --table)", "no row has come in the measured phase: 0 B/s is no result")
	}
	m.Values["throughput"], m.Values["rows"] = float64(moved)/elapsed, float64(count)/elapsed
	m.Values["queries"] = float64(queries.Load())
	first.Values("first_row", m.Values)
	m.Histograms = map[string]*perfcheck.Histogram{"first_row": first}
	return m, nil
}

// stream runs the query until it is over, and counts.
func stream(ctx context.Context, s session, bytes, rows, queries *atomic.Int64, over *atomic.Bool, first *perfcheck.Histogram) error {
	for !over.Load() {
		began, waiting := time.Now(), true
		n, err := s.read(ctx, func(size int) error {
			if waiting {
				first.Record(time.Since(began))
				waiting = false
			}
			bytes.Add(int64(size))
			rows.Add(1)
			if over.Load() {
				return errOver
			}
			return nil
		})
		switch {
		case errors.Is(err, errOver), over.Load() && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case n == 0:
			return fault.New(fault.Usage, "give a query or a table that has rows", "the query gives no row: 0 B/s is no result")
		}
		queries.Add(1)
	}
	return nil
}

// mostOpen is how many connections may be under way at a time: servers have
// few.
const mostOpen = 16

// connects makes connections on schedule and closes them.
func connects(ctx context.Context, j Job, open opener, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	loop := perfcheck.OpenLoop{Timing: j.Timing, Rate: j.Rate, Most: mostOpen}
	m, own, err := loop.Run(ctx, on, func(ctx context.Context, _ int, _ bool) (time.Duration, func(), error) {
		began := time.Now()
		s, err := open(ctx)
		if err != nil {
			return 0, nil, err
		}
		return time.Since(began), func() { s.close(ctx) }, nil
	})
	m.Values["own_cpu"] = own
	if err == nil && m.Histograms == nil {
		err = fault.New(fault.Failed, "measure longer: --duration 10s", "no connection was made in the measured phase")
	}
	return m, err
}
