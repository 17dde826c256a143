package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
)

// orderedRows are the objects of a JSON array with their values in order.
func orderedRows(t *testing.T, data []byte) (rows [][]string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		tok, err := d.Token()
		if err != nil {
			return rows
		}
		if tok != json.Delim('{') {
			continue
		}
		var row []string
		for d.More() {
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
			var v string
			if err := d.Decode(&v); err != nil {
				t.Fatal(err)
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
}

// TestCSVSpectrum loads a public collection of awkward files, and compares
// with what it says they hold and with PostgreSQL's COPY.
func TestCSVSpectrum(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	files, err := filepath.Glob("testdata/csv-spectrum/csvs/*.csv")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile("testdata/csv-spectrum/json/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			want := orderedRows(t, text)
			e := newEnv(t, pg, "select 1")
			var columns []string
			for i := range want[0] {
				columns = append(columns, fmt.Sprintf("{c%d: text}", i))
			}
			for table, more := range map[string]string{"texts": "    - COLUMNS: [" + strings.Join(columns, ", ") + "]\n", "typed": ""} {
				spec := e.spec(simple(e.file("x.csv", data), "csv", table, "    - HEADER: true\n", more)+createTable, 0)
				res, err := Run(t.Context(), e.options(spec, table))
				if err != nil || res.Rows != int64(len(want)) {
					t.Fatalf("%s: %+v, %v", table, res, err)
				}
				pg.Exec(t, e.db, fmt.Sprintf("create table %s_oracle (like %s)", table, table))
				e.oracle(table+"_oracle", "format csv, header true", data)
				if got, want := e.sum("select * from "+table), e.sum("select * from "+table+"_oracle"); got != want {
					t.Errorf("%s: %s, COPY has %s", table, got, want)
				}
			}
			conn, err := pgx.Connect(t.Context(), pg.DSN(e.db))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(t.Context()) }()
			rows, err := conn.Query(t.Context(), "select * from texts")
			if err != nil {
				t.Fatal(err)
			}
			got, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (row []string, err error) {
				values, err := r.Values()
				for _, v := range values {
					s, _ := v.(string) // NULL is empty and not quoted
					row = append(row, s)
				}
				return row, err
			})
			if name == "location_coordinates" && err == nil {
				return // its JSON is not of the same rows
			}
			if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
				t.Errorf("%v\ngot  %q\nwant %q", err, got, want)
			}
		})
	}
}
