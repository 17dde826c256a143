package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"cw/fault"
	"cw/playground/pgtest"
)

// scalars is a table of all types that a loader of JSON and Parquet takes back
// as they are, with their extremes and with NULL.
const scalars = `create type mood as enum ('sad', 'so so'); create domain posint as int check (value > 0);
	create table v (id int, b bool, i2 smallint, i8 bigint, f4 real, f8 double precision, n numeric, n9 numeric(9,2), n18 numeric(18,4), n38 numeric(38,10), d date, t time, ttz timetz,
		ts timestamp, tz timestamptz, iv interval, u uuid, by bytea, tx text, vc varchar(40), ch char(6), js json, jb jsonb, ip inet, m mood, dom posint, "Odd ""name" int, o oid);
	insert into v select i, i % 2 = 0, i % 30000 - 15000, i * 1234567890123, i / 3.0, i / 7.0, i / 3.0, i / 3.0 - 500, i * 1000000000.0001 - 5, i * 1e20 + 0.0000000001, date '1970-01-01' + i, time '00:00' + i * interval '1.000001 s',
		'12:00:01.5+03', timestamp '1999-12-31 23:59:59.999999' + i * interval '1 hour', timestamptz '1969-12-31 23:59:59.999999+02' + i * interval '1 day', i * interval '1 hour 1 day', md5(i::text)::uuid, decode(md5(i::text), 'hex'),
		E'line\nbreak "quoted" \\ back\ttab ' || i, 'wörd ' || i % 10, 'c' || i % 10, ('{"a": [' || i || E', null],\n "b":\t"x\\ny"}')::json, ('{"k": ' || i || '}')::jsonb, '10.0.0.1/24', 'so so', i, i, i from generate_series(1, 3000) i;
	insert into v (id) values (-1); insert into v (id, f4, f8, i8, i2, n, n9, n18, n38, d, ts, tz, tx) values
		(-2, 'NaN', 'Infinity', 9223372036854775807, 32767, 'NaN', 9999999.99, 99999999999999.9999, 9999999999999999999999999999.9999999999, '4713-01-01 BC', '0044-03-15 BC', '0044-03-15 BC', ''),
		(-3, '-Infinity', '-0', -9223372036854775808, -32768, 1e-20, -9999999.99, -99999999999999.9999, -9999999999999999999999999999.9999999999, '9999-12-31', '294246-12-31 23:59:59', '0001-01-01 00:00:00 UTC', 'NULL'),
		(-4, 1e-30, 1e308, 0, 0, 0, 0, 0.0001, -0.0000000001, '2000-01-01', '2000-01-01', '2000-01-01 UTC', E'\\N')`

// equal tells whether two queries have the very same rows, both ways.
func (e *env) equal(a, b string) {
	e.t.Helper()
	for _, q := range []string{a + " except all " + b, b + " except all " + a} {
		if n := e.scalar("select count(*)::text from (" + q + ") r"); n != "0" {
			e.t.Errorf("%s rows in: %s", n, q)
			e.t.Log(e.scalar("select string_agg(r::text, E'\\n') from (select * from (" + q + ") x limit 3) r"))
		}
	}
}

// TestExtractJSON has the database's own opinion of what a row is in JSON, and
// loads what was unloaded.
func TestExtractJSON(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), scalars)
	e.pg.Exec(t, e.db, "create type pt as (x int, y text); create table nested (id int, a int[], aa text[], c pt, r int4range); insert into nested select i, array[i, null], '{{a,\"b c\"},{d,NULL}}'::text[], row(i, 'x')::pt, '[1,5)'::int4range from generate_series(1, 2000) i")
	for _, table := range []string{"v", "nested"} {
		dir := t.TempDir()
		u := e.out(dir, "x.jsonl.zst", "TABLE: "+table, "FORMAT: json")
		u.Workers = 2
		m, data := e.unloaded(u, Options{Job: "u" + table})
		all := bytes.Join(data, nil)
		lines := bytes.Split(bytes.TrimSuffix(all, []byte("\n")), []byte("\n"))
		if int64(len(lines)) != m.Rows {
			t.Errorf("%d lines, %d rows", len(lines), m.Rows)
		}
		for _, l := range lines {
			if !json.Valid(l) {
				t.Fatalf("%s", l)
			}
		}
		e.pg.Exec(t, e.db, "create table js_"+table+" (j jsonb)")
		e.oracle("js_"+table, `format csv, quote e'\x01', delimiter e'\x02'`, all)
		e.equal("select j from js_"+table, "select row_to_json(x)::jsonb from "+table+" x")
	}
	e.pg.Exec(t, e.db, "create table back (like v)")
	dir := t.TempDir()
	e.unloaded(e.out(dir, "v.jsonl", "TABLE: v", "FORMAT: json"), Options{Job: "u3"})
	if _, err := Run(t.Context(), e.options(e.spec(simple(dir+"/*.jsonl", "json", "back"), 0), "l")); err != nil {
		t.Fatal(err)
	}
	// Line ends between the words of a json value are blanks now.
	e.equal("select to_jsonb(r)::text from back r", "select to_jsonb(r)::text from v r")
}

// TestExtractParquet loads what was unloaded, and has another implementation
// read it where there is one.
func TestExtractParquet(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), scalars+"; create table back (like v); create table arrays (id int, a int[], b text[]); insert into arrays values (1, '{1,NULL}', '{\"x y\",\"\"}'), (2, '{}', null); create table back_arrays (like arrays)")
	for _, c := range []struct{ name, compression, more string }{
		{"zstd", "auto", "MAX_ROW_GROUP: 1MB"}, {"none", "none", "MERGE: true"}, {"snappy", "snappy", "MAX_SIZE: 200kB"}, {"gzip", "gzip", "MAX_ROW_GROUP: 10MB"},
	} {
		dir := t.TempDir()
		u := e.out(dir, "v.parquet", "TABLE: v", "FORMAT: parquet", "COMPRESSION: "+c.compression, c.more)
		u.Workers = 2
		var warned []string
		m, data := e.unloaded(u, Options{Job: "u" + c.name, Warn: func(text string) { warned = append(warned, text) }})
		if m.Rows != 3004 || len(warned) != 1 || !strings.Contains(warned[0], "column n (numeric)") || !bytes.HasPrefix(data[0], []byte("PAR1")) {
			t.Errorf("%+v %v", m, warned)
		}
		e.pg.Exec(t, e.db, "truncate back")
		if _, err := Run(t.Context(), e.options(e.spec(simple(dir+"/*.parquet", "parquet", "back"), 0), "l"+c.name)); err != nil {
			t.Fatal(err)
		}
		e.equal("select r::text from back r", "select r::text from v r")
		f, err := parquet.OpenFile(bytes.NewReader(data[0]), int64(len(data[0])))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Root().Columns()[27].Name(); got != "o" || f.Root().Columns()[0].Name() != "id" {
			t.Errorf("the columns are not in order: %s", f.Schema())
		}
	}
	dir := t.TempDir()
	e.unloaded(e.out(dir, "a.parquet", "TABLE: arrays", "FORMAT: parquet"), Options{Job: "ua"})
	if _, err := Run(t.Context(), e.options(e.spec(simple(dir+"/*.parquet", "parquet", "back_arrays"), 0), "la")); err != nil {
		t.Fatal(err)
	}
	e.equal("select * from back_arrays", "select * from arrays")

	for _, q := range []string{"select 'infinity'::date as d", "select '-infinity'::timestamptz as d", "select 'NaN'::numeric(5,2) as d", "select 'infinity'::timestamp as d"} {
		_, err := Unload(t.Context(), e.out(t.TempDir(), "x.parquet", "QUERY: \""+q+"\"", "FORMAT: parquet"), Options{Job: "ux"})
		if err == nil || !strings.Contains(err.Error(), "column d (") || !strings.Contains(fault.HintOf(err), "::text") {
			t.Errorf("%s: %v", q, err)
		}
	}
}

// TestExtractParquetElsewhere reads a file with hyparquet, which is JavaScript.
func TestExtractParquetElsewhere(t *testing.T) {
	t.Parallel()
	modules := os.Getenv("CW_TEST_NODE_MODULES")
	if _, err := exec.LookPath("node"); err != nil || modules == "" {
		t.Skip("needs node, and CW_TEST_NODE_MODULES where npm install hyparquet hyparquet-compressors was run")
	}
	e := newEnv(t, pgtest.Start(t), scalars)
	for _, compression := range []string{"zstd", "snappy", "gzip", "none"} {
		dir := t.TempDir()
		m, _ := e.unloaded(e.out(dir, "v.parquet", "QUERY: select id, b, i2, i8, f8, n9, n38, d, ts, tz, u, tx, js, n from v where id > -2 order by id", "FORMAT: parquet", "COMPRESSION: "+compression), Options{Job: "u" + compression})
		script := filepath.Join(dir, "read.mjs")
		text := `import { asyncBufferFromFile, parquetReadObjects } from 'file://` + modules + `/hyparquet/src/node.js'
import { compressors } from 'file://` + modules + `/hyparquet-compressors/src/index.js'
const file = await asyncBufferFromFile(process.argv[2])
const rows = await parquetReadObjects({ file, compressors })
console.log(JSON.stringify([rows.length, rows[0], rows[1], rows[3000]], (k, v) => typeof v === 'bigint' ? v.toString() : v))`
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "node", script, strings.TrimPrefix(m.Objects[0].URL, "file://")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s: %s", compression, out)
		var got []json.RawMessage
		if err := json.Unmarshal(out, &got); err != nil || len(got) != 4 || string(got[0]) != "3001" {
			t.Fatalf("%v\n%s", err, out)
		}
		var null, first map[string]any
		if json.Unmarshal(got[1], &null) != nil || json.Unmarshal(got[2], &first) != nil || null["tx"] != nil || null["id"] != -1.0 {
			t.Errorf("%s", got[1])
		}
		for k, v := range map[string]any{"id": 1.0, "b": false, "i2": -14999.0, "i8": "1234567890123", "n9": -499.67, "d": "1970-01-02T00:00:00.000Z", "ts": "2000-01-01T00:59:59.999Z", "n": "0.33333333333333333333"} {
			if fmt.Sprint(first[k]) != fmt.Sprint(v) {
				t.Errorf("%s: %v, want %v", k, first[k], v)
			}
		}
	}
}

// TestExtractPartitions puts rows into folders, whatever their keys are.
func TestExtractPartitions(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows+`; create table keys (id int, "Key" text, n int); insert into keys select i,
		(array[null, '', 'a/b', 'x=y', '..', 'ä ö', E'line\nend', '%41', 'plain'])[1 + i % 9], i % 3 from generate_series(1, 900) i`)
	dir := t.TempDir()
	u := e.out(dir, "k.csv", "TABLE: keys", "FORMAT: csv", "HEADER: true", "PARTITION_BY: ['\"Key\"', n]")
	u.Workers = 1
	m, data := e.unloaded(u, Options{})
	folders := map[string]int64{}
	head := []byte("id,Key,n\n")
	var rows []byte
	for i, o := range m.Objects {
		folders[strings.TrimPrefix(filepath.Dir(strings.TrimPrefix(o.URL, "file://")), dir+"/")] += o.Rows
		if !bytes.HasPrefix(data[i], head) {
			t.Errorf("%.40q", data[i])
		}
		rows = append(rows, data[i][len(head):]...)
	}
	for folder, want := range map[string]int64{"Key=__HIVE_DEFAULT_PARTITION__/n=0": 34, "Key=a%2Fb/n=2": 100, "Key=x%3Dy/n=0": 100, "Key=../n=1": 100, "Key=ä ö/n=2": 100, "Key=line%0Aend/n=0": 100, "Key=%2541/n=1": 100, "Key=plain/n=2": 100} {
		if folders[folder] != want && want == 100 {
			t.Errorf("%s has %d rows, want %d: %v", folder, folders[folder], want, folders)
		}
	}
	e.pg.Exec(t, e.db, "create table back (like keys)")
	e.oracle("back", "format csv", rows)
	e.equal("select * from back", "select * from keys")

	for _, c := range []struct{ format, file string }{{"csv", "m.csv.gz"}, {"text", "m.txt"}, {"json", "m.jsonl"}, {"parquet", "m.parquet"}} {
		dir := t.TempDir()
		u := e.out(dir, c.file, "TABLE: many", "FORMAT: "+c.format, "PARTITION_BY: [day]", "MAX_SIZE: 500kB")
		u.Workers = 3
		m, _ := e.unloaded(u, Options{Job: "u" + c.format})
		days := map[string]int64{}
		for _, o := range m.Objects {
			days[filepath.Base(filepath.Dir(o.URL))] += o.Rows
		}
		if days["day=__HIVE_DEFAULT_PARTITION__"] != 1200 || len(days) != 8 || days["day=2026-01-03"] != 8400 {
			t.Errorf("%s: %v", c.format, days)
		}
		e.pg.Exec(t, e.db, "create table p_"+c.format+" (like many)")
		if _, err := Run(t.Context(), e.options(e.spec(simple(dir+"/day=*/m.*", c.format, "p_"+c.format), 0), "l"+c.format)); err != nil {
			t.Fatal(err)
		}
		e.equal("select * from p_"+c.format, "select * from many")
	}
}

// TestExtractThenManifest loads what an unload's manifest lists, and nothing
// when an object is not what it says.
func TestExtractThenManifest(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows+"; create table back (like many)")
	dir := t.TempDir()
	m, _ := e.unloaded(e.out(dir, "m.jsonl.gz", "TABLE: many", "FORMAT: json", "PARTITION_BY: [day]"), Options{Job: "u"})
	body := strings.Replace(simple("X", "json", "back"), "{FILE: ['X']}", "{MANIFEST: '"+filepath.Join(dir, "m.jsonl.gz.u.manifest.json")+"'}", 1)
	if _, err := Run(t.Context(), e.options(e.spec(body, 0), "l")); err != nil {
		t.Fatal(err)
	}
	e.equal("select * from back", "select * from many")
	if err := os.Truncate(strings.TrimPrefix(m.Objects[3].URL, "file://"), m.Objects[3].StoredBytes-1); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), e.options(e.spec(body, 0), "l2")); err == nil || !strings.Contains(err.Error(), filepath.Base(m.Objects[3].URL)) {
		t.Errorf("%v", err)
	}
	e.equal("select * from back", "select * from many")
}
