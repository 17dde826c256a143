package fdist

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/gptest"
)

// TestGreenplumReads has a real Greenplum read what FileInputs serve.
func TestGreenplumReads(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 3)
	t.Run("formats", func(t *testing.T) { readFormats(t, gp) })
	t.Run("errors", func(t *testing.T) { readErrors(t, gp) })
	t.Run("waiting", func(t *testing.T) { readWaiting(t, gp) })
}

// external makes an external table of (n int, t text) over a path.
func external(t *testing.T, conn *pgx.Conn, name, address, path, format string) {
	t.Helper()
	execSQL(t, conn, fmt.Sprintf("drop external table if exists %s; create external table %s (n int, t text) location ('gpfdist://%s/%s') %s", name, name, address, path, format))
}

func execSQL(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// one is a statement's only value, as text.
func one(t *testing.T, conn *pgx.Conn, sql string) (string, error) {
	t.Helper()
	var v string
	err := conn.QueryRow(t.Context(), sql, pgx.QueryExecModeSimpleProtocol).Scan(&v)
	return v, err
}

func readFormats(t *testing.T, gp *gptest.Cluster) {
	dir := t.TempDir()
	const n = 200_000
	data := csvRows(0, n)
	write(t, dir+"/x.csv", data)
	write(t, dir+"/x.csv.gz", gz(t, data[:len(data)/2], data[len(data)/2:]))
	write(t, dir+"/x.csv.zst", zst(t, data))
	for i := range 10 {
		write(t, fmt.Sprintf("%s/part/%d.csv", dir, i), append([]byte("n,\"t\nt\"\n"), bytes.TrimRight(csvRows(i*n/10, n/10), "\n")...))
	}
	write(t, dir+"/crlf.csv", bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("two\nlines"), []byte("twolines")), []byte("\n"), []byte("\r\n")))
	var text []byte
	for i := range n { // enough for regions
		text = fmt.Appendf(text, "%d|some words\\nand a second line %s\n", i, strings.Repeat("x", i%30))
	}
	write(t, dir+"/x.txt", text)
	_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	conn := gp.Connect(t, "postgres")
	sum := n * (n - 1) / 2
	want := fmt.Sprintf("%d %d %d", n, sum, n)
	for i, c := range []struct{ path, format string }{
		{"x.csv", "format 'csv'"},
		{"x.csv.gz", "format 'csv'"},
		{"x.csv.zst", "format 'csv'"},
		{"part/*", "format 'csv' (header)"},
		{"part", "format 'csv' (header)"},
		{"part/0.csv%20part/[1-9].csv", "format 'csv' (header)"},
		{"crlf.csv", "format 'csv' (newline 'CRLF')"},
		{"x.txt", "format 'text' (delimiter '|')"},
	} {
		name := fmt.Sprintf("formats%d", i)
		external(t, conn, name, address, c.path, c.format)
		got, err := one(t, conn, "select count(*) || ' ' || sum(n) || ' ' || count(distinct n) from "+name)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", c.path, got, err, want)
		}
	}
	// The same rows by all ways, quotes and row ends in them as they were.
	for _, c := range []string{"formats1", "formats3"} {
		if got, err := one(t, conn, "select count(*)::text from formats0 a join "+c+" b using (n) where a.t = b.t"); err != nil || got != fmt.Sprint(n) {
			t.Errorf("%s: %s, %v", c, got, err)
		}
	}
	if got, err := one(t, conn, "select count(*)::text from formats7 where t like E'some words\\nand a second line%'"); err != nil || got != fmt.Sprint(n) {
		t.Errorf("escaped row ends: %s, %v", got, err)
	}
	// A statement that has had enough, and one that reads a table twice.
	if got, err := one(t, conn, "select count(*)::text from (select * from formats0 limit 10) x"); err != nil || got != "10" {
		t.Errorf("limit: %s, %v", got, err)
	}
	if got, err := one(t, conn, "select count(*)::text from formats0 a join formats0 b using (n)"); err != nil || got != fmt.Sprint(n) {
		t.Errorf("twice: %s, %v", got, err)
	}
}

func readErrors(t *testing.T, gp *gptest.Cluster) {
	dir := t.TempDir()
	write(t, dir+"/long.csv", []byte("1,a\n2,"+strings.Repeat("x", 40_000)+"\n"))
	var rows []byte
	for i := range 5000 {
		if i == 4321 {
			rows = append(rows, "not a number,x\n"...)
			continue
		}
		rows = fmt.Appendf(rows, "%d,%s\n", i, strings.Repeat("y", 50))
	}
	write(t, dir+"/bad.csv", rows)
	write(t, dir+"/bad.txt", bytes.ReplaceAll(rows, []byte(","), []byte("|")))
	s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	conn := gp.Connect(t, "postgres")
	for path, want := range map[string]string{
		"none.csv": "404 file not found",
		"long.csv": "gpfdist error - line too long in file " + dir + "/long.csv near (4 bytes)",
		"../x":     "400 invalid request due to relative path",
	} {
		if path == "../x" {
			path = "%2e%2e/x" // curl resolves the other
		}
		external(t, conn, "failing", address, path, "format 'csv'")
		_, err := one(t, conn, "select count(*)::text from failing")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", path, err, want)
		}
	}
	for path, format := range map[string]string{"bad.csv": "format 'csv'", "bad.txt": "format 'text' (delimiter '|')"} {
		external(t, conn, "rejecting", address, path, format+" log errors segment reject limit 10")
		if got, err := one(t, conn, "select count(*)::text from rejecting"); err != nil || got != "4999" {
			t.Errorf("%s: %s, %v", path, got, err)
		}
		// Several blocks on, the number of the line and the file are right.
		got, err := one(t, conn, "select linenum || ' ' || filename from gp_read_error_log('rejecting')")
		if err != nil || !strings.HasPrefix(got, "4322 ") || !strings.Contains(got, dir+"/"+path) {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	waitFor(t, func() bool { return s.Stats().Open.Load() == 0 })
}

// readWaiting holds rows back for longer than segments have patience.
func readWaiting(t *testing.T, gp *gptest.Cluster) {
	dir := t.TempDir()
	write(t, dir+"/x.csv", csvRows(0, 20_000))
	g := &gate{open: make(chan struct{})}
	s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, Limits: g})
	conn := gp.Connect(t, "postgres")
	execSQL(t, conn, "set readable_external_table_timeout = 3")
	external(t, conn, "waiting", address, "x.csv", "format 'csv'")
	timer := time.AfterFunc(8*time.Second, func() { close(g.open) })
	defer timer.Stop()
	start := time.Now()
	got, err := one(t, conn, "select count(*)::text from waiting")
	if err != nil || got != "20000" || time.Since(start) < 7*time.Second {
		t.Errorf("%s, %v after %v", got, err, time.Since(start))
	}
	if s.Stats().Heartbeats.Load() == 0 {
		t.Error("no signs of life")
	}
	res, err := http.Get("http://" + address + "/gpfdist/status")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), "total_sessions 1") {
		t.Errorf("%s, %v", body, err)
	}
}
