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
	"cw/cloud/xfs"
	"cw/fault"
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

// TestSnapshotInterrupted: an end that was wished for leaves nothing, and
// nothing to be said, wherever it comes.
func TestSnapshotInterrupted(t *testing.T) {
	t.Parallel()
	dir := btrfsMount(t)
	for _, phase := range []string{"filling", "full snapshot", "incremental snapshot"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := fault.New(fault.Interrupted, "", "enough")
		q := &quietReporter{t: t}
		s := snapshotSpec{Dir: dir, Runs: t.TempDir(), ID: "pint"}
		o := snapshotOptions(s, q)
		o.Reporter = &cutting{q, phase, func() { cancel(why) }}
		var err error
		if o.Ledger, err = OpenLedger(filepath.Join(s.Runs, s.ID)); err != nil {
			t.Fatal(err)
		}
		if _, err := Snapshots(ctx, o); !errors.Is(err, why) {
			t.Errorf("%s: %v", phase, err)
		}
		if err := o.Ledger.Close(); err != nil {
			t.Error(err)
		}
		if left, err := MadeByOthers(s.Runs); err != nil || len(left) != 0 {
			t.Errorf("%s: still written down: %+v %v", phase, left, err)
		}
		if names, _ := os.ReadDir(dir); len(names) != 0 || len(q.warnings) != 0 {
			t.Errorf("%s: left behind: %v %q", phase, names, q.warnings)
		}
	}
}

// cutting ends a run a moment after a phase has begun.
type cutting struct {
	*quietReporter
	phase string
	end   func()
}

func (c *cutting) Phase(text string) {
	if strings.Contains(text, c.phase) {
		time.AfterFunc(300*time.Millisecond, c.end)
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

// copier makes copies by commands on the host, as the local drivers work. They
// are of one moment as long as the probe writes at the beginning of its file.
type copier struct {
	*xfs.Driver
	run cloud.Runner
}

func (c copier) MakeVolume(ctx context.Context, at, owner string) (string, error) {
	_, err := c.run(ctx, []string{"/bin/sh", "-c", `mkdir "$1" && chown "$2" "$1"`, "make", at, owner}, nil)
	return at, err
}

func (c copier) copy(ctx context.Context, from, to string) error {
	_, err := c.run(ctx, []string{"cp", "-a", "-T", from, to}, nil)
	return err
}

func (c copier) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	id := c.SnapshotID(o.Volumes[0], o.Name)
	return []cloud.Snapshot{{ID: id, State: cloud.Available, Captured: true, Size: cloud.Unknown}}, c.copy(ctx, o.Volumes[0], id)
}

func (c copier) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	at := c.SnapshotID(id, name)
	return cloud.Volume{ID: at, State: cloud.Available, Device: at}, c.copy(ctx, id, at)
}

func (c copier) ChangedBytes(context.Context, string, string) (int64, error) {
	return cloud.Unknown, nil
}

// TestSnapshotRemote does the whole over SSH: an ordinary user's agent writes,
// reads and compares, and the driver's commands are root's.
func TestSnapshotRemote(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	s.sh(1, "chown deploy /var/tmp")
	s.sh(2, "chown deploy /var/tmp")
	q := &quietReporter{t: t}
	o := snapshotOptions(snapshotSpec{Dir: "/var/tmp", ID: "premote", Runs: t.TempDir()}, q)
	o.Machines, o.Protocol.Rate, o.Protocol.Size, o.Protocol.Change = s.machines(), 20, 16<<20, 1<<20
	o.New = func(_ Machine, run cloud.Runner) (cloud.Snapshotter, error) { return copier{xfs.New(run), run}, nil }
	report, err := Snapshots(t.Context(), o)
	if err != nil {
		if strings.Contains(err.Error(), "direct I/O") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	if len(report.Hosts) != 2 || len(report.Tests) != 2*len(snapshot.Tests()) || !report.Run.Complete {
		t.Errorf("%d hosts, %d tests", len(report.Hosts), len(report.Tests))
	}
	verified := 0
	for _, test := range report.Tests {
		if test.Verdict == perfcheck.Error || test.Verdict == perfcheck.Fail {
			t.Error(test.Line())
		}
		if m, ok := test.Metrics["verified"]; ok && m.Value == float64(o.Protocol.Size+snapshot.ProbeFile) {
			verified++
		}
	}
	if verified != 4 {
		t.Errorf("%d copies were compared", verified)
	}
	for i := 1; i <= 2; i++ {
		if out, _ := s.Try(i, "/bin/sh", "-c", "ls -d /var/tmp/cw-* /tmp/cw-*"); strings.Contains(out, "/cw-snap") || strings.Contains(out, "/tmp/cw-agent") {
			t.Error("left behind:", out)
		}
	}
}
