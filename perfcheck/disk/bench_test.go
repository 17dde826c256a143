package disk

import (
	"math"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"cw/perfcheck"
)

// TestBench runs jobs with cw's engine and with fio by turns on the same
// files, and compares the medians. CW_BENCH=1 turns it on. It is no test of
// the disk: what it says depends on what else the machine does.
func TestBench(t *testing.T) {
	if os.Getenv("CW_BENCH") != "1" {
		t.Skip("set CW_BENCH=1 to measure")
	}
	if _, err := exec.LookPath("fio"); err != nil {
		t.Skip("fio is not installed")
	}
	s, err := Prepare(t.Context(), []string{t.TempDir()}, PrepareOptions{Size: gib, AllowRootDisk: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, c := range []struct {
		name  string
		job   Job
		least float64 // of fio's
	}{
		{"randread 4k qd32", Job{Kind: RandRead, Block: 4 * kib, Depth: 32}, 0.85},
		{"randread 8k qd32", Job{Kind: RandRead, Block: 8 * kib, Depth: 32}, 0.90},
		{"randread 32k qd32", Job{Kind: RandRead, Block: 32 * kib, Depth: 32}, 0.90},
		{"randread 8k qd128", Job{Kind: RandRead, Block: 8 * kib, Depth: 128}, 0.90},
		{"randread 8k qd1", Job{Kind: RandRead, Block: 8 * kib, Depth: 1}, 0.90},
		{"randwrite 8k qd32", Job{Kind: RandWrite, Block: 8 * kib, Depth: 32}, 0.90},
		{"read 1m qd1", Job{Kind: Read, Block: mib, Depth: 1}, 0.90},
		{"read 1m qd16", Job{Kind: Read, Block: mib, Depth: 16}, 0.90},
		{"write 1m qd16", Job{Kind: Write, Block: mib, Depth: 16}, 0.90},
		{"fdatasync 8k", Job{Kind: Commit, Sync: Fdatasync, Block: 8 * kib, Depth: 1}, 0.90},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.job.Timing = perfcheck.Timing{Warmup: 300 * time.Millisecond, Duration: 2 * time.Second}
			name, unit := c.job.primary()
			var ratios, control []float64
			var last float64
			for range 5 {
				own, fio := c.job, c.job
				fio.Engine = EngineFio
				a := value(t, s, own, name)
				b := value(t, s, fio, name)
				ratios = append(ratios, a/b)
				if last > 0 {
					control = append(control, b/last)
				}
				last = b
			}
			slices.Sort(ratios)
			slices.Sort(control)
			ratio := ratios[len(ratios)/2]
			t.Logf("cw ÷ fio: median %.2f of %.2f; fio ÷ fio: %.2f; fio %.4g %s", ratio, ratios, control, last, unit)
			// The noise of fio against itself is no fault of ours.
			if noise := control[0]; ratio < c.least*min(noise, 1) {
				t.Errorf("cw reaches %.2f of fio, not %.2f", ratio, c.least)
			}
		})
	}
}

func value(t *testing.T, s *Set, j Job, name string) float64 {
	t.Helper()
	m, err := s.Run(t.Context(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.Values[name]
}

// TestBenchCapped compares the engines where the answer is known: under caps
// of the kernel they have to agree.
func TestBenchCapped(t *testing.T) {
	if os.Getenv("CW_BENCH") != "1" {
		t.Skip("set CW_BENCH=1 to measure")
	}
	if _, err := exec.LookPath("fio"); err != nil {
		t.Skip("fio is not installed")
	}
	for _, c := range []struct {
		name, cap string
		value     int64
		job       Job
		within    float64
	}{
		{"read 100 MiB/s", "rbps", 100 * mib, Job{Kind: Read, Block: mib, Depth: 4}, 0.03},
		{"write 100 MiB/s", "wbps", 100 * mib, Job{Kind: Write, Block: mib, Depth: 16}, 0.03},
		{"2000 reads/s", "riops", 2000, Job{Kind: RandRead, Block: 4 * kib, Depth: 16}, 0.03},
		// One commit at a time waits for each of the kernel's time slices: fio
		// differs from itself by more.
		{"300 writes/s", "wiops", 300, Job{Kind: Commit, Sync: Fdatasync, Block: 8 * kib, Depth: 1}, 0.05},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			g := newCaps(t, dir)
			p := startChild(t, childSpec{Cgroup: g.path, Dirs: []string{dir}, Size: 256 * mib})
			g.set(t, c.cap, c.value)
			c.job.Timing = timing(time.Second, 4*time.Second)
			name, _ := c.job.primary()
			var own, fio []float64
			for range 5 {
				c.job.Engine = EngineNative
				own = append(own, p.run(t, c.job, nil).Values[name])
				c.job.Engine = EngineFio
				fio = append(fio, p.run(t, c.job, nil).Values[name])
			}
			slices.Sort(own)
			slices.Sort(fio)
			ratio := own[2] / fio[2]
			t.Logf("cw %.4g, fio %.4g: %.3f", own, fio, ratio)
			if math.Abs(ratio-1) > c.within {
				t.Errorf("cw ÷ fio is %.3f", ratio)
			}
		})
	}
}
