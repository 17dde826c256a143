package gpload

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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
		"mapping": testMapping, "sequence": testSequence, "schema": testExternalSchema,
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

type world struct {
	t        *testing.T
	g        *gptest.Cluster
	db       *pgx.Conn
	database string
	dir      string
	port     int // of the server in the control file
	signals  chan os.Signal
}

func (w *world) exec(sql string) {
	w.t.Helper()
	if _, err := w.db.PgConn().Exec(w.t.Context(), sql).ReadAll(); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) query(sql string) string {
	w.t.Helper()
	r, err := w.db.Query(w.t.Context(), sql)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	rows, err := pgx.CollectRows(r, pgx.RowTo[string])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(rows, " ")
}

func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// control writes a control file. input, output and rest are the lines of
// their sections, - KEY: value each.
func (w *world) control(data, input, output, rest string) string {
	w.t.Helper()
	section := func(lines string) string {
		return "    - " + strings.Join(strings.Split(strings.TrimSpace(lines), "\n"), "\n    - ") + "\n"
	}
	text := fmt.Sprintf("VERSION: 1.0.0.1\nDATABASE: %s\nUSER: cw\nHOST: 127.0.0.1\nPORT: %d\nGPLOAD:\n  INPUT:\n    - SOURCE:\n        LOCAL_HOSTNAME: [127.0.0.1]\n        PORT: %d\n        FILE: [%s]\n", w.database, w.g.Port, w.port, data)
	if input != "" {
		text += section(input)
	}
	text += "  OUTPUT:\n" + section(output) + rest
	return w.file("load.yaml", text)
}

// gpload runs with a control file and gives the exit code and the lines
// without their times.
func (w *world) gpload(file string, args ...string) (int, string) {
	w.t.Helper()
	code, out, errOut := w.raw(append([]string{"-f", file}, args...)...)
	if errOut != "" {
		w.t.Errorf("standard error has %s", errOut)
	}
	return code, strip(out)
}

var (
	stamps   = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\|`)
	variable = regexp.MustCompile(`session started .*|running time: .*|[0-9a-f]{8}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{12}|reusable_[0-9a-f]{32}|to_timestamp\('.*'\)`)
)

func strip(s string) string {
	return variable.ReplaceAllStringFunc(stamps.ReplaceAllString(s, ""), func(m string) string {
		switch {
		case strings.HasPrefix(m, "session"):
			return "session started"
		case strings.HasPrefix(m, "running"):
			return "running time"
		case strings.HasPrefix(m, "to_"):
			return "to_timestamp(T)"
		case strings.HasPrefix(m, "reusable"):
			return "reusable_MD5"
		default:
			return "UUID"
		}
	})
}

// safeBuffer is a buffer that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (w *world) raw(args ...string) (code int, out, errOut string) {
	w.t.Helper()
	var o, e safeBuffer
	env := Env{
		Out: &o, Err: &e, Getenv: w.getenv, Now: time.Now, Signals: w.signals, Start: Serve, Version: "test",
		ReadSecret: func() (string, error) { return "", os.ErrClosed },
	}
	code = Run(w.t.Context(), env, args)
	return code, o.String(), e.String()
}

func (w *world) getenv(name string) string {
	if name == "HOME" {
		return w.dir
	}
	return ""
}

// nothingLeft tells of tables that the loads have left behind.
func (w *world) nothingLeft() {
	w.t.Helper()
	if left := w.query(`select relname::text from pg_class where relname like '%gpload%'`); left != "" {
		w.t.Errorf("left behind: %s", left)
	}
}

func (w *world) want(code int, lines string, gotCode int, got string) {
	w.t.Helper()
	if gotCode != code || strings.TrimSpace(got) != strings.TrimSpace(lines) {
		w.t.Errorf("exit code %d\n%s\nwant %d\n%s", gotCode, got, code, lines)
	}
}

func (w *world) started(data string) string {
	return fmt.Sprintf("INFO|started gpfdist -p %d -P %d -f \"%s\" -t 30", w.port, w.port+1, data)
}

func summary(inserted, updated, errors int, result string) string {
	return fmt.Sprintf("INFO|rows Inserted          = %d\nINFO|rows Updated           = %d\nINFO|data formatting errors = %d\nINFO|gpload %s", inserted, updated, errors, result)
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

// gpdb#11348, PR#12202, #1532: reuse looks at every option, and does match
// tabs and capitals.
func testReuse(t *testing.T, w *world) {
	w.exec(`create table t("A" int, b text) distributed by ("A")`)
	data := w.file("in.txt", "1\tone\n2\ttwo\n")
	reuse := "  PRELOAD:\n    - REUSE_TABLES: true\n"
	load := func(input string, again bool) {
		t.Helper()
		code, out := w.gpload(w.control(data, input, "TABLE: t", reuse))
		line := "INFO|did not find an external table to reuse. creating ext_gpload_reusable_UUID\n"
		if again {
			line = "INFO|reusing external table ext_gpload_reusable_UUID\n"
		}
		if code != 0 || !strings.Contains(out, line) {
			t.Errorf("%s: %d %s", input, code, out)
		}
	}
	tab := "FORMAT: text\nDELIMITER: '\\t'"
	load(tab, false)
	load(tab, true)
	load("FORMAT: text", true)
	load(tab+"\nHEADER: true", false)
	load(tab+"\nHEADER: true", true)
	load(tab+"\nERROR_LIMIT: 5", false)
	load(tab+"\nERROR_LIMIT: 5\nLOG_ERRORS: true", false)
	load(tab+"\nENCODING: LATIN1", false)
	load(tab+"\nNULL_AS: ''", false)
	load(tab+"\nNEWLINE: LF", false)
	load(tab+"\nCOLUMNS: [{'\"A\"': int}, {b: varchar(20)}]", false)
	load(tab+"\nCOLUMNS: [{'\"A\"': int}, {b: varchar(20)}]", true)
	load(tab+"\nCOLUMNS: [{'\"A\"': int}, {b: varchar(30)}]", false)
	csv := "FORMAT: csv\nDELIMITER: \"\\t\""
	load(csv, false)
	load(csv+"\nQUOTE: \"&\"", false)
	load(csv+"\nQUOTE: \"'\"", false)
	load(csv, true)
	load(csv+"\nFORCE_NOT_NULL: [b]", false)
	w.port = pgtest.FreePort(t)
	load(tab, false)
	if got := w.query(`select count(*)::text from pg_class where relname like 'ext_gpload_reusable%'`); got != "14" {
		t.Errorf("%s tables", got)
	}
}

func testFastMatch(t *testing.T, w *world) {
	w.exec(`create table t(a int, b text) distributed by (a); create table u(a int, b text, c text) distributed by (a)`)
	data := w.file("in.csv", "1,one\n")
	fast := "  PRELOAD:\n    - REUSE_TABLES: true\n    - FAST_MATCH: true\n"
	if code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", fast)); code != 0 || !strings.Contains(out, "did not find") {
		t.Errorf("%d %s", code, out)
	}
	code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: u", fast))
	if code != 2 || !strings.Contains(out, "reusing external table ext_gpload_reusable_UUID\n") || !strings.Contains(out, `ERROR:  column "c" does not exist`) {
		t.Errorf("%d %s", code, out)
	}
	code, out = w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", "  PRELOAD:\n    - FAST_MATCH: true\n"))
	if code != 0 || !strings.Contains(out, "WARN|fast_match is ignored when reuse_tables is false!\n") {
		t.Errorf("%d %s", code, out)
	}
}

// gpdb#9877: a STAGING_TABLE that points elsewhere is not used.
func testStaging(t *testing.T, w *world) {
	w.exec(`create table t(a int, b text) distributed by (a)`)
	data := w.file("in.csv", "1,one\n")
	rest := "  PRELOAD:\n    - REUSE_TABLES: true\n    - STAGING_TABLE: '\"My_staging\"'\n"
	for i := range 2 {
		code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", rest))
		if code != 0 || strings.Contains(out, `INFO|reusing external staging table "My_staging"`) != (i == 1) {
			t.Errorf("%d %s", code, out)
		}
	}
	w.port = pgtest.FreePort(t)
	code, out := w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", rest))
	if code != 2 || !strings.Contains(out, `ERROR|STAGING_TABLE "My_staging" is made for another load: location is gpfdist://127.0.0.1:`) || strings.Contains(out, "refused") {
		t.Errorf("%d %s", code, out)
	}
	code, out = w.gpload(w.control(data, "FORMAT: csv", "TABLE: t", strings.Replace(rest, `'"My_staging"'`, "a.b", 1)))
	if code != 2 || !strings.Contains(out, "ERROR|Character '.' is not allowed in staging_table parameter.") {
		t.Errorf("%d %s", code, out)
	}
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

// testKeptTable sees that a reusable table and its error log outlive a load
// that fails.
func testKeptTable(t *testing.T, w *world) {
	w.exec(`create table t(a int) distributed by (a)`)
	data := w.file("in.csv", "1\nbad\nworse\nworst\nmore\n")
	control := w.control(data, "FORMAT: csv\nERROR_LIMIT: 2\nLOG_ERRORS: true", "TABLE: t", "  PRELOAD:\n    - REUSE_TABLES: true\n")
	if code, out := w.gpload(control); code != 2 || !strings.Contains(out, "did not find an external table to reuse") {
		t.Errorf("%d %s", code, out)
	}
	table := w.query(`select relname::text from pg_class where relname like 'ext_gpload_reusable%'`)
	if got := w.query(`select count(*)::text from gp_read_error_log('` + table + `')`); got == "0" {
		t.Error("the rejected rows are gone")
	}
	w.file("in.csv", "1\nbad\n")
	code, out := w.gpload(control)
	if code != 1 || !strings.Contains(out, "INFO|reusing external table ext_gpload_reusable_UUID\nWARN|1 bad row\nWARN|Please use following query to access the detailed error\nWARN|select * from gp_read_error_log('ext_gpload_reusable_UUID') where cmdtime > to_timestamp(T)\n") || !strings.Contains(out, "data formatting errors = 1\n") {
		t.Errorf("%d %s", code, out)
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
