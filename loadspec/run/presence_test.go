package run

import (
	"path/filepath"
	"testing"
	"time"

	"cw/state"
)

// The machines of a job are seen by everybody with its store while it runs,
// and not after; those of PARALLEL.HOSTS take the place of this one.
func TestPresence(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "state.db")
	st, err := state.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	r := &recorder{ctx: ctx, st: st, id: "l1", warn: func(err error) { t.Error(err) }}
	seen := func() []Worker {
		t.Helper()
		all, err := Workers(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		return all["l1"]
	}
	r.here(Progress{Bytes: 5, Rate: 2})
	if w := seen(); len(w) != 1 || w[0].Rate != 2 || w[0].Bytes != 5 || time.Since(w[0].SeenAt) > time.Minute {
		t.Fatalf("%+v", w)
	}
	r.here(Progress{Bytes: 7}) // too soon to be told
	if w := seen(); w[0].Bytes != 5 {
		t.Errorf("%+v", w)
	}
	r.elsewhere([]Worker{{Host: "etl1", Rate: 1e6}, {Host: "etl2", Silent: true}})
	r.here(Progress{Bytes: 9})
	if w := seen(); len(w) != 2 || w[0].Host != "etl1" || w[0].Rate != 1e6 || !w[1].Silent {
		t.Errorf("%+v", w)
	}
	r.workers.leave(r)
	if w := seen(); len(w) != 0 {
		t.Errorf("%+v", w)
	}
}
