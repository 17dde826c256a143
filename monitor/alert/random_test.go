package alert

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"cw/monitor"
	"cw/state"
)

// Whatever happens in whatever order, with receivers that fail and monitors
// that are stopped and started, two at a time: in the end everybody knows how
// everything is, and heard nothing twice.
func TestRandomLives(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(w *world) { randomLife(w, rand.New(rand.NewPCG(seed, 1))) }) //nolint:gosec // not for secrets
		})
	}
}

func randomLife(w *world, r *rand.Rand) {
	w.every = 2 * time.Second
	calm := false
	mood := rand.New(rand.NewPCG(r.Uint64(), 2)) //nolint:gosec // not for secrets
	// What arrived, in its order.
	type heard struct {
		reason, severity string
	}
	arrived, messages := map[string][]heard{}, map[string]int{}
	w.a.fail = func(_ context.Context, receiver string, n monitor.Notice) error {
		w.a.mu.Lock()
		defer w.a.mu.Unlock()
		if !calm && mood.IntN(3) == 0 {
			return errors.New("not now")
		}
		messages[n.ID]++
		for _, a := range n.Alerts {
			arrived[receiver+" "+a.ID] = append(arrived[receiver+" "+a.ID], heard{n.Reason, a.Severity})
		}
		return nil
	}
	c := w.config("receivers: [{name: a, exec: {command: x}}, {name: b, exec: {command: x}}]\nroutes: [{receivers: [a, b], group_by: [host], repeat: 0}]")
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	firing, all := map[string]state.Alert{}, map[string]state.Alert{}
	for range 150 {
		object := fmt.Sprintf("o%d", r.IntN(6))
		switch k := r.IntN(12); {
		case k < 5:
			severity := []string{state.Warning, state.Critical}[r.IntN(2)]
			firing[object] = w.fire(object, severity, fmt.Sprintf("host=h%d", r.IntN(2)))
			all[firing[object].ID] = firing[object]
		case k < 8:
			if a, ok := firing[object]; ok {
				w.resolve(a)
				delete(firing, object)
			}
		case k == 8:
			if _, err := w.st.AddSilence(w.t.Context(), state.Silence{Host: "h0", Reason: "x"}, time.Duration(r.IntN(60))*time.Second); err != nil {
				w.t.Fatal(err)
			}
		case k < 11 && len(stops) < 2:
			_, stop := w.run(c)
			stops = append(stops, stop)
		case len(stops) > 0:
			stops[0]()
			stops = stops[1:]
		}
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
	}
	w.a.mu.Lock()
	calm = true
	w.a.mu.Unlock()
	_, stop := w.run(c)
	stops = append(stops, stop)
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	now, err := w.st.Alerts(w.t.Context(), state.AlertFilter{})
	if err != nil {
		w.t.Fatal(err)
	}
	told := 0
	for _, a := range now {
		for _, receiver := range []string{"a", "b"} {
			list := arrived[receiver+" "+a.ID]
			if len(list) == 0 {
				if a.ResolvedAt.IsZero() {
					w.t.Errorf("%s does not know of %s, which fires", receiver, a.Object)
				}
				continue
			}
			told++
			last := list[len(list)-1]
			if a.ResolvedAt.IsZero() != (last.reason != monitor.ReasonResolved) || last.severity != a.Severity {
				w.t.Errorf("%s was told last that %s is %v; it is %s, resolved %v", receiver, a.Object, last, a.Severity, a.ResolvedAt)
			}
			for i, h := range list {
				if h.reason == monitor.ReasonResolved && i != len(list)-1 {
					w.t.Errorf("%s heard of %s after its end: %v", receiver, a.Object, list)
				}
				if i == 0 && h.reason != monitor.ReasonFired {
					w.t.Errorf("%s heard first of %s: %v", receiver, a.Object, list)
				}
			}
		}
	}
	for id, n := range messages {
		if n != 1 {
			w.t.Errorf("message %s arrived %d times", id, n)
		}
	}
	if told < 10 || len(all) < 10 {
		w.t.Errorf("only %d were told of %d: nothing is tested", told, len(all))
	}
}
