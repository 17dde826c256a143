package state_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cw/state"
)

// A member is there until its time is over, keeps since when it is in its
// state, and is seen by whoever has the store.
func TestMembers(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		other := open(t, dsn)
		host := state.Member{Kind: state.MemberHost, Name: "dw/db1", Cluster: "dw", Host: "db1", State: "up"}
		gone := state.Member{Kind: state.MemberHost, Name: "dw/db0", Cluster: "dw", Host: "db0", State: "up"}
		if err := errors.Join(s.Heartbeat(ctx, time.Hour, host, state.Member{Kind: state.MemberMonitor, Name: "m"}), s.Heartbeat(ctx, -time.Second, gone)); err != nil {
			t.Fatal(err)
		}
		first, err := other.Members(ctx, state.MemberHost)
		if err != nil || len(first) != 1 || first[0].Host != "db1" || first[0].Since.IsZero() || first[0].Owner == "" {
			t.Fatalf("%+v, %v", first, err)
		}
		for _, c := range []struct {
			state string
			same  bool
		}{{"up", true}, {"silent", false}} {
			host.State = c.state
			if err := s.Heartbeat(ctx, time.Hour, host); err != nil {
				t.Fatal(err)
			}
			m, err := other.Members(ctx, state.MemberHost)
			if err != nil || m[0].State != c.state || m[0].Since.Equal(first[0].Since) != c.same || m[0].SeenAt.Before(first[0].SeenAt) {
				t.Errorf("%s: %+v, first %+v, %v", c.state, m, first, err)
			}
		}
		if err := other.Leave(ctx, state.MemberHost, "dw/db1"); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Members(ctx, ""); err != nil || len(all) != 1 || all[0].Kind != state.MemberMonitor {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// Of one mark one alert fires at a time and is told about once, however many
// say so at the same moment.
func TestAlerts(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		both := []*state.Store{s, open(t, dsn)}
		a := state.Alert{Mark: "host.silent|dw|db2", Rule: "host.silent", Severity: state.Warning, Cluster: "dw", Host: "db2", Message: "host db2 does not answer"}
		for round := range 2 { // it comes back after it was over
			var fired, ended atomic.Int32
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					_, ok, err := both[i%2].FireAlert(ctx, a)
					if err != nil {
						t.Error(err)
					}
					if ok {
						fired.Add(1)
					}
				})
			}
			wg.Wait()
			firing, err := s.Alerts(ctx, state.AlertFilter{Firing: true})
			if err != nil || len(firing) != 1 || fired.Load() != 1 {
				t.Fatalf("round %d: %d fired, %+v, %v", round, fired.Load(), firing, err)
			}
			worse := a
			worse.Severity, worse.Message = state.Critical, "host db2 does not answer; cluster dw is down"
			is, again, err := s.FireAlert(ctx, worse)
			if err != nil || again || is.ID != firing[0].ID || is.Severity != state.Critical || !is.UpdatedAt.After(is.FiredAt) {
				t.Errorf("round %d: worse %+v, %v, %v", round, is, again, err)
			}
			for i := range 8 {
				wg.Go(func() {
					ok, err := both[i%2].ResolveAlert(ctx, is.ID, "host db2 answers again")
					if err != nil {
						t.Error(err)
					}
					if ok {
						ended.Add(1)
					}
				})
			}
			wg.Wait()
			if ended.Load() != 1 {
				t.Errorf("round %d: resolved %d times", round, ended.Load())
			}
		}
		got := ""
		events, err := s.Events(ctx, state.EventFilter{Cluster: "dw"})
		for _, e := range events {
			got += e.Kind + " " + e.Severity + "\n"
		}
		if want := "alert warning\nalert-resolved info\nalert warning\nalert-resolved info\n"; got != want || err != nil {
			t.Errorf("events:\n%s%v", got, err)
		}
		all, err := s.Alerts(ctx, state.AlertFilter{Cluster: "dw", Since: time.Now().Add(-time.Hour)})
		if err != nil || len(all) != 2 || all[0].ResolvedAt.IsZero() || all[0].Message != "host db2 does not answer; cluster dw is down" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestSilences(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		q, err := s.AddSilence(ctx, state.Silence{Cluster: "dw*", Rule: "disk.*", Reason: "new disks"}, time.Hour)
		if err != nil || q.ID == "" || q.Owner != s.Who() {
			t.Fatalf("%+v, %v", q, err)
		}
		if _, err := s.AddSilence(ctx, state.Silence{Reason: "over"}, -time.Second); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Silences(ctx); err != nil || len(all) != 1 || all[0].ID != q.ID || all[0].Cluster != "dw*" || all[0].Until.UnixMicro() != q.Until.UnixMicro() {
			t.Errorf("%+v, want %+v, %v", all, q, err)
		}
		if err := s.EndSilence(ctx, q.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.EndSilence(ctx, q.ID); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("ended twice: %v", err)
		}
		if all, err := s.Silences(ctx); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		if e, err := s.Events(ctx, state.EventFilter{Kinds: []string{state.EventSilenced}}); err != nil || len(e) != 3 {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// What is over goes after its time, in batches; what goes on stays.
func TestPrune(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		var samples []state.Sample
		for i := range 4500 { // more than two batches
			samples = append(samples, state.Sample{Cluster: "dw", Host: "db1", Object: "/data", Metric: state.MetricDiskUsed, At: time.Now().Add(-time.Hour), Value: float64(i)})
		}
		samples = append(samples, state.Sample{Cluster: "dw", Host: "db1", Object: "/data", Metric: state.MetricDiskUsed, Value: 1.5})
		if err := s.AddSamples(ctx, samples...); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			a, _, err := s.FireAlert(ctx, state.Alert{Mark: fmt.Sprint(i), Rule: "disk.full", Severity: state.Warning, Message: "full"})
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				if _, err := s.ResolveAlert(ctx, a.ID, "well"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n, err := s.Prune(ctx, state.Retention{}); n != 0 || err != nil {
			t.Errorf("for ever dropped %d, %v", n, err)
		}
		n, err := s.Prune(ctx, state.Retention{Events: time.Hour, Alerts: time.Nanosecond, Samples: 30 * time.Minute, Jobs: time.Hour, Audit: time.Hour})
		if want := int64(4500 + 2); n != want || err != nil {
			t.Errorf("dropped %d, want %d, %v", n, want, err)
		}
		if st, err := os.Stat(dsn); err == nil && st.Size() > 300e3 { // a SQLite file with the samples has 600 kB
			t.Errorf("the file has %d bytes", st.Size())
		}
		left, err := s.Samples(ctx, "dw", state.MetricDiskUsed, time.Time{})
		if err != nil || len(left) != 1 || left[0].Value != 1.5 {
			t.Errorf("%+v, %v", left, err)
		}
		if all, err := s.Alerts(ctx, state.AlertFilter{}); err != nil || len(all) != 1 || all[0].Mark != "0" {
			t.Errorf("%+v, %v", all, err)
		}
		if e, err := s.Events(ctx, state.EventFilter{}); err != nil || len(e) != 5 {
			t.Errorf("%d events, %v", len(e), err)
		}
	})
}
