package memory

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"cw/perfcheck"
)

const small = 4 << 20 // bytes of an array in tests: they are of the program, not of the machine

func TestRunEveryTest(t *testing.T) {
	t.Parallel()
	for _, test := range Tests() {
		t.Run(test.ID, func(t *testing.T) {
			t.Parallel()
			test.Job.Timing, test.Job.Bytes = perfcheck.Timing{Warmup: 10 * time.Millisecond, Duration: 1100 * time.Millisecond, Start: time.Now().Add(20 * time.Millisecond)}, small
			data, err := json.Marshal(test.Job)
			if err != nil {
				t.Fatal(err)
			}
			var job Job // it travels to its host as JSON
			if err := json.Unmarshal(data, &job); err != nil || job.Kernel != test.Job.Kernel || !job.Start.Equal(test.Job.Start) {
				t.Fatalf("%v: %+v", err, job)
			}
			var heard atomic.Int64
			m, err := Run(context.Background(), job, func(perfcheck.Second) { heard.Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			got := perfcheck.Combine(test.Definition, []perfcheck.Measurement{m})
			if got.Verdict != perfcheck.Pass || len(m.Values) != len(test.Metrics) {
				t.Errorf("%s: %s, values %v", got.Verdict, got.Reason, m.Values)
			}
			if m.Values["throughput"] < m.Values["median"] {
				t.Errorf("the best pass is not the best: %v", m.Values)
			}
			if len(m.Series) != 1 || len(m.Series[0].Values) != 1 || heard.Load() != 1 {
				t.Fatalf("series %+v, heard %d", m.Series, heard.Load())
			}
			// The series counts the same bytes another way.
			if s := m.Series[0].Values[0]; s > 1.5*m.Values["throughput"] || s < m.Values["median"]/20 {
				t.Errorf("series %v, values %v", s, m.Values)
			}
			if m.Began.Before(test.Job.Start) {
				t.Error("it began before the barrier")
			}
		})
	}
}

func TestKernelsCompute(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 8, 9, 31, 32, 33, 64, 100, 1023} {
		a, b, c := make([]float64, n), make([]float64, n), make([]float64, n)
		r := rand.New(rand.NewPCG(1, uint64(n)))
		fill := func() {
			for i := range a {
				a[i], b[i], c[i] = r.Float64(), r.Float64(), r.Float64()
			}
		}
		for name, want := range map[string]func(i int) (a, b, c float64){
			Copy:  func(i int) (float64, float64, float64) { return a[i], b[i], a[i] },
			Scale: func(i int) (float64, float64, float64) { return a[i], scalar * c[i], c[i] },
			Add:   func(i int) (float64, float64, float64) { return a[i], b[i], a[i] + b[i] },
			Triad: func(i int) (float64, float64, float64) { return b[i] + scalar*c[i], b[i], c[i] },
		} {
			fill()
			wa, wb, wc := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range n {
				wa[i], wb[i], wc[i] = want(i)
			}
			run, _ := kernel(name)
			run(a, b, c)
			near := func(x, y []float64) bool {
				return slices.EqualFunc(x, y, func(v, w float64) bool { return math.Abs(v-w) < 1e-12 })
			}
			if !near(a, wa) || !near(b, wb) || !near(c, wc) {
				t.Errorf("%s of %d elements is wrong", name, n)
			}
		}
	}
}

func TestAKernelThatDoesNothingIsAnError(t *testing.T) {
	t.Parallel()
	team, err := newTeam(context.Background(), 2, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	defer team.close()
	if _, err := team.passes(context.Background(), func(_, _, _ []float64) {}, time.Millisecond, nil); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{Copy, Scale, Add, Triad} {
		if team.verify(k) == nil {
			t.Errorf("nothing was computed, and it passes as %s", k)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for name, job := range map[string]Job{
		"measuring":  {Timing: perfcheck.Timing{Duration: time.Hour}},
		"warming up": {Timing: perfcheck.Timing{Warmup: time.Hour, Duration: time.Hour}},
		"waiting":    {Timing: perfcheck.Timing{Duration: time.Hour, Start: time.Now().Add(time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
			job.Kernel, job.Threads, job.Bytes = Triad, 2, small
			if _, err := Run(ctx, job, nil); !errors.Is(err, stop) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ok := perfcheck.Timing{Duration: time.Millisecond}
	for _, job := range []Job{{}, {Kernel: "poem", Timing: ok}, {Kernel: Copy}, {Kernel: Copy, Threads: -1, Timing: ok}, {Kernel: Copy, Bytes: -1, Timing: ok}} {
		if _, err := Run(context.Background(), job, nil); err == nil {
			t.Errorf("%+v was run", job)
		}
	}
}

// Arrays that do not fit are made smaller: nobody dies of a measurement.
func TestShortMemory(t *testing.T) {
	t.Parallel()
	p := &part{}
	var short atomic.Bool
	if err := p.allocate(context.Background(), 4*touchStep, 1<<62, &short); err != nil {
		t.Fatal(err)
	}
	if !short.Load() || len(p.a) != touchStep || len(p.b) != len(p.a) || len(p.c) != len(p.a) {
		t.Errorf("%d elements", len(p.a))
	}
	team := &team{parts: []*part{p}, done: &atomic.Int64{}}
	p.begin = make(chan func(a, b, c []float64))
	team.close()
	if p.memory != nil {
		t.Error("the memory was not given back")
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, test := range Tests() {
		ids = append(ids, test.ID)
	}
	want := []string{"memory.copy.t1", "memory.scale.t1", "memory.add.t1", "memory.triad.t1", "memory.copy.all", "memory.scale.all", "memory.add.all", "memory.triad.all"}
	if !slices.Equal(ids, want) {
		t.Errorf("ids %v: ids are stable", ids)
	}
	for _, k := range []struct {
		name  string
		bytes int
	}{{Copy, 16}, {Scale, 16}, {Add, 24}, {Triad, 24}} {
		if _, bytes := kernel(k.name); bytes != k.bytes {
			t.Errorf("%s counts %d bytes, STREAM %d", k.name, bytes, k.bytes)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	if d := Describe(); d.Total < 1<<20 || d.Available > d.Total || d.Cache < 1<<10 || d.Nodes < 1 {
		t.Errorf("%+v", d)
	}
	for text, want := range map[string]int64{"32768K": 32 << 20, "48M": 48 << 20, "512": 512, "": 0, "xK": 0} {
		if got := cacheSize(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
