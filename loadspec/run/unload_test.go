package run

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cw/loadspec"
	"cw/loadspec/source"
	"cw/playground/gptest"
	"cw/playground/s3test"
)

func (e *gpEnv) unload(body string) *loadspec.Unload {
	e.t.Helper()
	text := fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nDATABASE: %s\nGPLOAD:\n%s", e.gp.Port, e.db, body)
	u, err := loadspec.ParseUnload("test.yaml", []byte(text))
	if err != nil {
		e.t.Fatalf("%v\n%s", err, text)
	}
	return u
}

// manifest reads the only manifest of a folder, and all rows of its objects.
func (e *gpEnv) manifest(dir string) (m Manifest, rows []byte) {
	e.t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.manifest.json"))
	if len(names) != 1 {
		e.t.Fatalf("manifests: %v", names)
	}
	data, err := os.ReadFile(names[0])
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		e.t.Fatal(err)
	}
	for _, o := range m.Objects {
		data, err := os.ReadFile(strings.TrimPrefix(o.URL, "file://"))
		if err != nil {
			e.t.Fatal(err)
		}
		if strings.HasSuffix(o.URL, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				e.t.Fatal(err)
			}
			if data, err = io.ReadAll(z); err != nil {
				e.t.Fatal(err)
			}
		}
		rows = append(rows, data...)
	}
	all, _ := filepath.Glob(filepath.Join(dir, "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(all) != len(m.Objects)+1 || len(hidden) > 0 {
		e.t.Errorf("%d objects in the manifest, in the folder: %v %v", len(m.Objects), all, hidden)
	}
	return m, rows
}

func TestUnload(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 3)
	data := csvRows(0, 20_000)
	newEnv := func(t *testing.T) *gpEnv {
		e := newGPEnv(t, gp)
		spec := e.spec(simple(e.file("in.csv", data), "csv", "items"))
		if _, err := Run(t.Context(), e.options(spec)); err != nil {
			t.Fatal(err)
		}
		return e
	}
	back := func(e *gpEnv, rows []byte) {
		e.t.Helper()
		e.gp.Exec(e.t, e.db, "truncate oracle")
		e.same(rows)
	}
	t.Run("a table", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		u := e.unload("  INPUT: [{TABLE: items}]\n  OUTPUT:\n    - SINK: {FILE: '" + t.TempDir() + "/items.csv.gz'}\n    - FORMAT: csv\n")
		o := e.options(nil)
		o.Job = "u1"
		plan, err := PlanUnload(t.Context(), u, o)
		if err != nil || plan.Segments != 3 || len(plan.Columns) != 4 || !strings.HasSuffix(plan.Place, "/items.*.*.csv.gz") {
			t.Errorf("%+v %v", plan, err)
		}
		res, err := Unload(t.Context(), u, o)
		if err != nil {
			t.Fatal(err)
		}
		m, rows := e.manifest(filepath.Dir(u.Sink.Locations[0]))
		if res.Rows != 20_000 || m.Rows != 20_000 || len(m.Objects) != 3 || m.Objects[0].Segment == m.Objects[1].Segment {
			t.Errorf("%+v, manifest %+v", res, m)
		}
		back(e, rows)
		if _, err := Unload(t.Context(), u, o); err != nil {
			t.Errorf("a second run: %v", err)
		}
	})
	t.Run("a query, merged", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		u := e.unload("  INPUT:\n    - QUERY: select id, name, sum(amount) amount from items where id < 100 group by 1, 2;\n  OUTPUT:\n    - SINK: {FILE: '" + t.TempDir() + "/q.txt'}\n    - MERGE: true\n    - DELIMITER: '|'\n")
		o := e.options(nil)
		o.Job = "u2"
		if _, err := Unload(t.Context(), u, o); err != nil {
			t.Fatal(err)
		}
		m, rows := e.manifest(filepath.Dir(u.Sink.Locations[0]))
		if m.Rows != 100 || len(m.Objects) != 1 || bytes.Count(rows, []byte("\n")) != 100 || bytes.Count(rows, []byte("|")) != 200 {
			t.Errorf("%+v\n%s", m, rows)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		u := e.unload("  INPUT:\n    - QUERY: select * from items where false\n  OUTPUT:\n    - SINK: {FILE: '" + t.TempDir() + "/q.csv'}\n    - FORMAT: csv\n")
		if res, err := Unload(t.Context(), u, e.options(nil)); err != nil || res.Rows != 0 {
			t.Fatalf("%+v %v", res, err)
		}
		if m, _ := e.manifest(filepath.Dir(u.Sink.Locations[0])); len(m.Objects) != 0 {
			t.Errorf("%+v", m)
		}
	})
	t.Run("a query that fails half-way", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		dir := t.TempDir()
		u := e.unload("  INPUT:\n    - QUERY: select id, 1 / (id - 19999) from items\n  OUTPUT:\n    - SINK: {FILE: '" + dir + "/q.csv'}\n    - FORMAT: csv\n")
		if _, err := Unload(t.Context(), u, e.options(nil)); err == nil || !strings.Contains(err.Error(), "division by zero") {
			t.Fatalf("%v", err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		e.clean()
	})
	t.Run("to a store that fails", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		srv := s3test.Start(t, "bucket")
		proxy := srv.Proxy(t)
		var n atomic.Int64
		proxy.Set(func(*http.Request) s3test.Fault {
			return s3test.Fault{Status: map[int64]int{0: 500, 1: 503}[n.Add(1)%4]}
		})
		u := e.unload("  INPUT: [{TABLE: items}]\n  OUTPUT:\n    - SINK: {URL: 's3://bucket/out/items.csv', ENDPOINT: '" + proxy.Endpoint + "'}\n    - FORMAT: csv\n")
		o := e.options(nil)
		o.Job = "u3"
		o.Source = source.Options{Credentials: srv.Credentials(), Backoff: time.Millisecond, Attempts: 20}
		if _, err := Unload(t.Context(), u, o); err != nil {
			t.Fatal(err)
		}
		// And back again.
		e.gp.Exec(t, e.db, "create table copied (like items)")
		spec := e.spec(strings.Replace(simple("X", "csv", "copied"), "{FILE: ['X']}", "{URL: ['s3://bucket/out/*.csv'], ENDPOINT: '"+srv.Endpoint+"'}", 1))
		lo := e.options(spec)
		lo.Source, lo.Job = source.Options{Credentials: srv.Credentials()}, "l3"
		if _, err := Run(t.Context(), lo); err != nil {
			t.Fatal(err)
		}
		if got, want := e.query(fmt.Sprintf(gpSum, "copied")), e.query(fmt.Sprintf(gpSum, "items")); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("with headings, in small objects", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		dir := t.TempDir()
		u := e.unload("  INPUT: [{TABLE: items}]\n  OUTPUT:\n    - SINK: {FILE: '" + dir + "/items.csv'}\n    - FORMAT: csv\n    - HEADER: true\n    - MAX_SIZE: 100kB\n")
		if _, err := Unload(t.Context(), u, e.options(nil)); err != nil {
			t.Fatal(err)
		}
		m, data := readManifest(t, dir)
		head := []byte("id,name,amount,note\n")
		var rows []byte
		for i, d := range data {
			if !bytes.HasPrefix(d, head) || len(d) > 100_000 || m.Objects[i].Rows == 0 {
				t.Errorf("%+v: %d bytes, %.50q", m.Objects[i], len(d), d)
			}
			rows = append(rows, bytes.TrimPrefix(d, head)...)
		}
		if m.Rows != 20_000 || len(data) < 6 {
			t.Errorf("%+v", m)
		}
		back(e, rows)
	})
	t.Run("json", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		dir := t.TempDir()
		u := e.unload("  INPUT: [{TABLE: items}]\n  OUTPUT:\n    - SINK: {FILE: '" + dir + "/items.json'}\n    - FORMAT: json\n")
		if _, err := Unload(t.Context(), u, e.options(nil)); err != nil {
			t.Fatal(err)
		}
		m, data := readManifest(t, dir)
		lines := bytes.Split(bytes.TrimSuffix(bytes.Join(data, nil), []byte("\n")), []byte("\n"))
		for _, line := range lines {
			if !json.Valid(line) {
				t.Fatalf("%s", line)
			}
		}
		if m.Rows != 20_000 || len(lines) != 20_000 {
			t.Errorf("%d lines, %+v", len(lines), m)
		}
		e.gp.Exec(t, e.db, "create table copied (like items)")
		lo := e.options(e.spec(simple(dir+"/items.?.*.json", "json", "copied")))
		lo.Job = "lj"
		if _, err := Run(t.Context(), lo); err != nil {
			t.Fatal(err)
		}
		if got, want := e.query(fmt.Sprintf(gpSum, "copied")), e.query(fmt.Sprintf(gpSum, "items")); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("interrupted anywhere", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		dir := t.TempDir()
		u := e.unload("  INPUT: [{TABLE: items}]\n  OUTPUT:\n    - SINK: {FILE: '" + dir + "/items.csv'}\n    - FORMAT: csv\n  SPEED: {LIMIT: 1MB/s}\n")
		o := e.options(nil)
		o.Job = "u4"
		runs := 0
		for ; runs < 50; runs++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(50+rand.IntN(200+100*runs))*time.Millisecond)
			_, err := Unload(ctx, u, o)
			over := ctx.Err() != nil
			cancel()
			if err == nil {
				break
			}
			if !over {
				t.Fatalf("run %d: %v", runs, err)
			}
			u.Limit += 200_000
		}
		if runs < 2 {
			t.Errorf("done after %d runs: nothing was interrupted", runs)
		}
		_, rows := e.manifest(dir)
		back(e, rows)
	})
}
