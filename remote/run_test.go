package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/remote/sshtest"
)

func TestRunReportsWhatTheCommandDid(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	h := f.host()
	for _, tc := range []struct {
		name        string
		cmd         Cmd
		out, errOut string
		code        int
	}{
		{"echo", Cmd{Args: []string{"echo", "a b", "c'd", `\\x`, "!", "ü", "line\nbreak"}}, "a b c'd \\\\x ! ü line\nbreak\n", "", 0},
		{"no trailing newline", Cmd{Args: []string{"printf", "x"}}, "x", "", 0},
		{"nothing at all", Cmd{Args: []string{"true"}}, "", "", 0},
		{"stderr", Cmd{Args: []string{"sh", "-c", "echo out; echo err >&2"}}, "out\n", "err\n", 0},
		{"status", Cmd{Args: []string{"sh", "-c", "echo out; exit 3"}}, "out\n", "", 3},
		{"signal", Cmd{Args: []string{"sh", "-c", "kill -9 $$"}}, "", "", 137},
		{"environment", Cmd{Args: []string{"sh", "-c", `echo "$A" "$LC_ALL"`}, Env: []string{"A=x 'y' !"}}, "x 'y' ! C\n", "", 0},
		{"folder", Cmd{Args: []string{"pwd"}, Dir: "/usr"}, "/usr\n", "", 0},
		{"home", Cmd{Args: []string{"pwd"}}, f.dir + "\n", "", 0},
		{"no standard input", Cmd{Args: []string{"cat"}}, "", "", 0},
		{"standard input", Cmd{Args: []string{"cat"}, Stdin: strings.NewReader("a\nb")}, "a\nb", "", 0},
		{"empty standard input", Cmd{Args: []string{"cat"}, Stdin: strings.NewReader("")}, "", "", 0},
		{"input nobody reads", Cmd{Args: []string{"true"}, Stdin: bytes.NewReader(make([]byte, 5<<20))}, "", "", 0},
		{"sbin is in PATH", Cmd{Args: []string{"sh", "-c", `case :$PATH: in *:/usr/sbin:*) echo yes;; esac`}}, "yes\n", "", 0},
		// Signals 32 and up are the C library's own; what runs the tests may ignore them.
		{"signals are not ignored", Cmd{Args: []string{"sh", "-c", `m=$(sed -n "s/^SigIgn:.//p" /proc/self/status); echo $((0x$m & 0x7fffffff))`}}, "0\n", "", 0},
		{"interrupts are not ignored", Cmd{Args: []string{"sh", "-c", "kill -INT $$; echo ignored"}}, "", "", 128 + 2},
		{"quits are not ignored", Cmd{Args: []string{"sh", "-c", "kill -QUIT $$; echo ignored"}}, "", "", 128 + 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := h.Run(t.Context(), tc.cmd)
			var exit *ExitError
			if tc.code != 0 {
				if !errors.As(err, &exit) || exit.Code != tc.code || exit.Host != "db1" {
					t.Fatalf("error %#v, want status %d", err, tc.code)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if string(r.Stdout) != tc.out || string(r.Stderr) != tc.errOut || r.Code != tc.code {
				t.Errorf("got %q %q %d, want %q %q %d", r.Stdout, r.Stderr, r.Code, tc.out, tc.errOut, tc.code)
			}
		})
	}
}

func TestRunToleratesAndExplains(t *testing.T) {
	t.Parallel()
	h := newFixture(t, sshtest.Options{}, Options{}).host()
	r, err := h.Run(t.Context(), Cmd{Args: []string{"sh", "-c", "exit 7"}, Tolerate: []int{7}})
	if err != nil || r.Code != 7 {
		t.Errorf("tolerated: %v, %d", err, r.Code)
	}
	_, err = h.Run(t.Context(), Cmd{Args: []string{"sh", "-c", "echo first >&2; echo cause >&2; exit 2"}})
	if want := "db1: sh -c 'echo first >&2; echo cause >&2; exit 2': exit status 2: first; cause"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if kind := fault.KindOf(err); kind != fault.Failed {
		t.Errorf("kind %d", kind)
	}
	_, err = h.Run(t.Context(), Cmd{Args: []string{"no-such-program"}})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 127 {
		t.Errorf("missing program: %v", err)
	}
	_, err = h.Run(t.Context(), Cmd{Args: []string{"true"}, Dir: "/no/such"})
	if !errors.As(err, &exit) || exit.Code != 125 || !strings.Contains(exit.Stderr, "/no/such") {
		t.Errorf("missing folder: %v", err)
	}
}

func TestRunRefusesWhatNoCommandLineCanHold(t *testing.T) {
	t.Parallel()
	h := newFixture(t, sshtest.Options{}, Options{}).host()
	for name, c := range map[string]Cmd{
		"no argv":     {},
		"NUL":         {Args: []string{"echo", "a\x00b"}},
		"environment": {Args: []string{"true"}, Env: []string{"A B=c"}},
		"user":        {Args: []string{"true"}, As: "a; reboot"},
		"too long":    {Args: []string{"echo", strings.Repeat("x", 200<<10)}},
	} {
		if _, err := h.Run(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The output of a login shell never gets into the output of a command, not
// even when it looks like a marker or shows the command line.
func TestNoisyLoginShell(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shell := filepath.Join(dir, "shell")
	script := "#!/bin/sh\nprintf 'Welcome!\\nno newline'\nset -x\nprintf '%s\\n' \"$2\"\nprintf '%s\\n' \"$2\" >&2\n. /dev/stdin <<E\n$2\nE\n"
	if err := os.WriteFile(shell, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	h := newFixture(t, sshtest.Options{Shell: shell}, Options{}).host()
	var out, errOut bytes.Buffer
	_, err := h.Run(t.Context(), Cmd{Args: []string{"sh", "-c", "echo data; echo problem >&2"}, Stdout: &out, Stderr: &errOut})
	if err != nil || out.String() != "data\n" || errOut.String() != "problem\n" {
		t.Errorf("got %q %q %v", out.String(), errOut.String(), err)
	}
}

func TestLoginShellThatRefuses(t *testing.T) {
	t.Parallel()
	h := newFixture(t, sshtest.Options{Shell: "/usr/sbin/nologin"}, Options{}).host()
	_, err := h.Run(t.Context(), Cmd{Args: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "not available") || !strings.Contains(fault.HintOf(err), "ssh -p") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestLargeStreamsBothWays(t *testing.T) {
	t.Parallel()
	h := newFixture(t, sshtest.Options{}, Options{}).host()
	data := bytes.Repeat([]byte("0123456789abcdef\n"), 3<<20/17)
	var out bytes.Buffer
	_, err := h.Run(t.Context(), Cmd{Args: []string{"cat"}, Stdin: iotestSlow{bytes.NewReader(data)}, Stdout: &out})
	if err != nil || !bytes.Equal(out.Bytes(), data) {
		t.Errorf("%v, %d bytes of %d", err, out.Len(), len(data))
	}
}

// iotestSlow reads in odd small pieces.
type iotestSlow struct{ r io.Reader }

func (s iotestSlow) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 7919)]) }

func TestInputThatFailsKillsTheCommand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	done := filepath.Join(f.dir, "done")
	broken := io.MultiReader(strings.NewReader("half"), brokenReader{})
	_, err := f.host().Run(t.Context(), Cmd{Args: []string{"sh", "-c", `cat >/dev/null; echo >"$1"`, "x", done}, Stdin: broken})
	if err == nil || !errors.Is(err, errBrokenReader) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(done); err == nil {
		t.Error("the command took the failure for the end of its input")
	}
}

var errBrokenReader = errors.New("disk on fire")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBrokenReader }

func TestEndOfContextKillsTheProcessGroup(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		script string
		stdin  io.Reader
	}{
		{"plain", "echo $$; sleep 600 & sleep 600", nil},
		{"with input", "echo $$; cat >/dev/null; sleep 600", strings.NewReader("x")},
		{"TERM is ignored", "trap '' TERM; echo $$; sleep 600; sleep 600", nil},
		{"input nobody reads", "echo $$; sleep 600", bytes.NewReader(make([]byte, 10<<20))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(t, sshtest.Options{}, Options{}).host()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			pid := make(chan int, 1)
			finished := make(chan error, 1)
			go func() {
				_, err := h.Run(ctx, Cmd{Args: []string{"sh", "-c", tc.script}, Stdin: tc.stdin, Stdout: pidWriter{pid}})
				finished <- err
			}()
			group := await(t, pid, finished)
			cancel()
			if err := <-finished; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			waitGone(t, group)
		})
	}
}

// await returns the process id that a command prints.
func await(t *testing.T, pid <-chan int, finished <-chan error) int {
	t.Helper()
	select {
	case n := <-pid:
		return n
	case err := <-finished:
		t.Fatalf("the command has ended: %v", err)
		return 0
	}
}

// pidWriter parses the number that a script prints first.
type pidWriter struct{ pid chan int }

func (w pidWriter) Write(p []byte) (int, error) {
	var n int
	if _, err := fmt.Sscan(string(p), &n); err == nil {
		w.pid <- n
	}
	return len(p), nil
}

// waitGone waits until no process of the group is left.
func waitGone(t *testing.T, group int) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for time.Now().Before(deadline) {
		if !groupAlive(t, group) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process group %d is still there", group)
}

func groupAlive(t *testing.T, group int) bool {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		text, err := os.ReadFile(s)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		var state string
		var ppid, pgrp int
		if _, err := fmt.Sscan(rest, &state, &ppid, &pgrp); err == nil && pgrp == group && state != "Z" {
			return true
		}
	}
	return false
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	h := newFixture(t, sshtest.Options{}, Options{}).host()
	_, err := h.Run(t.Context(), Cmd{Args: []string{"sleep", "600"}, Timeout: 50 * time.Millisecond})
	var timeout *TimeoutError
	if !errors.As(err, &timeout) || fault.KindOf(err) != fault.Unreachable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestLostConnectionKillsAndIsDialledAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	h := f.host()
	pid := make(chan int, 1)
	finished := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), Cmd{Args: []string{"sh", "-c", "echo $$; sleep 600"}, Stdout: pidWriter{pid}})
		finished <- err
	}()
	group := await(t, pid, finished)
	f.server.DropConnections()
	var lost *UnreachableError
	if err := <-finished; !errors.As(err, &lost) || !lost.Started || !strings.HasPrefix(lost.Login, "ssh -p ") {
		t.Errorf("got %v", err)
	}
	waitGone(t, group)
	if got := mustRun(t, h, "echo again"); got != "again\n" {
		t.Errorf("got %q", got)
	}
}

// A daemon that makes itself a session of its own survives the command that
// started it, and the command's end is not held up by it.
func TestDaemonsSurvive(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	h := f.host()
	started := time.Now()
	out := mustRun(t, h, "setsid sleep 300 & echo $!")
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	f.server.DropConnections()
	var pid int
	if _, err := fmt.Sscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	h = f.pool.Host(f.target)
	if got := mustRun(t, h, fmt.Sprintf("kill -0 %d && echo alive; kill %d", pid, pid)); got != "alive\n" {
		t.Errorf("got %q", got)
	}
}

func TestSessionsPerConnectionAreBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ server, want int }{{10, maxSessions}, {3, 3}} {
		f := newFixture(t, sshtest.Options{MaxSessions: tc.server}, Options{})
		hosts := make([]*Host, 24)
		for i := range hosts {
			hosts[i] = f.host()
		}
		// Each command says from when until when it ran.
		spans, err := Each(t.Context(), hosts, len(hosts), func(ctx context.Context, h *Host) ([2]int64, error) {
			r, err := h.Run(ctx, Cmd{Args: []string{"sh", "-c", "date +%s%N; sleep 0.05; date +%s%N"}})
			var span [2]int64
			if err == nil {
				_, err = fmt.Sscan(string(r.Stdout), &span[0], &span[1])
			}
			return span, err
		})
		if err != nil {
			t.Error(err)
		}
		peak := 0
		for _, s := range spans {
			n := 0
			for _, o := range spans {
				if o[0] <= s[0] && s[0] < o[1] {
					n++
				}
			}
			peak = max(peak, n)
		}
		if peak > tc.want || peak < 2 {
			t.Errorf("server allows %d: %d commands at once", tc.server, peak)
		}
		if n := f.server.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}
