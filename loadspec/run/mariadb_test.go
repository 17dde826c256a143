package run

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
)

func gunzipped(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// batchRows are rows as mariadb --batch prints them. NULL and the word are the
// same there.
func batchRows(t *testing.T, name string) [][]string {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(string(gunzipped(t, name))) {
		var row []string
		for f := range strings.SplitSeq(strings.TrimSuffix(line, "\n"), "\t") {
			row = append(row, strings.NewReplacer(`\t`, "\t", `\n`, "\n", `\\`, `\`, `\0`, "\x00").Replace(f))
		}
		rows = append(rows, row)
	}
	return rows
}

// sameValue compares what MariaDB has with what has been loaded, as text.
func sameValue(typ, want string, got *string) bool {
	if want == "NULL" {
		return got == nil || *got == "NULL"
	}
	if strings.HasPrefix(want, "0000-00-00") {
		return got == nil
	}
	if got == nil {
		return false
	}
	switch {
	case typ == "bytea":
		return *got == `\x`+hex.EncodeToString([]byte(want))
	case typ == "jsonb":
		var a, b any
		return json.Unmarshal([]byte(want), &a) == nil && json.Unmarshal([]byte(*got), &b) == nil && reflect.DeepEqual(a, b)
	case strings.HasPrefix(typ, "timestamp"):
		if strings.Contains(want, ".") {
			want = strings.TrimSuffix(strings.TrimRight(want, "0"), ".")
		}
		return want == *got
	case typ == "real" || typ == "double precision":
		a, err1 := strconv.ParseFloat(want, 64)
		b, err2 := strconv.ParseFloat(*got, 64)
		return err1 == nil && err2 == nil && a == b
	}
	return *got == want
}

// TestMariaDB loads real dumps of MariaDB into tables made of them, and
// compares every value with what MariaDB itself prints.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for _, dump := range []string{"mariadb_dump.sql", "mariadb_dump_hex.sql"} {
		e := newEnv(t, pg, "select 1")
		file := e.file("dump.sql", gunzipped(t, dump))
		for _, table := range []string{"customers", "orders", "empty_one"} {
			spec := e.spec(simple(file, "mysqldump", table)+createTable+smallSplits, 0)
			if _, err := Run(t.Context(), e.options(spec, table)); err != nil {
				t.Fatalf("%s, %s: %v", dump, table, err)
			}
			if table == "empty_one" {
				if n := e.scalar("select count(*)::text from empty_one"); n != "0" {
					t.Errorf("%s: %s rows in the empty table", dump, n)
				}
				continue
			}
			rows := batchRows(t, "mariadb_"+table+".tsv")
			types := strings.Split(e.scalar(fmt.Sprintf("select string_agg(format_type(atttypid, null), ',' order by attnum) from pg_attribute where attrelid = '%s'::regclass and attnum > 0", table)), ",")
			var columns []string
			for _, name := range rows[0] {
				columns = append(columns, fmt.Sprintf("%q::text", name))
			}
			conn, err := pgx.Connect(t.Context(), pg.DSN(e.db))
			if err != nil {
				t.Fatal(err)
			}
			got, err := conn.Query(t.Context(), "select "+strings.Join(columns, ", ")+" from "+table+" x order by x.id")
			if err != nil {
				t.Fatal(err)
			}
			n := 1
			for got.Next() {
				values := make([]*string, len(columns))
				into := make([]any, len(columns))
				for i := range values {
					into[i] = &values[i]
				}
				if err := got.Scan(into...); err != nil {
					t.Fatal(err)
				}
				if n == len(rows) {
					t.Fatalf("%s, %s: more than %d rows", dump, table, n-1)
				}
				for i, want := range rows[n] {
					if !t.Failed() && !sameValue(types[i], want, values[i]) { // the first will do
						shown := "NULL"
						if values[i] != nil {
							shown = *values[i]
						}
						t.Errorf("%s, %s, row %d, %s %s: %.200q, MariaDB has %.200q", dump, table, n, rows[0][i], types[i], shown, want)
					}
				}
				n++
			}
			if err := got.Err(); err != nil || n != len(rows) {
				t.Errorf("%s, %s: %d rows, not %d: %v", dump, table, n-1, len(rows)-1, err)
			}
			_ = conn.Close(t.Context())
		}
	}
	if !bytes.Contains(gunzipped(t, "mariadb_dump.sql"), []byte("MariaDB dump 10.19")) {
		t.Error("this is no dump of MariaDB")
	}
}
