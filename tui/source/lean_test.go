package source

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
	"cw/state"
)

// A monitor looks at hosts and database only, in its own rhythm.
func TestLean(t *testing.T) {
	t.Parallel()
	f := newFarm(t, 1)
	srv := pgtest.Start(t)
	st := newStore(t)
	if _, err := st.CreateJob(t.Context(), state.Job{Kind: "load", Target: "db.t"}); err != nil {
		t.Fatal(err)
	}
	idle := srv.Connect(t, "postgres")
	if _, err := idle.Exec(t.Context(), "select 'secret'"); err != nil {
		t.Fatal(err)
	}
	w := watch(t, LiveOptions{
		Store: st, Cluster: "dw1", Hosts: f.hosts, ReadOnly: true, Lean: true, SampleEvery: 2 * time.Second, Application: "cw o'monitor",
		Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, srv.DSN("postgres")) },
	})
	var first time.Time
	s := w.until("two samples and the sessions", func(s *Snapshot) bool {
		h := s.Hosts.Items[0]
		if first.IsZero() {
			first = h.SampledAt
		}
		return !first.IsZero() && h.SampledAt.After(first) && !s.Sessions.CollectedAt.IsZero()
	})
	if d := s.Hosts.Items[0].SampledAt.Sub(first); d < 1500*time.Millisecond {
		t.Errorf("samples are %s apart", d)
	}
	if h := s.Hosts.Items[0]; h.CPUHist != nil || h.ClockOffset == nil || *h.ClockOffset < -5 || *h.ClockOffset > 1 || h.ClockError <= 0 {
		t.Errorf("host %+v", h)
	}
	if !s.Loads.CollectedAt.IsZero() || !s.Events.CollectedAt.IsZero() {
		t.Errorf("the store was read: %+v %+v", s.Loads, s.Events)
	}
	if len(s.Sessions.Items) == 0 {
		t.Error("no sessions")
	}
	for _, one := range s.Sessions.Items {
		if one.Query != "" {
			t.Errorf("a query: %q", one.Query)
		}
	}
	var n int
	if err := idle.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = 'cw o''monitor'").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d sessions of that name, %v", n, err)
	}
}

// While a monitor acts it tells what it sees, and a dashboard does not.
func TestOneTells(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	_, lease, err := st.Acquire(t.Context(), state.LeaseMonitor, "cw monitor")
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, LiveOptions{Store: st})
	for _, text := range []string{"one", "after it"} { // when the second is taken the first has been decided about
		w.l.note(state.Event{Kind: state.EventFault, Message: text, Data: about(text)})
		w.until("a look at what is to be told", func(*Snapshot) bool {
			w.l.mu.Lock()
			defer w.l.mu.Unlock()
			return len(w.l.watch.queue) == 0
		})
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.l.note(state.Event{Kind: state.EventFault, Message: "two", Data: about("y")})
	has := func(s *Snapshot, text string) bool {
		return slices.ContainsFunc(s.Events.Items, func(e Event) bool { return e.Message == text })
	}
	if s := w.until("the other event", func(s *Snapshot) bool { return has(s, "two") }); has(s, "one") {
		t.Errorf("%+v", s.Events.Items)
	}
}
