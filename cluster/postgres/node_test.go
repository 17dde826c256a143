package postgres

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// fakeTool starts a copy of sleep under another program's name.
func fakeTool(t *testing.T, name, cwd string, args ...string) *exec.Cmd {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep")
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Dir = cwd
	if err := c.Start(); err != nil {
		t.Skipf("cannot run a copy of sleep: %v", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

// The sweep must end what works on its directory and nothing else.
func TestSweepEndsOnlyWhatWorksOnTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data.cw-new")
	other := filepath.Join(t.TempDir(), "data.cw-new")
	for _, d := range []string{dir, other} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ours := fakeTool(t, "postgres", dir, "600")
	foreign := fakeTool(t, "postgres", other, "600")
	bystander := fakeTool(t, "something", dir, "600")
	began := time.Now()
	if out, err := exec.Command("/bin/sh", "-c", killScript, "cw", dir).CombinedOutput(); err != nil {
		// A child of this test that was killed stays a zombie until it is
		// waited for; it has no exe any more and does not count.
		t.Fatalf("%v: %s", err, out)
	}
	done := make(chan struct{})
	go func() { _ = ours.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("the process in the directory still runs")
	}
	for name, c := range map[string]*exec.Cmd{"a server elsewhere": foreign, "another program": bystander} {
		if err := c.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("%s was ended: %v", name, err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("the other directory is gone: %v", err)
	}
	t.Logf("took %s", time.Since(began).Round(time.Millisecond))
}
