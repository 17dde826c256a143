package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"cw/playground/pgtest"
)

// TestExtractFromStandby: a standby has no ledger, and gives one state, too.
func TestExtractFromStandby(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t, "wal_level='replica'", "max_wal_senders=4")
	e := newEnv(t, pg, manyRows)
	dir, port := pgtest.Dir(t), pgtest.FreePort(t)
	data := filepath.Join(dir, "data")
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(pg.BinDir, name), args...)
		cmd.Env, cmd.Dir = append(os.Environ(), "PGPASSWORD=cw", "LC_ALL=C"), dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.Unprivileged(t)}
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(out.Name())
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
	}
	run("pg_basebackup", "-h", "127.0.0.1", "-p", fmt.Sprint(pg.Port), "-U", "cw", "-D", data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
	run("pg_ctl", "-D", data, "-w", "-s", "-l", filepath.Join(dir, "log"), "-o", fmt.Sprintf("-c port=%d -c unix_socket_directories=%s", port, dir), "start")
	t.Cleanup(func() {
		cmd := exec.Command(filepath.Join(pg.BinDir, "pg_ctl"), "-D", data, "-m", "immediate", "-w", "-s", "stop")
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.Unprivileged(t)}
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
	})
	to := t.TempDir()
	u := e.out(to, "m.csv", "TABLE: many", "FORMAT: csv")
	u.Conn.Port, u.Workers, u.Limit = port, 2, 20_000_000
	for range 2 { // nobody knows that it was done: it is written again
		if res, err := Unload(t.Context(), u, Options{Job: "u"}); err != nil || res.Rows != 60_000 {
			t.Fatalf("%+v %v", res, err)
		}
		e.complete(to)
	}
}
