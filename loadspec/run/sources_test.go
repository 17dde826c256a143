package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cw/fault"
	"cw/loadspec/source"
	"cw/playground/gptest"
	"cw/playground/pgtest"
)

// webOf serves objects by name, some with ranges and some without, and now and
// then it fails.
func webOf(t *testing.T, objects map[string][]byte) *httptest.Server {
	t.Helper()
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		data, ok := objects[name]
		if !ok || r.URL.Query().Get("token") != "geheim" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		k := n.Add(1)
		rng := rand.New(rand.NewPCG(uint64(k), 5))
		w.Header().Set("ETag", `"`+name+`"`)
		out := &cutting{ResponseWriter: w, left: -1}
		switch k % 5 {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
			return
		case 2:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 3:
			out.left = 1 + rng.IntN(200_000)
		}
		if strings.HasPrefix(name, "whole") {
			_, _ = out.Write(data)
			return
		}
		http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(srv.Close)
	return srv
}

// cutting breaks an answer off.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left >= 0 && len(p) >= c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		if f, ok := c.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	if c.left >= 0 {
		c.left -= len(p)
	}
	return c.ResponseWriter.Write(p)
}

func (e *onceEnv) fromWeb(t *testing.T) {
	t.Helper()
	parts := [][]byte{csvRows(0, 20_000), csvRows(20_000, 20_000), csvRows(40_000, 5_000)}
	srv := webOf(t, map[string][]byte{"a.csv": parts[0], "whole.csv": parts[1], "c.csv.gz": gz(parts[2])})
	urls := make([]string, 0, 3)
	for _, name := range []string{"a.csv", "whole.csv", "c.csv.gz"} {
		urls = append(urls, fmt.Sprintf("'%s/%s?token=geheim'", strings.Replace(srv.URL, "//", "//user:geheim@", 1), name))
	}
	body := strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ["+strings.Join(urls, ", ")+"]}", 1) + "  PARALLEL: {SPLIT: 64KiB, COMMIT: 300kB}\n"
	set := func(o Options) Options {
		o.Source = source.Options{Backoff: time.Millisecond, RangeSize: 100_000, Attempts: 20}
		return o
	}
	// Interrupted and resumed, too.
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+rng.IntN(100)+100*i)*time.Millisecond)
		_, err := Run(ctx, set(e.options(body, "j1")))
		interrupted := ctx.Err() != nil
		cancel()
		if err == nil {
			break
		}
		if !interrupted {
			t.Fatal(err)
		}
	}
	e.rows(t, 45_000)
	if got := e.query("select count(distinct id)::text from items"); got != "45000" {
		t.Errorf("%s different", got)
	}
	if got := e.query("select count(*)::text from cw.load_ledger where object like '%geheim%' or etag like '%geheim%'"); got != "0" {
		t.Error("secrets in the ledger")
	}
	if res := e.run(t, set(e.options(body, "j2"))); res.Skipped != 3 {
		t.Errorf("%+v", res)
	}
}

func TestLoadsFromTheWeb(t *testing.T) {
	t.Parallel()
	onPostgres(t, pgtest.Start(t)).fromWeb(t)
}

func TestGreenplumLoadsFromTheWeb(t *testing.T) {
	t.Parallel()
	onGreenplum(t, gptest.Start(t, 2)).fromWeb(t)
}

func (e *onceEnv) fromStdin(t *testing.T) {
	t.Helper()
	body := simple("-", "csv", "items") + "  PARALLEL: {SPLIT: 64KiB, COMMIT: 300kB}\n"
	o := e.options(body, "j1")
	o.Source.Stdin = bytes.NewReader(csvRows(0, 20_000))
	if res := e.run(t, o); res.Rows != 20_000 {
		t.Errorf("%+v", res)
	}
	o = e.options(body, "j2") // another input, and nothing to do with the first
	o.Source.Stdin = bytes.NewReader(csvRows(20_000, 100))
	if res := e.run(t, o); res.Rows != 100 || res.Skipped != 0 {
		t.Errorf("%+v", res)
	}
	e.rows(t, 20_100)
	// Interrupted in the middle it cannot be resumed, and says so.
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	go func() {
		_, _ = out.Write(csvRows(50_000, 20_000))
		cancel()
	}()
	o = e.options(body, "j3")
	o.Source.Stdin = in
	if _, err := Run(ctx, o); err == nil {
		t.Error("not interrupted")
	}
	o.Source.Stdin = bytes.NewReader(csvRows(50_000, 20_000))
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "second time") {
		t.Errorf("%v", err)
	}
	if _, err := Check(t.Context(), e.options(body, "j4")); err == nil || !strings.Contains(err.Error(), "standard input") {
		t.Errorf("check without one: %v", err)
	}
}

func TestLoadsStdin(t *testing.T) {
	t.Parallel()
	onPostgres(t, pgtest.Start(t)).fromStdin(t)
}

func TestGreenplumLoadsStdin(t *testing.T) {
	t.Parallel()
	onGreenplum(t, gptest.Start(t, 2)).fromStdin(t)
}

// What cannot be told from its next version is not watched: it would be loaded
// again and again.
func TestWatchWantsVersions(t *testing.T) {
	t.Parallel()
	e := onPostgres(t, pgtest.Start(t))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("1,a,1,x\n")) }))
	defer srv.Close()
	o := e.options(strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ['"+srv.URL+"/x.csv']}", 1), "j")
	o.Watch = 10 * time.Millisecond
	if _, err := Run(t.Context(), o); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "cannot be watched") {
		t.Errorf("%v", err)
	}
	o.Watch, o.Job = 0, "k"
	e.run(t, o)
	e.rows(t, 1)
}

// Sessions are killed while standard input is read: what they held is sent
// again by others.
func TestStdinSessionsKilled(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items)
	data := csvRows(0, 60_000)
	e.oracle("oracle", "format csv", data)
	o := e.options(e.spec(simple("-", "csv", "items")+smallSplits, 0), "j")
	o.Source.Stdin = bytes.NewReader(data)
	ctx, stop := context.WithCancel(t.Context())
	kills := make(chan int64, 1)
	admin := e.pg.Connect(t, "postgres")
	go func() {
		var n int64
		for ctx.Err() == nil && n < 8 {
			tag, err := admin.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'cw load%' and datname = $1 order by random() limit 1", e.db)
			if err == nil {
				n += tag.RowsAffected()
			}
			time.Sleep(15 * time.Millisecond)
		}
		kills <- n
	}()
	_, err := Run(t.Context(), o)
	stop()
	if n := <-kills; err != nil || n < 2 {
		t.Fatalf("%d kills: %v", n, err)
	}
	same(t, e)
}

// Columns cannot be told from what is not there yet, nor from what can be read
// once.
func TestCreatingWantsAnObject(t *testing.T) {
	t.Parallel()
	e := onPostgres(t, pgtest.Start(t))
	for location, want := range map[string]string{"-": "standard input", e.dir + "/*.csv": "no object yet"} {
		o := e.options(simple(location, "csv", "newtable", "    - HEADER: true\n")+"  PRELOAD: [{CREATE_TABLE: true}]\n", "j")
		o.Source.Stdin, o.Watch = strings.NewReader("a,b\n1,2\n"), time.Hour
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", location, err)
		}
	}
}
