package run

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"cw/playground/gptest"
)

// TestBenchGreenplumLimit loads into Greenplum with a limit that is changed
// while the statement runs, with 1 and 8 segments reading, and measures the
// rate in windows of ten seconds. CW_BENCH=1 runs it.
func TestBenchGreenplumLimit(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	for _, segments := range []int{1, 8} {
		e := newGPEnv(t, gptest.Start(t, segments))
		size := limitBytes(e, []int64{2_000_000, 100_000, 5_000_000})
		fmt.Printf("%d segments, %d MB: done\n", segments, size/1e6)
	}
}

func limitBytes(e *gpEnv, limits []int64) int64 {
	e.t.Helper()
	data := csvRows(0, 5_000_000)
	spec := e.spec(simple(e.file("big.csv", data), "csv", "items"))
	var bytes, at, limit atomic.Int64
	begun := time.Now()
	w := &watch{on: func(p Progress) { // on a beat: its own time is what counts
		if p.Phase == PhaseLoad {
			bytes.Store(p.Bytes)
			at.Store(int64(time.Since(begun)))
		}
	}}
	limit.Store(limits[0])
	o := e.options(spec)
	o.Reporter = w
	o.Control = func(context.Context) (Control, error) { return Control{Limit: limit.Load()}, nil }
	ctx, cancel := context.WithCancel(e.t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, o)
		ended <- err
	}()
	for bytes.Load() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	for _, want := range limits {
		limit.Store(want)
		time.Sleep(time.Second)
		first, start := bytes.Load(), at.Load()
		time.Sleep(10 * time.Second)
		rate := float64(bytes.Load()-first) / time.Duration(at.Load()-start).Seconds()
		deviation := (rate/float64(want) - 1) * 100
		fmt.Printf("%8.2f MB/s wanted %8.2f MB/s measured over 10 s, from 1 s after the change: %+.1f %% (goal within 5 %%)\n", float64(want)/1e6, rate/1e6, deviation)
		if deviation < -5 || deviation > 5 {
			e.t.Errorf("limit %d: %.1f %% off", want, deviation)
		}
	}
	limit.Store(0)
	select {
	case err := <-ended:
		if err != nil {
			e.t.Fatal(err)
		}
	case <-time.After(5 * time.Minute):
		cancel()
		e.t.Fatal("not done", <-ended)
	}
	cancel()
	e.same(data)
	return int64(len(data))
}
