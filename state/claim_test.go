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
