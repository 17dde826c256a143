package fdist

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestKillProcess is the server of TestKillServer, in a process of its own.
func TestKillProcess(t *testing.T) {
	dir := os.Getenv("CW_FDIST_KILL_DIR")
	if dir == "" {
		t.Skip("only a part of TestKillServer")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := &FileOutputs{Dir: dir}
	out.Sweep(ctx)
	_, _ = fmt.Printf("\nserving %s\n", l.Addr())
	if err := New(Options{Outputs: out}).Serve(ctx, l); err != nil {
		t.Fatal(err)
	}
}

func startKillable(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillProcess$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), "CW_FDIST_KILL_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			return cmd, addr
		}
	}
	t.Fatal("the server did not start")
	return nil, ""
}

// A server that is killed in the middle of a statement leaves nothing of it,
// and the next one says so to its segments; the statement can be run again.
func TestKillServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "t")
	abandon(t, target, "old\n")
	cmd, addr := startKillable(t, dir)
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	rawPost(t, dialTo(t, addr), "t", seq(2), "lost\n")
	if left, _ := filepath.Glob(filepath.Join(dir, ".t.cw-spool-*")); len(left) != 1 {
		t.Fatalf("no rows are kept beside the target: %v", left)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	_, addr = startKillable(t, dir)
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 || content(t, target) != "old\n" {
		t.Errorf("left behind: %v; %q", left, content(t, target))
	}
	if got := rawPost(t, dialTo(t, addr), "t", seq(3), "3\n"); !strings.HasPrefix(got, "HTTP/1.0 400 invalid request due to wrong sequence number") {
		t.Error(got)
	}
	if got := rawPost(t, dialTo(t, addr), "t", seq(2)+"X-GP-DONE: 1\r\n", ""); !strings.HasPrefix(got, "HTTP/1.0 500 no session of this statement is known") {
		t.Error(got)
	}
	again := strings.ReplaceAll
	rawPost(t, dialTo(t, addr), "t", again(seq(1), "0007", "0008"), "")
	rawPost(t, dialTo(t, addr), "t", again(seq(2), "0007", "0008"), "new\n")
	rawPost(t, dialTo(t, addr), "t", again(seq(2), "0007", "0008")+"X-GP-DONE: 1\r\n", "")
	if got := content(t, target); got != "old\nnew\n" {
		t.Errorf("%q", got)
	}
}
