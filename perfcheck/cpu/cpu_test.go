package cpu

import (
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"testing"
	"time"

	"cw/perfcheck"
)

func TestRunEveryTest(t *testing.T) {
	t.Parallel()
	for _, test := range Tests() {
		t.Run(test.ID, func(t *testing.T) {
			t.Parallel()
			test.Job.Timing = perfcheck.Timing{Warmup: 10 * time.Millisecond, Duration: 1100 * time.Millisecond}
			// A job travels to its host as JSON.
			data, err := json.Marshal(test.Job)
			if err != nil {
				t.Fatal(err)
			}
			var job Job
			if err := json.Unmarshal(data, &job); err != nil || job != test.Job {
				t.Fatalf("%v: %+v", err, job)
			}
			var heard []perfcheck.Second
			m, err := Run(context.Background(), job, func(s perfcheck.Second) { heard = append(heard, s) })
			if err != nil {
				t.Fatal(err)
			}
			got := perfcheck.Combine(test.Definition, []perfcheck.Measurement{m})
			if got.Verdict != perfcheck.Pass || len(m.Values) != len(test.Metrics) {
				t.Errorf("%s: %s, values %v", got.Verdict, got.Reason, m.Values)
			}
			if len(heard) != 1 || len(m.Series) != 1 || len(m.Series[0].Values) != 1 || m.Series[0].Values[0] != heard[0].Value {
				t.Errorf("heard %v, series %+v", heard, m.Series)
			}
			// The series and the rate are two ways to count the same work.
			if rate := m.Values[test.Metrics[0].Name]; math.Abs(m.Series[0].Values[0]/rate-1) > 0.5 {
				t.Errorf("series %v, rate %v", m.Series[0].Values, rate)
			}
			if m.Began.IsZero() {
				t.Error("it does not say when it began")
			}
		})
	}
}

func TestWrongResultsAreErrors(t *testing.T) {
	t.Parallel()
	w := *workOf(CRC)
	w.prepare = func() func() error { return func() error { return verify("work", 1, 2) } }
	if _, _, err := work(context.Background(), &w, 2, 50*time.Millisecond, nil); err == nil {
		t.Error("a wrong result is no error")
	}
}

func TestChecksumsAreRight(t *testing.T) {
	t.Parallel()
	// Bit by bit, without the machine's instructions.
	crc := ^uint32(0)
	for _, b := range data() {
		crc ^= uint32(b)
		for range 8 {
			if crc&1 == 1 {
				crc = crc>>1 ^ crc32.Castagnoli
			} else {
				crc >>= 1
			}
		}
	}
	if ^crc != crcResult {
		t.Errorf("CRC-32C is %#x", ^crc)
	}
	for _, name := range []string{Integer, Sort, CRC, AES} {
		if err := workOf(name).prepare()(); err != nil {
			t.Error(err)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for name, job := range map[string]Job{
		"measuring":  {Work: AES, Threads: 1, Timing: perfcheck.Timing{Duration: time.Hour}},
		"warming up": {Work: AES, Threads: 1, Timing: perfcheck.Timing{Warmup: time.Hour, Duration: time.Hour}},
		"waiting":    {Work: AES, Threads: 1, Timing: perfcheck.Timing{Duration: time.Hour, Start: time.Now().Add(time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
			if _, err := Run(ctx, job, nil); !errors.Is(err, stop) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, job := range []Job{{}, {Work: "poetry"}, {Work: CRC, Threads: 1}, {Work: CRC, Threads: -1, Timing: perfcheck.Timing{Duration: 1}}} {
		if _, err := Run(context.Background(), job, nil); err == nil {
			t.Errorf("%+v was run", job)
		}
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	var ids []string
	quick := 0
	for _, test := range Tests() {
		ids = append(ids, test.ID)
		if slices.Contains(test.Profiles, "quick") {
			quick++
		}
	}
	want := []string{"cpu.int.t1", "cpu.sort.t1", "cpu.crc.t1", "cpu.aes.t1", "cpu.int.all", "cpu.sort.all", "cpu.crc.all", "cpu.aes.all"}
	if !slices.Equal(ids, want) || quick != 4 {
		t.Errorf("ids %v, %d quick: ids are stable", ids, quick)
	}
}

func TestParseCPUInfo(t *testing.T) {
	t.Parallel()
	f := parseCPUInfo("processor\t: 0\nmodel name\t: Some Processor 9\ncpu MHz\t\t: 2445.4\nphysical id\t: 0\nflags\t\t: fpu hypervisor sse\n\nprocessor\t: 1\nphysical id\t: 1\n")
	if f.Model != "Some Processor 9" || f.Sockets != 2 || f.Virtualisation != "hypervisor" || f.MHz != "2445.4" {
		t.Errorf("%+v", f)
	}
	if f := parseCPUInfo("CPU part\t: 0xd40\n"); f.Model != "ARM part 0xd40" || f.Sockets != 1 {
		t.Errorf("%+v", f)
	}
	for text, n := range map[string]int{"0": 1, "0-3": 4, "0,4": 2, "0-1,8-9": 4, "": 0, "x": 0} {
		if got := countList(text); got != n {
			t.Errorf("%q is %d CPUs, not %d", text, got, n)
		}
	}
	if d := Describe(); d.CPUs < 1 || d.Kernel == "" {
		t.Errorf("%+v", d)
	}
}

func TestSteal(t *testing.T) {
	t.Parallel()
	if s := (ticks{100, 10}).stealUntil(ticks{200, 35}); s != 0.25 {
		t.Error(s)
	}
	if s := (ticks{100, 10}).stealUntil(ticks{100, 10}); s != 0 {
		t.Error(s)
	}
}
