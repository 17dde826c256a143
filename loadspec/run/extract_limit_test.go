package run

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cw/playground/pgtest"
)

// TestExtractLimit measures what is taken from the database under a limit that
// is changed, and while paused.
func TestExtractLimit(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), "create table wide (id int, pad text); insert into wide select i, repeat('p', 1000) from generate_series(1, 60000) i")
	var want atomic.Pointer[Control]
	set := func(c Control) { want.Store(&c) }
	set(Control{Limit: 4_000_000})
	var mu sync.Mutex
	var last Progress
	w := &watch{on: func(p Progress) {
		mu.Lock()
		last = p
		mu.Unlock()
	}}
	now := func() Progress {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
	dir := t.TempDir()
	u := e.out(dir, "w.csv", "TABLE: wide", "FORMAT: csv")
	u.Workers = 3
	done := make(chan error, 1)
	go func() {
		_, err := Unload(t.Context(), u, Options{Job: "u", Reporter: w, Control: func(context.Context) (Control, error) { return *want.Load(), nil }})
		done <- err
	}()
	until := func(what string, ok func(Progress) bool) Progress {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if p := now(); ok(p) {
				return p
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %s: %+v", what, now())
			}
		}
	}
	until("begun", func(p Progress) bool { return p.Bytes > 0 })
	for _, limit := range []int64{4_000_000, 8_000_000} {
		set(Control{Limit: limit})
		until("at the limit", func(p Progress) bool { return p.Limit == limit })
		first := now().Bytes
		a := until("moving", func(p Progress) bool { return p.Bytes > first })
		begun := time.Now()
		time.Sleep(2 * time.Second)
		first = now().Bytes
		b := until("moving", func(p Progress) bool { return p.Bytes > first })
		rate := float64(b.Bytes-a.Bytes) / time.Since(begun).Seconds()
		t.Logf("limit %d: %.0f B/s (%+.1f %%), eta %d s, %d of about %d", limit, rate, (rate/float64(limit)-1)*100, b.ETASeconds, b.Bytes, b.BytesTotal)
		if rate < 0.9*float64(limit) || rate > 1.1*float64(limit) { // reports come every 250 ms on a busy machine; the benchmark measures better
			t.Errorf("%.0f bytes a second with a limit of %d", rate, limit)
		}
		if !b.Estimated || b.BytesTotal < 40_000_000 || b.BytesTotal > 90_000_000 || b.Rows == 0 || b.ETASeconds < 0 {
			t.Errorf("%+v", b)
		}
	}
	set(Control{Limit: 8_000_000, Pause: true})
	until("paused", func(p Progress) bool { return p.Paused })
	held := now().Bytes
	time.Sleep(400 * time.Millisecond)
	if got := now().Bytes - held; got > 3*chunkMost {
		t.Errorf("%d bytes while paused", got)
	}
	set(Control{})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if m, _ := readManifest(t, dir); m.Rows != 60000 {
		t.Errorf("%+v", m)
	}
}
