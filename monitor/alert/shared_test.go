package alert

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cw/monitor"
	"cw/playground/pgtest"
	"cw/state"
)

// Two dispatchers on one store, and one that takes over from one that died
// with messages under way: each receiver hears everything once, also when it
// fails now and then.
func TestTwoDispatchers(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		twoDispatchers(t, filepath.Join(t.TempDir(), "state.db"), 100)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		twoDispatchers(t, pgtest.Start(t).DSN("postgres"), 100)
	})
}

// hearing counts how often a receiver heard something of an alert, and in how
// many messages of which names.
type hearing struct {
	mu    sync.Mutex
	heard map[string]int // receiver, alert and reason
	tries map[string]int // by message
	n     int
}

func (h *hearing) send(_ context.Context, r monitor.Receiver, n monitor.Notice) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	h.tries[n.ID]++
	if r.Name == "shaky" && h.tries[n.ID] == 1 && h.n%3 == 0 {
		return errors.New("try again")
	}
	for _, a := range n.Alerts {
		h.heard[r.Name+" "+a.Mark+" "+n.Status]++
	}
	return nil
}

func twoDispatchers(t *testing.T, dsn string, alerts int) {
	t.Helper()
	c, err := monitor.Parse("m.yaml", []byte(`
apiVersion: cw/v1
kind: Monitor
receivers: [{name: ops, exec: {command: x}}, {name: shaky, exec: {command: x}}]
routes: [{receivers: [ops, shaky], group_by: [host], group_wait: 100ms}]
`))
	if err != nil {
		t.Fatal(err)
	}
	h := &hearing{heard: map[string]int{}, tries: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	open := func() *state.Store {
		st, err := state.Open(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		return st
	}
	st := open()
	for range 2 {
		d := New(Options{Store: open(), Config: c, Send: h.send, Every: 50 * time.Millisecond})
		running.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	want := map[string]int{}
	for i := range alerts {
		a := state.Alert{Mark: fmt.Sprintf("m%03d", i), Rule: monitor.NodeDown, Severity: state.Warning, Cluster: "dw1", Host: fmt.Sprintf("h%d", i%7), Message: "down"}
		_, fired, err := st.FireAlert(ctx, a)
		if err != nil || !fired {
			t.Fatalf("%v, %v", fired, err)
		}
		for _, r := range []string{"ops", "shaky"} {
			want[r+" "+a.Mark+" "+monitor.Firing] = 1
		}
		if i%2 == 0 {
			continue
		}
		for _, r := range []string{"ops", "shaky"} {
			want[r+" "+a.Mark+" "+monitor.Resolved] = 1
		}
	}
	wait(t, h, want, monitor.Firing)
	all, err := st.Alerts(ctx, state.AlertFilter{Firing: true})
	if err != nil {
		t.Fatal(err)
	}
	// Resolved once both know of it: an end that came before would rightly be
	// told to nobody.
	recorded(t, st, 2*alerts)
	for _, a := range all {
		if want["ops "+a.Mark+" "+monitor.Resolved] == 0 {
			continue
		}
		if ok, err := st.ResolveAlert(ctx, a.ID, "well"); err != nil || !ok {
			t.Fatalf("%v, %v", ok, err)
		}
	}
	wait(t, h, want, "")
	recorded(t, st, 3*alerts)
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, n := range h.heard {
		if n != 1 || want[k] != 1 {
			t.Errorf("%s: %d times, want %d", k, n, want[k])
		}
	}
	if len(h.tries) >= 3*alerts {
		t.Errorf("%d messages for %d alerts: they are not grouped", len(h.tries), alerts)
	}
}

// wait waits until everything that is wanted of a status is heard.
func wait(t *testing.T, h *hearing, want map[string]int, status string) {
	t.Helper()
	until := time.Now().Add(time.Minute)
	for {
		missing := ""
		h.mu.Lock()
		for k := range want {
			if h.heard[k] == 0 && (status == "" || k[len(k)-len(status):] == status) {
				missing = k
			}
		}
		h.mu.Unlock()
		if missing == "" {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%s is not told", missing)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// recorded waits until so many deliveries are recorded as sent, and none else is
// under way.
func recorded(t *testing.T, st *state.Store, want int) {
	t.Helper()
	until := time.Now().Add(time.Minute)
	for {
		all, err := st.Deliveries(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for _, d := range all {
			if d.State == state.Sent {
				sent++
			}
		}
		if sent == want && len(all) == want {
			return
		}
		if time.Now().After(until) || sent > want {
			t.Fatalf("%d of %d deliveries are sent, want %d", sent, len(all), want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
