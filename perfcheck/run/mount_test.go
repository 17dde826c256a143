package run

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cw/cloud"
)

// loop is a loop device with a new filesystem on a file in memory.
func loop(t *testing.T, kind string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root has loop devices")
	}
	image, err := os.CreateTemp("/dev/shm", "cw-mount-test.")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.Remove(image.Name()) })
	if err := errors.Join(image.Truncate(320<<20), image.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs."+kind, "-q", image.Name()).CombinedOutput(); err != nil {
		t.Skipf("mkfs.%s: %v: %s", kind, err, out)
	}
	out, err := exec.Command("losetup", "--find", "--show", image.Name()).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device: %v: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", dev).CombinedOutput(); err != nil {
			t.Errorf("losetup -d %s: %v: %s", dev, err, out)
		}
	})
	return dev
}

// TestMounter mounts what was restored, read-only and beside its origin, which
// has the same identity, and takes it back.
func TestMounter(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dev := loop(t, kind)
			runs := t.TempDir()
			ledger, err := OpenLedger(filepath.Join(runs, "pmount"))
			if err != nil {
				t.Fatal(err)
			}
			m := &mounter{run: runHere, at: filepath.Join(t.TempDir(), "restored"), made: ledger.For("here", "fake")}
			t.Cleanup(func() { _ = unix.Unmount(m.at, 0) })
			dir, err := m.mount(t.Context(), cloud.Volume{ID: "vol-1", Device: dev})
			if err != nil || dir != m.at {
				t.Fatal(dir, err)
			}
			if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Error("it can be written to:", err)
			}
			if left, err := openMade(ledger.f.Name()); err != nil || len(left) != 1 || left[0].ID != m.at {
				t.Errorf("a run that is killed now leaves %+v, %v", left, err)
			}
			if err := m.unmount(t.Context(), dir); err != nil {
				t.Error(err)
			}
			if err := ledger.Close(); err != nil {
				t.Error(err)
			}
			if left, err := MadeByOthers(runs); err != nil || len(left) != 0 {
				t.Errorf("still written down: %+v %v", left, err)
			}
			if _, err := os.Stat(m.at); !errors.Is(err, os.ErrNotExist) {
				t.Error("still there:", err)
			}
		})
	}
	m := &mounter{run: runHere, at: filepath.Join(t.TempDir(), "restored")}
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	own := t.TempDir()
	if dir, err := m.mount(t.Context(), cloud.Volume{ID: "vol-1", Device: own}); err != nil || dir != own {
		t.Error(dir, err)
	}
	if err := m.unmount(t.Context(), own); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := m.mount(ctx, cloud.Volume{ID: "vol-none", Device: "/dev/none"}); err == nil {
		t.Error("a device that never appears")
	}
}
