package gpload

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/gptest"
)

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
