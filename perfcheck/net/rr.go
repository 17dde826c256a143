package net

import (
	"context"
	"errors"
	"fmt"
	gonet "net"
	"sync"
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// serveRR sends every byte back.
func (sess *session) serveRR(ctx context.Context) error {
	conns, err := sess.gather(ctx)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	defer func() {
		sess.bag.close()
		all.Wait()
	}()
	for _, c := range conns {
		all.Go(func() { echo(c) })
	}
	return sess.together(ctx, func() error { return nil })
}

// echo sends back what it reads until that ends.
func echo(c gonet.Conn) {
	var b [4096]byte
	for {
		n, err := c.Read(b[:])
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

// answerTime is how long an answer may take before the test fails: longer
// ones are latencies, and counted.
const answerTime = 30 * time.Second

// phases are the moments of a latency test.
type phases struct {
	origin, measured, end time.Time
	done                  atomic.Int64 // answers in the measured phase
}

func newPhases(t perfcheck.Timing) *phases {
	now := time.Now()
	return &phases{origin: now, measured: now.Add(t.Warmup), end: now.Add(t.Warmup + t.Duration)}
}

// asks counts a latency when it was asked for in the measured phase.
func (p *phases) add(h *perfcheck.Histogram, from, to time.Time) {
	if !from.Before(p.measured) && from.Before(p.end) {
		h.Record(to.Sub(from))
	}
}

// latencies are the histograms of one worker.
type latencies struct{ service, response *perfcheck.Histogram }

func newLatencies() *latencies {
	return &latencies{perfcheck.NewHistogram(), perfcheck.NewHistogram()}
}

// closedRR asks again as soon as the answer is there.
func closedRR(c gonet.Conn, p *phases, l *latencies) error {
	var b [1]byte
	_ = c.SetDeadline(p.end.Add(answerTime))
	for {
		began := time.Now()
		if !began.Before(p.end) {
			return nil
		}
		if _, err := c.Write(b[:]); err != nil {
			return err
		}
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		done := time.Now()
		p.add(l.service, began, done)
		if !done.Before(p.measured) {
			p.done.Add(1)
		}
	}
}

// openRR asks on schedule, whether or not answers are there: TCP keeps their
// order, so the n-th byte back is the n-th answer. A latency counts from the
// moment at which it was due.
func openRR(ctx context.Context, c gonet.Conn, p *phases, rate float64, l *latencies) error {
	total := int(p.end.Sub(p.origin).Seconds() * rate)
	due := func(i int) time.Time { return p.origin.Add(time.Duration(float64(i) / rate * 1e9)) }
	// Asked is when each was really sent, in order, for the service time.
	asked := make(chan time.Time, 1<<16)
	failed := make(chan error, 1)
	_ = c.SetDeadline(p.end.Add(answerTime))
	var sender sync.WaitGroup
	sender.Go(func() {
		defer close(asked)
		var b [1]byte
		for i := range total {
			for d := time.Until(due(i)); d > 0; d = time.Until(due(i)) {
				if ctx.Err() != nil {
					return
				}
				nap(min(d, longestNap))
			}
			select {
			case asked <- time.Now():
			case <-ctx.Done():
				return
			}
			if _, err := c.Write(b[:]); err != nil {
				failed <- err
				return
			}
		}
	})
	err := openAnswers(c, p, due, asked, total, l)
	if err != nil {
		_ = c.Close() // the sender need not go on
		for range asked {
			continue
		}
	}
	sender.Wait()
	select {
	case e := <-failed:
		return e
	default:
		return err
	}
}

func openAnswers(c gonet.Conn, p *phases, due func(int) time.Time, asked <-chan time.Time, total int, l *latencies) error {
	var b [4096]byte
	for i := 0; i < total; {
		n, err := c.Read(b[:])
		if err != nil {
			return err
		}
		done := time.Now()
		for range n {
			at, ok := <-asked
			if !ok {
				return errors.New("more answers than questions")
			}
			p.add(l.response, due(i), done)
			if !due(i).Before(p.measured) {
				l.service.Record(done.Sub(at))
				if done.Before(p.end) {
					p.done.Add(1)
				}
			}
			i++
		}
	}
	return nil
}

func (c *client) runRR(ctx context.Context) (perfcheck.Measurement, error) {
	p := newPhases(c.job.Timing)
	return c.latencyTest(ctx, p, len(c.conns), func(i int, l *latencies) error {
		if c.job.Rate > 0 {
			return openRR(ctx, c.conns[i], p, c.job.Rate/float64(len(c.conns)), l)
		}
		return closedRR(c.conns[i], p, l)
	})
}

// latencyTest runs workers to their end and puts their histograms together.
func (c *client) latencyTest(ctx context.Context, p *phases, workers int, work func(i int, l *latencies) error) (perfcheck.Measurement, error) {
	each := make([]*latencies, workers)
	for i := range workers {
		each[i] = newLatencies()
		c.all.Go(func() {
			if err := work(i, each[i]); err != nil {
				c.fail(fmt.Errorf("request: %w", err))
			}
		})
	}
	w, err := watch(ctx, p.origin, c.job.Timing, p.done.Load, func() {}, c.on)
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	ended := make(chan struct{})
	go func() { c.all.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return perfcheck.Measurement{}, context.Cause(ctx)
	}
	sum := newLatencies()
	for _, l := range each {
		sum.service.Merge(l.service)
		sum.response.Merge(l.response)
	}
	return c.job.latencyMeasurement(w, sum, p.measured)
}

// latencyMeasurement names the numbers: a closed loop has a service time, an
// open one a response time, too, and that is the one to judge.
func (j *Job) latencyMeasurement(w half, l *latencies, began time.Time) (perfcheck.Measurement, error) {
	m := perfcheck.Measurement{Values: map[string]float64{}, Histograms: map[string]*perfcheck.Histogram{}, Began: began}
	if w.Bytes <= 0 || l.service.Count() == 0 {
		return m, errors.New("no answer has come in the measured phase")
	}
	rate := w.Bytes / w.Elapsed // the counter's unit is answers here
	m.Values["rate"] = rate
	m.Series = []perfcheck.Series{series("rate", perfcheck.PerSecond, w.Series)}
	judged, name := l.service, "service"
	l.service.Values("service", m.Values)
	m.Histograms["service"] = l.service
	if j.Rate > 0 {
		judged, name = l.response, "response"
		l.response.Values("response", m.Values)
		m.Histograms["response"] = l.response
		m.Values["target"] = j.Rate
		m.Values["achieved"] = rate / j.Rate
		if rate/j.Rate < rateKept {
			m.Flags = append(m.Flags, perfcheck.FlagRateMissed)
		}
	}
	m.Values["over_100ms"] = float64(judged.Above(100 * time.Millisecond))
	m.Values["over_1s"] = float64(judged.Above(time.Second))
	m.Values["stall_max"] = m.Values[name+"_max"]
	return m, nil
}
