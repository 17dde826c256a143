package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cw/fault"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

const smallSplits = "  PARALLEL: {WORKERS: 3, SPLIT: 64KiB}\n"

func same(t *testing.T, e *env) {
	t.Helper()
	if got, want := e.sum("select * from items"), e.sum("select * from oracle"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// Ranges must cover each object without overlap.
	if got := e.scalar(`select count(*)::text from (select range_start, lag(range_end, 1, 0::bigint) over (partition by job, object order by range_start, range_end) as before
		from cw.load_ledger where kind = 'split') r where range_start <> before`); got != "0" {
		t.Errorf("%s ranges overlap or leave a gap", got)
	}
}

// TestSessionsKilled terminates sessions at random moments.
func TestSessionsKilled(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	data := csvRows(0, 60_000)
	e.oracle("oracle", "format csv", data)
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items", "")+smallSplits, 0)
	ctx, stop := context.WithCancel(t.Context())
	var killer sync.WaitGroup
	var kills atomic.Int64
	admin := e.pg.Connect(t, "postgres")
	killer.Go(func() {
		rng := rand.New(rand.NewPCG(5, 5))
		for ctx.Err() == nil && kills.Load() < 15 {
			tag, err := admin.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'cw load%' and datname = $1 order by random() limit 1", e.db)
			if err == nil {
				kills.Add(tag.RowsAffected())
			}
			time.Sleep(time.Duration(10+rng.IntN(60)) * time.Millisecond)
		}
	})
	_, err := Run(t.Context(), e.options(spec, "j"))
	stop()
	killer.Wait()
	if err != nil {
		t.Fatalf("after %d kills: %v", kills.Load(), err)
	}
	if kills.Load() < 3 {
		t.Errorf("only %d sessions were killed", kills.Load())
	}
	same(t, e)
}

// TestInterruptedAnywhere cancels runs at random moments, of a job that has
// plain and compressed objects, and resumes it until it is done.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	parts := [][]byte{csvRows(0, 40_000), csvRows(40_000, 40_000), csvRows(80_000, 20_000)}
	head := []byte("id,name,amount,note\n")
	e.file("a.csv", append(bytes.Clone(head), parts[0]...))
	e.file("b.csv.gz", gz(append(bytes.Clone(head), parts[1]...)))
	e.file("c.csv.zst", zst(append(bytes.Clone(head), parts[2]...)))
	e.oracle("oracle", "format csv", bytes.Join(parts, nil))
	spec := e.spec(simple(e.dir+"/*.csv*", "csv", "items", "    - HEADER: true\n")+"  PRELOAD: [{TRUNCATE: true}]\n"+smallSplits, 0)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	runs := e.runToEnd(e.options(spec, "j"), 200, func(i int) (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), time.Duration(20+rng.IntN(60+20*i))*time.Millisecond)
	})
	if runs < 3 {
		t.Errorf("done after %d runs: nothing was interrupted", runs)
	}
	same(t, e)
}

// allFaults makes the requests to a store fail in all ways in turn.
func allFaults() func(*http.Request) s3test.Fault {
	var n atomic.Int64
	return func(*http.Request) s3test.Fault {
		i := n.Add(1)
		rng := rand.New(rand.NewPCG(uint64(i), 3))
		switch i % 6 {
		case 0:
			return s3test.Fault{Status: 500}
		case 1:
			return s3test.Fault{Status: 503}
		case 2:
			return s3test.Fault{Truncate: 1 + rng.Int64N(60_000)}
		case 3:
			return s3test.Fault{Stall: 1 + rng.Int64N(60_000)}
		case 4:
			return s3test.Fault{Delay: 20 * time.Millisecond, Rate: 5_000_000}
		default:
			return s3test.Fault{}
		}
	}
}

// TestStoreFails loads from S3 while requests fail in all ways.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	e := newEnv(t, pgtest.Start(t), items)
	a, b := csvRows(0, 30_000), csvRows(30_000, 30_000)
	srv.Put(t, "bucket", "a.csv", a)
	srv.Put(t, "bucket", "b.csv.gz", gz(b))
	e.oracle("oracle", "format csv", append(bytes.Clone(a), b...))
	p := srv.Proxy(t)
	p.Set(allFaults())
	e.o = source.Options{Credentials: srv.Credentials(), Backoff: time.Millisecond, Stall: 200 * time.Millisecond, RangeSize: 100_000, Attempts: 20}
	body := strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ['s3://bucket/*'], ENDPOINT: '"+p.Endpoint+"'}", 1)
	if _, err := Run(t.Context(), e.options(e.spec(body+smallSplits, 0), "j")); err != nil {
		t.Fatal(err)
	}
	same(t, e)
}

// commitEater is a proxy before PostgreSQL that, now and then, lets a COMMIT
// through and then drops the connection, so that its answer is lost; at other
// times it drops the connection before the COMMIT.
type commitEater struct {
	port          int
	eaten, before atomic.Int64
	commits       atomic.Int64
}

func newCommitEater(t *testing.T, to int) *commitEater {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &commitEater{port: l.Addr().(*net.TCPAddr).Port}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.serve(client, fmt.Sprintf("127.0.0.1:%d", to)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return c
}

func (c *commitEater) serve(client net.Conn, to string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var mute atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if mute.Load() {
				return // the answer to COMMIT has come, and is lost
			}
			if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
				_ = client.Close()
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			break
		}
		if bytes.Contains(buf[:n], []byte("commit\x00")) {
			switch c.commits.Add(1) % 5 {
			case 0:
				mute.Store(true)
				_, _ = server.Write(buf[:n])
				<-done
				c.eaten.Add(1)
				return
			case 2:
				c.before.Add(1)
				_ = client.Close()
				_ = server.Close()
				<-done
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			break
		}
	}
	_ = server.Close()
	<-done
}

func TestLostCommitAnswers(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items+"; create table log (what text)")
	data := csvRows(0, 60_000)
	e.oracle("oracle", "format csv", data)
	eater := newCommitEater(t, e.pg.Port)
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items")+"  SQL:\n    - BEFORE: insert into log values ('before')\n    - AFTER: insert into log values ('after')\n"+smallSplits, eater.port)
	spec.Conn.Port = eater.port
	e.runToEnd(e.options(spec, "j"), 1, func(int) (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) })
	if eater.eaten.Load() < 3 || eater.before.Load() < 3 {
		t.Errorf("%d answers lost, %d connections cut before: too few to prove anything", eater.eaten.Load(), eater.before.Load())
	}
	same(t, e)
	if got := e.scalar("select string_agg(what, ' ' order by what) from log"); got != "after before" {
		t.Errorf("steps: %s", got)
	}
}

func TestServerRestarts(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	data := csvRows(0, 60_000)
	e.oracle("oracle", "format csv", data)
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items")+smallSplits, 0)
	var once sync.Once
	restarted := make(chan struct{})
	w := &watch{}
	w.on = func(p Progress) {
		if p.Phase == PhaseLoad {
			once.Do(func() {
				go func() {
					defer close(restarted)
					e.pg.StopServer(t, "immediate")
					e.pg.StartServer(t)
				}()
			})
		}
	}
	o := e.options(spec, "j")
	o.Reporter = w
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	<-restarted
	same(t, e)
}

func TestDatabaseStaysAway(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	data := csvRows(0, 60_000)
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items")+"  SPEED: {LIMIT: 1MB/s}\n"+smallSplits, 0)
	w := &watch{}
	var once sync.Once
	stopped := make(chan struct{})
	w.on = func(p Progress) {
		if p.Rows > 0 {
			once.Do(func() {
				go func() {
					defer close(stopped)
					e.pg.StopServer(t, "immediate")
				}()
			})
		}
	}
	o := e.options(spec, "j")
	o.Reporter, o.Patience = w, 300*time.Millisecond
	_, err := Run(t.Context(), o)
	<-stopped
	if fault.KindOf(err) != fault.Unreachable || !strings.Contains(fault.HintOf(err), "pg_isready") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestTwoRunnersOfOneJob(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	data := csvRows(0, 30_000)
	e.oracle("oracle", "format csv", data)
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items")+"  SPEED: {LIMIT: 300kB/s}\n"+smallSplits, 0)
	started := make(chan struct{})
	var once sync.Once
	o := e.options(spec, "j")
	o.Reporter = &watch{on: func(p Progress) {
		if p.Rows > 0 {
			once.Do(func() { close(started) })
		}
	}}
	first := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := Run(ctx, o)
		first <- err
	}()
	<-started
	// The lock tells a second runner.
	conn := e.pg.Connect(t, e.db)
	second := &ledger.Ledger{Job: "j", Epoch: "second"}
	if err := second.Lock(t.Context(), conn, 0); fault.KindOf(err) != fault.Locked {
		t.Errorf("second runner: %v", err)
	}
	// And one that takes the job all the same ends the first.
	journal, err := second.TakeOver(t.Context(), conn)
	if err != nil || len(journal.Objects) != 1 || len(journal.Ranges) == 0 {
		t.Errorf("journal %+v, %v", journal, err)
	}
	before := e.scalar("select count(*)::text from items")
	if err := <-first; !errors.Is(err, ledger.ErrOvertaken) || fault.KindOf(err) != fault.Locked {
		t.Errorf("first runner: %v", err)
	}
	if after := e.scalar("select count(*)::text from items"); before != after {
		t.Errorf("the first runner loaded on: %s rows, then %s", before, after)
	}
	if _, err := Run(t.Context(), e.options(e.spec(simple(e.dir+"/x.csv", "csv", "items")+smallSplits, 0), "j")); err != nil {
		t.Fatal(err)
	}
	same(t, e)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	srv := s3test.Start(t, "bucket")
	good := csvRows(1, 20_000)
	lines := func(s string) int { return strings.Count(s, "\n") }
	text := string(good)
	cut := strings.Index(text, "\n9999,") + 1
	badType := text[:cut] + "99x,\"a\nb\",1,note\n" + text[cut:]
	tooFew := text[:cut] + "1,2\n" + text[cut:]
	tooMany := text[:cut] + "1,a,2,b,c\n" + text[cut:]
	duplicate := text[:cut] + "1,again,1,\n" + text[cut:]
	openQuote := text[:cut] + "99,\"open,1,\n" + strings.ReplaceAll(text[cut:], `"`, "")
	at := fmt.Sprintf("x.csv line %d", lines(text[:cut])+1)
	type want struct {
		kind fault.Kind
		text []string
		hint string
	}
	for _, c := range []struct {
		name string
		data string
		edit func(e *env, body string) string
		want want
	}{
		{"bad type", badType, nil, want{fault.Failed, []string{at, "column id", `invalid input syntax for type integer: "99x"`, "row: 99x,\"a\nb\",1,note"}, "cw load resume JOB"}},
		{"too few fields", tooFew, nil, want{fault.Failed, []string{at, "missing data for column \"amount\"", "row: 1,2"}, "cw load resume JOB"}},
		{"too many fields", tooMany, nil, want{fault.Failed, []string{at, "extra data after last expected column", "row: 1,a,2,b,c"}, "cw load resume JOB"}},
		{"duplicate key", duplicate, func(_ *env, b string) string { // with one session it is the second row that is refused
			return strings.Replace(b, "WORKERS: 3", "WORKERS: 1", 1)
		}, want{fault.Failed, []string{at, "duplicate key", "row: 1,again,1,"}, "cw load resume JOB"}},
		{"open quote", openQuote, nil, want{fault.Failed, []string{at, "not closed"}, "missing quote"}},
		{"marker", text[:cut] + "\\.\n" + text[cut:], nil, want{fault.Failed, []string{at, `end-of-data marker \.`}, "quote the value"}},
		{"missing table", text, func(_ *env, b string) string { return strings.Replace(b, "TABLE: items", "TABLE: itmes", 1) }, want{fault.Usage, []string{"table itmes does not exist"}, "did you mean items?"}},
		{"missing column", text, func(_ *env, b string) string {
			return strings.Replace(b, "    - FORMAT", "    - COLUMNS: [{id: int}, {naem: text}, {amount: numeric}, {note: text}]\n    - FORMAT", 1)
		}, want{fault.Usage, []string{"column naem is not in table public.items"}, "did you mean name?"}},
		{"disk full", text, func(e *env, b string) string {
			e.pg.Exec(e.t, e.db, `create function full_disk() returns trigger language plpgsql as $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
				create trigger t before insert on items for each row when (new.id = 15000) execute function full_disk()`)
			return b
		}, want{fault.Failed, []string{"disk is full", "No space left"}, "free space on the database host"}},
		{"no such object", text, func(_ *env, b string) string { return strings.Replace(b, "x.csv", "y.csv", 1) }, want{fault.Failed, []string{"y.csv: no object matches"}, "ls -ld"}},
		{"missing bucket", text, func(_ *env, b string) string {
			return strings.Replace(b, "FILE: [", "ENDPOINT: '"+srv.Endpoint+"', URL: ['s3://nobucket/x'], FILE: [", 1)
		}, want{fault.Failed, []string{"bucket nobucket does not exist"}, "check the bucket's name"}},
		{"before fails", text, func(_ *env, b string) string { return b + "  SQL: [{BEFORE: select 1/0}]\n" }, want{fault.Failed, []string{"SQL BEFORE", "division by zero"}, "inside one transaction"}},
		{"truncated gzip", string(gz(good)[:60_000]), nil, want{fault.Failed, []string{"x.csv: gzip data is truncated: it ends at byte 60000"}, "gzip -t"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, pg, items)
			e.o.Credentials = srv.Credentials()
			body := simple(e.file("x.csv", []byte(c.data)), "csv", "items") + smallSplits
			if c.edit != nil {
				body = c.edit(e, body)
			}
			_, err := Run(t.Context(), e.options(e.spec(body, 0), "j"))
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want.text {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error lacks %q:\n%v", w, err)
				}
			}
			if fault.KindOf(err) != c.want.kind || !strings.Contains(fault.HintOf(err), c.want.hint) {
				t.Errorf("kind %v, hint %q; want %v, %q", fault.KindOf(err), fault.HintOf(err), c.want.kind, c.want.hint)
			}
			// What is there is whole splits, as the ledger says.
			if e.scalar("select (to_regclass('cw.load_ledger') is not null)::text") == "true" {
				if got := e.scalar("select (select count(*) from items) - (select coalesce(sum(rows), 0) from cw.load_ledger) || ''"); got != "0" {
					t.Errorf("%s rows more in the table than in the ledger", got)
				}
			}
		})
	}
}

func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	spec := e.spec(simple(e.file("x.csv", csvRows(0, 1)), "csv", "items"), 0)
	for _, c := range []struct {
		name string
		edit func(c *Options)
		kind fault.Kind
		text string
		hint string
	}{
		{"password", func(o *Options) { o.Spec.Conn.Password = "wrong" }, fault.Auth, "wrong or missing password", ".pgpass"},
		{"database", func(o *Options) { o.Spec.Conn.Database = "nosuch" }, fault.Usage, "the database does not exist", "psql"},
		{"port", func(o *Options) { o.Spec.Conn.Port = 1 }, fault.Unreachable, "connection refused", "pg_isready"},
	} {
		s := *spec
		o := e.options(&s, "j")
		c.edit(&o)
		for _, f := range []func() error{
			func() error { _, err := Run(t.Context(), o); return err },
			func() error { _, err := Check(t.Context(), o); return err },
		} {
			if err := f(); fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%s: kind %v, %v, hint %q", c.name, fault.KindOf(err), err, fault.HintOf(err))
			}
		}
	}
}

// TestObjectChangesDuringLoad replaces an object while it is loaded.
func TestObjectChangesDuringLoad(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	e := newEnv(t, pgtest.Start(t), items)
	srv.Put(t, "bucket", "x.csv", csvRows(0, 60_000))
	e.o.Credentials, e.o.RangeSize = srv.Credentials(), 100_000
	body := strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ['s3://bucket/x.csv'], ENDPOINT: '"+srv.Endpoint+"'}", 1)
	// Slow enough for a busy machine to notice the first rows before the last.
	o := e.options(e.spec(body+"  SPEED: {LIMIT: 150KB/s}\n"+smallSplits, 0), "j")
	var once sync.Once
	o.Reporter = &watch{on: func(p Progress) {
		if p.Rows > 0 {
			once.Do(func() { srv.Put(t, "bucket", "x.csv", csvRows(5, 60_000)) })
		}
	}}
	_, err := Run(t.Context(), o)
	var changed *source.ChangedError
	if !errors.As(err, &changed) || changed.Old == changed.New || changed.New == "" {
		t.Fatalf("got %v", err)
	}
	if _, err := Run(t.Context(), o); !errors.As(err, &changed) {
		t.Errorf("resumed: %v", err)
	}
}

// TestRowErrorsNameTheRow compares the place that is named with the truth for
// a bad value in every kind of row and every kind of line end.
func TestRowErrorsNameTheRow(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range 60 {
		eol := []string{"\n", "\r\n", "\r"}[i%3]
		convert := func(b string) string { return strings.ReplaceAll(strings.ReplaceAll(b, "\r\n", "\n"), "\n", eol) }
		before, after := convert(string(csvRows(1, 1+rng.IntN(150)))), convert(string(csvRows(1000, 20)))
		if i%10 == 0 {
			before = ""
		}
		bad := convert([]string{"12,n,notanumber,x\n", "13,\"a\n\nb\",nan?,\"x\ny\"\n"}[i%2])
		header := convert("id,name,\"amo\nunt\",note\n")
		if i%4 < 2 {
			header = ""
		}
		line := strings.Count(header+before, eol[len(eol)-1:]) + 1
		spec := e.spec(simple(e.file("x.csv", []byte(header+before+bad+after)), "csv", "items", fmt.Sprintf("    - HEADER: %v\n", header != "")), 0)
		_, err := Run(t.Context(), e.options(spec, fmt.Sprint("j", i)))
		var row *copy.RowError
		if !errors.As(err, &row) || row.Line != int64(line) || row.Column != "amount" || row.Row != strings.TrimRight(bad, "\r\n") {
			t.Errorf("line end %q, bad row %q in line %d: %v", eol, bad, line, err)
		}
	}
	// In text a backslash before the line end makes it data.
	e.pg.Exec(t, e.db, "create table t (id int, note text)")
	text := strings.Repeat("1\ta\\\nb\n", 50) + "x\tbad\n" + "3\tc\n"
	_, err := Run(t.Context(), e.options(e.spec(simple(e.file("x.txt", []byte(text)), "text", "t"), 0), "jt"))
	var row *copy.RowError
	if !errors.As(err, &row) || row.Line != 101 || row.Column != "id" || row.Row != "x\tbad" {
		t.Errorf("text: %v", err)
	}
}

func TestCancelAndPause(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	spec := e.spec(simple(e.file("x.csv", csvRows(0, 60_000)), "csv", "items")+smallSplits, 0)
	var want atomic.Pointer[Control]
	want.Store(&Control{Limit: 500_000})
	o := e.options(spec, "j")
	o.Control = func(context.Context) (Control, error) { return *want.Load(), nil }
	var pausedAt atomic.Int64
	o.Reporter = &watch{on: func(p Progress) {
		switch {
		case p.Rows > 0 && !p.Paused && pausedAt.Load() == 0:
			want.Store(&Control{Limit: 500_000, Pause: true})
		case p.Paused && pausedAt.Load() == 0:
			pausedAt.Store(time.Now().UnixNano())
		case p.Paused && time.Since(time.Unix(0, pausedAt.Load())) > time.Second:
			if p.Rate > 400_000 {
				t.Errorf("rate %d while paused", p.Rate)
			}
			want.Store(&Control{Cancel: true})
		}
	}}
	_, err := Run(t.Context(), o)
	if !errors.Is(err, ErrCancelled) || fault.KindOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}

// TestLimitInTheTable sees that rows arrive no faster than the limit, and that
// a limit that is lifted holds nothing back any more. How exact both are is
// measured by make bench: here only what no slow machine can break.
func TestLimitInTheTable(t *testing.T) {
	t.Parallel()
	const slow = 500_000
	e := newEnv(t, pgtest.Start(t), items)
	data := csvRows(0, 400_000)
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items"), 0)
	var limit atomic.Int64
	limit.Store(slow)
	o := e.options(spec, "j")
	o.Control = func(context.Context) (Control, error) { return Control{Limit: limit.Load()}, nil }
	done := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), o)
		done <- err
	}()
	conn := e.pg.Connect(t, e.db)
	until := func(n int64) (int64, time.Time) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			var got int64
			err := conn.QueryRow(t.Context(), "select coalesce(sum(range_end - range_start), 0)::bigint from cw.load_ledger where kind = 'split'").Scan(&got)
			if err == nil && got >= n { // the table may not be there yet
				return got, time.Now()
			}
			if t.Context().Err() != nil {
				break
			}
		}
		t.Fatal("the load does not get on")
		return 0, time.Time{}
	}
	first, at := until(1)
	second, then := until(first + 2*slow)
	// What was read before the first look may be committed after it: one piece a session.
	const ahead = slow / 2
	if rate := float64(second-first-ahead) / then.Sub(at).Seconds(); rate > 1.05*slow {
		t.Errorf("%.0f bytes/s arrive at a limit of %d", rate, slow)
	}
	limit.Store(0)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	rest := float64(int64(len(data))-second) / slow
	if took := time.Since(then).Seconds(); took > rest/2 {
		t.Errorf("the rest took %.1f s without a limit; with it, it would have been %.1f s", took, rest)
	}
}
