package state_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"cw/state"
)

func TestClaims(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		other := open(t, dsn)
		claim := func(s *state.Store, stale, retry time.Duration, notices ...string) state.Claim {
			t.Helper()
			c, err := s.ClaimDeliveries(ctx, "ops", notices, stale, retry)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		finish := func(s *state.Store, c state.Claim, how string) bool {
			t.Helper()
			mine, err := s.FinishDeliveries(ctx, c, how, "x")
			if err != nil {
				t.Fatal(err)
			}
			return mine
		}
		first := claim(s, time.Hour, 0, "b", "a", "b")
		if !slices.Equal(first.Notices, []string{"a", "b"}) || first.Tries != 1 {
			t.Fatalf("%+v", first)
		}
		if c := claim(other, time.Hour, 0, "a", "b", "c"); !slices.Equal(c.Notices, []string{"c"}) {
			t.Errorf("what another one sends: %+v", c)
		}
		// The claim of one that is gone is taken over as it was, and the one
		// that was only slow changes nothing any more.
		taken := claim(other, 0, 0, "a", "b")
		if !slices.Equal(taken.Notices, first.Notices) || taken.Tries != 2 {
			t.Errorf("taken over: %+v", taken)
		}
		if finish(s, first, state.TryLater) || !finish(other, taken, state.TryLater) {
			t.Error("who had lost a claim finished it")
		}
		if c := claim(s, 0, time.Hour, "a", "b"); len(c.Notices) != 0 {
			t.Errorf("before it is due: %+v", c)
		}
		again := claim(s, time.Hour, 0, "a", "b")
		if again.Tries != 3 || !finish(s, again, state.Sent) {
			t.Errorf("again: %+v", again)
		}
		if c := claim(other, 0, 0, "a", "b"); len(c.Notices) != 0 {
			t.Errorf("what was sent: %+v", c)
		}
		all, err := s.Deliveries(ctx, time.Time{})
		if err != nil || len(all) != 3 {
			t.Fatalf("%v, %v", all, err)
		}
		// Many at a time want the same many: each has one owner, and nobody
		// waits for ever for another.
		var want []string
		for i := range 60 {
			want = append(want, fmt.Sprintf("n%02d", i))
		}
		got := make([][]string, 8)
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				mine := slices.Clone(want)
				if i%2 == 1 {
					slices.Reverse(mine)
				}
				st := []*state.Store{s, other}[i/2%2]
				c, err := st.ClaimDeliveries(ctx, "mail", mine, time.Hour, 0)
				if err != nil {
					t.Error(err)
				}
				got[i] = c.Notices
			})
		}
		wg.Wait()
		owners := 0
		for _, g := range got {
			if len(g) > 0 {
				owners++
			}
		}
		if joined := slices.Concat(got...); owners != 1 || len(joined) != len(want) {
			t.Errorf("%d have %d of %d", owners, len(joined), len(want))
		}
	})
}

// What was told of an alert that fires stays however long it does: without it
// the alert would be told again.
func TestPruneKeepsWhatWasTold(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		a, _, err := s.FireAlert(ctx, state.Alert{Mark: "m", Rule: "node.down", Severity: state.Warning})
		if err != nil {
			t.Fatal(err)
		}
		left := func() (names []string) {
			t.Helper()
			if _, err := s.Prune(ctx, state.Retention{Alerts: time.Microsecond}); err != nil {
				t.Fatal(err)
			}
			all, err := s.Deliveries(ctx, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				names = append(names, d.Notice)
			}
			return names
		}
		if _, err := s.ClaimDeliveries(ctx, "ops", []string{a.ID + "/s1", a.ID + "x/s1", "other/end"}, time.Hour, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // for the retention of a microsecond
		if got := left(); !slices.Equal(got, []string{a.ID + "/s1"}) {
			t.Errorf("while it fires: %q", got)
		}
		if _, err := s.ResolveAlert(ctx, a.ID, "well"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if got := left(); len(got) != 0 {
			t.Errorf("when it is over: %q", got)
		}
	})
}
