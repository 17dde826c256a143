package state_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"cw/state"
)

// What an error or a message carries of a secret is in no byte of the store,
// whoever wrote it.
func TestStoreKeepsNoSecret(t *testing.T) {
	t.Parallel()
	const text = "connect postgres://dw:hunter2@db/x: password=hunter2"
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		j, err := s.CreateJob(ctx, state.Job{Kind: "load", SpecFile: "x.yaml"})
		must(t, err)
		must(t, s.FinishJob(ctx, j.ID, state.Failed, text, ""))
		r, err := s.StartRun(ctx, "dw1", "create", "")
		must(t, err)
		must(t, s.RecordStep(ctx, state.StepRecord{Run: r.ID, Step: "a", State: state.Failed, Observed: text, Error: text}))
		must(t, s.FinishRun(ctx, r.ID, state.Failed, text))
		e := state.Event{Kind: state.EventAlert, Message: text, Data: map[string]any{"error": text, "all": []string{text}, "n": 1}}
		must(t, s.AddEvent(ctx, e))
		a, _, err := s.FireAlert(ctx, state.Alert{Mark: "m", Rule: "node.down", Severity: state.Warning, Message: text, Remedy: text})
		must(t, err)
		if again, fired, err := s.FireAlert(ctx, state.Alert{Mark: "m", Rule: "node.down", Severity: state.Critical, Message: text, Remedy: text}); err != nil || fired || again.ID != a.ID {
			t.Errorf("the same alert once more: %+v, %v, %v", again, fired, err)
		}
		_, err = s.ResolveAlert(ctx, a.ID, text)
		must(t, err)
		e.Kind, e.Message = state.EventNotTold, "once: "+text
		for _, want := range []bool{true, false} {
			if added, err := s.AddEventOnce(ctx, e, time.Hour); err != nil || added != want {
				t.Errorf("added %v, want %v; %v", added, want, err)
			}
		}
		events, err := s.Events(ctx, state.EventFilter{})
		must(t, err)
		if len(events) < 4 {
			t.Errorf("%d events, want 4 at least", len(events))
		}
		for _, e := range events {
			if bytes.Contains([]byte(e.Message), []byte("hunter2")) {
				t.Errorf("event %s says %q", e.Kind, e.Message)
			}
		}
		if dsn[0] != '/' {
			return // a PostgreSQL's files are not ours to read
		}
		for _, name := range []string{dsn, dsn + "-wal"} {
			if all, err := os.ReadFile(name); err == nil && bytes.Contains(all, []byte("hunter2")) {
				t.Errorf("%s has the secret", name)
			}
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
