package external

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/loadspec"
	"cw/playground/gptest"
	"cw/playground/pgtest"
)

// TestGreenplum runs everything that needs a real Greenplum on one cluster,
// each in a database of its own.
func TestGreenplum(t *testing.T) {
	t.Parallel()
	g := gptest.Start(t, 2)
	for name, test := range map[string]func(*testing.T, *pgx.Conn){
		"Describe":               testDescribe,
		"Merge":                  testMerge,
		"ReuseLooksAtEverything": testReuseLooksAtEverything,
		"StagingTableIsLookedAt": testStagingTableIsLookedAt,
		"Rejected":               testRejected,
	} {
		t.Run(name, func(t *testing.T) {
			admin := g.Connect(t, "postgres")
			database := "t_" + strings.ToLower(name)
			exec1(t, admin, "create database "+database+" template template0")
			c := g.Connect(t, database)
			test(t, c)
		})
	}
}

func exec1(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func describe(t *testing.T, c *pgx.Conn, schema, table string) *Target {
	t.Helper()
	target, err := Describe(t.Context(), c, loadspec.Output{Schema: schema, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func testDescribe(t *testing.T, c *pgx.Conn) {
	exec1(t, c, `create schema "S x"; create table "S x"."T""1"("B" numeric(10,2), a serial, c text, d timestamp) distributed by (c, "B");
		create table r(a int) distributed randomly; create table rep(a int) distributed replicated;
		create table p(a int, d date) distributed by (a) partition by range(d) (start ('2020-01-01') end ('2020-03-01') every (interval '1 month'))`)
	got := describe(t, c, "S x", `T"1`)
	want := []Column{{Name: "B", Type: "numeric(10,2)", Key: true}, {Name: "a", Type: "integer", Sequence: true}, {Name: "c", Type: "text", Key: true}, {Name: "d", Type: "timestamp without time zone"}}
	if !reflect.DeepEqual(got.Columns, want) || got.Policy != Hash || !reflect.DeepEqual(got.Key, []string{"c", "B"}) || got.Partitioned {
		t.Errorf("%+v", got)
	}
	if got.Engine.Major != 6 || got.Engine.Catalog < 90400 || got.Engine.Encoding != "UTF8" || got.Engine.Primaries != 2 || got.Engine.Cloudberry {
		t.Errorf("engine %+v", got.Engine)
	}
	if r := describe(t, c, "", "r"); r.Policy != Random || r.Schema != "public" {
		t.Errorf("%+v", r)
	}
	if r := describe(t, c, "public", "rep"); r.Policy != Replicated {
		t.Errorf("%+v", r)
	}
	if p := describe(t, c, "", "p"); !p.Partitioned || p.Policy != Hash {
		t.Errorf("%+v", p)
	}
	_, err := Describe(t.Context(), c, loadspec.Output{Table: "pp"})
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Hint != "did you mean p?" {
		t.Errorf("%v %+v", err, missing)
	}
}

// create makes an external table and gives its name in SQL.
func (tab *Table) create(t *testing.T, c *pgx.Conn) string {
	t.Helper()
	sql, err := tab.Create()
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, c, sql)
	return tab.SQLName()
}

func rows(t *testing.T, c *pgx.Conn, query string) string {
	t.Helper()
	r, err := c.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	lines, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return strings.Join(lines, " ")
}

func testMerge(t *testing.T, c *pgx.Conn) {
	exec1(t, c, `create table "Orders"("K" text, id int, "Val" text, n serial, primary key ("K", id)) distributed by ("K", id);
		insert into "Orders" values ('a', 1, 'old', 1), ('', 2, 'empty key', 2), ('b', 3, 'kept', 3)`)
	target := describe(t, c, "", "Orders")
	m, err := NewMapping(target, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A row that exists, one whose key is an empty text (gpload 6 inserts it
	// again), one new one twice, one kept back by the condition.
	at := serve(t, "in.csv", "a,1,new\n\"\",2,changed\nc,4,first\nc,4,second\nb,3,changed\n")
	ext := &Table{Name: "ext_in", Columns: m.Columns, Locations: []string{at}, Format: Format{Kind: "csv", Delimiter: ",", Escape: `"`, Quote: `"`}}
	l := &Load{Target: target, Mapping: m, From: ext.create(t, c), Staging: "st", Match: []string{"K", "id"}, Update: []string{"Val"}, Condition: `"K" <> 'b' and ID > 0`}
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		sql  string
		rows int64
	}{{l.CreateStaging(true), 0}, {l.Fill(), 5}, {l.UpdateRows(), 2}, {l.DeleteMatched(), 3}, {l.InsertRest(), 1}} {
		tag, err := c.Exec(t.Context(), step.sql)
		if err != nil || tag.RowsAffected() != step.rows {
			t.Fatalf("%s: %d rows, not %d: %v", step.sql, tag.RowsAffected(), step.rows, err)
		}
	}
	got := rows(t, c, `select "K" || id || case when "K" = 'c' then '' else "Val" end || (n is not null) from "Orders" order by id`)
	if want := `a1newtrue 2changedtrue b3kepttrue c4true`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// formats are formats that differ in one thing each.
func formats() map[string]Format {
	csv := Format{Kind: "csv", Delimiter: ",", Escape: `"`, Quote: `"`}
	text := Format{Kind: "text", Delimiter: "\t", Null: `\N`, Escape: `\`}
	with := func(f Format, change func(*Format)) Format { change(&f); return f }
	return map[string]Format{
		"csv": csv, "text": text,
		"delimiter":      with(csv, func(f *Format) { f.Delimiter = "'" }),
		"quote":          with(csv, func(f *Format) { f.Quote, f.Escape = "&", "&" }),
		"escape":         with(csv, func(f *Format) { f.Escape = `\` }),
		"null":           with(csv, func(f *Format) { f.Null = `n u\ll` }),
		"header":         with(csv, func(f *Format) { f.Header = true }),
		"fill":           with(csv, func(f *Format) { f.FillMissing = true }),
		"force not null": with(csv, func(f *Format) { f.ForceNotNull = []string{"B c", "a"} }),
		"newline":        with(csv, func(f *Format) { f.Newline = "CRLF" }),
		"text delimiter": with(text, func(f *Format) { f.Delimiter = "\x1b" }),
		"text escape":    with(text, func(f *Format) { f.Escape = "off" }),
		"text null":      with(text, func(f *Format) { f.Null = "" }),
		"text header":    with(text, func(f *Format) { f.Header, f.FillMissing, f.Newline = true, true, "LF" }),
	}
}

func testReuseLooksAtEverything(t *testing.T, c *pgx.Conn) {
	e, err := Probe(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, c, `create schema "Other"`)
	variants := map[string]Table{}
	for name, f := range formats() {
		variants[name] = Table{Format: f}
	}
	base := variants["csv"]
	for name, change := range map[string]func(*Table){
		"location": func(t *Table) { t.Locations = []string{"gpfdist://127.0.0.1:8082//x"} },
		"more":     func(t *Table) { t.Locations = []string{"gpfdist://127.0.0.1:8081//x", "gpfdist://127.0.0.2:8081//x"} },
		"encoding": func(t *Table) { t.Encoding = "LATIN1" },
		"limit":    func(t *Table) { t.RejectLimit = 10 },
		"log":      func(t *Table) { t.RejectLimit, t.LogErrors = 10, true },
		"schema":   func(t *Table) { t.Schema = "Other" },
		"column names": func(t *Table) {
			t.Columns = []loadspec.Column{{Name: "a", Type: "int"}, {Name: "b c", Type: "numeric(10,2)"}}
		},
		"column types": func(t *Table) {
			t.Columns = []loadspec.Column{{Name: "a", Type: "int"}, {Name: "B c", Type: "numeric(10,3)"}}
		},
		"fewer": func(t *Table) { t.Columns = []loadspec.Column{{Name: "a", Type: "int"}} },
	} {
		v := base
		change(&v)
		variants[name] = v
	}
	i := 0
	made := map[string]string{}
	for name, v := range variants {
		v.Name = fmt.Sprintf("%s%d", ReusablePrefix, i)
		i++
		if v.Columns == nil {
			v.Columns = []loadspec.Column{{Name: "a", Type: "int4"}, {Name: "B c", Type: "decimal(10,2)"}}
		}
		if v.Locations == nil {
			v.Locations = []string{"gpfdist://127.0.0.1:8081//x"}
		}
		variants[name] = v
		if found, err := Reusable(t.Context(), c, e, &v, false); err != nil || found != nil {
			t.Errorf("%s: reuses %+v before it is made: %v", name, found, err)
		}
		v.create(t, c)
		made[name] = v.Name
	}
	for name, v := range variants {
		v.Name = "another"
		found, err := Reusable(t.Context(), c, e, &v, false)
		if err != nil || found == nil || found.Name != made[name] {
			t.Errorf("%s: reuses %+v, not %s: %v", name, found, made[name], err)
		}
	}
	// FAST_MATCH does not look at columns.
	v := variants["newline"]
	v.Columns = []loadspec.Column{{Name: "z", Type: "date"}}
	if found, err := Reusable(t.Context(), c, e, &v, false); err != nil || found != nil {
		t.Errorf("reused with other columns: %v", err)
	}
	if found, err := Reusable(t.Context(), c, e, &v, true); err != nil || found == nil || found.Name != made["newline"] {
		t.Errorf("FAST_MATCH reuses %+v: %v", found, err)
	}
}

func testStagingTableIsLookedAt(t *testing.T, c *pgx.Conn) {
	e, err := Probe(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	tab := &Table{Name: "My_staging", Columns: []loadspec.Column{{Name: "a", Type: "int"}}, Locations: []string{"gpfdist://old:8081//x"}, Format: formats()["csv"]}
	if ok, err := Staged(t.Context(), c, e, tab); ok || err != nil {
		t.Errorf("there is none: %v %v", ok, err)
	}
	tab.create(t, c)
	if ok, err := Staged(t.Context(), c, e, tab); !ok || err != nil {
		t.Errorf("it is there: %v %v", ok, err)
	}
	tab.Locations, tab.Format.Quote = []string{"gpfdist://new:8081//x"}, "&"
	_, err = Staged(t.Context(), c, e, tab)
	var se *StagingError
	if !errors.As(err, &se) || len(se.Differences) != 2 || se.Differences[0] != (Difference{"location", "gpfdist://old:8081//x", "gpfdist://new:8081//x"}) {
		t.Errorf("%v", err)
	}
	exec1(t, c, "create table plain_table(a int)")
	tab.Name = "plain_table"
	if _, err = Staged(t.Context(), c, e, tab); !errors.As(err, &se) || len(se.Differences) != 0 {
		t.Errorf("%v", err)
	}
}

func TestReusableStaging(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, change := range []func(*Load){
		func(*Load) {}, func(l *Load) { l.Target.Schema = "s" }, func(l *Load) { l.Target.Table = "t" },
		func(l *Load) { l.Mapping.Assign[0].Column.Type = "bigint" }, func(l *Load) { l.Mapping.Assign = l.Mapping.Assign[:2] }, func(l *Load) { l.Target.Key = nil },
	} {
		l := testLoad(t)
		change(l)
		names[l.ReusableStaging()] = true
	}
	if len(names) != 6 {
		t.Errorf("%v", names)
	}
}

func testRejected(t *testing.T, c *pgx.Conn) {
	exec1(t, c, "create table t(a int, b text) distributed by (a)")
	at := serve(t, "in.csv", "1,x\nbad,\"it's\"\n3,z\n4,y,more\n")
	tab := &Table{
		Name: "Rejecting", Columns: []loadspec.Column{{Name: "a", Type: "int"}, {Name: "b", Type: "text"}}, Locations: []string{at},
		Format: formats()["csv"], LogErrors: true, RejectLimit: 10,
	}
	from := tab.create(t, c)
	before, err := Now(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, c, "insert into t select * from "+from)
	got, err := ReadRejected(t.Context(), c, from, before, 0)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	r := got[0]
	if r.Line != 2 || r.Text != `bad,"it's"` || !strings.Contains(r.Message, "invalid input syntax") || !strings.Contains(r.File, "in.csv") {
		t.Errorf("%+v", r)
	}
	if got[1].Line != 4 || !strings.Contains(got[1].Message, "extra data") {
		t.Errorf("%+v", got[1])
	}
	if one, err := ReadRejected(t.Context(), c, from, time.Time{}, 1); err != nil || len(one) != 1 {
		t.Errorf("%+v %v", one, err)
	}
	exec1(t, c, "insert into t select * from "+from)
	for _, want := range []struct {
		since time.Time
		n     int64
	}{{time.Time{}, 4}, {got[1].Time.Add(time.Microsecond), 2}} {
		if n, err := CountRejected(t.Context(), c, from, want.since); err != nil || n != want.n {
			t.Errorf("%d, not %d: %v", n, want.n, err)
		}
	}
	if err := TruncateRejected(t.Context(), c, from); err != nil {
		t.Error(err)
	}
	if n, err := CountRejected(t.Context(), c, from, time.Time{}); err != nil || n != 0 {
		t.Errorf("%d after truncate: %v", n, err)
	}
	if rows(t, c, "select count(*)::text from t") != "4" {
		t.Error("good rows are missing")
	}
}

// serve runs the engine's own gpfdist on a folder with one file and gives the
// file's location.
func serve(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	port := pgtest.FreePort(t)
	home := os.Getenv("CW_TEST_GPHOME")
	cmd := exec.Command(filepath.Join(home, "bin", "gpfdist"), "-d", dir, "-p", strconv.Itoa(port))
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(home, "lib"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 200 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return "gpfdist://" + address + "/" + name
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("gpfdist does not answer on " + address)
	return ""
}
