package perfcheck

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// Every request that was due is counted, those of the warm-up are not, and
// what is done after each is done once.
func TestOpenLoop(t *testing.T) {
	t.Parallel()
	var made, warm, after atomic.Int64
	loop := OpenLoop{Timing: Timing{Warmup: 50 * time.Millisecond, Duration: 200 * time.Millisecond}, Rate: 200, Most: 8}
	m, _, err := loop.Run(t.Context(), nil, func(_ context.Context, _ int, measured bool) (time.Duration, func(), error) {
		made.Add(1)
		if !measured {
			warm.Add(1)
		}
		return 3 * time.Millisecond, func() { after.Add(1) }, nil
	})
	if err != nil || made.Load() != 50 || warm.Load() != 10 || after.Load() != 50 {
		t.Fatalf("%v: %d made, %d in the warm-up, %d after", err, made.Load(), warm.Load(), after.Load())
	}
	if h := m.Histograms["response"]; h.Count() != 40 || m.Histograms["service"].Count() != 40 || m.Values["service_p50"] < 0.0029 || m.Values["service_p50"] > 0.0031 {
		t.Errorf("%d responses, %v", h.Count(), m.Values)
	}

	broken := errors.New("broken")
	if _, _, err := loop.Run(t.Context(), nil, func(_ context.Context, i int, _ bool) (time.Duration, func(), error) {
		if i == 3 {
			return 0, nil, broken
		}
		return 0, nil, nil
	}); !errors.Is(err, broken) {
		t.Errorf("a request failed: %v", err)
	}

	loop.Rate, loop.Duration = 1, time.Millisecond // the only request is of the warm-up
	if m, _, err := loop.Run(t.Context(), nil, func(context.Context, int, bool) (time.Duration, func(), error) { return 0, nil, nil }); err != nil || m.Histograms != nil {
		t.Errorf("nothing was measured: %v %v", m, err)
	}
}

// A request that stands still makes those behind it late: the response times
// show it, the others' own times do not.
func TestOpenLoopIsOpen(t *testing.T) {
	t.Parallel()
	const stall = 300 * time.Millisecond
	loop := OpenLoop{Timing: Timing{Duration: 600 * time.Millisecond}, Rate: 50, Most: 1}
	m, _, err := loop.Run(t.Context(), nil, func(ctx context.Context, i int, _ bool) (time.Duration, func(), error) {
		if i == 5 {
			return stall, nil, WaitUntil(ctx, time.Now().Add(stall))
		}
		return time.Millisecond, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if late := m.Histograms["response"].Above(stall / 3); late < 5 {
		t.Errorf("%d responses were late", late)
	}
	if slow := m.Histograms["service"].Above(stall / 3); slow != 1 {
		t.Errorf("%d requests took long by themselves", slow)
	}
}
