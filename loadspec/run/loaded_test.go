package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
	"cw/loadspec/ledger"
	"cw/playground/gptest"
	"cw/playground/pgtest"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	o := ledger.Object{URL: "s3://b/x", ETag: "e", Size: 9}
	claim := func(job string, change func(*ledger.Claim)) ledger.Claim {
		c := ledger.Claim{Job: job, Object: o.URL, ETag: o.ETag, Size: o.Size, Splits: 2, Covered: true}
		if change != nil {
			change(&c)
		}
		return c
	}
	part := func(c *ledger.Claim) { c.Covered = false }
	none := func(c *ledger.Claim) { c.Covered, c.Splits = false, 0 }
	gone := func(c *ledger.Claim) { c.Emptied = 2 }
	for _, c := range []struct {
		name   string
		d      decision
		claims []ledger.Claim
		want   string // load, skip, JOB running, JOB partly
		others string
	}{
		{name: "nobody", want: "load"},
		{name: "loaded", claims: []ledger.Claim{claim("a", nil)}, want: "skip"},
		{name: "loaded as another conversion", claims: []ledger.Claim{claim("a", func(c *ledger.Claim) { c.ETag += tagMark + "json/1-x" })}, want: "skip"},
		{name: "another version", claims: []ledger.Claim{claim("a", func(c *ledger.Claim) { c.ETag = "f" })}, want: "load changed"},
		{name: "another size", claims: []ledger.Claim{claim("a", func(c *ledger.Claim) { c.Size++ })}, want: "load changed"},
		{name: "another version, emptied", claims: []ledger.Claim{claim("a", func(c *ledger.Claim) { c.ETag, c.Emptied = "f", 2 })}, want: "load"},
		{name: "partly", claims: []ledger.Claim{claim("a", part)}, want: "a partly"},
		{name: "partly and running", d: decision{running: map[string]bool{"a": true}}, claims: []ledger.Claim{claim("a", part)}, want: "a running"},
		{name: "planned only", claims: []ledger.Claim{claim("a", none)}, want: "load", others: "a"},
		{name: "planned and running", d: decision{running: map[string]bool{"a": true}}, claims: []ledger.Claim{claim("a", none)}, want: "a running"},
		{name: "emptied", claims: []ledger.Claim{claim("a", gone)}, want: "load"},
		{name: "emptied, its job runs on", d: decision{running: map[string]bool{"a": true}}, claims: []ledger.Claim{claim("a", gone)}, want: "load"},
		{name: "emptied half-way", claims: []ledger.Claim{claim("a", func(c *ledger.Claim) { c.Emptied = 1 })}, want: "a partly"},
		{name: "staged, not merged", claims: []ledger.Claim{claim("a", func(c *ledger.Claim) { c.Staged = true })}, want: "a partly"},
		{name: "again", d: decision{again: true}, claims: []ledger.Claim{claim("a", nil), claim("b", part)}, want: "load", others: "b"},
		{name: "emptying first, while another loads", d: decision{again: true, running: map[string]bool{"b": true}}, claims: []ledger.Claim{claim("a", nil), claim("b", part)}, want: "b running"},
		{name: "loaded and partly", claims: []ledger.Claim{claim("b", part), claim("a", nil)}, want: "skip"},
		{name: "resumed, untouched, loaded by another", d: decision{begun: own{o.URL: false}}, claims: []ledger.Claim{claim("a", nil)}, want: "skip"},
		{name: "resumed, begun, loaded by another", d: decision{begun: own{o.URL: true}}, claims: []ledger.Claim{claim("a", nil)}, want: "a partly"},
		{name: "a round", claims: []ledger.Claim{claim("a/3", part)}, want: "a partly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.d.strict = !strings.HasPrefix(c.name, "again")
			got, others, err := c.d.decide([]ledger.Object{o}, c.claims)
			text := ""
			var claimed *ledger.ClaimedError
			switch {
			case errors.As(err, &claimed):
				text = claimed.Job + map[bool]string{true: " running", false: " partly"}[claimed.Running]
				if claimed.Hint == "" || fault.KindOf(err) != fault.Locked || len(claimed.Objects) != 1 {
					t.Errorf("%+v", claimed)
				}
			case len(got.skipped) == 1 && len(got.load) == 0 && got.skipped[0].Bytes == 9:
				text = "skip"
			case len(got.load) == 1:
				text = "load" + map[bool]string{true: " changed"}[len(got.changed) > 0]
			}
			if text != c.want || strings.Join(others, " ") != c.others {
				t.Errorf("%s, others %v, want %s, %s", text, others, c.want, c.others)
			}
		})
	}
}

// onceEnv is a database of either engine with a table items.
type onceEnv struct {
	options func(body, job string) Options
	query   func(sql string) string
	exec    func(sql string)
	file    func(name string, data []byte) string
	dir     string
}

func onPostgres(t *testing.T, pg *pgtest.Server) *onceEnv {
	e := newEnv(t, pg, "create table items (id int, name text, amount numeric, note text)")
	return &onceEnv{
		options: func(body, job string) Options { return e.options(e.spec(body, 0), job) },
		query:   e.scalar, exec: func(sql string) { pg.Exec(t, e.db, sql) }, file: e.file, dir: e.dir,
	}
}

func onGreenplum(t *testing.T, gp *gptest.Cluster) *onceEnv {
	e := newGPEnv(t, gp)
	return &onceEnv{
		options: func(body, job string) Options {
			o := e.options(e.spec(body))
			o.Job = job
			return o
		},
		query: e.query, exec: func(sql string) { gp.Exec(t, e.db, sql) }, file: e.file, dir: e.dir,
	}
}

func (e *onceEnv) run(t *testing.T, o Options) *Result {
	t.Helper()
	res, err := Run(t.Context(), o)
	if err != nil {
		t.Fatalf("job %s: %v", o.Job, err)
	}
	return res
}

// rows checks how many rows there are, and that id makes them unique unless
// they are to be there twice.
func (e *onceEnv) rows(t *testing.T, want int) {
	t.Helper()
	if got := e.query("select count(*)::text from items"); got != fmt.Sprint(want) {
		t.Errorf("%s rows, want %d (%s different)", got, want, e.query("select count(distinct id)::text from items"))
	}
}

func TestLoadedOnce(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	testLoadedOnce(t, func(t *testing.T) *onceEnv { return onPostgres(t, pg) })
}

func TestGreenplumLoadedOnce(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	testLoadedOnce(t, func(t *testing.T) *onceEnv { return onGreenplum(t, gp) })
}

func testLoadedOnce(t *testing.T, begin func(*testing.T) *onceEnv) {
	body := func(e *onceEnv, more ...string) string {
		return simple(e.dir+"/*.csv", "csv", "items") + strings.Join(more, "")
	}
	const truncate = "  PRELOAD: [{TRUNCATE: true}]\n"
	t.Run("new ones only", func(t *testing.T) {
		t.Parallel()
		e := begin(t)
		e.file("a.csv", csvRows(0, 1000))
		e.file("b.csv", csvRows(1000, 1000))
		e.run(t, e.options(body(e), "j1"))
		c := e.file("c.csv", csvRows(2000, 500))
		res := e.run(t, e.options(body(e), "j2"))
		if res.Skipped != 2 || res.Objects != 1 || res.Rows != 500 || !slices.Equal(res.SkippedBy, []string{"j1"}) || res.SkippedBytes == 0 {
			t.Errorf("%+v", res)
		}
		e.rows(t, 2500)
		// All of them: three by two jobs. A resume of that says the same.
		for range 2 {
			if res = e.run(t, e.options(body(e), "j3")); res.Skipped != 3 || res.ObjectsTotal != 0 || !slices.Equal(res.SkippedBy, []string{"j1", "j2"}) {
				t.Errorf("%+v", res)
			}
		}
		rep, err := Check(t.Context(), e.options(body(e), "j4"))
		if err != nil || len(rep.Skipped) != 2 {
			t.Errorf("check: %+v, %v", rep, err)
		}
		// A changed object is a new one, and that is said.
		if err := os.WriteFile(c, csvRows(3000, 10), 0o644); err != nil {
			t.Fatal(err)
		}
		var told []string
		o := e.options(body(e), "j5")
		o.Warn = func(text string) { told = append(told, text) }
		if res = e.run(t, o); res.Skipped != 2 || res.Rows != 10 || !strings.Contains(strings.Join(told, "\n"), "c.csv changed since") {
			t.Errorf("%+v, told %q", res, told)
		}
		e.rows(t, 2510)
		o = e.options(body(e), "j6")
		o.Again = true
		if res = e.run(t, o); res.Skipped != 0 || res.Rows != 2010 {
			t.Errorf("again: %+v", res)
		}
		e.rows(t, 4520)
	})
	t.Run("emptied", func(t *testing.T) {
		t.Parallel()
		e := begin(t)
		e.file("a.csv", csvRows(0, 1000))
		e.run(t, e.options(body(e), "j1"))
		e.file("b.csv", csvRows(1000, 1000))
		if res := e.run(t, e.options(body(e, truncate), "j2")); res.Skipped != 0 || res.Rows != 2000 {
			t.Errorf("%+v", res)
		}
		e.rows(t, 2000)
		if res := e.run(t, e.options(body(e), "j3")); res.Skipped != 2 || !slices.Equal(res.SkippedBy, []string{"j2"}) {
			t.Errorf("%+v", res)
		}
		// Emptied by a load of something else.
		other := e.file("other.txt", csvRows(5000, 10))
		e.run(t, e.options(simple(other, "csv", "items")+truncate, "j4"))
		if res := e.run(t, e.options(body(e), "j5")); res.Skipped != 0 || res.Rows != 2000 {
			t.Errorf("%+v", res)
		}
		e.rows(t, 2010)
		// Another table is another matter, also one of the same name.
		e.exec("drop table items; create table items (id int, name text, amount numeric, note text)")
		if res := e.run(t, e.options(body(e), "j6")); res.Skipped != 0 {
			t.Errorf("%+v", res)
		}
		e.rows(t, 2000)
		// Emptied by hand: nobody knows what for, so that it is said.
		e.exec("delete from items")
		var told []string
		o := e.options(body(e), "j7")
		o.Warn = func(text string) { told = append(told, text) }
		if res := e.run(t, o); res.Skipped != 2 || !strings.Contains(strings.Join(told, "\n"), "is empty") {
			t.Errorf("%+v, told %q", res, told)
		}
		// Of a database that comes from a dump, the ledger's oid is another one.
		e.exec("update cw.load_ledger set lines = 1, range_end = 2 where kind = 'target' and job = 'j6'")
		if res := e.run(t, e.options(body(e), "j8")); res.Skipped != 2 {
			t.Errorf("%+v", res)
		}
	})
	t.Run("begun by another", func(t *testing.T) {
		t.Parallel()
		e := begin(t)
		data := csvRows(0, 60_000)
		e.file("a.csv", data)
		e.file("z.csv", csvRows(60_000, 60_000))
		small := "  PARALLEL: {WORKERS: 1, SPLIT: 64KiB, COMMIT: 200kB}\n"
		interrupt := func(o Options, when func(Progress) bool) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := &watch{on: func(p Progress) {
				if when(p) {
					cancel()
				}
			}}
			o.Reporter = w
			o.Control = func(context.Context) (Control, error) { return Control{Limit: 400_000}, nil }
			if _, err := Run(ctx, o); err == nil {
				t.Fatal("it was not interrupted")
			}
		}
		interrupt(e.options(body(e, small), "j1"), func(Progress) bool { return e.query("select count(*)::text from items") != "0" })
		before := e.query("select count(*)::text from items")
		_, err := Run(t.Context(), e.options(body(e, small), "j2"))
		if !errors.Is(err, ledger.ErrClaimed) || fault.KindOf(err) != fault.Locked || !strings.Contains(fault.HintOf(err), "cw load resume j1") {
			t.Errorf("%v; %s", err, fault.HintOf(err))
		}
		if got := e.query("select count(*)::text from items"); got != before || before == "0" {
			t.Errorf("%s rows, before %s", got, before)
		}
		e.run(t, e.options(body(e, small), "j1"))
		e.rows(t, 120_000)
		if res := e.run(t, e.options(body(e, small), "j2")); res.Skipped != 2 || !slices.Equal(res.SkippedBy, []string{"j1"}) {
			t.Errorf("%+v", res)
		}
		// Against better advice, and then the other does not go on unasked.
		e.file("zz.csv", csvRows(120_000, 60_000))
		interrupt(e.options(body(e, small), "j3"), func(Progress) bool { return e.query("select count(*)::text from items") != "120000" })
		o := e.options(body(e, small), "j4")
		o.Again = true
		e.run(t, o)
		if _, err := Run(t.Context(), e.options(body(e, small), "j3")); !errors.Is(err, ledger.ErrClaimed) || !strings.Contains(fault.HintOf(err), "cw load cancel j3") {
			t.Errorf("%v; %s", err, fault.HintOf(err))
		}
		o = e.options(body(e, small), "j3")
		o.Again = true
		e.run(t, o)
		e.rows(t, 120_000+60_000+180_000)
	})
	t.Run("planned by another", func(t *testing.T) {
		t.Parallel()
		e := begin(t)
		e.file("a.csv", csvRows(0, 1000))
		bad := e.file("b.csv", []byte("1,x,y,z\n"))
		one := "  PARALLEL: {WORKERS: 1}\n  SQL: [{BEFORE: select 1/0}]\n"
		if _, err := Run(t.Context(), e.options(body(e, one), "j1")); err == nil {
			t.Fatal("SQL BEFORE must fail")
		}
		if err := os.Remove(bad); err != nil {
			t.Fatal(err)
		}
		e.run(t, e.options(body(e), "j2"))
		e.rows(t, 1000)
		// The other goes on after all, with what is left.
		e.file("b.csv", []byte("1,x,y,z\n"))
		o := e.options(strings.Replace(body(e, one), "1/0", "1", 1), "j1")
		_, err := Run(t.Context(), o)
		if err == nil || errors.Is(err, ledger.ErrClaimed) { // b.csv is another by now
			t.Errorf("%v", err)
		}
		e.rows(t, 1000)
	})
	t.Run("two at once", func(t *testing.T) {
		t.Parallel()
		e := begin(t)
		for i := range 6 {
			e.file(fmt.Sprintf("%d.csv", i), csvRows(i*2000, 2000))
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		done, refused := 0, 0
		for i := range 4 {
			all.Go(func() {
				_, err := Run(t.Context(), e.options(body(e), fmt.Sprint("j", i)))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					done++
				case errors.Is(err, ledger.ErrClaimed) && strings.Contains(fault.HintOf(err), "cw load wait"):
					refused++
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if done == 0 || done+refused != 4 {
			t.Errorf("%d done, %d refused", done, refused)
		}
		e.rows(t, 12_000)
	})
}

// A runner that nobody sees any more cannot commit once another job has taken
// its objects.
func TestFencedRunnerCannotCommit(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	e := onPostgres(t, pg)
	file := e.file("a.csv", csvRows(0, 20_000))
	body := simple(file, "csv", "items") + smallSplits
	paused := make(chan struct{})
	var once sync.Once
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	o := e.options(body, "j1")
	var mu sync.Mutex
	resume := false
	o.Control = func(context.Context) (Control, error) {
		mu.Lock()
		defer mu.Unlock()
		return Control{Pause: !resume, Limit: map[bool]int64{false: 1}[resume]}, nil
	}
	o.Spec.Limit = 1 // nothing is read before that
	o.Reporter = &watch{on: func(p Progress) {
		if p.Phase == PhaseLoad {
			once.Do(func() { close(paused) })
		}
	}}
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, o)
		ended <- err
	}()
	<-paused
	// The session with the job's lock is lost; the workers have none yet.
	e.exec("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cw load j1'")
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := Run(ctx, e.options(body, "j2"))
		if err == nil {
			break
		}
		if !errors.Is(err, ledger.ErrClaimed) || time.Now().After(deadline) { // the server takes a moment to end it
			t.Fatal(err)
		}
	}
	e.rows(t, 20_000)
	mu.Lock()
	resume = true
	mu.Unlock()
	select {
	case err := <-ended:
		if !errors.Is(err, ledger.ErrOvertaken) {
			t.Errorf("%v", err)
		}
	case <-ctx.Done():
		t.Error("the other did not end")
	}
	e.rows(t, 20_000)
}
