package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/playground/pgtest"
)

// A load that is killed at any moment, again and again, ends with exactly the
// rows of its source.
func TestKillLoadThenResume(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	conn := pg.Connect(t, "postgres")
	u := newUser(t)
	u.env = append(u.env, "PGPASSWORD=cw", "PGSSLMODE=disable")

	const rows = 200_000
	source := filepath.Join(u.home, "rows.csv")
	want := writeRows(t, source, rows)
	// The limit makes the load last about 1.3 s.
	window := func() time.Duration {
		return time.Duration(rand.Int64N(int64(1500 * time.Millisecond))) //nolint:gosec // no secret
	}
	total := 0
	for round := range rounds(t, 4) {
		table := fmt.Sprintf("t%d", round)
		pg.Exec(t, "postgres", "create table public."+table+" (id bigint, word text)")
		spec := filepath.Join(u.home, table+".yaml")
		writeFile(t, spec, fmt.Sprintf(`VERSION: 1.0.0.1
HOST: 127.0.0.1
PORT: %d
USER: cw
DATABASE: postgres
GPLOAD:
  INPUT:
    - SOURCE: {URL: ["file://%s"]}
    - FORMAT: csv
  SPEED: {LIMIT: 3MB/s}
  PARALLEL: {WORKERS: 3, SPLIT: 256KB}
  OUTPUT: [{TABLE: public.%s}]
`, pg.Port, source, table))

		kills := 0
		if u.killAfter(window(), "load", "run", spec, "--yes") {
			kills++
		}
		var jobs struct {
			Items []struct{ ID, State, Target string }
		}
		u.read(&jobs, "load", "list")
		id, state := "", ""
		for _, j := range jobs.Items {
			if strings.Contains(j.Target, table) {
				id, state = j.ID, j.State
			}
		}
		switch {
		case id == "": // killed before the job was recorded
			u.must("load", "run", spec, "--yes")
		case state != "done":
			if u.killAfter(window(), "load", "resume", id, "--yes") {
				kills++
			}
			u.must("load", "resume", id, "--yes")
		}
		total += kills
		var got, distinct, sum int64
		if err := conn.QueryRow(t.Context(), "select count(*), count(distinct id), coalesce(sum(id * length(word)), 0) from public."+table).Scan(&got, &distinct, &sum); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %d kills, %d rows", round, kills, got)
		if got != rows || distinct != rows || sum != want {
			t.Errorf("round %d: %d rows, %d distinct, sum %d; want %d rows, sum %d", round, got, distinct, sum, rows, want)
		}
	}
	if total == 0 {
		t.Error("no load was killed: the test proves nothing")
	}
	wantProcesses(t, u.home, 0)
}

// writeRows writes CSV with line breaks and quotes inside quotes, and returns
// the checksum a correct load gives.
func writeRows(t *testing.T, path string, n int) (sum int64) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		word := []string{"plain", "with, comma", "two\nlines", `a "quote"`, ""}[i%5]
		fmt.Fprintf(&b, "%d,\"%s\"\n", i, strings.ReplaceAll(word, `"`, `""`))
		sum += int64(i) * int64(len(word))
	}
	writeFile(t, path, b.String())
	return sum
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
