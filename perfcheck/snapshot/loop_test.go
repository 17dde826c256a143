package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountLoop mounts a new filesystem on a file in memory and returns where.
func mountLoop(t *testing.T, kind string, size int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	if _, err := exec.LookPath("mkfs." + kind); err != nil {
		t.Skip("no mkfs." + kind)
	}
	// A disk that others use would stall the probe: memory does not.
	image, err := os.CreateTemp("/dev/shm", "cw-snapshot-test.")
	if err != nil {
		t.Skip("no /dev/shm:", err)
	}
	t.Cleanup(func() { _ = os.Remove(image.Name()) })
	if err := errors.Join(image.Truncate(size), image.Close()); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "mkfs."+kind, "-q", image.Name()).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.%s: %v: %s", kind, err, out)
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", image.Name()).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Error("unmount:", err)
		}
		if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d %s: %v: %s", dev, err, out)
		}
	})
	if err := unix.Mount(dev, at, kind, 0, ""); err != nil {
		t.Skipf("cannot mount %s: %v", kind, err)
	}
	return at
}

// here runs a driver's commands on this machine.
func here(ctx context.Context, argv []string, stdin io.Reader) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, err
}

// quick are options for tests: as short as they can be.
func quick(t *testing.T, dir string) Options {
	return Options{
		Dir: dir, Name: "test", Size: 64 << 20, Change: 16 << 20, Seed: 1, Rate: 200, Warmup: 300 * time.Millisecond,
		Around: 2 * time.Second, Least: time.Second, Poll: 10 * time.Millisecond, Timeout: time.Minute,
		Host: &Set{}, Ledger: newLedger(t), Phase: func(string) {}, Warn: func(text string) { t.Log("warning:", text) },
	}
}

// ledger fails the test when something was made and is not gone.
type ledger struct{ open map[string]bool }

func newLedger(t *testing.T) *ledger {
	l := &ledger{open: map[string]bool{}}
	t.Cleanup(func() {
		if len(l.open) > 0 && !t.Failed() {
			t.Error("still there:", l.open)
		}
	})
	return l
}

func (l *ledger) Made(kind, id string) error { l.open[kind+" "+id] = true; return nil }
func (l *ledger) Gone(kind, id string) error { delete(l.open, kind+" "+id); return nil }

func empty(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "cw-*"))
	if err != nil || len(names) > 0 {
		t.Errorf("left behind: %v %v", names, err)
	}
}
