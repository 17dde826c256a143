package run

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/playground/gptest"
)

// gpEnv is a database of a test's own on a throwaway Greenplum.
type gpEnv struct {
	t   testing.TB
	gp  *gptest.Cluster
	db  string
	dir string
	o   source.Options
}

const gpItems = `create table items (id int, name text, amount numeric, note text) distributed by (id);
	create table oracle (like items) distributed by (id)`

func newGPEnv(t *testing.T, gp *gptest.Cluster) *gpEnv {
	t.Helper()
	e := &gpEnv{t: t, gp: gp, dir: t.TempDir(), db: fmt.Sprintf("d%x", rand.Uint64())}
	e.o = source.Options{Backoff: 5 * time.Millisecond}
	gp.Exec(t, "postgres", "create database "+e.db)
	gp.Exec(t, e.db, gpItems)
	return e
}

func (e *gpEnv) file(name string, data []byte) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		e.t.Fatal(err)
	}
	return path
}

func (e *gpEnv) spec(body string) *loadspec.Spec {
	e.t.Helper()
	text := fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nDATABASE: %s\nGPLOAD:\n%s", e.gp.Port, e.db, body)
	s, err := loadspec.Parse("test.yaml", []byte(text))
	if err != nil {
		e.t.Fatalf("%v\n%s", err, text)
	}
	return s
}

func (e *gpEnv) options(s *loadspec.Spec) Options { return Options{Spec: s, Job: "j", Source: e.o} }

func (e *gpEnv) query(sql string) string {
	e.t.Helper()
	c, err := pgx.Connect(e.t.Context(), e.gp.DSN(e.db))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = c.Close(e.t.Context()) }()
	var v string
	if err := c.QueryRow(e.t.Context(), sql).Scan(&v); err != nil {
		e.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

const gpSum = "select count(*) || ' rows, ' || coalesce(sum(('x' || substr(md5(r::text), 1, 15))::bit(60)::bigint::numeric), 0) from (select * from %s) r"

// same compares the loaded table with what Greenplum's own COPY makes of the
// data, and looks for anything left behind.
func (e *gpEnv) same(data []byte) {
	e.t.Helper()
	c, err := pgx.Connect(e.t.Context(), e.gp.DSN(e.db))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = c.Close(e.t.Context()) }()
	if _, err := c.PgConn().CopyFrom(e.t.Context(), bytes.NewReader(data), "copy oracle from stdin csv"); err != nil {
		e.t.Fatal(err)
	}
	if got, want := e.query(fmt.Sprintf(gpSum, "items")), e.query(fmt.Sprintf(gpSum, "oracle")); got != want {
		e.t.Errorf("%s, want %s", got, want)
	}
	e.clean()
}

func (e *gpEnv) clean() {
	e.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		got := e.query("select count(*)::text from pg_class where relname like 'cw_load%' and relnamespace <> (select oid from pg_namespace where nspname = 'cw')")
		if got == "0" {
			return
		}
		if time.Now().After(deadline) { // a session that was left behind takes a moment to notice
			e.t.Errorf("%s tables are left behind; sessions: %s", got, e.query("select string_agg(pid || ' ' || application_name || ' ' || state || ' ' || query, '; ') from pg_stat_activity"))
			return
		}
	}
}

func TestGreenplum(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 3)
	parts := [][]byte{csvRows(0, 30_000), csvRows(30_000, 20_000), csvRows(50_000, 7)}
	all := bytes.Join(parts, nil)
	head := []byte("id,name,amount,note\n")
	t.Run("objects of all kinds", func(t *testing.T) {
		t.Parallel()
		e := newGPEnv(t, gp)
		e.file("a.csv", append(bytes.Clone(head), parts[0]...))
		e.file("b.csv.gz", gz(append(bytes.Clone(head), parts[1]...)))
		e.file("c.csv.zst", zst(append(bytes.Clone(head), bytes.TrimSuffix(parts[2], []byte("\n"))...)))
		e.file("d.csv", head)
		spec := e.spec(simple(e.dir+"/*.csv*", "csv", "items", "    - HEADER: true\n") + "  PARALLEL: {COMMIT: 300kB}\n  SQL:\n    - BEFORE: create table steps as select 'before'::text what\n    - AFTER: insert into steps values ('after')\n")
		res, err := Run(t.Context(), e.options(spec))
		if err != nil {
			t.Fatal(err)
		}
		if res.Rows != 50_007 || res.Objects != 4 || res.Bytes != res.BytesTotal {
			t.Errorf("%+v", res)
		}
		e.same(all)
		if got := e.query("select string_agg(what, ' ' order by what) from steps"); got != "after before" {
			t.Errorf("steps: %s", got)
		}
		if got := e.query("select (count(distinct gp_segment_id) > 1)::text from items"); got != "true" {
			t.Error("one segment has it all")
		}
		if _, err := Run(t.Context(), e.options(spec)); err != nil {
			t.Errorf("a second run: %v", err)
		}
		e.gp.Exec(t, e.db, "truncate oracle")
		e.same(all)
	})
	t.Run("truncate is atomic", func(t *testing.T) {
		t.Parallel()
		e := newGPEnv(t, gp)
		e.gp.Exec(t, e.db, "insert into items values (-1)")
		bad := append(bytes.Clone(all), "x,y,z\n"...)
		spec := e.spec(simple(e.file("x.csv", bad), "csv", "items") + "  PRELOAD: [{TRUNCATE: true}]\n")
		if _, err := Run(t.Context(), e.options(spec)); err == nil || !strings.Contains(err.Error(), "x.csv") {
			t.Errorf("the bad row is not named: %v", err)
		}
		if got := e.query("select count(*) || ' ' || min(id) from items"); got != "1 -1" {
			t.Errorf("after a failed load: %s", got)
		}
		e.file("x.csv", all)
		o := e.options(spec)
		o.Job = "j2"
		if _, err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		e.same(all)
	})
	t.Run("rejected rows", func(t *testing.T) {
		t.Parallel()
		e := newGPEnv(t, gp)
		bad := bytes.Replace(all, []byte("\n17,"), []byte("\nx17,"), 1)
		bad = append(bad, "99,too,few\n"...)
		spec := e.spec(simple(e.file("x.csv", bad), "csv", "items", "    - ERROR_LIMIT: 10\n"))
		res, err := Run(t.Context(), e.options(spec))
		if err != nil || res.Rejected != 2 || res.Rows != 50_006 {
			t.Fatalf("%+v, %v", res, err)
		}
		rejected, err := ledger.RejectedRows(t.Context(), gp.Connect(t, e.db), "j")
		if err != nil || len(rejected) != 2 || rejected[0].Line != int64(bytes.Count(bad[:bytes.Index(bad, []byte("x17"))], []byte("\n")))+1 || !strings.HasPrefix(rejected[0].Row, "x17,") ||
			!strings.HasSuffix(rejected[0].Object, "x.csv") || rejected[1].Row != "99,too,few" || !rejected[0].Loaded || !strings.Contains(rejected[0].Reason, "id") {
			t.Errorf("%+v, %v", rejected, err)
		}
		e.gp.Exec(t, e.db, "truncate items")
		spec = e.spec(simple(e.file("y.csv", bytes.ReplaceAll(all, []byte("\n1"), []byte("\nx1"))), "csv", "items", "    - ERROR_LIMIT: 10\n"))
		o := e.options(spec)
		o.Job = "j2"
		_, err = Run(t.Context(), o)
		if err == nil || !strings.Contains(fault.HintOf(err), "cw load errors j2") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
		if rejected, err = ledger.RejectedRows(t.Context(), gp.Connect(t, e.db), "j2"); err != nil || len(rejected) == 0 || rejected[0].Loaded {
			t.Errorf("%d rows kept of the load that failed, %v", len(rejected), err)
		}
		e.clean()
	})
	t.Run("merge and update", func(t *testing.T) {
		t.Parallel()
		e := newGPEnv(t, gp)
		e.gp.Exec(t, e.db, "insert into items values (1, 'old', 1, 'keep'), (2, 'old', 2, 'keep'), (9, 'old', 9, 'keep')")
		file := e.file("x.csv", []byte("1,new,10,n\n2,new,20,n\n3,new,30,n\n3,new,30,n\n"))
		body := simple(file, "csv", "items") + "    - MODE: %s\n    - MATCH_COLUMNS: [id]\n    - UPDATE_COLUMNS: [name, amount]\n    - UPDATE_CONDITION: amount > 1\n"
		content := func() string {
			return e.query("select string_agg(id || name || amount || note, ' ' order by id) from items")
		}
		if res, err := Run(t.Context(), e.options(e.spec(fmt.Sprintf(body, "update")))); err != nil || res.Rows != 1 {
			t.Errorf("%+v %v", res, err)
		}
		if got := content(); got != "1old1keep 2new20keep 9old9keep" {
			t.Errorf("after update: %s", got)
		}
		o := e.options(e.spec(fmt.Sprintf(body, "merge")))
		o.Job, o.Again = "j2", true
		if res, err := Run(t.Context(), o); err != nil || res.Rows != 2 {
			t.Errorf("%+v %v", res, err)
		}
		if got := content(); got != "1old1keep 2new20keep 3new30n 9old9keep" {
			t.Errorf("after merge: %s", got)
		}
		e.clean()
	})
	t.Run("interrupted anywhere", func(t *testing.T) {
		t.Parallel()
		e := newGPEnv(t, gp)
		e.file("a.csv", parts[0])
		e.file("b.csv.gz", gz(parts[1]))
		e.file("c.csv", parts[2])
		spec := e.spec(simple(e.dir+"/*.csv*", "csv", "items") + "  PARALLEL: {COMMIT: 200kB, SPLIT: 64KiB}\n  SPEED: {LIMIT: 1500kB/s}\n")
		rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
		runs := 0
		for ; runs < 100; runs++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+rng.IntN(150+50*runs))*time.Millisecond)
			_, err := Run(ctx, e.options(spec))
			over := ctx.Err() != nil
			cancel()
			if err == nil {
				break
			}
			if !over {
				t.Fatalf("run %d: %v", runs, err)
			}
		}
		if runs < 2 { // the limit alone takes longer than the first two get
			t.Errorf("done after %d runs: nothing was interrupted", runs)
		}
		e.same(all)
	})
}

// TestGreenplumFailover kills a primary while a load runs and starts it again.
func TestGreenplumFailover(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	e := newGPEnv(t, gp)
	data := csvRows(0, 60_000)
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items") + "  PARALLEL: {COMMIT: 500kB, SPLIT: 64KiB}\n  SPEED: {LIMIT: 1MB/s}\n")
	w := &watch{}
	var once sync.Once
	restarted := make(chan struct{})
	w.on = func(p Progress) {
		if p.Phase == PhaseLoad && p.Bytes > 100_000 {
			once.Do(func() {
				go func() {
					defer close(restarted)
					gp.StopSegment(t, 1)
					gp.StartSegment(t, 1)
				}()
			})
		}
	}
	o := e.options(spec)
	o.Reporter = w
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	<-restarted
	e.same(data)
}
