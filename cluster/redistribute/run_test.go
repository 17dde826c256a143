package redistribute

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/playground/gptest"
)

// traffic writes and reads until it is stopped: rows go to table live, and a
// read must find all that was committed before it, in one piece.
type traffic struct {
	stop   context.CancelFunc
	done   sync.WaitGroup
	wrote  atomic.Int64
	read   atomic.Int64
	faults sync.Map
}

func newTraffic(t testing.TB, c *gptest.Cluster) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &traffic{stop: stop}
	writer, reader := c.Connect(t, "postgres"), c.Connect(t, "postgres")
	f.done.Go(func() {
		for n := int64(1); ctx.Err() == nil; n++ {
			_, err := writer.Exec(ctx, "insert into live select $1::int8, i from generate_series(1, 20) i", n)
			if err == nil {
				_, err = writer.Exec(ctx, "update live set v = v + 1 where n = $1", n)
			}
			if err != nil {
				if ctx.Err() == nil {
					f.faults.Store("write: "+err.Error(), true)
				}
				return
			}
			f.wrote.Store(n)
		}
	})
	f.done.Go(func() {
		for ctx.Err() == nil {
			atLeast := f.wrote.Load()
			var rows, groups, joined int64
			err := reader.QueryRow(ctx, "select count(*), count(distinct n), (select count(*) from live x join live y on x.n = y.n and x.v = y.v) from live").Scan(&rows, &groups, &joined)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				f.faults.Store("read: "+err.Error(), true)
				return
			case rows != 20*groups || groups < atLeast:
				f.faults.Store(fmt.Sprintf("%d rows of %d groups were read, when %d had been written", rows, groups, atLeast), true)
			}
			f.read.Add(1)
		}
	})
	return f
}

// end stops the traffic and checks what it left.
func (f *traffic) end(t testing.TB, c *pgx.Conn) {
	t.Helper()
	f.stop()
	f.done.Wait()
	f.faults.Range(func(k, _ any) bool { t.Error(k); return true })
	var rows, sum, wrote int64
	wrote = f.wrote.Load()
	if err := c.QueryRow(t.Context(), "select count(*), coalesce(sum(v), 0) from live where n <= $1", wrote).Scan(&rows, &sum); err != nil || rows != 20*wrote || sum != 230*wrote {
		t.Errorf("live has %d rows with sum %d, %d writes make %d and %d: %v", rows, sum, wrote, 20*wrote, 230*wrote, err)
	}
	if wrote == 0 || f.read.Load() == 0 {
		t.Errorf("%d writes and %d reads: that was no traffic", wrote, f.read.Load())
	}
}

func TestRunDownAndUpUnderTraffic(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 4)
	c.Exec(t, "postgres", zoo)
	c.Exec(t, "postgres", "create table live(n int8, v int) distributed by (n)")
	c.Exec(t, "postgres", `create database "Other'DB" encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0`)
	other := c.Connect(t, "Other'DB")
	for _, sql := range []string{"set client_encoding = 'UTF8'", `create table "Straße" as select generate_series(1, 100) a distributed by (a)`} {
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	c.Exec(t, "postgres", `alter database "Other'DB" set default_transaction_read_only = on`)
	open := c.Connect(t, "postgres")
	before := sums(t, open, tablesOf)
	cl := real{Cluster: c}
	for _, target := range []int{2, 4} {
		c.Exec(t, "postgres", "truncate live")
		f := newTraffic(t, c)
		p, err := Run(t.Context(), cl, Options{Target: target, Parallel: 3, LockTimeout: 5 * time.Second, Analyze: target == 4, By: "the test"}, func(p Progress) {
			if testing.Verbose() {
				t.Logf("%s %d of %d, %d moving, waiting %s", time.Now().Format("05.000"), p.Moved, p.Tables, len(p.Moving), p.Waiting)
				for _, m := range p.Moving {
					t.Logf("   %s %d %s", m.Name, m.Attempts, m.Error)
				}
			}
		})
		if err != nil || !p.Done() || p.Moved != p.Tables || p.Tables < 23 {
			t.Fatalf("to %d: %+v %v", target, p, err)
		}
		f.end(t, open)
		what := fmt.Sprintf("on %d", target)
		same(t, what, sums(t, open, tablesOf), before)
		placed(t, c, open, target)
		if err := Verify(t.Context(), cl, target); err != nil {
			t.Error(err)
		}
		st, tables, err := Status(t.Context(), cl)
		if !slices.ContainsFunc(tables, func(x Table) bool {
			return x.Database == "Other'DB" && x.Name == `public."Straße"` && x.Segments == target
		}) {
			t.Errorf("%+v", tables)
		}
		if err != nil || !st.Done() || st.Active || st.Target != target || len(tables) != p.Tables {
			t.Errorf("status %+v of %d tables, %v", st, len(tables), err)
		}
	}
	c.Exec(t, "postgres", "update cw_expand.control set cluster = 'another', target = 2")
	if st, _, err := Status(t.Context(), cl); err != nil || st.Target != 4 || !st.Done() {
		t.Errorf("status after the cluster has changed: %+v %v", st, err)
	}
	if err := clean(t.Context(), cl); err != nil {
		t.Error(err)
	}
}

// TestEndedAnywhere ends controllers at random moments, and goes on.
func TestEndedAnywhere(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 4)
	c.Exec(t, "postgres", zoo)
	open := c.Connect(t, "postgres")
	before := sums(t, open, tablesOf)
	cl := real{Cluster: c}
	random := rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano()))) //nolint:gosec // a schedule
	ended := 0
	for round := range 10 {
		target := 2 + 2*(round%2)
		for attempt := 0; ; attempt++ {
			ctx, cancel := context.WithCancel(t.Context())
			if attempt < 3 {
				after := time.Duration(random.IntN(1200)) * time.Millisecond
				timer := time.AfterFunc(after, cancel)
				defer timer.Stop()
			}
			p, err := Run(ctx, cl, Options{Target: target, Parallel: 2}, nil)
			cancel()
			if err == nil {
				if !p.Done() {
					t.Fatalf("done with %+v", p)
				}
				break
			}
			if ctx.Err() == nil || attempt == 3 {
				t.Fatal(err)
			}
			ended++
			same(t, "ended", sums(t, open, tablesOf), before)
		}
		same(t, "done", sums(t, open, tablesOf), before)
		placed(t, c, open, target)
	}
	t.Logf("%d of the controllers were ended", ended)
	if ended == 0 {
		t.Error("no controller was ended")
	}
}

func TestSecondControllerBlockedTablesAndPause(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 3)
	c.Exec(t, "postgres", "create table a as select generate_series(1, 100) i distributed by (i); create table b as select generate_series(1, 100) i distributed by (i); create table bad(i int) distributed by (i); insert into bad values (1), (2), (3), (4), (5), (6), (7), (8), (9)")
	c.Exec(t, "postgres", "alter table bad add constraint no check (i > 100) not valid")
	cl := real{Cluster: c}
	holder := c.Connect(t, "postgres")
	if _, err := holder.Exec(t.Context(), "begin; lock table a in access share mode"); err != nil {
		t.Fatal(err)
	}
	o := Options{Target: 2, LockTimeout: 200 * time.Millisecond, Attempts: 3, By: "first"}
	type result struct {
		p   Progress
		err error
	}
	results := make(chan result, 1)
	var blocked, paused sync.Once
	isBlocked, isPaused := make(chan struct{}), make(chan struct{})
	go func() {
		p, err := Run(t.Context(), cl, o, func(p Progress) {
			if p.Moved == 1 && len(p.Quarantined) == 1 && len(p.Moving) == 0 {
				blocked.Do(func() { close(isBlocked) })
			}
			if p.Paused {
				paused.Do(func() { close(isPaused) })
			}
		})
		results <- result{p, err}
	}()
	await := func(ch chan struct{}) {
		t.Helper()
		select {
		case <-ch:
		case r := <-results:
			t.Fatalf("ended too early: %+v %v", r.p, r.err)
		case <-time.After(time.Minute):
			t.Fatal("waited in vain")
		}
	}
	await(isBlocked)
	var runs *RunsError
	if _, err := Run(t.Context(), cl, o, nil); !errors.As(err, &runs) || runs.By != "first" || fault.KindOf(err) != fault.Locked {
		t.Errorf("second controller: %v", err)
	}
	if err := clean(t.Context(), cl); fault.KindOf(err) != fault.Locked {
		t.Errorf("clean: %v", err)
	}
	if err := Pause(t.Context(), cl, "an operator", true); err != nil {
		t.Fatal(err)
	}
	await(isPaused)
	if p, _, err := Status(t.Context(), cl); err != nil || !p.Active || !p.Paused {
		t.Errorf("status %+v %v", p, err)
	}
	if _, err := holder.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	if active, err := Continue(t.Context(), cl, "an operator"); err != nil || !active {
		t.Errorf("continue: %t %v", active, err)
	}
	r := <-results
	if fault.KindOf(r.err) != fault.Partial || r.p.Moved != 2 || len(r.p.Quarantined) != 1 || r.p.Quarantined[0].Name != "public.bad" || !strings.Contains(r.p.Quarantined[0].Error, "violates check constraint") {
		t.Errorf("%+v %v", r.p, r.err)
	}
	c.Exec(t, "postgres", "alter table bad drop constraint no")
	if p, err := Run(t.Context(), cl, o, nil); err != nil || !p.Done() {
		t.Errorf("afterwards: %+v %v", p, err)
	}
}

func TestRanksClosedDatabasesAndNumbersOfTheCluster(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 3)
	c.Exec(t, "postgres", "create table a(i int) distributed by (i); create table b(i int) distributed by (i); create table z(i int) distributed by (i); create table o(i int) with oids distributed by (i)")
	c.Exec(t, "postgres", "create database closed")
	c.Exec(t, "postgres", "set allow_system_table_mods = on; update pg_database set datallowconn = false where datname = 'closed'")
	cl := real{Cluster: c}
	o := Options{Target: 2}
	plan, err := Plan(t.Context(), cl, o)
	reasons := map[string]string{}
	for _, x := range plan {
		if x.State == Refused {
			reasons[x.Database+"."+x.Name] = x.Error
		}
	}
	if err != nil || len(reasons) != 2 || !strings.Contains(reasons["postgres.public.o"], "set without oids") || !strings.Contains(reasons["closed."], "datallowconn = true") {
		t.Fatalf("%v %v", reasons, err)
	}
	if err := writeDown(t.Context(), cl, o); err != nil {
		t.Fatal(err)
	}
	c.Exec(t, "postgres", "update cw_expand.tables set rank = -1 where name = 'public.z'; update cw_expand.tables set rank = 3 where name = 'public.a'")
	p, err := Run(t.Context(), cl, o, nil)
	if fault.KindOf(err) != fault.Partial || p.Moved != 3 || len(p.Refused) != 2 {
		t.Fatalf("%+v %v", p, err)
	}
	_, tables, err := Status(t.Context(), cl)
	at := map[string]time.Time{}
	for _, x := range tables {
		if x.Finished != nil {
			at[x.Name] = *x.Finished
		}
	}
	if err != nil || !at["public.z"].Before(at["public.b"]) || !at["public.b"].Before(at["public.a"]) {
		t.Errorf("%v %v", at, err)
	}
	if err := Verify(t.Context(), cl, 2); fault.KindOf(err) != fault.Check {
		t.Errorf("verify: %v", err)
	}
	c.Exec(t, "postgres", "alter table o set without oids")
	c.Exec(t, "postgres", "set allow_system_table_mods = on; update pg_database set datallowconn = true where datname = 'closed'")
	if p, err := Run(t.Context(), cl, o, nil); err != nil || !p.Done() {
		t.Errorf("%+v %v", p, err)
	}
	b, err := openBook(t.Context(), cl, 2, true, "the test")
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	free, err := b.free(t.Context())
	lag, lagErr := b.lag(t.Context())
	if err != nil || lagErr != nil || free < 10 || free > 57 || lag != 0 {
		t.Errorf("%d connections free %v, %d bytes behind %v", free, err, lag, lagErr)
	}
}

// TestSegmentThatCrashes has a segment fall over while tables are moved, in both
// directions: what was being moved is as it was, and is moved afterwards.
func TestSegmentThatCrashes(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 4)
	c.Exec(t, "postgres", zoo)
	c.Exec(t, "postgres", "do $$ begin for i in 1..200 loop execute 'create table s' || i || ' as select generate_series(1, 50) a distributed by (a)'; end loop; end $$")
	before := sums(t, c.Connect(t, "postgres"), tablesOf)
	for i, target := range []int{2, 4} {
		began := make(chan struct{})
		var once sync.Once
		results := make(chan error, 1)
		go func() {
			p, err := Run(t.Context(), real{Cluster: c}, Options{Target: target, Parallel: 2, Attempts: 20}, func(p Progress) {
				if p.Moved > 0 || len(p.Moving) > 0 {
					once.Do(func() { close(began) })
				}
			})
			if err == nil && !p.Done() {
				err = fmt.Errorf("done with %+v", p)
			}
			results <- err
		}()
		select {
		case <-began:
		case err := <-results:
			t.Fatal(err)
		}
		crashed := 1 + 2*i // one that stays, and one that is new
		c.StopSegment(t, crashed)
		c.StartSegment(t, crashed)
		if err := <-results; err != nil {
			t.Fatalf("to %d: %v", target, err)
		}
		// Sessions that were open have lost their part on that segment.
		fresh := c.Connect(t, "postgres")
		tables := tablesOf
		delete(before, "unl") // unlogged: a crash may empty it, as it should
		tables = slices.DeleteFunc(slices.Clone(tables), func(s string) bool { return s == "unl" })
		same(t, fmt.Sprintf("on %d", target), sums(t, fresh, tables), before)
		placed(t, c, fresh, target)
	}
}

// writeDown writes all tables down without moving one, so that ranks can be set.
func writeDown(ctx context.Context, c Cluster, o Options) error {
	o = o.withDefaults()
	if err := o.Check(); err != nil {
		return err
	}
	s, _, err := begin(ctx, c, o)
	if err == nil {
		s.end()
	}
	return err
}

// clean drops schema cw_expand.
func clean(ctx context.Context, c Cluster) error {
	s, err := c.Open(ctx, "")
	if err != nil {
		return err
	}
	defer s.Close()
	if err := all(ctx, s, "set client_min_messages = error;", "set lock_timeout = '20s';"); err != nil {
		return err
	}
	got, err := one(ctx, s, fmt.Sprintf("select pg_catalog.pg_try_advisory_lock(%d);", lockKey))
	if err == nil && got != "t" {
		err = fault.Wrap(fault.Locked, "", locked(ctx, s))
	}
	if err != nil {
		return err
	}
	return all(ctx, s, "drop schema if exists cw_expand cascade;")
}
