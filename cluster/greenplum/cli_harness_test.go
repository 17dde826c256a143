package greenplum_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cw/cluster"
	"cw/playground/cwtest"
)

// built is the real binary, built once for all tests of this package.
var built struct {
	sync.Once
	path string
	err  error
}

func binary() (string, error) {
	built.Do(func() {
		var dir string
		if dir, built.err = os.MkdirTemp("", "cwbin"); built.err != nil {
			return
		}
		built.path = filepath.Join(dir, "cw")
		built.err = cwtest.Build(context.Background(), built.path)
	})
	return built.path, built.err
}

// removeBinary removes what binary built.
func removeBinary() {
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
}

// cli is a user who calls the real binary, with a home of their own.
type cli struct {
	t   testing.TB
	bin string
	env []string
}

func newCLI(t testing.TB) *cli {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	u := &cli{t: t, bin: bin}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); name == "PATH" {
			u.env = append(u.env, kv)
		}
	}
	u.env = append(u.env, "HOME="+t.TempDir())
	return u
}

func (u *cli) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(u.t.Context(), u.bin, args...)
	cmd.Env, cmd.Dir = u.env, "/"
	return cmd
}

// must runs cw, wants exit code 0 and returns standard output and how long it
// took.
func (u *cli) must(args ...string) (string, time.Duration) {
	u.t.Helper()
	cmd := u.command(args...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	started := time.Now()
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("cw %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errOut.String())
	}
	return out.String(), time.Since(started)
}

// status wants a state of the cluster.
func (u *cli) status(want string) {
	u.t.Helper()
	out, _ := u.must("cluster", "status", "gp", "-o", "json")
	var st cluster.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		u.t.Fatal(err)
	}
	if st.State != want {
		u.t.Fatalf("state %s, not %s: %s", st.State, want, strings.Join(st.Problems, "\n  "))
	}
}

// killAfter starts cw and sends it SIGKILL after d, unless it is done before.
// It says whether it was killed.
func (u *cli) killAfter(d time.Duration, args ...string) bool {
	u.t.Helper()
	cmd := u.command(args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
			return true
		}
	}
	if err != nil {
		u.t.Fatalf("cw %s failed before it was killed: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return false
}
