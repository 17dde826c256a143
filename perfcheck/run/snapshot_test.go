package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cw/cloud"
	"cw/perfcheck"
	"cw/perfcheck/snapshot"
	"cw/remote"
)

// btrfsMount is a btrfs on a file in memory.
func btrfsMount(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		t.Skip("no mkfs.btrfs")
	}
	image, err := os.CreateTemp("/dev/shm", "cw-run-test.")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.Remove(image.Name()) })
	at := t.TempDir()
	if err := errors.Join(image.Truncate(1<<30), image.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.btrfs", "-q", image.Name()).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.btrfs: %v: %s", err, out)
	}
	out, err := exec.Command("losetup", "--find", "--show", image.Name()).CombinedOutput()
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
	if err := unix.Mount(dev, at, "btrfs", 0, ""); err != nil {
		t.Skipf("cannot mount btrfs: %v", err)
	}
	return at
}

// snapshotSpec is a run in a process of its own.
type snapshotSpec struct{ Dir, Runs, ID, Started string }

func snapshotOptions(s snapshotSpec, q *quietReporter) SnapshotOptions {
	return SnapshotOptions{
		ID: s.ID, Machines: []Machine{{Name: "here"}}, Driver: "btrfs", Runs: s.Runs, Reporter: q,
		New: func(_ Machine, run cloud.Runner) (cloud.Snapshotter, error) { return LocalDriver("btrfs", run), nil },
		Protocol: snapshot.Options{
			Dir: s.Dir, Size: 32 << 20, Change: 4 << 20, Seed: 1, Rate: 100, Warmup: 100 * time.Millisecond,
			Around: 500 * time.Millisecond, Least: 300 * time.Millisecond, Poll: 10 * time.Millisecond, Timeout: time.Minute, NoReads: true,
		},
	}
}

// snapshots runs a spec and tells when the full snapshot is there.
func snapshots(text string) int {
	var s snapshotSpec
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		q := &quietReporter{}
		o := snapshotOptions(s, q)
		o.New = func(_ Machine, run cloud.Runner) (cloud.Snapshotter, error) {
			return telling{LocalDriver("btrfs", run), s.Started}, nil
		}
		o.Protocol.Least = time.Minute // until it is killed
		if o.Ledger, err = OpenLedger(filepath.Join(s.Runs, s.ID)); err == nil {
			_, err = Snapshots(context.Background(), o)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// telling says when a snapshot is made. Its snapshots are asked for by name
// only, as those of a cloud are.
type telling struct {
	cloud.Snapshotter
	file string
}

func (t telling) MakeVolume(ctx context.Context, at, owner string) (string, error) {
	return t.Snapshotter.(snapshot.Maker).MakeVolume(ctx, at, owner)
}

func (t telling) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	made, err := t.Snapshotter.CreateSnapshots(ctx, o)
	time.AfterFunc(500*time.Millisecond, func() { _ = os.WriteFile(t.file, nil, 0o600) }) // once that was written down
	return made, err
}

// TestSnapshotKilled: what a run that was killed has left is named by the next
// with the command that removes it, and removed when that is wished for.
func TestSnapshotKilled(t *testing.T) {
	t.Parallel()
	s := snapshotSpec{Dir: btrfsMount(t), Runs: t.TempDir(), ID: "pkilled", Started: filepath.Join(t.TempDir(), "started")}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "snapshots", string(text))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(s.Started); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no snapshot is made")
		}
	}
	if left, err := MadeByOthers(s.Runs); err != nil || len(left) != 0 {
		t.Fatalf("the run lives, and its things are called left: %v %v", left, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	left, err := MadeByOthers(s.Runs)
	if err != nil || len(left) != 3 { // the folder, the volume, the snapshot
		t.Fatalf("%+v %v", left, err)
	}
	snap := left[2].ID
	if _, err := os.Stat(snap); err != nil || left[2].Kind != snapshot.MadeSnapshot {
		t.Fatalf("%+v: %v", left, err)
	}
	for _, clean := range []bool{false, true} {
		s.ID = fmt.Sprint("pnext-", clean)
		q := &quietReporter{t: t}
		o := snapshotOptions(s, q)
		o.Clean = clean
		if o.Ledger, err = OpenLedger(filepath.Join(s.Runs, s.ID)); err != nil {
			t.Fatal(err)
		}
		report, err := Snapshots(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Ledger.Close(); err != nil {
			t.Error(err)
		}
		for _, test := range report.Tests {
			if test.Verdict == perfcheck.Error || test.Verdict == perfcheck.Fail {
				t.Error(test.Line())
			}
		}
		said := strings.Join(q.warnings, "\n")
		want := "may be left of run pkilled, which was killed; --clean removes it, or: btrfs subvolume delete " + snap
		if clean {
			want = "removed the snapshot " + snap
		}
		if !strings.Contains(said, want) {
			t.Errorf("nobody says %q: %s", want, said)
		}
	}
	if names, _ := os.ReadDir(s.Dir); len(names) != 0 {
		t.Error("left behind:", names)
	}
	if left, err := MadeByOthers(s.Runs); err != nil || len(left) != 0 {
		t.Errorf("still written down: %+v %v", left, err)
	}
}

// TestSnapshotOverSSH does it on a host, where the agent writes and the
// driver's commands are run by sudo. The filesystem there clones nothing: the
// refusal has its reason, and nothing is left.
func TestSnapshotOverSSH(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	q := &quietReporter{t: t}
	o := snapshotOptions(snapshotSpec{Dir: "/home/deploy", ID: "pssh", Runs: t.TempDir()}, q)
	o.Machines = s.machines()
	_, err := Snapshots(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "is in memory") && !strings.Contains(err.Error(), "make a subvolume") {
		t.Errorf("%v", err)
	}
	if out, _ := s.Try(1, "/bin/sh", "-c", "ls -d /home/deploy/cw-* /tmp/cw-*"); strings.Contains(out, "cw-snap") || strings.Contains(out, "/tmp/cw-agent") {
		t.Error("left behind:", out)
	}
}

// TestRootRunner: over SSH as root, with the exit status and the words of what
// fails.
func TestRootRunner(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	run := RootRunner(s.machines()[0])
	out, err := run(t.Context(), []string{"id", "-u"}, nil)
	if err != nil || strings.TrimSpace(string(out)) != "0" {
		t.Errorf("%s %v", out, err)
	}
	_, err = run(t.Context(), []string{"/bin/sh", "-c", "echo no such thing >&2; exit 3"}, nil)
	var exit *remote.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), "no such thing") {
		t.Error(err)
	}
}
