package disk

import (
	"errors"
	"fmt"
	"math"
	"os/exec"
	"testing"
	"time"

	"cw/perfcheck"
)

// within is how near to the kernel's cap an engine has to come.
const within = 0.05

// tries is how often a cap is measured until it shows: on a shared machine the
// disk may be slower than the cap for a while. An engine that measures
// wrongly does so each time.
const tries = 3

// capped runs a job until what it says is near the truth.
func (p *process) capped(t *testing.T, j Job, metric string, want func(perfcheck.Measurement) float64) perfcheck.Measurement {
	t.Helper()
	var m perfcheck.Measurement
	for i := range tries {
		m = p.run(t, j, nil)
		if truth := want(m); i == tries-1 || math.Abs(m.Values[metric]/truth-1) <= within {
			near(t, string(j.Kind)+" "+j.Engine, m.Values[metric], truth, within)
			break
		}
	}
	return m
}

// trying holds what is measured against the truth a few times: one moment of a
// machine that others use proves nothing.
func trying(t *testing.T, measure func() error) {
	t.Helper()
	var err error
	for range tries {
		if err = measure(); err == nil {
			return
		}
		t.Log(err)
	}
	t.Error(err)
}

// off is an error when a number is not within a share of the truth.
func off(what string, got, want, by float64) error {
	if math.Abs(got/want-1) > by {
		return fmt.Errorf("%s: %.4g, the truth is %.4g: %+.1f %%", what, got, want, 100*(got/want-1))
	}
	return nil
}

func always(v float64) func(perfcheck.Measurement) float64 {
	return func(perfcheck.Measurement) float64 { return v }
}

func near(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if math.Abs(got/want-1) > by {
		t.Errorf("%s: %.4g, the truth is %.4g: %+.1f %%", what, got, want, 100*(got/want-1))
	} else {
		t.Logf("%s: %.4g of %.4g: %+.2f %%", what, got, want, 100*(got/want-1))
	}
}

func timing(warmup, duration time.Duration) perfcheck.Timing {
	return perfcheck.Timing{Warmup: warmup, Duration: duration}
}

// TestCaps holds the engine against caps of the kernel: what it says must be
// what the kernel lets through, at each depth and through each of its ways.
func TestCaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cap string
		value     int64
		jobs      []Job
		metric    string
		want      float64
	}{
		{"read 100 MiB/s", "rbps", 100 * mib, []Job{
			{Kind: Read, Block: mib, Depth: 4},
			{Kind: Scan, Block: mib, Depth: 4},
			{Kind: RandRead, Block: 32 * kib, Depth: 32},
		}, "throughput", 100 * float64(mib)},
		{"2000 reads/s", "riops", 2000, []Job{
			{Kind: RandRead, Block: 4 * kib, Depth: 16},
			{Kind: RandRead, Block: 8 * kib, Depth: 1},
			{Kind: RandRead, Block: 8 * kib, Depth: 128},
		}, "iops", 2000},
		{"write 60 MiB/s", "wbps", 60 * mib, []Job{
			{Kind: Write, Block: mib, Depth: 16},
			{Kind: FirstWrite, Block: mib, Depth: 4},
		}, "throughput", 60 * float64(mib)},
		{"300 writes/s", "wiops", 300, []Job{
			{Kind: RandWrite, Block: 8 * kib, Depth: 8},
			{Kind: RandWrite, Block: 8 * kib, Depth: 1},
		}, "iops", 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			g := newCaps(t, dir)
			p := startChild(t, childSpec{Cgroup: g.path, Dirs: []string{dir}, Size: 256 * mib})
			g.set(t, c.cap, c.value)
			for _, j := range c.jobs {
				j.Timing = timing(time.Second/2, 2*time.Second)
				m := p.capped(t, j, c.metric, always(c.want))
				if v := m.Series[0].Values; j.Kind != FirstWrite && len(v) != 2 {
					t.Errorf("%s: a series of %d seconds", j.Kind, len(v))
				}
			}
		})
	}
}

// TestFioCap is the same truth for fio through cw.
func TestFioCap(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("fio"); err != nil {
		t.Skip("fio is not installed")
	}
	dir := t.TempDir()
	g := newCaps(t, dir)
	p := startChild(t, childSpec{Cgroup: g.path, Dirs: []string{dir}, Size: 256 * mib})
	g.set(t, "rbps", 100*mib)
	m := p.capped(t, Job{Kind: Read, Block: mib, Depth: 4, Engine: EngineFio, Timing: timing(time.Second/2, 3*time.Second)}, "throughput", always(100*float64(mib)))
	if len(m.Series) != 1 || len(m.Series[0].Values) != 3 {
		t.Fatalf("fio's series: %+v", m.Series)
	}
	for _, v := range m.Series[0].Values {
		near(t, "second of fio", v, 100*float64(mib), 0.2)
	}
	g.set(t, "riops", 500)
	m = p.capped(t, Job{Kind: Mixed, ReadShare: 1, Block: 8 * kib, Depth: 4, Engine: EngineFio, Timing: timing(time.Second/2, 2*time.Second)}, "iops", always(500))
	if got, want := float64(m.Histograms["service"].Count()), 500*2.1; math.Abs(got/want-1) > 0.1 {
		t.Errorf("fio's histogram counts %g requests of about %g", got, want)
	}
	if m.Values["service_p50"] <= 0 || m.Values["service_p50"] > m.Values["service_p99"] {
		t.Errorf("fio's latencies: %v", m.Values)
	}
}

// TestCapOfCommits: a commit is at least a write and a flush, and the kernel
// counts both. How many it counted says what the rate has to be.
func TestCapOfCommits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := newCaps(t, dir)
	if g.v2 {
		t.Skip("the counter is that of cgroup v1")
	}
	p := startChild(t, childSpec{Cgroup: g.path, Dirs: []string{dir}, Size: 64 * mib})
	g.set(t, "wiops", 300)
	before := g.writes(t)
	p.capped(t, Job{Kind: Commit, Sync: Fdatasync, Block: 8 * kib, Depth: 1, Timing: timing(0, 3*time.Second)}, "rate", func(m perfcheck.Measurement) float64 {
		now := g.writes(t)
		each := float64(now-before) / float64(m.Histograms["service"].Count())
		if before = now; each < 1.9 || each > 3 {
			t.Errorf("%.2f writes for each commit", each)
		}
		return 300 / each
	})
}

// TestCliff: a cap that falls has to fall in the series within a second, and
// in the seconds that are told while it runs.
func TestCliff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := newCaps(t, dir)
	p := startChild(t, childSpec{Cgroup: g.path, Dirs: []string{dir}, Size: 256 * mib})
	trying(t, func() error {
		g.set(t, "rbps", 200*mib)
		var told []perfcheck.Second
		m := p.run(t, Job{Kind: Read, Block: mib, Depth: 4, Timing: timing(time.Second/2, 6*time.Second)}, func(s perfcheck.Second) {
			if told = append(told, s); len(told) == 2 {
				g.set(t, "rbps", 50*mib)
			}
		})
		v := m.Series[0].Values
		if len(v) != 6 || len(told) != 6 {
			return fmt.Errorf("%d seconds, %d told", len(v), len(told))
		}
		// In 2 the cap falls, in 3 what was under way is let through.
		errs := []error{
			off("before", v[0], 200*float64(mib), 0.1), off("before", v[1], 200*float64(mib), 0.1),
			off("after", v[4], 50*float64(mib), 0.15), off("after", v[5], 50*float64(mib), 0.15),
		}
		for i, s := range told {
			if s.At != float64(i) || math.Abs(s.Value-v[i]) > 2*float64(mib) {
				errs = append(errs, fmt.Errorf("second %d: told %+v, the series has %g", i, s, v[i]))
			}
		}
		return errors.Join(errs...)
	})
}
