package run

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/ledger"
	"cw/playground/gptest"
	"cw/playground/pgtest"
)

const createTable = "  PRELOAD:\n    - CREATE_TABLE: true\n"

// described is a table as the catalogue has it.
const described = `select coalesce(string_agg(attname || ' ' || format_type(atttypid, atttypmod) || case when attnotnull then '!' else '' end, ', ' order by attnum), 'none')
	from pg_attribute where attrelid = to_regclass('%s') and attnum > 0 and not attisdropped`

// creations are objects and the tables that they should make.
func creations(t testing.TB) []struct{ name, format, more, data, table, rows string } {
	t.Helper()
	pq, err := os.ReadFile("../format/testdata/alltypes_plain.parquet")
	if err != nil {
		t.Fatal(err)
	}
	return []struct{ name, format, more, data, table, rows string }{
		{
			"x.csv", "csv", "    - HEADER: true\n", "Id,Order Date,zip,amount,at,ok,note\n1,2024-01-31,01234,1.50,2024-01-31 10:00:00Z,true,\"a \"\"b\"\"\"\n2,,99999,-3,,false,\n",
			"id integer, order_date date, zip text, amount numeric, at timestamp with time zone, ok boolean, note text", "2",
		},
		{"x.txt", "text", "", "1\t2.5\t\\N\n2\t3\tx\\ty\n", "c1 integer, c2 numeric, c3 text", "2"},
		{"x.jsonl", "json", "    - JSON: {sku: '$.sub.list[0]'}\n", `{"Id":1,"sub":{"list":["a"]},"u":"6f9619ff-8b86-d011-b42d-00cf4fc964ff"}` + "\n" + `{"Id":2,"late":true}`, "id integer, sub jsonb, u uuid, late boolean, sku text", "2"},
		{
			"x.parquet", "parquet", "", string(pq),
			"id integer, bool_col boolean, tinyint_col integer, smallint_col integer, int_col integer, bigint_col bigint, float_col real, double_col double precision, date_string_col bytea, string_col bytea, timestamp_col timestamp with time zone", "8",
		},
		{
			"x.dat", "fixed", "    - FIXED: {id: 4, zip: 6, _: 1, name: 5}\n    - FILL_MISSING_FIELDS: true\n", "   1 01234x a b \n   2 99999xa",
			"id integer, zip text, name text", "2",
		},
		{"x.avro", "avro", "", string(avroRows(100).data), "id integer!, skip jsonb!, name text, amount numeric(18,2)!, note text!", "100"},
		{
			"x.sql", "mysqldump", "    - MYSQLDUMP: {TABLE: Shop}\n",
			"CREATE TABLE `other` (`a` int);\nINSERT INTO `other` VALUES (1);\nCREATE TABLE `Shop` (\n  `Id` int unsigned NOT NULL AUTO_INCREMENT,\n  `name` varchar(9) NOT NULL DEFAULT 'it''s; ok',\n  `d` date NOT NULL,\n  `b` blob,\n  `e` enum('x','y'),\n  PRIMARY KEY (`Id`),\n  KEY `k` (`name`)\n) AUTO_INCREMENT=7;\nINSERT INTO `Shop` VALUES (3,'a','0000-00-00',_binary 'x\\0','x'),(5,'b','2024-01-01',NULL,NULL);\n",
			"id bigint!, name character varying(9)!, d date, b bytea, e text", "2",
		},
	}
}

func TestCreateTable(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for _, c := range creations(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, pg, "select 1")
			spec := e.spec(simple(e.file(c.name, []byte(c.data)), c.format, "Made", c.more)+createTable, 0)
			rep, err := Check(t.Context(), e.options(spec, "j"))
			if err != nil {
				t.Fatalf("check: %v", err)
			}
			if len(rep.Create) == 0 || !strings.HasPrefix(rep.Create[0], `create table "public"."made" (`) || rep.Table != "public.made" || strings.Contains(rep.Statement, "pg_temp") || fmt.Sprint(rep.Sampled) != c.rows {
				t.Errorf("check: %q, table %s, statement %s, %d rows tried", rep.Create, rep.Table, rep.Statement, rep.Sampled)
			}
			if got := e.scalar(fmt.Sprintf(described, "made")); got != "none" {
				t.Errorf("the check has made %s", got)
			}
			for range 2 { // a second run of the same job does nothing
				if _, err := Run(t.Context(), e.options(spec, "j")); err != nil {
					t.Fatal(err)
				}
				if got := e.scalar(fmt.Sprintf(described, "made")); got != c.table {
					t.Errorf("got  %s\nwant %s", got, c.table)
				}
				if got := e.scalar("select count(*)::text from made"); got != c.rows {
					t.Errorf("%s rows", got)
				}
			}
			if c.format == "mysqldump" {
				pg.Exec(t, e.db, "insert into made (d) values (null)")
				if got := e.scalar("select string_agg(concat_ws(' ', id, name, d, b, e), ',' order by id) from made"); got != "3 a \\x7800 x,5 b 2024-01-01,7 it's; ok" {
					t.Errorf("rows: %s", got)
				}
			}
		})
	}
}

// TestCreateTableOnGreenplum is the same there.
func TestCreateTableOnGreenplum(t *testing.T) {
	gp := gptest.Start(t, 2)
	for _, c := range creations(t) {
		e := newGPEnv(t, gp)
		spec := e.spec(simple(e.file(c.name, []byte(c.data)), c.format, "Made", c.more) + createTable)
		rep, err := Check(t.Context(), e.options(spec))
		if err != nil {
			t.Fatalf("%s: check: %v", c.name, err)
		}
		key := "distributed randomly"
		if c.format == "mysqldump" {
			key = `distributed by ("id")`
		}
		if len(rep.Create) == 0 || !strings.HasSuffix(rep.Create[0], key) || rep.Table != "public.made" || strings.Contains(rep.Statement, "pg_temp_") {
			t.Errorf("%s: check: %q, table %s, statement %s", c.name, rep.Create, rep.Table, rep.Statement)
		}
		if got := e.query(fmt.Sprintf(strings.Replace(described, "to_regclass('%s')", "(select oid from pg_class where relname = '%s' and relnamespace = 2200)", 1), "made")); got != "none" {
			t.Errorf("%s: the check has made %s", c.name, got)
		}
		for range 2 {
			if _, err := Run(t.Context(), e.options(spec)); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got := e.query(fmt.Sprintf(described, "made")); got != c.table {
				t.Errorf("%s\ngot  %s\nwant %s", c.name, got, c.table)
			}
			if got := e.query("select count(*)::text from made"); got != c.rows {
				t.Errorf("%s: %s rows", c.name, got)
			}
		}
		if c.format == "mysqldump" {
			gp.Exec(t, e.db, "insert into made (d) values (null)")
			if got := e.query("select string_agg(id::text, ',' order by id) from made"); got != "3,5,7" {
				t.Errorf("ids: %s", got)
			}
		}
	}
}

// TestCreateTableTooNarrowOnGreenplum: what does not fit says how to go on there
// as well.
func TestCreateTableTooNarrowOnGreenplum(t *testing.T) {
	gp := gptest.Start(t, 2)
	e := newGPEnv(t, gp)
	spec := e.spec(simple(e.file("x.csv", []byte(strings.Repeat("1,2024-01-01\n", 150_000)+"2,soon\n")), "csv", "made") + createTable)
	_, err := Run(t.Context(), e.options(spec))
	if err == nil || !strings.Contains(fault.HintOf(err), `alter table public."made" alter column "c2" type text; then cw load resume j`) {
		t.Fatalf("%v, hint %s", err, fault.HintOf(err))
	}
	gp.Exec(t, e.db, `alter table public."made" alter column "c2" type text`)
	if _, err := Run(t.Context(), e.options(spec)); err != nil || e.query("select count(*) || max(c2) from made") != "150001soon" {
		t.Errorf("after it was widened: %v", err)
	}
}

// TestCreateTableInterrupted: the table is made once, whenever the runner is
// stopped.
func TestCreateTableInterrupted(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	e := newEnv(t, pg, items)
	data := csvRows(0, 60_000)
	e.oracle("oracle", "format csv", data)
	columns := "    - COLUMNS: [{id: ''}, {name: text}, {amount: ''}, {note: text}]\n"
	pg.Exec(t, e.db, "drop table items")
	spec := e.spec(simple(e.file("x.csv", data), "csv", "items", columns)+createTable+smallSplits, 0)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 9))
	runs := e.runToEnd(e.options(spec, "j"), 300, func(i int) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(10+rng.IntN(60+12*i))*time.Millisecond, cancel)
		return ctx, cancel
	})
	if got, want := e.sum("select id::int, name, amount, note from items"), e.sum("select * from oracle"); got != want {
		t.Errorf("%s, not %s, after %d runs", got, want, runs)
	}
	if runs < 3 {
		t.Errorf("only %d runs: nothing was interrupted", runs)
	}
}

// TestCreateTableLimits: what is there is left alone, what does not fit is an
// ordinary bad row that says how to go on, and what is gone is not made again.
func TestCreateTableLimits(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	e := newEnv(t, pg, "create table old (id text, x text); create schema locked")
	file := e.file("x.csv", []byte("1,2\n3,4\n"))
	spec := e.spec(simple(file, "csv", "old")+createTable, 0)
	if _, err := Run(t.Context(), e.options(spec, "old")); err != nil {
		t.Fatal(err)
	}
	if got := e.scalar(fmt.Sprintf(described, "old")); got != "id text, x text" {
		t.Errorf("the table that was there became %s", got)
	}
	_, err := Run(t.Context(), e.options(e.spec(simple(file, "csv", "nowhere.t")+createTable, 0), "schema"))
	if fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), `create schema "nowhere"`) {
		t.Errorf("no schema: %v, hint %s", err, fault.HintOf(err))
	}

	var b bytes.Buffer
	for i := range 150_000 { // more than is looked at
		fmt.Fprintf(&b, "%d,2024-01-01\n", i)
	}
	b.WriteString("150000,soon\n")
	spec = e.spec(simple(e.file("late.csv", b.Bytes()), "csv", "late", "    - HEADER: false\n")+createTable+"  PARALLEL: {SPLIT: 128kB}\n", 0)
	_, err = Run(t.Context(), e.options(spec, "late"))
	if err == nil || !strings.Contains(err.Error(), "line 150001, column c2") || !strings.Contains(fault.HintOf(err), `alter table "public"."late" alter column "c2" type text; then cw load resume late`) {
		t.Fatalf("%v, hint %s", err, fault.HintOf(err))
	}
	b.WriteString("150001,later\n150002,never\n")
	limited := e.spec(simple(e.file("limited.csv", b.Bytes()), "csv", "limited", "    - ERROR_LIMIT: 2\n")+createTable, 0)
	_, err = Run(t.Context(), e.options(limited, "limited"))
	if err == nil || !strings.Contains(err.Error(), "ERROR_LIMIT 2 allows") || !strings.Contains(fault.HintOf(err), `alter table "public"."limited" alter column "c2" type text; then cw load resume limited`) {
		t.Errorf("%v, hint %s", err, fault.HintOf(err))
	}
	pg.Exec(t, e.db, `alter table "public"."late" alter column "c2" type text`)
	if _, err := Run(t.Context(), e.options(spec, "late")); err != nil {
		t.Fatal(err)
	}
	if got := e.scalar("select count(*)::text || max(c2) from late"); got != "150001soon" {
		t.Errorf("after it was widened: %s", got)
	}
	pg.Exec(t, e.db, "drop table late")
	if _, err = Run(t.Context(), e.options(spec, "late")); err == nil || !strings.Contains(err.Error(), "which this job had created, does not exist any more") {
		t.Errorf("gone: %v", err)
	}
}

func TestWithCreate(t *testing.T) {
	t.Parallel()
	head := "VERSION: 1.0.0.1\nGPLOAD: # a comment\n  INPUT:\n    - SOURCE: {FILE: [/x]}\n"
	for _, text := range []string{
		head + "  OUTPUT:\n    - TABLE: t\n",
		head + "  PRELOAD:\n  OUTPUT:\n    - TABLE: t\n",
		head + "  PRELOAD:\n    - TRUNCATE: true\n  OUTPUT:\n    - TABLE: t\n",
		head + "  Preload: {Truncate: true, create_table: 'false'}\n  OUTPUT:\n    - TABLE: t\n",
		head + "  PRELOAD:\n    - CREATE_TABLE: no\n    - TRUNCATE: true\n  OUTPUT:\n    - TABLE: t\n",
	} {
		data, err := loadspec.WithCreate([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		spec, err := loadspec.Parse("x", data)
		if err != nil || !spec.Create || spec.Truncate != strings.Contains(strings.ToUpper(text), "TRUNCATE") || !bytes.Contains(data, []byte("# a comment")) {
			t.Errorf("%s became\n%s: %v", text, data, err)
		}
	}
	for _, bad := range []string{"  OUTPUT:\n    - TABLE: t\n    - MAPPING: {a: b}\n", "  OUTPUT:\n    - TABLE: t\n    - MODE: update\n    - MATCH_COLUMNS: [a]\n    - UPDATE_COLUMNS: [b]\n"} {
		if _, err := loadspec.Parse("x", []byte(head+bad+createTable)); err == nil || !strings.Contains(err.Error(), "x:") || !strings.Contains(err.Error(), "CREATE_TABLE") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if !slices.Contains([]ledger.Step{ledger.Create}, "create") {
		t.Error("the step's name has changed: jobs that wait for their resume do not know it")
	}
}
