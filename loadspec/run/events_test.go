package run

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/state"
)

// recordedEvents runs a job that only reports, and returns its events.
func recordedEvents(t *testing.T, kind string, work func(Reporter) (*Result, error)) []state.Event {
	t.Helper()
	st, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	j, err := st.CreateJob(t.Context(), state.Job{Kind: kind, SpecFile: "x.yaml", Target: "dw:public.t", Control: state.Control{WantLimit: 5e6}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = recorded(t.Context(), st, j.ID, Options{}, nil, func(_ context.Context, o Options) (*Result, error) { return work(o.Reporter) })
	events, err := st.Events(t.Context(), state.EventFilter{Job: j.ID})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func kinds(events []state.Event) string {
	var out []string
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return strings.Join(out, " ")
}

func TestJobEvents(t *testing.T) {
	t.Parallel()
	done := func(rejected int64) *Result {
		return &Result{Progress: Progress{Bytes: 100, BytesTotal: 100, Rows: 7, Rejected: rejected, ObjectsTotal: 1}, ThisRun: 1500 * time.Millisecond}
	}
	for _, c := range []struct {
		name, kind, severity, message string
		res                           *Result
		err                           error
	}{
		{"done", "load-finished", state.Info, "finished: 7 rows, 100B in 1.5s", done(0), nil},
		{"rejected", "load-finished", state.Warning, "2 rows were rejected: cw load errors", done(2), nil},
		{"failed", "load-failed", state.Critical, "failed: no such table", nil, errors.New("no such table")},
		{"cancelled", "load-cancelled", state.Info, "cancelled", nil, fault.Wrap(fault.Interrupted, "", ErrCancelled)},
		{"interrupted", "load-interrupted", state.Warning, "interrupted", nil, fault.New(fault.Interrupted, "", "interrupted")},
		{"unload", "unload-finished", state.Info, "unload l", done(0), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			kind, _, _ := strings.Cut(c.kind, "-")
			events := recordedEvents(t, kind, func(Reporter) (*Result, error) { return c.res, c.err })
			if kinds(events) != kind+"-started "+c.kind {
				t.Fatalf("%s", kinds(events))
			}
			if s := events[0]; s.Data["limit"] != 5e6 || s.Data["spec"] != "x.yaml" || s.Data["by"] == "" {
				t.Errorf("%+v", s)
			}
			if e := events[1]; e.Severity != c.severity || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Message, "dw:public.t: ") {
				t.Errorf("%+v", e)
			}
		})
	}
}

// What happens in the middle is written, each thing once.
func TestJobEventsInTheMiddle(t *testing.T) {
	t.Parallel()
	events := recordedEvents(t, "load", func(r Reporter) (*Result, error) {
		p := Progress{Phase: PhaseLoad, BytesTotal: 1000, ObjectsTotal: 1, Limit: 5e6, ETASeconds: -1}
		r.Progress(p)
		p.Bytes, p.Paused = 50, true
		r.Progress(p)
		p.Bytes, p.Rate, p.Paused = 250, 1e6, false // two tenths further: one event
		r.Progress(p)
		p.Waiting = errors.New("connection refused")
		r.Progress(p)
		p.Waiting = errors.New("still refused")
		r.Progress(p)
		p.Waiting = nil
		r.Progress(p)
		p.Limit, p.Bytes = 4e6, 340 // a change of the limit is written with the wish, not here
		r.Progress(p)
		return &Result{Progress: p}, nil
	})
	if got, want := kinds(events), "load-started load-paused load-continued load-progress fault recovered load-progress load-finished"; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	if e := events[3]; !strings.Contains(e.Message, "25% of 1kB, 0 rows, 1MB/s, limit 5MB/s") || e.Data["bytes"] != 250.0 || e.Data["bytes_total"] != 1000.0 {
		t.Errorf("%+v", e)
	}
	if e := events[4]; e.Severity != state.Warning || !strings.Contains(e.Message, "connection refused") {
		t.Errorf("%+v", e)
	}
}

func TestMilestones(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	for _, c := range []struct {
		name         string
		took         time.Duration
		total        int64 // 0: nobody knows how much it is
		before       int64 // done by an earlier run
		least, most  int
		lastAtOrOver time.Duration
	}{
		{"a short load", 4 * time.Second, 1000, 0, 9, 9, 0},
		{"half of it was done", 4 * time.Second, 1000, 500, 4, 4, 0},
		{"an hour", time.Hour, 1000, 0, 40, 70, 50 * time.Minute},
		{"a day of unknown size", 24 * time.Hour, 0, 0, 80, 160, 20 * time.Hour},
		{"ten minutes of unknown size", 10 * time.Minute, 0, 0, 18, 20, 9 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var m milestone
			m.begin(start, c.before, c.total)
			n, last := 0, time.Duration(0)
			for at := time.Duration(0); at <= c.took; at += 250 * time.Millisecond {
				bytes := c.before + int64(float64(c.total-c.before)*float64(at)/float64(c.took))
				if m.reached(start.Add(at), bytes, c.total) {
					n, last = n+1, at
				}
			}
			if n < c.least || n > c.most || last < c.lastAtOrOver {
				t.Errorf("%d events, the last after %s; want %d to %d", n, last, c.least, c.most)
			}
		})
	}
}
