package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/playground/pgtest"
)

// A watching load that is killed again and again, while files keep coming,
// loads each of their rows once.
func TestKillWatchingLoad(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	conn := pg.Connect(t, "postgres")
	u := newUser(t)
	u.env = append(u.env, "PGPASSWORD=cw", "PGSSLMODE=disable")
	pg.Exec(t, "postgres", "create table public.w (id bigint, word text)")
	in, making := filepath.Join(u.home, "in"), filepath.Join(u.home, "making")
	for _, dir := range []string{in, making} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	spec := filepath.Join(u.home, "w.yaml")
	writeFile(t, spec, fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nDATABASE: postgres\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: [%s/*.csv]}\n    - FORMAT: csv\n  SPEED: {LIMIT: 2MB/s}\n  PARALLEL: {WORKERS: 2, SPLIT: 64KiB}\n  OUTPUT: [{TABLE: public.w}]\n", pg.Port, in))

	// A writer that makes files elsewhere and moves them here.
	const perFile = 2000
	var files int
	var writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() {
		tick := time.NewTicker(60 * time.Millisecond)
		defer tick.Stop()
		for ; ; files++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			var b strings.Builder
			for i := range perFile {
				fmt.Fprintf(&b, "%d,\"word\n%d\"\n", files*perFile+i, i)
			}
			name := fmt.Sprintf("%05d.csv", files)
			if err := os.WriteFile(filepath.Join(making, name), []byte(b.String()), 0o600); err != nil {
				t.Error(err)
				return
			}
			if err := os.Rename(filepath.Join(making, name), filepath.Join(in, name)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	window := func() time.Duration { return time.Duration(rand.Int64N(int64(1200 * time.Millisecond))) } //nolint:gosec // no secret
	kills, id := 0, ""
	for range rounds(t, 10) {
		args := []string{"load", "run", spec, "--watch", "--interval", "50ms", "--yes"}
		if id != "" {
			args = []string{"load", "resume", id}
		}
		if u.killAfter(window(), args...) {
			kills++
		}
		if id == "" {
			var jobs struct{ Items []struct{ ID string } }
			u.read(&jobs, "load", "list")
			if len(jobs.Items) > 0 {
				id = jobs.Items[0].ID
			}
		}
	}
	close(stop)
	writer.Wait()
	if id == "" {
		t.Skip("no job was ever begun before it was killed")
	}
	want := int64(files) * perFile
	u.must("load", "resume", id, "--detach", "--limit", "none")
	waitUntil(t, "all files", func() bool {
		var job struct {
			State string
			Rows  int64
		}
		u.read(&job, "load", "show", id)
		return job.State == "watching" && job.Rows == want
	})
	u.must("load", "cancel", id)
	var got, distinct, top int64
	if err := conn.QueryRow(t.Context(), "select count(*), count(distinct id), max(id) from public.w").Scan(&got, &distinct, &top); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d files, %d rows", kills, files, got)
	if got != want || distinct != want || top != want-1 {
		t.Errorf("%d rows, %d distinct, up to %d; want %d", got, distinct, top, want)
	}
	if kills == 0 {
		t.Error("no load was killed: the test proves nothing")
	}
	wantProcesses(t, u.home, 0)
}
