package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/playground/cwtest"
	"cw/playground/pgtest"
)

// These tests use the real binary as people do: processes, signals, files.
// Everything below the command line has its own tests elsewhere.

// cwBinary builds cw once for all tests of this package.
var cwBinary = cwtest.Shared()

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := cwBinary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// user is somebody at a terminal: a home of their own and a cw to call.
type user struct {
	t    *testing.T
	bin  string
	home string
	env  []string
}

func newUser(t *testing.T) *user {
	t.Helper()
	bin, err := cwBinary()
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, bin: bin, home: t.TempDir()}
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); name != "HOME" && !strings.HasPrefix(name, "XDG_") && !strings.HasPrefix(name, "PG") && !strings.HasPrefix(name, "CW_") && !strings.HasPrefix(name, "AWS_") && name != "SSH_AUTH_SOCK" {
			u.env = append(u.env, kv)
		}
	}
	u.env = append(u.env, "HOME="+u.home)
	return u
}

type answer struct {
	code        int
	out, errOut string
}

func (u *user) command(args ...string) *exec.Cmd {
	cmd := exec.Command(u.bin, args...)
	cmd.Env, cmd.Dir = u.env, u.home
	return cmd
}

// cw runs cw and returns what it answered, whatever that was.
func (u *user) cw(args ...string) answer {
	u.t.Helper()
	cmd := u.command(args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	return answer{cmd.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// must runs cw and wants exit code 0.
func (u *user) must(args ...string) string {
	u.t.Helper()
	a := u.cw(args...)
	if a.code != 0 {
		u.t.Fatalf("cw %s: exit code %d\n%s%s", strings.Join(args, " "), a.code, a.out, a.errOut)
	}
	return a.out
}

// read runs cw with -o json and decodes the answer.
func (u *user) read(v any, args ...string) {
	u.t.Helper()
	out := u.must(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		u.t.Fatalf("cw %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// killAfter starts cw and sends it SIGKILL after d, unless it is done before.
// It reports whether it was killed.
func (u *user) killAfter(d time.Duration, args ...string) bool {
	u.t.Helper()
	return u.killAfterUnless(d, 0, args...)
}

// killAfterUnless is killAfter for a cw that may also end with an exit code.
func (u *user) killAfterUnless(d time.Duration, code int, args ...string) bool {
	u.t.Helper()
	cmd := u.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	killed := ws.Signaled() && ws.Signal() == syscall.SIGKILL
	if err != nil && !killed && cmd.ProcessState.ExitCode() != code {
		u.t.Fatalf("cw %s failed before it was killed: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return killed
}

// playground starts n hosts and returns the topology file and their folder.
func (u *user) playground(n int) (topology, dir string) {
	u.t.Helper()
	pgtest.BinDir(u.t) // skips without PostgreSQL
	dir = filepath.Join(pgtest.Dir(u.t), "play")
	u.must("playground", "up", "--hosts", strconv.Itoa(n), "--dir", dir)
	u.t.Cleanup(func() {
		a := u.cw("playground", "down", "--dir", dir)
		if a.code != 0 {
			u.t.Errorf("playground down: %s", a.errOut)
		}
		wantProcesses(u.t, dir, 0)
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			u.t.Errorf("playground down left %s (%v)", dir, err)
		}
	})
	return filepath.Join(dir, "cluster.yaml"), dir
}

// processesIn lists the processes whose command line names the folder.
func processesIn(dir string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err == nil && bytes.Contains(data, []byte(dir)) {
			found = append(found, filepath.Base(filepath.Dir(f))+": "+string(bytes.ReplaceAll(data, []byte{0}, []byte(" "))))
		}
	}
	return found
}

// wantProcesses waits until at most n processes name the folder: what a killed
// cw had running ends within seconds, not at once.
func wantProcesses(t *testing.T, dir string, n int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(20 * time.Second)
	for {
		left := processesIn(dir)
		if len(left) <= n {
			return
		}
		if time.Now().After(deadline) {
			for _, p := range left {
				t.Errorf("left running: %.200s…%.200s", p, p[max(0, len(p)-200):])
			}
			return
		}
		<-tick.C
	}
}

// rounds is how often a test that kills at random repeats: more with CW_KILLS.
func rounds(t *testing.T, normal int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("CW_KILLS")); err == nil {
		return n
	}
	return normal
}
