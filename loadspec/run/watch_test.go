package run

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/playground/gptest"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

func TestWatchedFilesStandStill(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := watched{}
	for i, step := range []struct {
		at, changed int // seconds
		tag         string
		want        bool
	}{
		{0, 0, "a", false},
		{5, 0, "a", false},
		{9, 8, "b", false},
		{18, 8, "b", true},
		{19, 19, "c", false},
		{29, 19, "c", true},
		{30, 400, "d", false},
		{39, 400, "d", false},
		{40, 400, "d", true}, // a clock that is ahead
		{41, 0, "e", true},   // old when it is first seen
	} {
		o := source.Object{URL: "file:///x", ETag: step.tag, Modified: begin.Add(time.Duration(step.changed) * time.Second)}
		got := w.still([]source.Object{o}, begin.Add(time.Duration(step.at)*time.Second), 10*time.Second)
		if (len(got) == 1) != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if got := w.still([]source.Object{{URL: "s3://b/x", ETag: "e"}}, begin, time.Hour); len(got) != 1 || len(w.growing) != 0 {
		t.Errorf("objects of a store: %v, remembered %v", got, w.growing)
	}
}

// watchRun is a watching job that runs.
type watchRun struct {
	t      *testing.T
	cancel context.CancelCauseFunc
	ended  chan error
	mu     sync.Mutex
	last   Progress
}

func startWatch(t *testing.T, o Options) *watchRun {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &watchRun{t: t, cancel: cancel, ended: make(chan error, 1)}
	o.Watch = 50 * time.Millisecond
	o.Reporter = &watch{on: func(p Progress) {
		w.mu.Lock()
		w.last = p
		w.mu.Unlock()
	}}
	go func() {
		_, err := Run(ctx, o)
		w.ended <- err
	}()
	t.Cleanup(func() { cancel(nil) })
	return w
}

// until waits for a progress.
func (w *watchRun) until(what string, is func(Progress) bool) {
	w.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		p := w.last
		w.mu.Unlock()
		if is(p) {
			return
		}
		select {
		case err := <-w.ended:
			w.t.Fatalf("%s: ended: %v", what, err)
		default:
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: %+v", what, p)
		}
	}
}

func (w *watchRun) stop() error {
	w.cancel(nil)
	return <-w.ended
}

func watching(rows int64) func(Progress) bool {
	return func(p Progress) bool { return p.Phase == PhaseWatch && p.Rows == rows && p.Bytes == p.BytesTotal }
}

func TestWatch(t *testing.T) {
	t.Parallel()
	testWatch(t, onPostgres(t, pgtest.Start(t)))
}

func TestGreenplumWatch(t *testing.T) {
	t.Parallel()
	testWatch(t, onGreenplum(t, gptest.Start(t, 2)))
}

func testWatch(t *testing.T, e *onceEnv) {
	body := simple(e.dir+"/*.csv", "csv", "items") + "  PRELOAD: [{TRUNCATE: true}]\n  SQL: [{BEFORE: insert into steps values ('before')}, {AFTER: insert into steps values ('after')}]\n"
	e.exec("create table steps (what text); insert into items values (-1)")
	w := startWatch(t, e.options(body, "j1")) // nothing there yet
	w.until("nothing", watching(0))
	e.file("a.csv", csvRows(0, 1000))
	w.until("the first", watching(1000))
	e.file("b.csv", csvRows(1000, 1000))
	e.file("c.csv", csvRows(2000, 1000))
	w.until("two more", watching(3000))
	if err := w.stop(); fault.KindOf(err) != fault.Interrupted {
		t.Fatalf("%v", err)
	}
	e.rows(t, 3000)
	// One that comes while nobody looks, and one that has changed.
	e.file("d.csv", csvRows(3000, 500))
	e.file("a.csv", csvRows(9000, 10))
	w = startWatch(t, e.options(body, "j1"))
	w.until("resumed", watching(3510))
	e.file("e.csv", csvRows(4000, 400))
	w.until("one more", watching(3910))
	// Another job neither loads again what the watcher has, nor the other way
	// round.
	if res := e.run(t, e.options(simple(e.dir+"/*.csv", "csv", "items"), "j2")); res.Skipped != 5 || res.SkippedBy[0] != "j1" || len(res.SkippedBy) != 1 {
		t.Errorf("%+v", res)
	}
	e.rows(t, 3910)
	if err := w.stop(); fault.KindOf(err) != fault.Interrupted {
		t.Fatalf("%v", err)
	}
	e.file("f.csv", csvRows(5000, 10))
	e.run(t, e.options(simple(e.dir+"/*.csv", "csv", "items"), "j3"))
	w = startWatch(t, e.options(body, "j1"))
	e.file("g.csv", csvRows(5010, 10))
	w.until("the others'", watching(3920))
	e.rows(t, 3930)
	if err := w.stop(); fault.KindOf(err) != fault.Interrupted {
		t.Fatalf("%v", err)
	}
	if got := e.query("select count(*)::text from items where id < 0"); got != "0" {
		t.Error("TRUNCATE was left out")
	}
	// All rounds' objects are the job's.
	conn, err := copy.Connect(t.Context(), e.options(body, "j1").Spec.Conn, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t.Context(), conn)
	objects, err := ledger.Objects(t.Context(), conn, "j1")
	var rows int64
	for _, o := range objects {
		if rows += o.Rows; !o.Done {
			t.Errorf("%+v", o)
		}
	}
	if err != nil || len(objects) != 7 || rows != 3920 {
		t.Errorf("%d objects of %d rows, %v", len(objects), rows, err)
	}
	// BEFORE and AFTER are run in every round, and the first is one.
	rounds := e.query("select 1 + count(*) || ' ' || 1 + count(*) from cw.load_ledger where kind = 'round'")
	if got := e.query("select count(nullif(what, 'after')) || ' ' || count(nullif(what, 'before')) from steps"); got != rounds {
		t.Errorf("%s times BEFORE and AFTER in %s rounds", got, rounds)
	}
	if got := e.query("select count(*)::text from cw.load_ledger where kind = 'round'"); got < "4" || len(got) > 1 {
		t.Errorf("%s rounds", got)
	}
}

// In the modes update and merge every round is merged by itself.
func TestWatchMerges(t *testing.T) {
	t.Parallel()
	e := onPostgres(t, pgtest.Start(t))
	body := simple(e.dir+"/*.csv", "csv", "items") + "    - MODE: merge\n    - MATCH_COLUMNS: [id]\n    - UPDATE_COLUMNS: [name]\n"
	e.file("a.csv", []byte("1,a,1,x\n2,a,1,x\n"))
	w := startWatch(t, e.options(body, "j1"))
	w.until("first", watching(2))
	e.file("b.csv", []byte("2,b,1,x\n3,b,1,x\n"))
	w.until("second", watching(4))
	if err := w.stop(); fault.KindOf(err) != fault.Interrupted {
		t.Fatal(err)
	}
	if got := e.query("select string_agg(id || name, ' ' order by id) from items"); got != "1a 2b 3b" {
		t.Error(got)
	}
	if res := e.run(t, e.options(body, "j2")); res.Skipped != 2 {
		t.Errorf("%+v", res)
	}
}

// The database and the store go away and come back; the job is cancelled.
func TestWatchOutages(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	pg := pgtest.Start(t)
	e := newEnv(t, pg, items)
	p := srv.Proxy(t)
	e.o = source.Options{Credentials: srv.Credentials(), Backoff: time.Millisecond, Attempts: 2}
	body := strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ['s3://bucket/in/*'], ENDPOINT: '"+p.Endpoint+"'}", 1)
	o := e.options(e.spec(body, 0), "j")
	var mu sync.Mutex
	var warned []string
	cancelled := false
	o.Warn = func(text string) {
		mu.Lock()
		warned = append(warned, text)
		mu.Unlock()
	}
	o.Control = func(context.Context) (Control, error) {
		mu.Lock()
		defer mu.Unlock()
		return Control{Cancel: cancelled}, nil
	}
	w := startWatch(t, o)
	w.until("nothing", watching(0))
	p.Set(func(*http.Request) s3test.Fault { return s3test.Fault{Status: 500} })
	w.until("blind", func(Progress) bool {
		mu.Lock()
		defer mu.Unlock()
		return len(warned) == 1 && strings.Contains(warned[0], "looking for new objects")
	})
	srv.Put(t, "bucket", "in/a.csv", csvRows(0, 100))
	p.Set(nil)
	w.until("seeing again", watching(100))
	pg.StopServer(t, "fast")
	srv.Put(t, "bucket", "in/b.csv", csvRows(100, 100))
	w.until("without a database", func(p Progress) bool { return p.Waiting != nil })
	pg.StartServer(t)
	w.until("with one", watching(200))
	mu.Lock()
	cancelled = true
	mu.Unlock()
	if err := <-w.ended; !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
}
