package disk

import (
	"math"
	"os/exec"
	"testing"
	"time"

	"cw/perfcheck"
)

// within is how near to the kernel's cap an engine has to come.
const within = 0.05

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
				j.Timing = timing(time.Second, 3*time.Second)
				m := p.run(t, j, nil)
				near(t, string(j.Kind), m.Values[c.metric], c.want, within)
				if v := m.Series[0].Values; j.Kind != FirstWrite && len(v) != 3 {
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
	m := p.run(t, Job{Kind: Read, Block: mib, Depth: 4, Engine: EngineFio, Timing: timing(time.Second, 3*time.Second)}, nil)
	near(t, "fio", m.Values["throughput"], 100*float64(mib), within)
	if len(m.Series) != 1 || len(m.Series[0].Values) != 3 {
		t.Fatalf("fio's series: %+v", m.Series)
	}
	for _, v := range m.Series[0].Values {
		near(t, "second of fio", v, 100*float64(mib), 0.2)
	}
	g.set(t, "riops", 500)
	m = p.run(t, Job{Kind: Mixed, ReadShare: 1, Block: 8 * kib, Depth: 4, Engine: EngineFio, Timing: timing(time.Second, 2*time.Second)}, nil)
	near(t, "fio", m.Values["iops"], 500, within)
	if got, want := float64(m.Histograms["service"].Count()), 500*2.1; math.Abs(got/want-1) > 0.1 {
		t.Errorf("fio's histogram counts %g requests of about %g", got, want)
	}
	if m.Values["service_p50"] <= 0 || m.Values["service_p50"] > m.Values["service_p99"] {
		t.Errorf("fio's latencies: %v", m.Values)
	}
}

// TestCapOfCommits: each commit is a write and a flush, which the cap counts
// both.
func TestCapOfCommits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := newCaps(t, dir)
	p := startChild(t, childSpec{Cgroup: g.path, Dirs: []string{dir}, Size: 64 * mib})
	if f, err := Inspect(t.Context(), dir); err != nil || f.Filesystem != "ext4" {
		t.Skipf("how many writes a commit takes is known of ext4, not of %s (%v)", f.Filesystem, err)
	}
	g.set(t, "wiops", 300)
	m := p.run(t, Job{Kind: Commit, Sync: Fdatasync, Block: 8 * kib, Depth: 1, Timing: timing(time.Second, 5*time.Second)}, nil)
	near(t, "commits", m.Values["rate"], 150, 0.07)
}

// TestCliff: a cap that falls has to fall in the series within a second, and
// in the seconds that are told while it runs.
func TestCliff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := newCaps(t, dir)
	p := startChild(t, childSpec{Cgroup: g.path, Dirs: []string{dir}, Size: 256 * mib})
	g.set(t, "rbps", 200*mib)
	var told []perfcheck.Second
	m := p.run(t, Job{Kind: Read, Block: mib, Depth: 4, Timing: timing(time.Second, 7*time.Second)}, func(s perfcheck.Second) {
		if told = append(told, s); len(told) == 3 {
			g.set(t, "rbps", 50*mib)
		}
	})
	v := m.Series[0].Values
	if len(v) != 7 || len(told) != 7 {
		t.Fatalf("%d seconds, %d told", len(v), len(told))
	}
	for _, i := range []int{0, 1, 2} {
		near(t, "before", v[i], 200*float64(mib), 0.1)
	}
	for _, i := range []int{5, 6} { // in 3 the cap falls, in 4 what was under way is let through
		near(t, "after", v[i], 50*float64(mib), 0.15)
	}
	for i, s := range told {
		if s.At != float64(i) || math.Abs(s.Value-v[i]) > 2*float64(mib) {
			t.Errorf("second %d: told %+v, the series has %g", i, s, v[i])
		}
	}
}
