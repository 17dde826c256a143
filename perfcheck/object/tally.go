package object

import (
	"fmt"
	"sync/atomic"

	"cw/fault"
	"cw/perfcheck"
)

// tally counts what one measurement moves. A nil one counts nothing.
type tally struct {
	live      atomic.Int64 // bytes, from the start
	window    atomic.Int64 // bytes of the measured phase
	measuring atomic.Bool
	over      atomic.Bool // begin no more requests
	begun     atomic.Bool // the measured phase has begun: requests that end from now on are of it

	requests, errors, retries, slow atomic.Int64
	last                            atomic.Pointer[error]
}

func (t *tally) failed(err error, slowDown bool) {
	if t == nil {
		return
	}
	t.last.Store(&err)
	t.errors.Add(1)
	if slowDown {
		t.slow.Add(1)
	}
}

func (t *tally) retried() {
	if t != nil {
		t.retries.Add(1)
	}
}

// flow are the bytes of one request, which count only if it succeeds.
type flow struct {
	t            *tally
	live, window int64
}

func (f *flow) add(n int) {
	f.live += int64(n)
	f.t.live.Add(int64(n))
	if f.t.measuring.Load() {
		f.window += int64(n)
		f.t.window.Add(int64(n))
	}
}

// revert takes the bytes of a request back that failed.
func (f *flow) revert() {
	f.t.live.Add(-f.live)
	f.t.window.Add(-f.window)
	f.live, f.window = 0, 0
}

// values adds the counts to a measurement.
func (t *tally) values(m *perfcheck.Measurement) {
	m.Values["errors"] = float64(t.errors.Load())
	m.Values["retries"] = float64(t.retries.Load())
	m.Values["slow_down"] = float64(t.slow.Load())
	if n := t.errors.Load(); n > 0 {
		m.Events = append(m.Events, perfcheck.Event{Kind: "retry", Text: fmt.Sprintf("%d requests failed (%d of them SlowDown), %d were tried again", n, t.slow.Load(), t.retries.Load())})
	}
}

// markLimit flags a measurement that this machine limited.
func (s *store) markLimit(m *perfcheck.Measurement, cpu float64) {
	s.mu.Lock()
	local := s.local
	s.mu.Unlock()
	m.Values["own_cpu"] = cpu
	m.MarkClientLimit(cpu, m.Values["throughput"], local)
}

// nothing is the error of a measurement in which no request came to its end.
func (t *tally) nothing() error {
	if last := t.last.Load(); last != nil {
		return fault.Wrap(fault.KindOf(*last), fault.HintOf(*last), fmt.Errorf("no request succeeded in the measured phase; the last: %w", *last))
	}
	return fault.New(fault.Failed, "measure longer: --duration 30s", "no request came to its end in the measured phase: 0 B/s is no result")
}
