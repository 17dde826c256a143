package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cw/loadspec"
	"cw/playground/gptest"
	"cw/playground/pgtest"
)

// roundTrip unloads a table and loads it by the unload's own manifest; an
// object that is not what that says is not loaded.
func (e *onceEnv) roundTrip(t *testing.T, unload func(dir string) *loadspec.Unload, o Options) {
	t.Helper()
	e.exec("create table copied (like items)")
	e.exec("insert into items select i, 'name ' || i, i / 7.0, case when i % 3 = 0 then null else E'two\nlines, ' || i end from generate_series(1, 50000) i")
	dir := filepath.Join(e.dir, "out")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Job = "u1"
	if _, err := Unload(t.Context(), unload(dir), o); err != nil {
		t.Fatal(err)
	}
	m, _ := readManifest(t, dir)
	if m.Rows != 50_000 || len(m.Objects) == 0 {
		t.Fatalf("%+v", m)
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.manifest.json"))
	body := fmt.Sprintf("  INPUT:\n    - SOURCE: {MANIFEST: '%s'}\n    - FORMAT: csv\n  OUTPUT:\n    - TABLE: copied\n", names[0])
	if res := e.run(t, e.options(body, "l1")); res.Rows != 50_000 {
		t.Errorf("%+v", res)
	}
	const sum = "select count(*) || ' ' || sum(hashtext(r::text)::bigint) from %s r"
	if got, want := e.query(fmt.Sprintf(sum, "copied")), e.query(fmt.Sprintf(sum, "items")); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if res := e.run(t, e.options(body, "l2")); res.Skipped != int64(len(m.Objects)) {
		t.Errorf("%+v", res)
	}
	// One byte is another, and the size is the same.
	name := strings.TrimPrefix(m.Objects[0].URL, "file://")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1 // another digit
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), e.options(body, "l3")); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("%v", err)
	}
	if got := e.query("select count(*)::text from cw.load_ledger where job = 'l3' and eof and object = '" + m.Objects[0].URL + "'"); got != "0" {
		t.Error("it counts as loaded")
	}
	if err := os.WriteFile(name, data[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), e.options(body, "l4")); err == nil || !strings.Contains(err.Error(), "bytes, not") {
		t.Errorf("%v", err)
	}
}

func TestLoadsWhatWasUnloaded(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	p := newEnv(t, pg, "create table items (id int, name text, amount numeric, note text)")
	e := &onceEnv{
		options: func(body, job string) Options { return p.options(p.spec(body, 0), job) },
		query:   p.scalar, exec: func(sql string) { pg.Exec(t, p.db, sql) }, file: p.file, dir: p.dir,
	}
	e.roundTrip(t, func(dir string) *loadspec.Unload { return p.out(dir, "items.csv", "TABLE: items", "FORMAT: csv") }, Options{})
}

func TestGreenplumLoadsWhatWasUnloaded(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	g := newGPEnv(t, gp)
	e := &onceEnv{
		options: func(body, job string) Options {
			o := g.options(g.spec(body))
			o.Job = job
			return o
		},
		query: g.query, exec: func(sql string) { gp.Exec(t, g.db, sql) }, file: g.file, dir: g.dir,
	}
	e.roundTrip(t, func(dir string) *loadspec.Unload {
		text := fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nDATABASE: %s\nGPLOAD:\n  INPUT:\n    - TABLE: items\n  OUTPUT:\n    - SINK: {FILE: '%s/items.csv'}\n    - FORMAT: csv\n", gp.Port, g.db, dir)
		u, err := loadspec.ParseUnload("test.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}, Options{})
}
