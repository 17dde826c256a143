package remote

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cw/remote/sshtest"
)

func TestWriteAndReadFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	h := f.host()
	path := filepath.Join(f.dir, "a file's name")
	for _, data := range []string{"", "one\n", strings.Repeat("x", 3<<20), "\x00\xff"} {
		if err := h.WriteFile(t.Context(), path, []byte(data), FileOptions{Mode: 0o640}); err != nil {
			t.Fatal(err)
		}
		got, err := h.ReadFile(t.Context(), path, "")
		if err != nil || string(got) != data {
			t.Fatalf("%d bytes of %d, %v", len(got), len(data), err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	onlyFiles(t, f.dir, "a file's name", "key", "known_hosts")
}

// onlyFiles checks that nothing temporary was left behind.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestFileErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	h := f.host()
	missing := filepath.Join(f.dir, "missing")
	if _, err := h.ReadFile(t.Context(), missing, ""); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "db1: read "+missing) {
		t.Errorf("read a missing file: %v", err)
	}
	if _, err := h.ReadFile(t.Context(), f.dir, ""); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("read a folder: %v", err)
	}
	if err := h.WriteFile(t.Context(), f.dir, []byte("x"), FileOptions{}); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("write a folder: %v", err)
	}
	if err := h.WriteFile(t.Context(), missing+"/x", []byte("x"), FileOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write below a missing folder: %v", err)
	}
	if err := h.Pull(t.Context(), missing, filepath.Join(f.dir, "local"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("pull a missing file: %v", err)
	}
	if err := h.WriteFile(t.Context(), "/dev/full/x", []byte("x"), FileOptions{}); err == nil {
		t.Error("no error below a device")
	}
	onlyFiles(t, f.dir, "key", "known_hosts")
}

func TestPushAndPull(t *testing.T) {
	t.Parallel()
	for _, sftp := range []bool{true, false} {
		f := newFixture(t, sshtest.Options{}, Options{})
		f.server.NoSFTP(!sftp)
		h := f.host()
		src := t.TempDir()
		if err := os.MkdirAll(filepath.Join(src, "sub/empty"), 0o755); err != nil {
			t.Fatal(err)
		}
		big := bytes.Repeat([]byte("0123456789"), 200_000)
		for name, data := range map[string][]byte{"small": []byte("s"), "sub/big": big, "sub/it's": nil} {
			if err := os.WriteFile(filepath.Join(src, name), data, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		dst := filepath.Join(f.dir, "dst")
		for range 2 { // the second time over what is there
			if err := h.Push(t.Context(), src, dst, FileOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(filepath.Join(dst, "sub/big"))
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("sftp %t: %d bytes, %v", sftp, len(got), err)
		}
		info, err := os.Stat(filepath.Join(dst, "sub/big"))
		if err != nil || info.Mode().Perm() != 0o750 {
			t.Errorf("sftp %t: %v %v", sftp, info.Mode(), err)
		}
		onlyFiles(t, dst, "small", "sub")
		onlyFiles(t, filepath.Join(dst, "sub"), "big", "empty", "it's")

		back := filepath.Join(t.TempDir(), "back")
		if err := h.Pull(t.Context(), filepath.Join(dst, "sub/big"), back, ""); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, big) {
			t.Errorf("pull: %d bytes, %v", len(got), err)
		}
	}
}

// Whenever the connection breaks, the target is the old file or the new one,
// and no temporary file stays.
func TestPushThroughABrokenConnection(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	src := filepath.Join(t.TempDir(), "src")
	data := bytes.Repeat([]byte("new data "), 1_000_000)
	if err := os.WriteFile(src, data, 0o600); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(f.dir, "dst")
	failed := 0
	for _, n := range []int{2500, 3500, 5000, 8000, 100_000} {
		if err := os.WriteFile(dst, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		f.server.DropConnections()
		f.server.DropAfter(n)
		err := f.host().Push(t.Context(), src, dst, FileOptions{})
		got, rerr := os.ReadFile(dst)
		switch {
		case rerr != nil:
			t.Fatal(rerr)
		case err == nil && !bytes.Equal(got, data):
			t.Errorf("after %d bytes: done, but %d bytes there", n, len(got))
		case err != nil && string(got) != "old" && !bytes.Equal(got, data):
			t.Errorf("after %d bytes: half a file, %d bytes", n, len(got))
		}
		if err != nil {
			failed++
		}
		onlyFiles(t, f.dir, "dst", "key", "known_hosts")
	}
	if failed == 0 {
		t.Error("no push was hit")
	}
}

func TestPushCancelled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	mustRun(t, f.host(), "true")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.host().Push(ctx, src, filepath.Join(f.dir, "dst"), FileOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	onlyFiles(t, f.dir, "key", "known_hosts")
}

func TestPushRefusesSpecialFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	if err := f.host().Push(t.Context(), "/dev/null", filepath.Join(f.dir, "x"), FileOptions{}); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("got %v", err)
	}
	if err := f.host().Push(t.Context(), filepath.Join(f.dir, "none"), filepath.Join(f.dir, "x"), FileOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
