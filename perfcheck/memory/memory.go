// Package memory measures the bandwidth of main memory with the four kernels
// that John McCalpin's STREAM made usual: copy, scale, add and triad over
// arrays that no cache holds, with one thread and with all. It counts bytes
// as STREAM does, but is a program of its own: its numbers are STREAM-like,
// and comparable with those of the same version of cw.
package memory

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// The kernels. a, b and c are arrays of 8-byte floats, s is a number.
const (
	Copy  = "copy"  // c = a: 16 bytes an element
	Scale = "scale" // b = s·c: 16
	Add   = "add"   // c = a + b: 24
	Triad = "triad" // a = b + s·c: 24
)

// Job is one measurement.
type Job struct {
	perfcheck.Timing
	Kernel  string `json:"kernel"`
	Threads int    `json:"threads"` // 0 is one per CPU
	// Bytes of each of the three arrays, all threads together; 0 is four
	// times the last-level cache, less when memory is short.
	Bytes int64 `json:"bytes,omitempty"`
}

// Test is one test of the catalogue and the job that it runs.
type Test struct {
	perfcheck.Definition
	Job Job
	// MinDuration is the shortest measured phase that makes sense.
	MinDuration time.Duration
}

// A value above is no main memory: a socket with twelve channels has some
// 600 GB/s, machines have up to eight of them.
const plausible = 8e12

// Tests lists the catalogue.
func Tests() []Test {
	var out []Test
	for _, threads := range []int{1, 0} {
		for _, kernel := range []string{Copy, Scale, Add, Triad} {
			name, title := "t1", "one thread"
			if threads == 0 {
				name, title = "all", "one thread per CPU"
			}
			profiles := []string{"standard"}
			if kernel == Triad || kernel == Copy && threads == 0 {
				profiles = []string{"quick", "standard"}
			}
			if kernel == Triad && threads == 0 {
				profiles = append(profiles, "soak")
			}
			out = append(out, Test{
				Definition: perfcheck.Definition{
					ID: "memory." + kernel + "." + name, Title: "memory bandwidth (STREAM-like), " + kernel + ", " + title,
					Area: perfcheck.Memory, Scope: perfcheck.Together, Profiles: profiles,
					Params: map[string]any{"kernel": kernel, "threads": name},
					Metrics: []perfcheck.MetricDef{
						{Name: "throughput", Unit: perfcheck.BytesPerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Ceiling: plausible},
						{Name: "median", Unit: perfcheck.BytesPerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateWarn},
						{Name: "array", Unit: perfcheck.Bytes},
						{Name: "threads", Unit: perfcheck.Count},
					},
				},
				Job:         Job{Kernel: kernel, Threads: threads},
				MinDuration: 3 * time.Second,
			})
		}
	}
	return out
}

// scalar is STREAM's s.
const scalar = 3.0

// chunk is how many elements a thread works on before it looks whether it
// shall stop: 2 MiB of each array.
const chunk = 256 << 10

// Run measures one kernel. The values are throughput, the best pass over the
// arrays as STREAM reports it, and median, that of all passes.
func Run(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	run, bytesEach := kernel(j.Kernel)
	if run == nil {
		return perfcheck.Measurement{}, fault.New(fault.Usage, "", "memory: no kernel is called %q", j.Kernel)
	}
	if j.Threads == 0 {
		j.Threads = runtime.NumCPU()
	}
	if j.Threads < 0 || j.Bytes < 0 || j.Duration <= 0 {
		return perfcheck.Measurement{}, fault.New(fault.Usage, "", "memory: %d threads for %s on %d bytes make no measurement", j.Threads, j.Duration, j.Bytes)
	}
	cache := lastLevelCache()
	want := j.Bytes
	if want == 0 {
		want = max(4*cache, 64<<20)
	}
	t, err := newTeam(ctx, j.Threads, want/8)
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	defer t.close()
	m := perfcheck.Measurement{Values: map[string]float64{}}
	if j.Bytes == 0 && t.elements*8 < want*9/10 {
		m.Flags = append(m.Flags, perfcheck.FlagSmallArrays)
	}
	if err := j.Await(ctx); err != nil {
		return m, err
	}
	// The warm-up ends on time, whatever the arrays took to make: the hosts of
	// a barrier measure at the same time.
	if warmup := j.Warmup; warmup > 0 {
		if !j.Start.IsZero() {
			warmup = max(time.Until(j.Start.Add(j.Warmup)), 0)
		}
		if err := t.warmUp(ctx, run, warmup); err != nil {
			return m, err
		}
	}
	m.Began = time.Now()
	series := sync.OnceValue(perfcheck.CountSeconds(t.done, float64(bytesEach), on))
	times, err := t.passes(ctx, run, j.Duration, func() { series() })
	m.Series = []perfcheck.Series{{Name: "throughput", Unit: perfcheck.BytesPerSecond, Interval: 1, Values: series()}}
	if err != nil {
		return m, err
	}
	if err := t.verify(j.Kernel); err != nil {
		return m, err
	}
	slices.Sort(times)
	moved := float64(t.elements) * float64(bytesEach)
	m.Values["throughput"] = moved / times[0].Seconds()
	m.Values["median"] = moved / times[len(times)/2].Seconds()
	m.Values["array"] = float64(t.elements * 8)
	m.Values["threads"] = float64(j.Threads)
	return m, nil
}
