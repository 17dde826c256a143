package main_test

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/playground/pgtest"
)

// An unload that is killed at any moment ends, resumed, with exactly the rows
// of the table, and with no file that is not in its manifest.
func TestKillUnloadThenResume(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	const rows = 100_000
	pg.Exec(t, "postgres", fmt.Sprintf("create table public.src as select i as id, 'word ' || i as word from generate_series(1, %d) i", rows))
	u := newUser(t)
	u.env = append(u.env, "PGPASSWORD=cw", "PGSSLMODE=disable")
	total, known := 0, 0
	for round := range rounds(t, 4) {
		dir := filepath.Join(u.home, fmt.Sprintf("out%d", round))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		spec := filepath.Join(u.home, fmt.Sprintf("u%d.yaml", round))
		writeFile(t, spec, fmt.Sprintf(`VERSION: 1.0.0.1
HOST: 127.0.0.1
PORT: %d
USER: cw
DATABASE: postgres
GPLOAD:
  INPUT: [{TABLE: src}]
  OUTPUT:
    - SINK: {FILE: "%s/r.csv"}
    - FORMAT: csv
    - MAX_SIZE: 200kB
  PARALLEL: {WORKERS: 3}
  SPEED: {LIMIT: 2MB/s}
`, pg.Port, dir))
		window := func() time.Duration {
			return time.Duration(rand.Int64N(int64(1300 * time.Millisecond))) //nolint:gosec // no secret
		}
		if u.killAfter(window(), "unload", "run", spec) {
			total++
		}
		var jobs struct {
			Items []struct{ ID, State string }
		}
		u.read(&jobs, "load", "list")
		id := ""
		if len(jobs.Items) > known {
			id, known = jobs.Items[0].ID, len(jobs.Items) // the newest
		}
		switch {
		case id == "": // killed before the job was recorded
			u.must("unload", "run", spec)
			known++
		case jobs.Items[0].State != "done":
			if u.killAfter(window(), "load", "resume", id) {
				total++
			}
			u.must("load", "resume", id)
		}
		ids := map[string]bool{}
		objects, _ := filepath.Glob(filepath.Join(dir, "r.*.csv"))
		for _, name := range objects {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			records, err := csv.NewReader(f).ReadAll()
			_ = f.Close()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				ids[r[0]+r[1]] = true
			}
		}
		manifests, _ := filepath.Glob(filepath.Join(dir, "*.manifest.json"))
		all, _ := os.ReadDir(dir)
		if len(ids) != rows || len(manifests) != 1 || len(all) != len(objects)+1 {
			t.Errorf("round %d: %d rows, want %d; %d files, %d objects, %d manifests", round, len(ids), rows, len(all), len(objects), len(manifests))
		}
		if text, err := os.ReadFile(manifests[0]); err != nil || strings.Count(string(text), `"url"`) != len(objects) {
			t.Errorf("%v: %d objects\n%s", err, len(objects), text)
		}
	}
	if total == 0 {
		t.Error("no unload was killed: the test proves nothing")
	}
	wantProcesses(t, u.home, 0)
}
