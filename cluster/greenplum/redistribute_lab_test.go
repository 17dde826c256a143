package greenplum_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cluster/redistribute"
	"cw/fault"
	"cw/state"
)

// TestRedistribution moves tables on hosts behind SSH, to fewer segments and
// back, with controllers that are interrupted and paused.
func TestRedistribution(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 2, mirrors: none, data_dirs: [/data]")
	w.create()
	w.sql(1, `create schema "Odd name";
create table t as select i, md5(i::text) x from generate_series(1, 20000) i distributed by (i);
create table "Odd name"."o'x" as select i from generate_series(1, 500) i distributed by (i);
create table rep(a int) distributed replicated; insert into rep values (1), (2);
create table parts(a int, d int) distributed by (a) partition by range(d) (start (0) end (100) every (20));
insert into parts select i, i % 100 from generate_series(1, 5000) i;
do $$ begin for i in 1..60 loop execute 'create table s' || i || ' as select generate_series(1, 50) a distributed by (a)'; end loop; end $$;`)
	sum := func() string {
		return w.sql(1, `select count(*) || ' ' || sum(hashtext(t::text)::int8) from t; select sum(i) from "Odd name"."o'x"; select count(*) from rep; select count(*) || ' ' || sum(a * d) from parts; select sum(a) from s7; select count(*) from t x join t y using (i);`)
	}
	before := sum()
	ctx := t.Context()
	plan, err := w.m.PlanRedistribution(ctx, "gp", redistribute.Options{Target: 2})
	if err != nil || len(plan) != 64 || plan[0].State != redistribute.Pending || plan[0].Segments != 4 {
		t.Fatalf("%d tables, %v", len(plan), err)
	}
	interrupted, cancel := context.WithCancelCause(ctx)
	var once sync.Once
	_, err = w.m.Redistribute(interrupted, "gp", redistribute.Options{Target: 2, Parallel: 2}, func(p redistribute.Progress) {
		if len(p.Moving) > 0 || p.Moved > 0 {
			once.Do(func() { cancel(fault.New(fault.Interrupted, "", "interrupted")) })
		}
	})
	if err == nil || sum() != before {
		t.Fatalf("interrupted: %v, %s, not %s", err, sum(), before)
	}
	if hint := fault.HintOf(err); !strings.Contains(hint, "cw cluster expand continue gp") {
		t.Errorf("hint %q", hint)
	}
	o, unfinished, err := w.m.UnfinishedRedistribution(ctx, "gp")
	if err != nil || !unfinished || o.Target != 2 {
		t.Fatalf("%+v %t %v", o, unfinished, err)
	}
	if op, err := w.m.Resume(ctx, "gp"); err != nil || op.Nothing == "" {
		t.Errorf("resume of the other verbs has something to do: %+v %v", op, err)
	}
	for _, target := range []int{2, 4} {
		started := time.Now()
		p, err := w.m.Redistribute(ctx, "gp", redistribute.Options{Target: target, Parallel: 2, MaxBusy: 1, MaxLag: 1 << 30}, nil)
		if err != nil || !p.Done() || p.Tables != 64 {
			t.Fatalf("to %d: %+v %v", target, p, err)
		}
		t.Logf("%d tables to %d segments in %s", p.Tables, target, time.Since(started))
		if sum() != before {
			t.Errorf("on %d: %s, not %s", target, sum(), before)
		}
		if segments := w.sql(1, "select count(distinct gp_segment_id) from t;"); segments != fmt.Sprint(target) {
			t.Errorf("t is on %s segments", segments)
		}
	}
	kinds := map[string]bool{}
	events, err := w.m.Store.Events(ctx, state.EventFilter{Cluster: "gp"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		kinds[e.Kind] = true
	}
	if !kinds[state.EventMovesStarted] || !kinds[state.EventMovesFinished] {
		t.Errorf("events %v", kinds)
	}
	w.status("up")
}
