package gpload

import (
	"strings"
	"testing"

	"cw/playground/pgtest"
)

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
