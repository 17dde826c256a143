package run

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cw/playground/gptest"
	"cw/playground/pgtest"
)

// stamped loads files of all kinds with the origin of every row, and compares
// that with where the rows stand.
func (e *onceEnv) stamped(t *testing.T, escaped bool) {
	t.Helper()
	e.exec("create table origin (id int, note text, object text, line bigint, label text)")
	// Two or three lines for most records of csv.
	var data bytes.Buffer
	lines := map[int]int{}
	line := 2 // after the heading
	data.WriteString("id,note\n")
	for i := range 20_000 {
		lines[i] = line
		note := []string{"plain", `"two\nlines"`, `"a ""quote"" "`, "\"\n\n\"", ""}[i%5]
		note = strings.ReplaceAll(note, `\n`, "\n")
		fmt.Fprintf(&data, "%d,%s\n", i, note)
		line += 1 + strings.Count(note, "\n")
	}
	a, b := e.file(`odd, "name".csv`, data.Bytes()), e.file("b.csv.gz", gz(data.Bytes()))
	body := func(format, where, mapping string, more ...string) string {
		return fmt.Sprintf("  INPUT:\n    - SOURCE: {FILE: [%s]}\n    - FORMAT: %s\n%s    - COLUMNS: [{id: int}, {note: text}]\n  OUTPUT:\n    - TABLE: origin\n    - MAPPING: {%s}\n  PARALLEL: {SPLIT: 64KiB, COMMIT: 300kB}\n",
			where, format, strings.Join(more, ""), mapping)
	}
	check := func(what string, object string, want map[int]int, text string) {
		t.Helper()
		var list strings.Builder
		for i, l := range want {
			fmt.Fprintf(&list, "(%d,%d),", i, l)
		}
		got := e.query(fmt.Sprintf("select count(*) || ' of ' || (select count(*) from origin where object = '%s') from origin o join (values %s) v(i, l) on v.i = o.id and v.l = o.line where o.object = '%s'",
			object, strings.TrimSuffix(list.String(), ","), object))
		if got != fmt.Sprintf("%d of %d", len(want), len(want)) {
			t.Errorf("%s: %s, e.g. %s", what, got, e.query("select coalesce(min(object || ' ' || line || ' ' || id), 'none') from origin where line is distinct from id + 2"))
		}
		if got := e.query("select coalesce(min(label), '') from origin where object = '" + object + "'"); got != text {
			t.Errorf("%s: label %q", what, got)
		}
	}
	quoted := "'" + strings.ReplaceAll(a, "'", "''") + "', '" + b + "'"
	e.run(t, e.options(body("csv", quoted, "id: id, note: note, object: cw_object, line: cw_line", "    - HEADER: true\n"), "j1"))
	check("csv", "file://"+a, lines, "")
	check("csv.gz", "file://"+b, lines, "")
	// Through an expression, text, with escaped line ends and delimiters.
	var text bytes.Buffer
	want := map[int]int{}
	for i := range 3000 {
		if want[i] = i + 1; escaped {
			want[i] = 2*i + 1
		}
		fmt.Fprintf(&text, "%d|a\\|b%sc\n", i, map[bool]string{true: "\\\n"}[escaped])
	}
	c := e.file("c|d.txt", text.Bytes())
	e.run(t, e.options(body("text", "'"+c+"'", "id: id, note: note, object: cw_object, line: cw_line, label: \"upper(right(CW_OBJECT, 7))\"", "    - DELIMITER: '|'\n"), "j2"))
	check("text", "file://"+c, want, "C|D.TXT")
	// Rows of a converter are counted from 1.
	var lines1 bytes.Buffer
	want = map[int]int{}
	for i := range 3000 {
		want[i] = i + 1
		fmt.Fprintf(&lines1, "{\"id\": %d, \"note\": \"x\\ty\"}\n", i)
	}
	d := e.file("d.jsonl", lines1.Bytes())
	e.run(t, e.options(body("json", "'"+d+"'", "id: id, note: note, object: cw_object, line: cw_line"), "j3"))
	check("json", "file://"+d, want, "")
	// A rejected row is shown as it stands in the object.
	f := e.file("f.csv", []byte("1,one\n2,\"t\nwo\"\nx3,three\n4,four\n"))
	if res := e.run(t, e.options(body("csv", "'"+f+"'", "id: id, note: note, object: cw_object, line: cw_line", "    - ERROR_LIMIT: 5\n"), "j4")); res.Rejected != 1 || res.Rows != 3 {
		t.Errorf("%+v", res)
	}
	if got := e.rejectedRow("j4"); got != "file://"+f+" 4 x3,three" {
		t.Errorf("rejected: %q", got)
	}
	if got := e.query("select string_agg(id || ':' || line, ' ' order by id) from origin where object = 'file://" + f + "'"); got != "1:1 2:2 4:5" {
		t.Errorf("rows around it: %s", got)
	}
	if rep, err := Check(t.Context(), e.options(body("csv", quoted, "id: id, line: cw_line", "    - HEADER: true\n"), "j5")); err != nil || len(rep.Columns) != 2 {
		t.Errorf("check: %+v, %v", rep, err)
	}
}

func (e *onceEnv) rejectedRow(job string) string {
	return e.query("select min(object || ' ' || line || ' ' || row_text) from cw.load_errors where job = '" + job + "'")
}

func TestOriginOfRows(t *testing.T) {
	t.Parallel()
	e := onPostgres(t, pgtest.Start(t))
	e.stamped(t, true)
}

func TestGreenplumOriginOfRows(t *testing.T) {
	t.Parallel()
	e := onGreenplum(t, gptest.Start(t, 2))
	e.stamped(t, false) // Greenplum ends a row at every line end of a text file
}
