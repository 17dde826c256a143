package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/playground/pgtest"
)

// One Ctrl-C stops a load cleanly with exit code 130; resume finishes it.
func TestInterruptLoad(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	u := newUser(t)
	u.env = append(u.env, "PGPASSWORD=cw", "PGSSLMODE=disable")
	const rows = 50_000
	source := filepath.Join(u.home, "rows.csv")
	writeRows(t, source, rows)
	pg.Exec(t, "postgres", "create table public.t (id bigint, word text)")
	spec := filepath.Join(u.home, "t.yaml")
	writeFile(t, spec, fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nDATABASE: postgres\nGPLOAD:\n  INPUT:\n    - SOURCE: {URL: [\"file://%s\"]}\n    - FORMAT: csv\n  OUTPUT: [{TABLE: public.t}]\n", pg.Port, source))
	cmd := u.command("load", "run", spec, "--limit", "100kB/s")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	job := u.await("running")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(errOut.String(), "stopping cleanly") {
		t.Errorf("exit code %d, want 130\n%s", code, errOut.String())
	}
	u.await("interrupted")
	u.must("load", "resume", job, "--limit", "none")
	var got int
	if err := pg.Connect(t, "postgres").QueryRow(t.Context(), "select count(*) from public.t").Scan(&got); err != nil || got != rows {
		t.Errorf("%d rows after resume, want %d (%v)", got, rows, err)
	}
	wantProcesses(t, u.home, 0)
}

// Two Ctrl-C end cw at once, whatever it waits for.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	topology, dir := u.playground(1)
	mark := filepath.Join(dir, "data", "begun")
	cmd := u.command("cluster", "exec", "-f", topology, "--", "sh", "-c", "trap '' TERM; : >"+mark+"; sleep 30")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the command to begin", func() bool { _, err := os.Stat(mark); return err == nil })
	began := time.Now()
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 || time.Since(began) > 10*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
}

// await waits until the newest job is in a state, and returns its id.
func (u *user) await(state string) (job string) {
	u.t.Helper()
	waitUntil(u.t, "a job that is "+state, func() bool {
		var jobs struct{ Items []struct{ ID, State string } }
		u.read(&jobs, "load", "list")
		if len(jobs.Items) == 0 {
			return false
		}
		job = jobs.Items[0].ID
		return jobs.Items[0].State == state
	})
	return job
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}
