package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"cw/fault"
)

func fakeHosts(n int) []*Host {
	pool := NewPool(Options{})
	hosts := make([]*Host, n)
	for i := range hosts {
		hosts[i] = pool.Host(Target{Name: fmt.Sprint("h", i), Address: "127.0.0.1"})
	}
	return hosts
}

func TestEachKeepsTheOrderAndTheLimit(t *testing.T) {
	t.Parallel()
	var now, peak atomic.Int32
	got, err := Each(t.Context(), fakeHosts(20), 3, func(_ context.Context, h *Host) (string, error) {
		n := now.Add(1)
		for {
			p := peak.Load()
			if n <= p || peak.CompareAndSwap(p, n) {
				break
			}
		}
		defer now.Add(-1)
		return h.Name(), nil
	})
	if err != nil || peak.Load() > 3 {
		t.Errorf("%v, %d at once", err, peak.Load())
	}
	for i, name := range got {
		if name != fmt.Sprint("h", i) {
			t.Errorf("result %d is of %s", i, name)
		}
	}
}

func TestEachReportsAllFailures(t *testing.T) {
	t.Parallel()
	refused := func(name string) error {
		return &SudoError{Host: name, User: "u", As: "root", Text: "no"}
	}
	fail := func(which ...string) error {
		_, err := Each(t.Context(), fakeHosts(3), 0, func(_ context.Context, h *Host) (int, error) {
			for _, w := range which {
				if h.Name() == w {
					return 0, refused(w)
				}
			}
			return 1, nil
		})
		return err
	}
	if err := fail(); err != nil {
		t.Error(err)
	}
	err := fail("h0", "h2")
	want := "2 of 3 hosts failed\n  h0: user u may not run commands as root: no\n  h2: user u may not run commands as root: no"
	if err == nil || err.Error() != want || fault.KindOf(err) != fault.Partial || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if err := fail("h0", "h1", "h2"); fault.KindOf(err) != fault.Auth {
		t.Errorf("kind of all failing alike: %d", fault.KindOf(err))
	}
}

func TestEachStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Each(ctx, fakeHosts(2), 0, func(context.Context, *Host) (int, error) {
		t.Error("called")
		return 0, nil
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 of 2") {
		t.Errorf("got %v", err)
	}
}
