package source

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

const twoSamples = `cw-host 4
cw-sample
100.00 390.00
0.50 0.40 0.30 2/345 999
cw-stat
cpu  1000 10 500 8000 300 20 30 40 0 0
MemTotal:        1000 kB
MemFree:          100 kB
MemAvailable:     400 kB
SwapTotal:        200 kB
SwapFree:          50 kB
cw-disk
   8       0 sda 10 0 1000 5 10 0 2000 5 0 1000 10 0 0 0 0
   8       1 sda1 10 0 1000 5 10 0 2000 5 0 1000 10 0 0 0 0
 259       0 nvme0n1 10 0 1000 5 10 0 2000 5 0 100 10
 259       1 nvme0n1p1 10 0 1000 5 10 0 2000 5 0 100 10
 253       0 dm-0 10 0 1000 5 10 0 2000 5 0 100 10
   7       0 loop0 10 0 1000 5 10 0 2000 5 0 100 10
cw-net
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 5000 1 0 0 0 0 0 0 5000 1 0 0 0 0 0 0
  eth0:1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0
eth0.10: 1000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0
cw-df
Filesystem     1024-blocks     Used Available Capacity Mounted on
/dev/sda1             1000      500       300      63% /
/dev/sdb1             1000      900        50      95% /data with space
/dev/sda1             1000      500       300      63% /
cw-end
cw-sample
102.00 395.00
0.75 0.40 0.30 2/345 999
cw-stat
cpu  1100 10 550 8200 350 20 30 40 0 0
MemTotal:        1000 kB
MemAvailable:     250 kB
SwapTotal:        200 kB
SwapFree:          50 kB
cw-disk
   8       0 sda 10 0 3000 5 10 0 6000 5 0 2000 10 0 0 0 0
   8       1 sda1 10 0 3000 5 10 0 6000 5 0 2000 10 0 0 0 0
 259       0 nvme0n1 10 0 500 5 10 0 2000 5 0 9100 10
 253       0 dm-0 10 0 3000 5 10 0 2000 5 0 100 10
cw-net
  eth0:3000 1 0 0 0 0 0 0 2500 1 0 0 0 0 0 0
eth0.10: 3000 1 0 0 0 0 0 0 2000 1 0 0 0 0 0 0
cw-end
`

// samplesOf feeds text in pieces of n bytes.
func samplesOf(t *testing.T, text string, n int) (out []sample, cpus int) {
	t.Helper()
	r := &sampleReader{emit: func(c int, s sample) { out, cpus = append(out, s), c }}
	for piece := range slices.Chunk([]byte(text), n) {
		if _, err := r.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	return out, cpus
}

func TestRatesOfTwoSamples(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, len(twoSamples)} {
		s, cpus := samplesOf(t, twoSamples, n)
		if len(s) != 2 || cpus != 4 {
			t.Fatalf("in pieces of %d: %d samples, %d cpus", n, len(s), cpus)
		}
		at := time.Unix(1000, 0)
		h := advance(Host{Name: "h", Err: "was away"}, cpus, sample{}, s[0], at)
		if h.User != 0 || h.CPUHist != nil || h.Err != "" || h.MemTotal != 1000<<10 {
			t.Errorf("the first sample has rates: %+v", h)
		}
		h = advance(h, cpus, s[0], s[1], at.Add(2*time.Second))
		near := func(what string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > 1e-6*max(1, want) {
				t.Errorf("%s is %g, want %g", what, got, want)
			}
		}
		near("user", h.User, 100.0/400)
		near("system", h.System, 50.0/400)
		near("iowait", h.IOWait, 50.0/400)
		near("load", h.Load1, 0.75)
		near("mem", float64(h.MemUsed), 750<<10)
		near("swap", float64(h.SwapUsed), 150<<10)
		near("read", h.ReadRate, 2000*512/2) // nvme0n1 went back: reset, not a rate
		near("write", h.WriteRate, 4000*512/2)
		near("busy", h.DiskBusy, 1)
		near("rx", h.RxRate, 1000)
		near("tx", h.TxRate, 250)
		var names []string
		for _, d := range h.Disks {
			names = append(names, d.Name)
		}
		if got := strings.Join(names, " "); got != "sda nvme0n1 dm-0" {
			t.Errorf("disks %s", got)
		}
		if len(h.NICs) != 2 || len(h.CPUHist) != 1 || h.MemHist[0] != 0.75 || h.NetHist[0] != 1250 {
			t.Errorf("nics %v, histories %v %v %v", h.NICs, h.CPUHist, h.MemHist, h.NetHist)
		}
		if len(h.Mounts) != 2 || h.Mounts[0] != (Mount{Path: "/data with space", Size: 950 << 10, Used: 900 << 10}) {
			t.Errorf("mounts %+v", h.Mounts) // the last sample had no df
		}
	}
}

func TestRestartedHostHasNoRates(t *testing.T) {
	t.Parallel()
	s, cpus := samplesOf(t, twoSamples, 100)
	h := advance(Host{}, cpus, s[1], s[0], time.Now())
	if h.ReadRate != 0 || h.User != 0 || len(h.CPUHist) != 0 {
		t.Errorf("%+v", h)
	}
}

func TestHistoriesOfSnapshotsStay(t *testing.T) {
	t.Parallel()
	var h []float64
	var kept [][]float64
	for i := range 3 * historyKept {
		h = appendBounded(h, float64(i))
		if len(h) > historyKept {
			t.Fatalf("%d values kept", len(h))
		}
		if i%500 == 0 {
			kept = append(kept, h)
		}
	}
	for i, k := range kept {
		if k[len(k)-1] != float64(i*500) || len(k) > 1 && k[0] != k[len(k)-1]-float64(len(k)-1) {
			t.Errorf("history %d was changed: %g … %g", i, k[0], k[len(k)-1])
		}
	}
}

func TestEndlessSampleIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("x", maxSample+1), "cw-sample\n" + strings.Repeat("cw-df x\n", maxSample/8+1)} {
		r := &sampleReader{emit: func(int, sample) { t.Error("a sample") }}
		if _, err := r.Write([]byte(text)); err == nil {
			t.Error("taken")
		}
	}
}

func FuzzSampler(f *testing.F) {
	f.Add([]byte(twoSamples), 3)
	f.Add([]byte("cw-sample\n1 1\ncw-stat\ncpu -1 x\ncw-disk\n\x00\ncw-net\n:::\ncw-df\n- - - - - -\ncw-end\n"), 1)
	f.Add([]byte("cw-sample\nNaN Inf\n1e309 0 0 0 0\ncw-end\ncw-end\n"), 2)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		var all []sample
		feed := func(n int) (out []sample) {
			r := &sampleReader{emit: func(_ int, s sample) { out = append(out, s) }}
			for piece := range slices.Chunk(data, n) {
				if _, err := r.Write(piece); err != nil {
					return nil
				}
			}
			return out
		}
		if len(data) > 0 {
			all = feed(max(1, n&0xff))
			if whole := feed(len(data)); len(whole) != len(all) {
				t.Fatalf("%d samples in pieces, %d at once", len(all), len(whole))
			}
		}
		h := Host{}
		for i, s := range all {
			a := sample{}
			if i > 0 {
				a = all[i-1]
			}
			h = advance(h, 1, a, s, time.Unix(int64(i), 0))
			for _, share := range []float64{h.User, h.System, h.IOWait, h.Steal, h.DiskBusy, busy(h)} {
				if !(share >= 0 && share <= 1) {
					t.Fatalf("a share of %g", share)
				}
			}
			for _, v := range []float64{h.ReadRate, h.WriteRate, h.RxRate, h.TxRate, h.Load1} {
				if !(v >= 0) || math.IsInf(v, 0) {
					t.Fatalf("a rate of %g", v)
				}
			}
			if h.MemUsed < 0 || h.SwapUsed < 0 {
				t.Fatalf("memory %d %d", h.MemUsed, h.SwapUsed)
			}
		}
	})
}

func BenchmarkSample(b *testing.B) {
	text := []byte(twoSamples)
	r := &sampleReader{emit: func(int, sample) {}}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Write(bytes.Clone(text)); err != nil {
			b.Fatal(err)
		}
	}
}
