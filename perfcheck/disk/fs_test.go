package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck"
)

// mountLoop mounts a new filesystem on a file and returns where.
func mountLoop(t *testing.T, kind string, size int64, mkfs ...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	if _, err := exec.LookPath("mkfs." + kind); err != nil {
		t.Skip("no mkfs." + kind)
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs."+kind, append(append([]string{"-q"}, mkfs...), image)...)
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", image).CombinedOutput()
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

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, FolderPrefix+"*"))
	if err != nil || len(names) > 0 {
		t.Errorf("left behind: %v %v", names, err)
	}
}

// TestFreeze: a filesystem that stands still for half a second has to show in
// the response times of an open loop, although the requests that were under
// way are too few for the service times to show it.
func TestFreeze(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			at := mountLoop(t, kind, 400*mib)
			s, err := Prepare(t.Context(), []string{at}, PrepareOptions{Size: 64 * mib})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close(); empty(t, at) })
			if len(s.Facts()[0].Disks) != 1 || s.Facts()[0].Disks[0].Attached != "loop" || s.Facts()[0].MountPoint != at {
				t.Errorf("facts: %+v", s.Facts()[0])
			}
			// Nobody can thaw a filesystem from a test that has died.
			var frozen atomic.Bool
			t.Cleanup(func() {
				if frozen.Load() {
					freeze(t, at, fiThaw)
				}
			})
			j := Job{Kind: Commit, Sync: Fdatasync, Block: 8 * kib, Depth: 1, Rate: 200, Timing: timing(500*time.Millisecond, 4*time.Second)}
			trying(t, func() error {
				thawed := make(chan struct{})
				m, err := s.Run(t.Context(), j, func(x perfcheck.Second) {
					if x.At != 1 {
						return
					}
					frozen.Store(true)
					freeze(t, at, fiFreeze)
					time.AfterFunc(500*time.Millisecond, func() { freeze(t, at, fiThaw); frozen.Store(false); close(thawed) })
				})
				if err != nil {
					return err
				}
				<-thawed
				return sawFreeze(m)
			})
		})
	}
}

// sawFreeze wants half a second of nothing in a measurement.
func sawFreeze(m perfcheck.Measurement) error {
	v := m.Values
	found := slices.ContainsFunc(m.Events, func(e perfcheck.Event) bool { return e.Kind == "stall" && e.Length >= 0.4 && e.At > 1.5 && e.At < 3 })
	switch {
	case v["response_p99"] < 0.4:
		return fmt.Errorf("response p99 %g s", v["response_p99"])
	case v["service_p99"] > 0.3:
		return fmt.Errorf("the service p99 shows it, too: %g s: then this test shows nothing", v["service_p99"])
	case v["stall_max"] < 0.4 || v["stall_max"] > 3 || v["over_100ms"] < 50:
		return fmt.Errorf("stall %g s, %g above 100 ms", v["stall_max"], v["over_100ms"])
	case !found:
		return fmt.Errorf("no event of the stall: %+v", m.Events)
	case v["achieved"] < 0.8:
		return fmt.Errorf("achieved %g", v["achieved"])
	}
	return nil
}

// From linux/fs.h.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

func freeze(t *testing.T, at string, what uint) {
	d, err := os.Open(at)
	if err == nil {
		err = unix.IoctlSetInt(int(d.Fd()), what, 0)
		_ = d.Close()
	}
	if err != nil {
		t.Errorf("freeze or thaw: %v", err)
	}
}

// refused holds an error against what it must say.
func refused(t *testing.T, err error, kind fault.Kind, text, hint string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), text) || !strings.Contains(fault.HintOf(err), hint) {
		t.Errorf("error %v (kind %d, hint %q) does not say %q, hint %q", err, fault.KindOf(err), fault.HintOf(err), text, hint)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	prepare := func(o PrepareOptions, dirs ...string) error {
		s, err := Prepare(t.Context(), dirs, o)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	all := PrepareOptions{Size: 16 * mib, AllowRootDisk: true}
	t.Run("missing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data1")
		refused(t, prepare(all, dir), fault.Usage, "data1 does not exist", "mount the disk")
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Error("it was made")
		}
	})
	t.Run("file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, prepare(all, file), fault.Usage, "is not a directory", "--dir")
	})
	t.Run("none", func(t *testing.T) { refused(t, prepare(all), fault.Usage, "no directory", "--dir") })
	t.Run("twice", func(t *testing.T) {
		dir := t.TempDir()
		refused(t, prepare(all, dir, dir+"/."), fault.Usage, "the same directory", "")
	})
	t.Run("root disk", func(t *testing.T) {
		dir := t.TempDir()
		if f, err := Inspect(t.Context(), dir); err != nil || !f.RootDisk {
			t.Skip("the temporary folder is not on the root disk", err)
		}
		refused(t, prepare(PrepareOptions{Size: 16 * mib}, dir), fault.Check, "is not a mount point and lies on the root disk", "--allow-root-disk")
		empty(t, dir)
	})
	t.Run("all wrong ones at once", func(t *testing.T) {
		err := prepare(all, "/nonexistent-1", "/nonexistent-2")
		if err == nil || !strings.Contains(err.Error(), "nonexistent-1") || !strings.Contains(err.Error(), "nonexistent-2") {
			t.Error(err)
		}
	})
	t.Run("tmpfs", func(t *testing.T) {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
			if dir = "/dev/shm"; os.Getuid() == 0 {
				t.Skip("cannot mount:", err)
			}
		} else {
			t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
		}
		refused(t, prepare(all, dir), fault.Check, "memory", "on a disk")
		empty(t, dir)
	})
	t.Run("read-only", func(t *testing.T) {
		at := mountLoop(t, "ext4", 64*mib)
		if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Skip(err)
		}
		refused(t, prepare(all, at), fault.Check, "read-only", "remount")
	})
	t.Run("no space", func(t *testing.T) {
		at := mountLoop(t, "ext4", 200*mib)
		refused(t, prepare(PrepareOptions{Size: gib}, at), fault.Check, "too small", "--size ")
		refused(t, prepare(PrepareOptions{Size: 100 * mib, KeepFree: 150 * mib}, at), fault.Check, "too small", "--keep-free")
		if err := prepare(PrepareOptions{}, at); err != nil { // what fits is decided
			t.Error(err)
		}
		empty(t, at)
	})
	t.Run("no space in the middle", func(t *testing.T) {
		at := mountLoop(t, "ext4", 100*mib)
		f, err := Inspect(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		s := &Set{targets: []*target{{facts: f, sizes: sizes{data: 500 * mib, wal: mib}}}}
		err = s.makeOrRemove(t.Context(), nil)
		refused(t, err, fault.Failed, "no space left", "--size")
		empty(t, at)
	})
	t.Run("two on one disk", func(t *testing.T) {
		at := mountLoop(t, "xfs", 400*mib)
		a, b := filepath.Join(at, "a"), filepath.Join(at, "b")
		if err := errors.Join(os.Mkdir(a, 0o700), os.Mkdir(b, 0o700)); err != nil {
			t.Fatal(err)
		}
		s, err := Prepare(t.Context(), []string{a, b}, PrepareOptions{Size: 32 * mib})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(); empty(t, a); empty(t, b) }()
		m, err := s.Run(t.Context(), Job{Kind: RandRead, Block: 8 * kib, Depth: 4, Timing: timing(0, 300*time.Millisecond)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if v := m.Values; v["iops.0"] <= 0 || v["iops.1"] <= 0 || v["iops.0"]+v["iops.1"]-v["iops"] > 1e-6*v["iops"] {
			t.Errorf("values of the two: %v", v)
		}
		if !strings.Contains(strings.Join(m.Flags, " "), perfcheck.FlagSameDevice) {
			t.Errorf("flags: %v", m.Flags)
		}
	})
}

// TestUnwritten: what a file pretends to hold is not what reading it costs.
func TestUnwritten(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"here", "ext4", "xfs", "btrfs"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			dir := ""
			switch where {
			case "here":
				dir = t.TempDir()
			case "btrfs":
				dir = mountLoop(t, where, 256*mib)
			default:
				dir = mountLoop(t, where, 400*mib)
			}
			sparse, reserved, half, full := filepath.Join(dir, "s"), filepath.Join(dir, "r"), filepath.Join(dir, "h"), filepath.Join(dir, "f")
			if err := errors.Join(os.WriteFile(sparse, nil, 0o600), os.Truncate(sparse, 8*mib)); err != nil {
				t.Fatal(err)
			}
			fd, err := allocate(reserved, 8*mib)
			if err != nil {
				t.Skip("no direct I/O here:", err)
			}
			_ = unix.Close(fd)
			if fd, err = allocate(half, 8*mib); err != nil {
				t.Fatal(err)
			}
			b, err := newBuffer(4 * mib)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(writeAt(fd, b, 4*mib), unix.Fsync(fd), unix.Close(fd)); err != nil {
				t.Fatal(err)
			}
			freeBuffer(b)
			var done atomic.Int64
			if err := fillFile(t.Context(), full, 8*mib, 1, &done); err != nil || done.Load() != 8*mib {
				t.Fatal(err, done.Load())
			}
			for file, want := range map[string]int64{sparse: 8 * mib, reserved: 8 * mib, half: 4 * mib, full: 0} {
				got, err := unwritten(file)
				if errors.Is(err, errNoFiemap) {
					t.Skip(err)
				}
				if err != nil || got != want {
					t.Errorf("%s: %d bytes are not written, %d are (%v)", filepath.Base(file), got, want, err)
				}
			}
		})
	}
}
