package object

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

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

// cpuUse is a reading of this process's CPU time.
type cpuUse struct {
	at   time.Time
	used time.Duration
}

func readCPU() cpuUse {
	c := cpuUse{at: time.Now()}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		c.used = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return c
}

// share is the part of all CPUs that was used since.
func (c cpuUse) share() float64 {
	now := readCPU()
	wall := now.at.Sub(c.at)
	if wall <= 0 {
		return 0
	}
	return float64(now.used-c.used) / float64(wall) / float64(runtime.NumCPU())
}

// What of a resource in use makes it the limit.
const (
	cpuLimit = 0.85
	nicLimit = 0.90 // of what a line carries, headers aside
)

// clientLimit says which resource of this machine was the limit; "" for none.
func clientLimit(cpu, throughput float64, nic string, line float64) string {
	switch {
	case cpu > cpuLimit:
		return fmt.Sprintf("CPU: %.0f %% of %d in use by the measuring program, TLS and comparing included", 100*cpu, runtime.NumCPU())
	case line > 0 && throughput > nicLimit*line:
		return fmt.Sprintf("network interface %s: %s of its %s", nic, perfcheck.FormatValue(throughput, perfcheck.BytesPerSecond), perfcheck.FormatValue(line, perfcheck.BytesPerSecond))
	}
	return ""
}

// markLimit flags a measurement that this machine limited.
func (s *store) markLimit(m *perfcheck.Measurement, cpu float64) {
	s.mu.Lock()
	local := s.local
	s.mu.Unlock()
	nic, line := lineOf(local)
	m.Values["own_cpu"] = cpu
	if what := clientLimit(cpu, m.Values["throughput"], nic, line); what != "" {
		m.Flags = append(m.Flags, perfcheck.FlagClientLimited)
		m.Events = append(m.Events, perfcheck.Event{Kind: perfcheck.FlagClientLimited, Text: what})
	}
}

// lineOf is the interface that has an address, and what it carries in bytes
// per second; 0 when it does not say, as most virtual ones.
func lineOf(ip net.IP) (name string, rate float64) {
	if ip == nil || ip.IsLoopback() {
		return "", 0
	}
	nics, _ := net.Interfaces()
	for _, nic := range nics {
		addresses, _ := nic.Addrs()
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); !ok || !n.IP.Equal(ip) {
				continue
			}
			text, _ := os.ReadFile(filepath.Join("/sys/class/net", nic.Name, "speed"))
			if mbit, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err == nil && mbit > 0 {
				return nic.Name, mbit * 1e6 / 8
			}
			return nic.Name, 0
		}
	}
	return "", 0
}

// nothing is the error of a measurement in which no request came to its end.
func (t *tally) nothing() error {
	if last := t.last.Load(); last != nil {
		return fault.Wrap(fault.KindOf(*last), fault.HintOf(*last), fmt.Errorf("no request succeeded in the measured phase; the last: %w", *last))
	}
	return fault.New(fault.Failed, "measure longer: --duration 30s", "no request came to its end in the measured phase: 0 B/s is no result")
}
