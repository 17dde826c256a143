package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"cw/loadspec"
	"cw/loadspec/source"
	"cw/playground/pgtest"
)

// env is a database of a test's own on a throwaway server.
type env struct {
	t   testing.TB
	pg  *pgtest.Server
	db  string
	dir string
	o   source.Options
}

func newEnv(t testing.TB, pg *pgtest.Server, ddl string) *env {
	t.Helper()
	e := &env{t: t, pg: pg, dir: t.TempDir(), db: "d" + strings.ToLower(fmt.Sprintf("%x", rand.Uint64()))}
	e.o = source.Options{Backoff: 5 * time.Millisecond}
	pg.Exec(t, "postgres", "create database "+e.db)
	pg.Exec(t, e.db, ddl)
	return e
}

func (e *env) file(name string, data []byte) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		e.t.Fatal(err)
	}
	return path
}

// spec parses a control file whose connection goes to port, 0 for the server.
func (e *env) spec(body string, port int) *loadspec.Spec {
	e.t.Helper()
	if port == 0 {
		port = e.pg.Port
	}
	text := fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nPASSWORD: cw\nDATABASE: %s\nGPLOAD:\n%s", port, e.db, body)
	s, err := loadspec.Parse("test.yaml", []byte(text))
	if err != nil {
		e.t.Fatalf("%v\n%s", err, text)
	}
	return s
}

// simple is the body of a control file for one location.
func simple(location, format, table string, more ...string) string {
	return fmt.Sprintf("  INPUT:\n    - SOURCE: {FILE: ['%s']}\n    - FORMAT: %s\n%s  OUTPUT:\n    - TABLE: %s\n", location, format, strings.Join(more, ""), table)
}

func (e *env) options(s *loadspec.Spec, job string) Options {
	return Options{Spec: s, Job: job, Source: e.o}
}

// sum is a digest of all rows of a query, whatever their order.
func (e *env) sum(query string) string {
	e.t.Helper()
	c, err := pgx.Connect(e.t.Context(), e.pg.DSN(e.db))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = c.Close(e.t.Context()) }()
	var n int64
	var sum string
	err = c.QueryRow(e.t.Context(), "select count(*), coalesce(sum(('x' || substr(md5(r::text), 1, 15))::bit(60)::bigint::numeric), 0)::text from ("+query+") r").Scan(&n, &sum)
	if err != nil {
		e.t.Fatalf("%s: %v", query, err)
	}
	return fmt.Sprintf("%d rows, %s", n, sum)
}

func (e *env) scalar(query string) string {
	e.t.Helper()
	c, err := pgx.Connect(e.t.Context(), e.pg.DSN(e.db))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = c.Close(e.t.Context()) }()
	var v string
	if err := c.QueryRow(e.t.Context(), query).Scan(&v); err != nil {
		e.t.Fatalf("%s: %v", query, err)
	}
	return v
}

// oracle copies data with PostgreSQL's own COPY in one go.
func (e *env) oracle(table, options string, data []byte) {
	e.t.Helper()
	c, err := pgx.Connect(e.t.Context(), e.pg.DSN(e.db))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = c.Close(e.t.Context()) }()
	if _, err := c.PgConn().CopyFrom(e.t.Context(), bytes.NewReader(data), "copy "+table+" from stdin with ("+options+")"); err != nil {
		e.t.Fatal(err)
	}
}

// csvRows writes rows of (id int, name text, amount numeric, note text) with
// everything csv allows in notes.
func csvRows(from, n int) []byte {
	var b bytes.Buffer
	notes := []string{"plain", `"with, comma"`, `"with ""quotes"""`, "\"over\ntwo lines\"", "", `""`, "\"\r\n\"", "\"\n\n,\n\"\"\n\"", `"\"`}
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, "%d,name %d,%d.%02d,%s\n", i, i%97, i%1000, i%100, notes[i%len(notes)])
	}
	return b.Bytes()
}

const items = "create table items (id int primary key, name text, amount numeric, note text); create table oracle (like items)"

func gz(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func zst(data []byte) []byte {
	var b bytes.Buffer
	w, _ := zstd.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

// watch keeps the last progress and can wait for a condition on it.
type watch struct {
	mu   sync.Mutex
	last Progress
	on   func(Progress)
}

func (w *watch) Progress(p Progress) {
	w.mu.Lock()
	w.last = p
	on := w.on
	w.mu.Unlock()
	if on != nil {
		on(p)
	}
}

// runToEnd runs a job again and again until it is done, as resume does.
func (e *env) runToEnd(o Options, limit int, each func(i int) (context.Context, context.CancelFunc)) (runs int) {
	e.t.Helper()
	for i := range limit {
		ctx, cancel := each(i)
		_, err := Run(ctx, o)
		// A dial ends at the context's deadline by a clock of its own, which may
		// be a moment earlier.
		interrupted := ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
		cancel()
		if err == nil {
			return i + 1
		}
		if !interrupted {
			e.t.Fatalf("run %d: %v", i, err)
		}
	}
	e.t.Fatalf("not done after %d runs", limit)
	return limit
}
