package run

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"cw/playground/pgtest"
	"cw/playground/s3test"
)

func TestLoadsExactlyTheRows(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	data := csvRows(0, 30_000)
	header := append([]byte("id,\"na\nme\",amount,note\n"), data...)
	small := "  PARALLEL: {WORKERS: 3, SPLIT: 64KiB}\n"
	for _, c := range []struct {
		name, file string
		content    []byte
		more       []string
	}{
		{"plain", "x.csv", data, nil},
		{"gzip", "x.csv.gz", gz(data), nil},
		{"two gzip members", "x.gz", append(gz(data[:100_000]), gz(data[100_000:])...), nil},
		{"zstd", "x.csv.zst", zst(data), nil},
		{"header and mark", "x.csv", append([]byte("\xef\xbb\xbf"), header...), []string{"    - HEADER: true\n"}},
		{"header of gzip", "x.gz", gz(header), []string{"    - HEADER: true\n"}},
		{"no last line end", "x.csv", bytes.TrimSuffix(data, []byte("\n")), nil},
		{"columns in another order", "x.csv", data, []string{"    - COLUMNS: [{ID: }, {name: text}, {amount: numeric}, {note: }]\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, pg, items)
			e.oracle("oracle", "format csv", data)
			spec := e.spec(simple(e.file(c.file, c.content), "csv", "items", c.more...)+small, 0)
			if _, err := Check(t.Context(), e.options(spec, "j")); err != nil {
				t.Fatalf("check: %v", err)
			}
			if got := e.scalar("select count(*)::text || coalesce(to_regclass('cw.load_ledger')::text, '') from items"); got != "0" {
				t.Fatalf("check changed something: %s", got)
			}
			res, err := Run(t.Context(), e.options(spec, "j"))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := e.sum("select * from items"), e.sum("select * from oracle"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if res.Rows != 30_000 || res.Bytes != int64(len(c.content)) || res.BytesTotal != res.Bytes || res.Objects != 1 {
				t.Errorf("result %+v", res)
			}
			splits, err := strconv.Atoi(e.scalar("select count(*)::text from cw.load_ledger where kind = 'split'"))
			if err != nil || splits < 10 || splits > 20 {
				t.Errorf("%d splits of %d bytes", splits, len(data))
			}
			// The job is done: running it again does nothing.
			if _, err := Run(t.Context(), e.options(spec, "j")); err != nil {
				t.Errorf("run again: %v", err)
			}
			if got, want := e.sum("select * from items"), e.sum("select * from oracle"); got != want {
				t.Errorf("after running it again: %s, want %s", got, want)
			}
		})
	}
}

func TestTextFormatAndManyFiles(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), "create table t (id int, name text, note text); create table oracle (like t)")
	rows := []byte("1|a|x\n2|b\\\nc|\\N\n3|d\\\\|NIL\n4|\\|e|\\t\n5|NIL|last\n")
	var all []byte
	for i := range 40 {
		name := e.file("part"+strings.Repeat("x", i)+".txt", rows)
		_ = name
		all = append(all, rows...)
	}
	e.oracle("oracle", "format text, delimiter '|', null 'NIL'", all)
	spec := e.spec(simple(e.dir+"/part*.txt", "text", "t", "    - DELIMITER: '|'\n", "    - NULL_AS: NIL\n"), 0)
	if _, err := Run(t.Context(), e.options(spec, "j")); err != nil {
		t.Fatal(err)
	}
	if got, want := e.sum("select * from t"), e.sum("select * from oracle"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCarriageReturnFiles(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for name, eol := range map[string]string{"crlf": "\r\n", "cr": "\r"} {
		for _, declared := range []bool{false, true} {
			e := newEnv(t, pg, items)
			data := bytes.ReplaceAll([]byte("1,a,1,x\n2,\"b c\",2,y\n3,c,3,z\n"), []byte("\n"), []byte(eol))
			data = bytes.Repeat(data, 1)
			e.oracle("oracle", "format csv", data)
			more := ""
			if declared {
				more = "    - NEWLINE: " + name + "\n"
			}
			spec := e.spec(simple(e.file("x.csv", data), "csv", "items", more), 0)
			if _, err := Run(t.Context(), e.options(spec, "j")); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, want := e.sum("select * from items"), e.sum("select * from oracle"); got != want || !strings.HasPrefix(got, "3 rows") {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
}

func TestMappingThroughStaging(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), `create table t (id bigserial, "Name" text, total numeric, at date default '2020-01-01', twice int generated always as (quantity * 2) stored, quantity int)`)
	file := e.file("x.csv", []byte("5,ann,2.5\n6,bob,4\n"))
	body := simple(file, "csv", "t", "    - COLUMNS: [{quantity: int}, {who: text}, {price: numeric}]\n") +
		"    - MAPPING: {'\"Name\"': upper(who), total: price * quantity, quantity: quantity}\n"
	spec := e.spec(body, 0)
	rep, err := Check(t.Context(), e.options(spec, "j"))
	if err != nil {
		t.Fatal(err)
	}
	if rep.Staged == "" || rep.Sampled != 2 {
		t.Errorf("check: %+v", rep)
	}
	if _, err := Run(t.Context(), e.options(spec, "j")); err != nil {
		t.Fatal(err)
	}
	want := "ANN|12.5|2020-01-01|10|5 BOB|24|2020-01-01|12|6"
	if got := e.scalar(`select string_agg(concat_ws('|', "Name", total, at, twice, quantity), ' ' order by id) from t`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// Renaming alone needs no staging, and a sequence column is not the file's.
	e2 := newEnv(t, e.pg, `create table t (id serial, a int, b text)`)
	spec = e2.spec(simple(e2.file("x.csv", []byte("x,1\ny,2\n")), "csv", "t", "    - COLUMNS: [{p: text}, {q: int}]\n")+"    - MAPPING: {b: p, a: q}\n", 0)
	rep, err = Check(t.Context(), e2.options(spec, "j"))
	if err != nil {
		t.Fatal(err)
	}
	if rep.Staged != "" || !strings.HasPrefix(rep.Statement, `COPY "public"."t" ("b", "a") FROM STDIN`) {
		t.Errorf("plan %+v", rep)
	}
	if _, err := Run(t.Context(), e2.options(spec, "j")); err != nil {
		t.Fatal(err)
	}
	if got := e2.scalar("select string_agg(a || b, ' ' order by id) from t"); got != "1x 2y" {
		t.Errorf("got %s", got)
	}
}

func TestStepsHappenOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), items+"; create table log (what text); insert into items values (1, 'old', 0, '')")
	bad := append(csvRows(0, 5000), []byte("x,bad,1,\n")...)
	body := simple(e.file("x.csv", bad), "csv", "items") +
		"  PRELOAD: [{TRUNCATE: true}]\n  SQL:\n    - BEFORE: \"insert into log values ('before'); insert into log select 'rows ' || count(*) from items\"\n    - AFTER: insert into log select 'after ' || count(*) from items\n  PARALLEL: {SPLIT: 64KiB}\n"
	spec := e.spec(body, 0)
	if _, err := Run(t.Context(), e.options(spec, "j")); err == nil {
		t.Fatal("a bad row was taken")
	}
	if got := e.scalar("select string_agg(what, ' ') from log"); got != "before rows 0" {
		t.Errorf("after the failed run: %s", got)
	}
	for range 2 {
		if _, err := Run(t.Context(), e.options(spec, "j")); err == nil {
			t.Fatal("a bad row was taken")
		}
	}
	e.pg.Exec(t, e.db, "alter table items alter id type text")
	if _, err := Run(t.Context(), e.options(spec, "j")); err != nil {
		t.Fatal(err)
	}
	if got := e.scalar("select string_agg(what, ' ') from log"); got != "before rows 0 after 5001" {
		t.Errorf("at the end: %s", got)
	}
}

func TestFromS3(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	e := newEnv(t, pgtest.Start(t), items)
	e.o.Credentials = srv.Credentials()
	e.o.RangeSize = 200_000
	var all []byte
	for i, enc := range []func([]byte) []byte{func(b []byte) []byte { return b }, gz, zst} {
		part := csvRows(i*20_000, 20_000)
		all = append(all, part...)
		srv.Put(t, "bucket", "in/part"+string(rune('a'+i)), enc(part))
	}
	e.oracle("oracle", "format csv", all)
	body := strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ['s3://bucket/in/*'], ENDPOINT: '"+srv.Endpoint+"'}", 1)
	res, err := Run(t.Context(), e.options(e.spec(body, 0), "j"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.sum("select * from items"), e.sum("select * from oracle"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if res.Objects != 3 || res.ObjectsTotal != 3 {
		t.Errorf("result %+v", res)
	}
}

// Values that only the server can read, in some splits and not in others, end
// up as the server's own COPY reads them; a row that it refuses is named.
func TestUnusualValues(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	const table = "create table odd (id int, d date, at timestamptz, n numeric(12,3), b boolean, v varchar(20)); create table oracle (like odd)"
	var data bytes.Buffer
	for i := range 40_000 {
		d, at, n, b := "2024-02-29", "2024-02-29 12:00:00+01", "12.345", "t"
		if i/5000%2 == 1 && i%1000 == 7 { // whole splits are plain, others are not
			d, at, n, b = "Jan 8 1999", "2024-02-29 12:00 UTC", " 1e3 ", "TRUE"
		}
		data.WriteString(strconv.Itoa(i) + "," + d + "," + at + "," + n + "," + b + ",\"v, " + strconv.Itoa(i%97) + "\"\n")
	}
	e := newEnv(t, pg, table)
	e.oracle("oracle", "format csv", data.Bytes())
	small := "  PARALLEL: {WORKERS: 2, SPLIT: 64KiB}\n"
	if _, err := Run(t.Context(), e.options(e.spec(simple(e.file("x.csv", data.Bytes()), "csv", "odd")+small, 0), "j")); err != nil {
		t.Fatal(err)
	}
	if got, want := e.sum("select * from odd"), e.sum("select * from oracle"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	bad := append(bytes.Clone(data.Bytes()), "40000,2024-02-30,2024-02-29 12:00:00+01,1,t,x\n"...)
	_, err := Run(t.Context(), e.options(e.spec(simple(e.file("bad.csv", bad), "csv", "odd")+small, 0), "k"))
	if err == nil || !strings.Contains(err.Error(), "line 40001, column d: date/time field value out of range") {
		t.Errorf("%v", err)
	}
	long := append(bytes.Clone(data.Bytes()), "40000,2024-02-28,2024-02-29 12:00:00+01,1,t,much longer than twenty characters\n"...)
	_, err = Run(t.Context(), e.options(e.spec(simple(e.file("long.csv", long), "csv", "odd")+small, 0), "l"))
	if err == nil || !strings.Contains(err.Error(), "line 40001") || !strings.Contains(err.Error(), "value too long for type character varying(20)") {
		t.Errorf("%v", err)
	}
}
