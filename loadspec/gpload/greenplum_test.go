package gpload

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/gptest"
	"cw/playground/pgtest"
)

// TestGreenplum runs what needs a real Greenplum on one cluster, each in a
// database of its own.
func TestGreenplum(t *testing.T) {
	t.Parallel()
	g := gptest.Start(t, 2)
	for name, test := range map[string]func(*testing.T, *world){
		"insert": testInsert, "rejected": testRejected, "limit": testLimitReached, "atomic": testAtomic, "notrans": testNoTrans,
		"merge": testMerge, "update": testUpdate, "reuse": testReuse, "fastmatch": testFastMatch, "staging": testStaging, "signal": testSignal,
		"dry": testDry, "vacuum": testVacuum, "sources": testSources, "transform": testTransform, "errors": testErrors, "kept": testKeptTable,
		"mapping": testMapping, "sequence": testSequence, "tls": testTLS, "schema": testExternalSchema,
	} {
		t.Run(name, func(t *testing.T) {
			database := "g_" + name
			admin := g.Connect(t, "postgres")
			if _, err := admin.Exec(t.Context(), "create database "+database+" template template0"); err != nil {
				t.Fatal(err)
			}
			test(t, &world{t: t, g: g, db: g.Connect(t, database), database: database, dir: t.TempDir(), port: pgtest.FreePort(t)})
		})
	}
}

func testInsert(t *testing.T, w *world) {
	w.exec(`create table t(a int, b text) distributed by (a)`)
	data := w.file("in.csv", "1,one\n2,\"two, and\nmore\"\n3,three") // no final line end
	code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", ""))
	w.want(0, "INFO|gpload session started\nINFO|setting schema 'public' for table 't'\n"+w.started(data)+"\nINFO|running time\n"+summary(3, 0, 0, "succeeded"), code, out)
	if got := w.query("select a || b from t order by a"); got != "1one 2two, and\nmore 3three" {
		t.Error(got)
	}
	w.nothingLeft()
	log, err := filepath.Glob(filepath.Join(w.dir, "gpAdminLogs", "gpload_2*.log"))
	if err != nil || len(log) != 1 {
		t.Fatal(log, err)
	}
	text, err := os.ReadFile(log[0])
	if err != nil || strip(string(text)) != out {
		t.Errorf("the log file has\n%s", text)
	}
	code, out = w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", ""), "-v")
	for _, want := range []string{`LOG|INSERT INTO public."t" ("a","b") SELECT "a","b" FROM ext_gpload_UUID`, "LOG|trying to run gpfdist", "gpfdist is running on port"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("-v lacks %s:\n%s", want, out)
		}
	}
	if code, out = w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", ""), "-q", "-q", "-l", filepath.Join(w.dir, "x.log")); code != 0 || out != "" {
		t.Errorf("-q -q: %d %s", code, out)
	}
}

// keptFile reads the one file of rejected rows.
func (w *world) keptFile() [][]string {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "gpAdminLogs", "gpload_rejected_*.csv"))
	if err != nil || len(found) != 1 {
		w.t.Fatal(found, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// gpdb#1366: details of rejected rows went with the external table; PR#3629:
// their number was wrong.
func testRejected(t *testing.T, w *world) {
	w.exec(`create table t(a int, b text) distributed by (a)`)
	data := w.file("in.csv", "1,x\nbad,y\n3,z\n4,a,b\n")
	code, out := w.gpload(w.control(data, "FORMAT: csv\nERROR_LIMIT: 10\nLOG_ERRORS: true", "TABLE: t", ""))
	w.want(1, "INFO|gpload session started\nINFO|setting schema 'public' for table 't'\n"+w.started(data)+"\nWARN|2 bad rows\nINFO|running time\n"+summary(2, 0, 2, "succeeded with warnings"), code, out)
	rows := w.keptFile()
	if len(rows) != 3 || rows[1][2] != "2" || rows[1][5] != "bad,y" || !strings.Contains(rows[2][4], "extra data") || !strings.Contains(rows[1][1], "in.csv") {
		t.Errorf("%q", rows)
	}
	w.nothingLeft()
	// Without LOG_ERRORS they are counted and no warning, as in gpload.
	code, out = w.gpload(w.control(data, "FORMAT: csv\nERROR_LIMIT: 10", "TABLE: t", ""))
	if code != 0 || !strings.Contains(out, "data formatting errors = 2\nINFO|gpload succeeded\n") || strings.Contains(out, "bad rows") {
		t.Errorf("%d %s", code, out)
	}
}

func testLimitReached(t *testing.T, w *world) {
	w.exec(`create table t(a int) distributed by (a); insert into t values (7)`)
	data := w.file("in.csv", strings.Repeat("1\n", 5)+"bad\n"+strings.Repeat("worse\n", 5))
	code, out := w.gpload(w.control(data, "FORMAT: csv\nERROR_LIMIT: 2\nLOG_ERRORS: true", "TABLE: t", "  PRELOAD:\n    - TRUNCATE: true\n"))
	if code != 2 || !strings.Contains(out, "ERROR|ERROR:  segment reject limit reached") || !strings.Contains(out, "encountered while running INSERT INTO") || !strings.HasSuffix(out, summary(0, 0, 0, "failed")+"\n") {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select a::text from t"); got != "7" {
		t.Errorf("TRUNCATE stayed: %s", got)
	}
	if rows := w.keptFile(); len(rows) < 3 || rows[1][5] != "bad" || rows[1][2] != "6" {
		t.Errorf("%q", rows)
	}
	w.nothingLeft()
}

// PR#16146: TRUNCATE, BEFORE, the rows and AFTER are one transaction.
func testAtomic(t *testing.T, w *world) {
	w.exec(`create table t(a int) distributed by (a); insert into t values (7); create table audit(x text) distributed by (x)`)
	data := w.file("in.csv", "1\n2\n")
	code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", "  PRELOAD:\n    - TRUNCATE: true\n  SQL:\n    - BEFORE: insert into audit values ('before')\n    - AFTER: insert into nowhere values (1)\n"))
	if code != 2 || !strings.Contains(out, "ERROR|could not execute SQL in sql:after \"insert into nowhere values (1)\": ERROR:  relation \"nowhere\" does not exist\nLINE 1: insert into nowhere values (1)\n                    ^\n") {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select a::text from t union all select x from audit"); got != "7" {
		t.Error(got)
	}
	w.nothingLeft()
}

func testNoTrans(t *testing.T, w *world) {
	w.exec(`create table t(a int) distributed by (a)`)
	data := w.file("in.csv", "1\n2\n")
	code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", "  SQL:\n    - AFTER: insert into nowhere values (1)\n"), "--no_auto_trans")
	if code != 2 || w.query("select count(*)::text from t") != "2" {
		t.Errorf("%d %s", code, out)
	}
	w.nothingLeft()
}

// gpdb#10501, PR#11457, PR#10804, 11294, 12010: Greenplum 7's merge, and
// column names in capitals.
func testMerge(t *testing.T, w *world) {
	w.exec(`create table "T"("K" text, id int, "Val" text, primary key ("K", id)) distributed by ("K", id);
		insert into "T" values ('a', 1, 'old'), ('', 2, 'empty key')`)
	data := w.file("in.csv", "a,1,new\n\"\",2,changed\nc,4,first\nc,4,second\n")
	output := "TABLE: '\"T\"'\nMODE: merge\nMATCH_COLUMNS: ['\"K\"', ID]\nUPDATE_COLUMNS: ['\"Val\"']\nUPDATE_CONDITION: '\"K\" <> ''zzz'' and ID < 100'"
	for _, rest := range []string{"", "  PRELOAD:\n    - REUSE_TABLES: true\n"} {
		code, out := w.gpload(w.control(data, "FORMAT: csv", output, rest))
		inserted, updated := 1, 2
		if rest != "" {
			inserted, updated = 0, 3
		}
		if code != 0 || !strings.HasSuffix(out, summary(inserted, updated, 0, "succeeded")+"\n") {
			t.Errorf("%d %s", code, out)
		}
	}
	if got := w.query(`select "K" || id || case "K" when 'c' then '' else "Val" end from "T" order by id`); got != "a1new 2changed c4" {
		t.Error(got)
	}
	// The staging table that is kept holds no rows.
	if got := w.query(`select count(*)::text from ` + w.query(`select relname::text from pg_class where relname like 'staging_gpload%'`)); got != "0" {
		t.Errorf("%s rows are left in the staging table", got)
	}
}

func testUpdate(t *testing.T, w *world) {
	w.exec(`create table t(a int, b text, n int) distributed randomly; insert into t select i, 'old', i from generate_series(1, 4) i`)
	data := w.file("in.csv", "1,new,10\n2,new,20\n9,new,90\n")
	output := "TABLE: t\nMODE: update\nMATCH_COLUMNS: [a]\nUPDATE_COLUMNS: [b]\nUPDATE_CONDITION: n > 1"
	code, out := w.gpload(w.control(data, "FORMAT: csv", output, ""))
	if code != 0 || !strings.HasSuffix(out, summary(0, 1, 0, "succeeded")+"\n") {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select a || b from t order by a"); got != "1old 2new 3old 4old" {
		t.Error(got)
	}
	w.nothingLeft()
	for _, c := range []struct{ output, want string }{
		{strings.Replace(output, "[b]", "[nope]", 1), `ERROR|column "nope" in gpload:output:update_columns does not exist`},
		{strings.Replace(output, "\nUPDATE_COLUMNS: [b]", "", 1), "ERROR|A gpload control file processing error occurred. The configuration must contain gpload:output:update_columns"},
		{strings.Replace(output, "update\n", "upsert\n", 1), "ERROR|A gpload control file processing error occurred. unsupported method upsert"},
		{output + "\nMAPPING: {a: a, n: n}", `ERROR|there is no mapping from the column "b" in gpload:output:update_columns`},
	} {
		if code, out := w.gpload(w.control(data, "FORMAT: csv", c.output, "")); code != 2 || !strings.Contains(out, c.want+"\n") {
			t.Errorf("%s: %d %s", c.want, code, out)
		}
	}
	w.exec(`create table k(a int, b text) distributed by (a)`)
	if code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: k\nMODE: merge\nMATCH_COLUMNS: [b]\nUPDATE_COLUMNS: [a]", "")); code != 2 || !strings.Contains(out, `update_columns cannot reference column(s) in distribution key ("a")`) {
		t.Errorf("%d %s", code, out)
	}
	if code, out := w.gpload(w.control(data, "FORMAT: csv", output, "  PRELOAD:\n    - TRUNCATE: true\n")); code != 2 || !strings.Contains(out, "preload truncate operation should be used with insert operation only. used with update") {
		t.Errorf("%d %s", code, out)
	}
	w.nothingLeft()
}

// gpdb#4659: a signal ends the load, the statement in the database, and the
// server.
func testSignal(t *testing.T, w *world) {
	w.exec(`create table t(a int) distributed by (a)`)
	other, err := pgx.Connect(t.Context(), w.g.DSN(w.database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.WithoutCancel(t.Context())) }()
	if _, err := other.Exec(t.Context(), "begin; lock table t in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	data := w.file("in.csv", "1\n")
	w.signals = make(chan os.Signal, 1)
	file := w.control(data, "FORMAT: csv", "TABLE: t", "")
	type result struct {
		code int
		out  string
	}
	done := make(chan result, 1)
	go func() {
		code, out, _ := w.raw("-f", file)
		done <- result{code, strip(out)}
	}()
	waiting := `select count(*)::text from pg_stat_activity where application_name = 'gpload' and waiting and query like 'INSERT%'`
	for w.query(waiting) != "1" {
		select {
		case r := <-done:
			t.Fatalf("it did not wait: %d %s", r.code, r.out)
		case <-t.Context().Done():
			t.Fatal("it never waited")
		case <-time.After(20 * time.Millisecond):
		}
	}
	w.signals <- syscall.SIGTERM
	r := <-done
	w.want(2, "INFO|gpload session started\nINFO|setting schema 'public' for table 't'\n"+w.started(data)+"\nINFO|received signal 15\n"+summary(0, 0, 0, "failed"), r.code, r.out)
	if got := w.query(`select count(*)::text from pg_stat_activity where application_name = 'gpload' and state <> 'idle'`); got != "0" {
		t.Errorf("%s statements go on", got)
	}
	w.nothingLeft()
}

func testDry(t *testing.T, w *world) {
	w.exec(`create table t(a int) distributed by (a); insert into t values (7)`)
	data := w.file("in.csv", "1\n")
	code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", "  PRELOAD:\n    - TRUNCATE: true\n  SQL:\n    - BEFORE: drop table t\n"), "-D")
	w.want(0, "INFO|gpload has the -D option, so it does not actually load any data\nINFO|gpload session started\nINFO|setting schema 'public' for table 't'\n"+w.started(data)+"\nINFO|running time\n"+summary(0, 0, 0, "succeeded"), code, out)
	if got := w.query("select a::text from t"); got != "7" {
		t.Error(got)
	}
	w.nothingLeft()
	if code, out := w.gpload(w.control(data, "FORMAT: csv\nENCODING: klingon", "TABLE: t", ""), "-D"); code != 2 || !strings.Contains(out, "ERROR:  klingon is not a valid encoding name") {
		t.Errorf("-D accepts what a load would not: %d %s", code, out)
	}
}

// VACUUM cannot run in a transaction; with gpload 6 it could stand here.
func testVacuum(t *testing.T, w *world) {
	w.exec(`create table t(a int) distributed by (a)`)
	data := w.file("in.csv", "1\n")
	if code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", "  SQL:\n    - BEFORE: vacuum t\n    - AFTER: VACUUM ANALYZE t\n")); code != 0 {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select count(*)::text from t"); got != "1" {
		t.Error(got)
	}
}

func testSources(t *testing.T, w *world) {
	w.exec(`create table t(a int, b text) distributed by (a)`)
	one, two, three := w.file("a1.csv", "1,x"), w.file("a2.csv", "2,y\n"), w.file("b.csv", "3,z\n")
	port2 := pgtest.FreePort(t)
	file := w.control(one+", "+two, "SOURCE: {LOCAL_HOSTNAME: [127.0.0.1], PORT_RANGE: ["+fmt.Sprint(port2)+", "+fmt.Sprint(port2+9)+"], FILE: ["+three+"]}\nFORMAT: csv", "TABLE: t", "")
	code, out := w.gpload(file)
	if code != 0 || !strings.Contains(out, w.started(one+" "+two)+"\n") || !strings.Contains(out, fmt.Sprintf(`started gpfdist -p %d -P %d -f "%s" -t 30`, port2, port2+9, three)) {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select a || b from t order by a"); got != "1x 2y 3z" {
		t.Error(got)
	}
	w.file("a1.csv", "1,x\n")
	if code, out = w.gpload(w.control(filepath.Join(w.dir, "a*.csv"), "FORMAT: csv", "TABLE: t", "  PRELOAD:\n    - TRUNCATE: true\n")); code != 0 || w.query("select count(*)::text from t") != "2" {
		t.Errorf("%d %s", code, out)
	}
	code, out = w.gpload(w.control(filepath.Join(w.dir, "none.csv"), "FORMAT: csv", "TABLE: t", ""))
	if code != 2 || !strings.Contains(out, "404 file not found") {
		t.Errorf("%d %s", code, out)
	}
	w.nothingLeft()
}

func testTransform(t *testing.T, w *world) {
	w.exec(`create table t(a int, b text) distributed by (a)`)
	data := w.file("in.lisp", "1;one\n2;two\n")
	config := w.file("transform.yaml", "---\nVERSION: 1.0.0.1\nTRANSFORMATIONS:\n  commas:\n    TYPE: input\n    COMMAND: /bin/sed s/;/,/ %filename%\n")
	code, out := w.gpload(w.control(data, "FORMAT: csv\nTRANSFORM: commas\nTRANSFORM_CONFIG: "+config, "TABLE: t", ""))
	if code != 0 || !strings.Contains(out, `-t 30 -c `+config) {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select a || b from t order by a"); got != "1one 2two" {
		t.Error(got)
	}
}

func testMapping(t *testing.T, w *world) {
	w.exec(`create table t(id int, "Total" numeric, note text) distributed by (id)`)
	data := w.file("in.csv", "5,2,3\n")
	code, out := w.gpload(w.control(data, "FORMAT: csv\nCOLUMNS: [{Id: int}, {'\"Price\"': int}, {n: serial}]", "TABLE: t\nMAPPING: {id: ID, '\"Total\"': '\"Price\" * n', note: '''x''::text'}", ""))
	if code != 0 || w.query(`select id || ' ' || "Total" || note from t`) != "5 6x" {
		t.Errorf("%d %s", code, out)
	}
	for _, c := range []struct{ input, output, want string }{
		{"COLUMNS: [{id: int}, {Nope: int}]", "TABLE: t", `ERROR|no mapping for input column "Nope" to output table`},
		{"COLUMNS: [{id: int}, {nope: }]", "TABLE: t", `ERROR|column "nope" has no type and does not appear in target table "t"`},
		{"COLUMNS: [{id: int}]", "TABLE: t\nMAPPING: {Nope: id}", `ERROR|Nope in mapping is not in table t`},
		{"COLUMNS: [{id: 'int); drop table t; --'}]", "TABLE: t", `is no type`},
		{"COLUMNS: [id]", "TABLE: t", `gpload:input:columns must be a sequence of YAML mappings`},
	} {
		if code, out := w.gpload(w.control(data, "FORMAT: csv\n"+c.input, c.output, "")); code != 2 || !strings.Contains(out, c.want) {
			t.Errorf("%s: %d %s", c.want, code, out)
		}
	}
}

func testSequence(t *testing.T, w *world) {
	w.exec(`create table t(n serial, a text, b int default 9) distributed by (n)`)
	data := w.file("in.csv", "x,1\ny,2\n")
	if code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", "")); code != 0 || w.query("select n || a || b from t order by a") == "" {
		t.Errorf("%d %s", code, out)
	}
	if got := w.query("select a || b || (n > 0) from t order by a"); got != "x1true y2true" {
		t.Error(got)
	}
	// merge inserts into sequences, too, without naming them
	code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t\nMODE: merge\nMATCH_COLUMNS: [b]\nUPDATE_COLUMNS: [a]", "  PRELOAD:\n    - REUSE_TABLES: false\n"))
	if code != 0 || !strings.Contains(out, "rows Updated           = 2") {
		t.Errorf("%d %s", code, out)
	}
}

func testExternalSchema(t *testing.T, w *world) {
	w.exec(`create schema "Ext s"; create schema tgt; create table tgt.t(a int) distributed by (a)`)
	data := w.file("in.csv", "1\n")
	for _, c := range []struct{ schema, want string }{{`'"Ext s"'`, `creating "Ext s".ext_gpload_reusable_UUID`}, {`'%'`, `creating "tgt".ext_gpload_reusable_UUID`}} {
		rest := "  EXTERNAL:\n    - SCHEMA: " + c.schema + "\n  PRELOAD:\n    - REUSE_TABLES: true\n"
		if code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: tgt.t", rest)); code != 0 || !strings.Contains(out, c.want) || strings.Contains(out, "setting schema") {
			t.Errorf("%d %s", code, out)
		}
		if code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: tgt.t", rest)); code != 0 || !strings.Contains(out, "reusing external table ") {
			t.Errorf("%d %s", code, out)
		}
	}
	if got := w.query(`select string_agg(nspname || count, ' ' order by nspname) from (select nspname, count(*) from pg_class c join pg_namespace n on n.oid = relnamespace where relname like 'ext_gpload%' group by 1) x`); got != "Ext s1 tgt1" {
		t.Error(got)
	}
}

func testErrors(t *testing.T, w *world) {
	data := w.file("in.csv", "1\n")
	w.exec("create table t(a int) distributed by (a)")
	for _, c := range []struct {
		input, output, rest string
		args                []string
		want                string
	}{
		{"FORMAT: csv", "TABLE: nope", "", nil, `ERROR|table "nope" not found in any database schema`},
		{"FORMAT: csv", "TABLE: no.pe", "", nil, `ERROR|table no.pe does not exist in database g_errors`},
		{"FORMAT: csv", "TABLE: t", "", []string{"-d", "nope"}, "ERROR|could not connect to database: FATAL:  database \"nope\" does not exist\n. Is the Greenplum Database running on port "},
		{"FORMAT: csv", "TABLE: t", "", []string{"-p", "1"}, "ERROR|could not connect to database: could not connect to server: Connection refused\n\tIs the server running on host \"127.0.0.1\" and accepting\n\tTCP/IP connections on port 1?\n. Is the Greenplum Database running on port 1?"},
		{"FORMAT: csv", "TABLE: t", "", []string{"-p", "111111"}, "ERROR|could not connect to database: invalid port number: \"111111\"\n. Is"},
		{"FORMAT: csv\nESCAPE: 'OFF'", "TABLE: t", "", nil, "ESCAPE cannot be set to OFF in CSV mode"},
		{"FORMAT: csv\nDELIMITER: 8", "TABLE: t", "", nil, "A gpload control file processing error occurred. gpload:input:delimiter must be a string "},
		{"FORMAT: csv\nDELIMITER: ab", "TABLE: t", "", nil, `WARN|A gpload control file processing warning occurred. delimiter must be single ASCII character, you can also use unprintable characters(for example: '\x1c' / E'\x1c' or '\u001c' / E'\u001c' ` + "\nERROR|A gpload control file processing error occurred. Invalid option, gpload quit immediately"},
		{"FORMAT: csv\nNEWLINE: XX", "TABLE: t", "", nil, "HINT:  valid options are: 'LF', 'CRLF', 'CR'"},
		{"FORMAT: csv\nERROR_LIMIT: 1", "TABLE: t", "", nil, "error_limit must be 2 or higher"},
		{"FORMAT: csv\nLOG_ERRORS: true", "TABLE: t", "", nil, "gpload:input:log_errors requires gpload:input:error_limit to be specified"},
		{"FORMAT: csv\nTRANSFORM: x", "TABLE: t", "", nil, "transform_config is required when transform is specified"},
		{"FORMAT: csv\nTRANSFORM_CONFIG: /nope", "TABLE: t", "", nil, "ERROR|could not open transform_config file: [Errno 2] No such file or directory: '/nope'"},
		{"FORMAT: csv", "TABLE: t", "  SQL:\n    - BEFORE: set standard_conforming_strings = off\n    - AFTER: select nope\n", nil, `LINE 1: select nope`},
		{"FORMAT: text\nESCAPE: OFF", "TABLE: t", "  SQL:\n    - BEFORE: set standard_conforming_strings = off\n", nil, "standard_conforming_strings is set to 'off', please set it to 'on' and try again"},
	} {
		code, out := w.gpload(w.control(data, c.input, c.output, c.rest), c.args...)
		if code != 2 || !strings.Contains(out, c.want) || !strings.HasSuffix(out, "INFO|gpload failed\n") {
			t.Errorf("want %s\ngot %d %s", c.want, code, out)
		}
	}
	w.nothingLeft()
}
