package run

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
)

// TestFilesOfOthers loads files that other implementations have written into
// tables made of their schema, and compares with the CSV of the same rows,
// which PostgreSQL's own COPY reads into a table like it.
func TestFilesOfOthers(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	rows := map[string]string{"duckdb": "duckdb", "polars": "simple", "arrowrs": "arrow", "hyparquet": "arrow", "avsc": "avsc"}
	files, err := filepath.Glob("testdata/others/*.*r*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		format := strings.TrimPrefix(filepath.Ext(file), ".")
		if format != "parquet" && format != "avro" {
			continue
		}
		seen++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			e := newEnv(t, pg, "select 1")
			res, err := Run(t.Context(), e.options(e.spec(simple(e.file("x", data), format, "made")+createTable, 0), "j"))
			if err != nil || res.Rows != 200 {
				t.Fatalf("%+v, %v", res, err)
			}
			pg.Exec(t, e.db, "create table oracle (like made)")
			writer, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), "."+format), "_")
			conn, err := pgx.Connect(t.Context(), pg.DSN(e.db))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close(t.Context()) }()
			if _, err := conn.Exec(t.Context(), "set timezone = 'UTC'"); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(gunzipped(t, "others/"+rows[writer]+".csv")), "copy oracle from stdin (format csv)"); err != nil {
				t.Fatalf("the oracle: %v", err)
			}
			// As values: 0 and 0.0 are the same in JSON.
			if same := e.scalar("select count(*)::text from made join oracle using (id) where made is not distinct from oracle"); same != "200" {
				diff := e.scalar("select string_agg(x::text, e'\\n') from (select made::text, oracle::text from made full join oracle using (id) where made is distinct from oracle limit 3) x")
				t.Errorf("%s rows of 200 are the same:\n%s", same, diff)
			}
		})
	}
	if seen < 15 {
		t.Errorf("only %d files", seen)
	}
}
