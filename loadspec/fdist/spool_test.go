package fdist

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// abandon makes the file a killed server leaves: there, and not locked.
func abandon(t *testing.T, path, rows string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever moment a server is killed at: rows of statements that did not end
// are gone, rows that were to be published are there once.
func TestSweepAfterKill(t *testing.T) {
	t.Parallel()
	key := "1.1.0.0:t"
	mark := publishMark + keyHash(key) + "-"
	for _, c := range []struct{ name, file, rows, target, want string }{
		{"not done", ".t" + spoolMark + "12", "new\n", "old\n", "old\n"},
		{"not renamed yet", ".t" + mark + "-1-12", "new\n", "", "new\n"},
		{"another has made the file", ".t" + mark + "-1-12", "new\n", "other\n", "other\nnew\n"},
		{"nothing appended yet", ".t" + mark + "4-12", "new\nrows\n", "old\n", "old\nnew\nrows\n"},
		{"half appended", ".t" + mark + "4-12", "new\nrows\n", "old\nnew\nro", "old\nnew\nrows\n"},
		{"all appended", ".t" + mark + "4-12", "new\nrows\n", "old\nnew\nrows\n", "old\nnew\nrows\n"},
		{"others have appended since", ".t" + mark + "4-12", "new\nrows\n", "old\nother\n", "old\nother\nnew\nrows\n"},
	} {
		dir := t.TempDir()
		sub := filepath.Join(dir, "sub")
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(sub, "t")
		if c.target != "" {
			abandon(t, target, c.target)
		}
		abandon(t, filepath.Join(sub, c.file), c.rows)
		f := &FileOutputs{Dir: dir}
		f.Sweep(t.Context())
		if got := content(t, target); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if f.Published(key) != strings.Contains(c.file, mark) {
			t.Errorf("%s: published %v", c.name, f.Published(key))
		}
		if left, _ := filepath.Glob(filepath.Join(sub, ".*")); len(left) > 0 {
			t.Errorf("%s: left behind: %v", c.name, left)
		}
	}
}

// A segment whose last answer was lost with the server asks the next one.
func TestDoneAfterKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := &Request{Method: "POST", Path: "t", XID: "1700000000-0000000007", CID: "1", SN: "0"}
	abandon(t, filepath.Join(dir, ".t"+publishMark+keyHash(r.key())+"--1-5"), "row\n")
	out := &FileOutputs{Dir: dir}
	out.Sweep(t.Context())
	_, addr := writeServer(t, Options{Outputs: out})
	if got := rawPost(t, dialTo(t, addr), "t", seq(2)+"X-GP-DONE: 1\r\n", ""); got != "HTTP/1.0 200 ok" {
		t.Error(got)
	}
}

// Files that are in use, or that only look like ours, stay.
func TestSweepLeavesOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := newSpool(filepath.Join(dir, "t"))
	if err != nil {
		t.Fatal(err)
	}
	others := []string{".t" + spoolMark + "x12", "t" + spoolMark + "12", ".t" + publishMark + "12", ".t" + publishMark + "a-b-c", ".profile"}
	for _, name := range others {
		abandon(t, filepath.Join(dir, name), "x")
	}
	(&FileOutputs{Dir: dir}).Sweep(t.Context())
	for _, name := range append(others, filepath.Base(s.f.Name())) {
		if !exists(filepath.Join(dir, name)) {
			t.Errorf("%s was removed", name)
		}
	}
	if err := s.remove(); err != nil {
		t.Fatal(err)
	}
}

// Statements that append the same rows to one file at once do not take each
// other's for their own.
func TestPublishTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "t")
	rows := bytes.Repeat([]byte("same rows\n"), 50_000)
	const n = 8
	var group sync.WaitGroup
	for i := range n {
		s, err := newSpool(target)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.write(rows); err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			if err := s.publish(strconv.Itoa(i), i%2 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := content(t, target); got != strings.Repeat(string(rows), n) {
		t.Errorf("%d bytes, want %d", len(got), n*len(rows))
	}
}

// The disk is full in the middle of a statement: 500 with the reason, and
// nothing of it stays, whether the file was there before or not.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	abandon(t, filepath.Join(dir, "old"), strings.Repeat("old\n", 100_000))
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	for _, c := range []struct {
		name string
		size int
	}{{"new", 700 << 10}, {"old", 700 << 10}, {"old", 400 << 10}} { // the last fits beside its target, not into it
		rawPost(t, dialTo(t, addr), c.name, seq(1), "")
		body := strings.Repeat("0123456\n", c.size/8)
		got := rawPost(t, dialTo(t, addr), c.name, seq(2), body)
		if got == "HTTP/1.0 200 ok" {
			got = rawPost(t, dialTo(t, addr), c.name, seq(2)+"X-GP-DONE: 1\r\n", "")
		}
		if !strings.HasPrefix(got, "HTTP/1.0 500 ") || !strings.Contains(strings.ToLower(got), "no space left on device") {
			t.Errorf("%s: %q", c.name, got)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if st, err := os.Stat(filepath.Join(dir, "old")); err != nil || st.Size() != 400_000 || exists(filepath.Join(dir, "new")) {
			t.Errorf("%s: the file has %d bytes (%v)", c.name, st.Size(), err)
		}
		// The session failed, and with it the statement: the next has a number of its own.
		addr = func() string { _, a := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}}); return a }()
	}
}

func TestPipeOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "p")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	got := make(chan string, 1)
	opened := make(chan string, 1)
	go func() { opened <- rawPost(t, dialTo(t, addr), "p", seq(1), "") }()
	cmd := exec.Command("cat", pipe)
	go func() {
		out, err := cmd.Output()
		if err != nil {
			t.Error(err)
		}
		got <- string(out)
	}()
	if a := <-opened; a != "HTTP/1.0 200 ok" {
		t.Fatal(a)
	}
	rawPost(t, dialTo(t, addr), "p", seq(2), "a\n")
	rawPost(t, dialTo(t, addr), "p", seq(3), "b\n")
	rawPost(t, dialTo(t, addr), "p", seq(3)+"X-GP-DONE: 1\r\n", "")
	if out := <-got; out != "a\nb\n" {
		t.Errorf("%q", out)
	}
}
