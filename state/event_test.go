package state_test

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/state"
)

// Every constant of a kind is in the table, once, with a sentence.
func TestEventKinds(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("eventkind.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared, listed []string
	for _, m := range regexp.MustCompile(`(?m)^\tEvent\w+ += "([\w-]+)"`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, m[1])
	}
	for _, k := range state.EventKinds() {
		listed = append(listed, k.Kind)
		if !slices.Contains(state.Severities(), k.Severity) || !strings.HasSuffix(k.Meaning, ".") {
			t.Errorf("%+v", k)
		}
	}
	if len(declared) < 30 || !slices.Equal(declared, listed) {
		t.Errorf("declared %v\nlisted   %v", declared, listed)
	}
}

func TestEventFilter(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		for _, e := range []state.Event{
			{Kind: state.EventCreated, Cluster: "dw", Message: "a"},
			{Kind: state.EventFault, Cluster: "dw", Message: "b"},
			{Kind: state.EventLoadStarted, Job: "l1", Message: "c"},
			{Kind: state.EventFault, Severity: state.Warning, Job: "l1", Message: "d"},
		} {
			if err := s.AddEvent(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			f    state.EventFilter
			want string
		}{
			{state.EventFilter{}, "abcd"},
			{state.EventFilter{Cluster: "dw"}, "ab"},
			{state.EventFilter{Job: "l1"}, "cd"},
			{state.EventFilter{Kinds: []string{state.EventFault}}, "bd"},
			{state.EventFilter{Kinds: []string{state.EventFault, state.EventCreated}, Limit: 2}, "bd"},
			{state.EventFilter{Severities: []string{state.Critical}}, "b"}, // the kind's usual one
			{state.EventFilter{Severities: []string{state.Warning, state.Critical}, Job: "l1"}, "d"},
			{state.EventFilter{Since: time.Now().Add(time.Hour)}, ""},
			{state.EventFilter{Since: time.Now().Add(-time.Hour), Limit: 1}, "d"},
			{state.EventFilter{Cluster: "other"}, ""},
		} {
			got := ""
			events, err := s.Events(ctx, c.f)
			for _, e := range events {
				got += e.Message
			}
			if err != nil || got != c.want {
				t.Errorf("%+v: %q, want %q (%v)", c.f, got, c.want, err)
			}
		}
	})
}

// Watchers that see one thing at the same moment write it once.
func TestAddEventOnce(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		other := open(t, dsn)
		e := state.Event{Kind: state.EventFault, Cluster: "dw", Host: "db2", Message: "db2 does not answer"}
		var wg sync.WaitGroup
		var mu sync.Mutex
		written := 0
		for i := range 8 {
			wg.Go(func() {
				added, err := []*state.Store{s, other}[i%2].AddEventOnce(ctx, e, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if added {
					mu.Lock()
					written++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if found, err := s.Events(ctx, state.EventFilter{}); err != nil || len(found) != 1 || written != 1 {
			t.Fatalf("%d written, %d found: %v", written, len(found), err)
		}
		for _, c := range []struct {
			e      state.Event
			within time.Duration
			want   bool
		}{
			{state.Event{Kind: state.EventFault, Cluster: "dw", Host: "db3", Message: e.Message}, time.Minute, true},
			{state.Event{Kind: state.EventFault, Cluster: "dw", Host: "db2", Message: "its disk is full"}, time.Minute, true},
			{e, time.Minute, true}, // something else was said in between
			{e, time.Minute, false},
			{e, 0, true}, // and nothing that is as young as that
		} {
			if added, err := s.AddEventOnce(ctx, c.e, c.within); err != nil || added != c.want {
				t.Errorf("%+v: added %v, want %v (%v)", c.e, added, c.want, err)
			}
		}
	})
}

// A change of a limit says who made it, from what to what; no change is none.
func TestLimitChangedEvent(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		j, err := s.CreateJob(ctx, state.Job{Kind: "load", Control: state.Control{WantLimit: 200e6}})
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int64{50e6, 50e6, 0} {
			if err := s.SetJobLimit(ctx, j.ID, limit); err != nil {
				t.Fatal(err)
			}
			if c, err := s.JobControl(ctx, j.ID); err != nil || c.WantLimit != limit {
				t.Fatalf("limit %d, want %d (%v)", c.WantLimit, limit, err)
			}
		}
		if err := s.SetJobLimit(ctx, "lnone", 1); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("a job that is not there: %v", err)
		}
		got, err := s.Events(ctx, state.EventFilter{Job: j.ID})
		if err != nil || len(got) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if e := got[0]; e.Kind != state.EventLimitChanged || e.Severity != state.Info || e.Data["from"] != 200e6 || e.Data["to"] != 50e6 ||
			e.Data["by"] != s.Who() || e.Message != "limit of load "+j.ID+" changed from 200MB/s to 50MB/s by "+s.Who() {
			t.Errorf("%+v", e)
		}
		if e := got[1]; !strings.Contains(e.Message, "from 50MB/s to none by ") {
			t.Errorf("%+v", e)
		}
	})
}
