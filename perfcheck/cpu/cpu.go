// Package cpu scores processors with work that a warehouse does: integer
// arithmetic with branches, checksums, sorting and encryption, with one thread
// and with one per CPU. The work is the same on every machine and its results
// are checked.
package cpu

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// The kinds of work.
const (
	Integer = "int"  // pieces of integer work per second
	Sort    = "sort" // sorted numbers per second
	CRC     = "crc"  // CRC-32C, bytes per second
	AES     = "aes"  // AES-128 in counter mode, bytes per second
)

// Job is one measurement.
type Job struct {
	perfcheck.Timing
	Work    string `json:"work"`
	Threads int    `json:"threads"` // 0 is one per CPU, and one alone before it for the scaling
}

// Test is one test of the catalogue and the job that it runs.
type Test struct {
	perfcheck.Definition
	Job Job
	// MinDuration is the shortest measured phase that makes sense.
	MinDuration time.Duration
}

// Tests lists the catalogue.
func Tests() []Test {
	var out []Test
	for _, threads := range []int{1, 0} {
		for _, name := range []string{Integer, Sort, CRC, AES} {
			w := workOf(name)
			t := Test{Job: Job{Work: name, Threads: threads}, MinDuration: 2 * time.Second}
			t.Definition = perfcheck.Definition{
				ID: "cpu." + name + ".t1", Title: w.title + ", one thread", Area: perfcheck.CPU, Scope: perfcheck.Together, Profiles: []string{"standard"},
				Params: map[string]any{"work": name, "threads": "t1"},
				Metrics: []perfcheck.MetricDef{
					{Name: w.metric, Unit: w.unit, Better: perfcheck.Higher, Gate: perfcheck.GateFail},
					{Name: "steal", Unit: perfcheck.Ratio, Better: perfcheck.Lower},
				},
			}
			if threads == 0 {
				t.ID, t.Title, t.Params["threads"] = "cpu."+name+".all", w.title+", one thread per CPU", "all"
				t.Metrics = append(t.Metrics,
					perfcheck.MetricDef{Name: "scaling", Unit: perfcheck.Ratio, Better: perfcheck.Higher, Gate: perfcheck.GateWarn},
					perfcheck.MetricDef{Name: "threads", Unit: perfcheck.Count})
			}
			if name == Integer || name == CRC {
				t.Profiles = append(t.Profiles, "quick")
			}
			if name == Integer && threads == 0 {
				t.Profiles = append(t.Profiles, "soak")
			}
			out = append(out, t)
		}
	}
	return out
}

// Run does one kind of work for a time. With one thread per CPU, values hold
// scaling as well: what all do, divided by what one alone does times their
// number; SMT makes it about 0.6.
func Run(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	w := workOf(j.Work)
	if w == nil {
		return perfcheck.Measurement{}, fault.New(fault.Usage, "", "cpu: no work is called %q", j.Work)
	}
	all := j.Threads == 0
	if all {
		j.Threads = runtime.NumCPU()
	}
	if j.Threads < 0 || j.Duration <= 0 {
		return perfcheck.Measurement{}, fault.New(fault.Usage, "", "cpu: %d threads for %s make no measurement", j.Threads, j.Duration)
	}
	m := perfcheck.Measurement{Values: map[string]float64{}}
	if err := j.Await(ctx); err != nil {
		return m, err
	}
	warmup := j.Warmup
	if warmup > 0 { // the clock speed rises, code and data come near
		if _, _, err := work(ctx, w, j.Threads, warmup, nil); err != nil {
			return m, err
		}
	}
	alone := 0.0
	if all {
		var err error
		if alone, _, err = work(ctx, w, 1, min(max(j.Duration/5, 500*time.Millisecond), 10*time.Second), nil); err != nil {
			return m, err
		}
	}
	m.Began = time.Now()
	before := readTicks()
	rate, series, err := work(ctx, w, j.Threads, j.Duration, on)
	m.Series = []perfcheck.Series{{Name: w.metric, Unit: w.unit, Interval: 1, Values: series}}
	if err != nil {
		return m, err
	}
	m.Values[w.metric] = rate
	m.Values["steal"] = before.stealUntil(readTicks())
	if all {
		m.Values["scaling"] = rate / (alone * float64(j.Threads))
		m.Values["threads"] = float64(j.Threads)
	}
	return m, nil
}

// work runs threads for a time and returns how much they do in a second, and
// each full second's share.
func work(ctx context.Context, w *kind, threads int, d time.Duration, on func(perfcheck.Second)) (rate float64, series []float64, err error) {
	var stop atomic.Bool
	var done atomic.Int64
	errs := make([]error, threads)
	ends := make([]time.Time, threads)
	var all sync.WaitGroup
	units := make([]func() error, threads)
	for i := range units { // their data is made before the clock starts
		units[i] = w.prepare()
	}
	began := time.Now()
	for i := range threads {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for !stop.Load() && errs[i] == nil {
				errs[i] = units[i]()
				done.Add(1)
			}
			ends[i] = time.Now()
		})
	}
	count := perfcheck.CountSeconds(&done, w.size, on)
	_ = perfcheck.WaitUntil(ctx, began.Add(d)) // a context that is over is told below
	series = count()
	stop.Store(true)
	all.Wait()
	if ctx.Err() != nil {
		return 0, series, fmt.Errorf("cpu: %w", context.Cause(ctx))
	}
	last := began
	for i := range threads {
		if errs[i] != nil {
			return 0, series, fmt.Errorf("cpu: %s: %w", w.metric, errs[i])
		}
		if ends[i].After(last) {
			last = ends[i]
		}
	}
	return float64(done.Load()) * w.size / last.Sub(began).Seconds(), series, nil
}
