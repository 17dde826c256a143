package snapshot

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
)

// copying is a driver that copies files: slow, but right wherever nothing is
// written meanwhile. What goes wrong is chosen.
type copying struct {
	dir string // where snapshots go

	failCreate, failAfter bool // before, and after something was made
	failState             bool
	hang                  bool
	sizes                 int64 // told of every snapshot
	stale                 bool  // an old state is restored
	torn                  bool  // a block of the restored data is changed
	noDelete              bool
}

func (c *copying) MakeVolume(_ context.Context, at, _ string) (string, error) {
	return at, os.Mkdir(at, 0o700)
}

func (c *copying) copy(from, to string) error {
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		return errors.New(string(out))
	}
	return nil
}

func (c *copying) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	if c.failCreate {
		return nil, errors.New("the quota is used up")
	}
	if c.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	id := filepath.Join(c.dir, o.Name)
	if err := c.copy(o.Volumes[0], id); err != nil {
		return nil, err
	}
	s := cloud.Snapshot{ID: id, Volume: o.Volumes[0], State: cloud.Pending, Captured: true, Size: c.sizes}
	if c.failAfter {
		return []cloud.Snapshot{s}, errors.New("the connection was lost")
	}
	return []cloud.Snapshot{s}, nil
}

func (c *copying) Snapshot(_ context.Context, id string) (cloud.Snapshot, error) {
	if c.failState {
		return cloud.Snapshot{ID: id, State: cloud.Failed, Problem: "the backend is full"}, nil
	}
	return cloud.Snapshot{ID: id, State: cloud.Available, Captured: true, Size: c.sizes}, nil
}

func (c *copying) ChangedBytes(context.Context, string, string) (int64, error) {
	return cloud.Unknown, nil
}

func (c *copying) remove(id string) error {
	if c.noDelete && strings.HasPrefix(id, c.dir) {
		return errors.New("it is busy")
	}
	return os.RemoveAll(id)
}

func (c *copying) DeleteSnapshot(_ context.Context, id string) error { return c.remove(id) }
func (c *copying) DeleteVolume(_ context.Context, id string) error   { return c.remove(id) }
func (c *copying) DeleteCommand(id string) string                    { return "forget " + id }
func (c *copying) DetachVolume(context.Context, string) error        { return nil }

func (c *copying) RestoreSnapshot(_ context.Context, id, name string) (cloud.Volume, error) {
	at := filepath.Join(c.dir, name)
	if err := c.copy(id, at); err != nil {
		return cloud.Volume{}, err
	}
	return cloud.Volume{ID: at, State: cloud.Available}, c.damage(at)
}

// damage makes a copy what it should not be.
func (c *copying) damage(at string) error {
	name, off := dataName, int64(3*Block+100)
	if c.stale {
		name, off = probeName, 0 // the first write of the probe is not there
	}
	if !c.stale && !c.torn {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(at, name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, ProbeBlock)
	if c.stale {
		was := make([]byte, ProbeBlock)
		if _, err := f.ReadAt(was, off); err != nil {
			return err
		}
		probeBlock(b, le64(was[8:]), 0, 0)
	}
	_, err = f.WriteAt(b, off)
	return errors.Join(err, f.Close())
}

func le64(b []byte) (v uint64) {
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

func (c *copying) Volume(_ context.Context, id string) (cloud.Volume, error) {
	return cloud.Volume{ID: id, State: cloud.Available, Device: id}, nil
}

func (c *copying) AttachVolume(_ context.Context, id, machine string) (cloud.Volume, error) {
	return cloud.Volume{ID: id, State: cloud.InUse, Machine: machine, Device: id}, nil
}

// onDiskDir is a directory that takes direct I/O.
func onDiskDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := onDisk(dir); err != nil {
		t.Skip(err)
	}
	f, err := openDirect(filepath.Join(dir, "probe"), os.O_CREATE|os.O_RDWR)
	if err != nil {
		t.Skip(err)
	}
	_ = f.Close()
	return dir
}

// tiny are options for tests that are not about numbers.
func tiny(t *testing.T, d *copying) (Options, string) {
	dir := onDiskDir(t)
	d.dir = t.TempDir()
	o := quick(t, dir)
	o.Driver, o.Size, o.Change, o.Around, o.Least, o.Warmup, o.NoReads = d, 16<<20, 1<<20, 300*time.Millisecond, 300*time.Millisecond, 50*time.Millisecond, true
	return o, dir
}

// TestTrouble: whatever a driver does wrong is an error or a failure of the
// tests concerned, with its reason, and what was made is gone.
func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		driver  copying
		test    string
		verdict perfcheck.Verdict
		reason  string
	}{
		{"refuses", copying{failCreate: true, sizes: cloud.Unknown}, TestFull, perfcheck.Error, "the quota is used up"},
		{"fails half-way", copying{failAfter: true, sizes: cloud.Unknown}, TestFull, perfcheck.Error, "the connection was lost"},
		{"what depends on it", copying{failAfter: true, sizes: cloud.Unknown}, TestRestore, perfcheck.Error, "there is no full snapshot"},
		{"fails later", copying{failState: true, sizes: cloud.Unknown}, TestFullWrite, perfcheck.Error, "the backend is full"},
		{"hangs", copying{hang: true, sizes: cloud.Unknown}, TestFull, perfcheck.Error, "has not finished a snapshot within"},
		{"says 0", copying{sizes: 0}, TestFull, perfcheck.Error, "its size is 0"},
		{"says less than there is", copying{sizes: 1 << 20}, TestFull, perfcheck.Error, "the size is not true"},
		{"restores something else", copying{torn: true, sizes: cloud.Unknown}, TestRestore, perfcheck.Fail, "blocks are not what they were"},
		{"leaves writes out", copying{stale: true, sizes: cloud.Unknown}, TestRestore, perfcheck.Fail, "of no one moment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &tc.driver
			o, dir := tiny(t, d)
			if d.hang {
				o.Timeout = 300 * time.Millisecond
			} else {
				// Copying is not of one moment: the few blocks at the file's
				// beginning, which are written meanwhile, are copied at once.
				o.Rate = 20
			}
			out, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range Results([]*Outcome{out}, "here", nil) {
				if got.ID == tc.test && (got.Verdict != tc.verdict || !strings.Contains(got.Reason, tc.reason)) {
					t.Errorf("%s: %s: %s", got.ID, got.Verdict, got.Reason)
				}
			}
			if tc.name == "hangs" || tc.name == "refuses" {
				// That something of this name exists cannot be known.
				if l := o.Ledger.(*ledger); len(l.open) == 1 {
					clear(l.open)
				}
			}
			empty(t, dir)
			if left, _ := os.ReadDir(d.dir); len(left) > 0 {
				t.Error("left behind:", left)
			}
		})
	}
}

// clouded is a copying driver that is to others what a cloud is: the volume is
// there already, things take their time, what is restored is a disk that has
// to be mounted, and the kind of a snapshot is what the cloud likes.
type clouded struct {
	*disks
	kind   cloud.Kind
	parent string
}

// disks hides that the driver could make a volume.
type disks struct {
	c       *copying
	folder  string // of the volume's files
	asked   map[string]int
	mounted map[string]bool
}

func (d *disks) later(id string) bool { // twice not yet
	d.asked[id]++
	return d.asked[id] > 2
}

func (c clouded) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	o.Volumes = []string{c.folder}
	made, err := c.c.CreateSnapshots(ctx, o)
	for i := range made {
		made[i].Captured = false
	}
	return made, err
}

func (c clouded) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	s, err := c.c.Snapshot(ctx, id)
	if s.Kind, s.Parent = c.kind, c.parent; !c.later(id) {
		s.State, s.Captured = cloud.Pending, c.asked[id] > 1
	}
	return s, err
}

func (c clouded) ChangedBytes(context.Context, string, string) (int64, error) { return 2 << 20, nil }

func (c clouded) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	v, err := c.c.RestoreSnapshot(ctx, id, name)
	v.State = cloud.Pending
	return v, err
}

func (c clouded) Volume(_ context.Context, id string) (cloud.Volume, error) {
	v := cloud.Volume{ID: id, State: cloud.Pending, Device: id}
	switch {
	case c.later(id+" attached") && c.mounted[id+" wished"]:
		v.State = cloud.InUse
	case c.later(id):
		v.State = cloud.Available
	}
	return v, nil
}

func (c clouded) AttachVolume(_ context.Context, id, machine string) (cloud.Volume, error) {
	if machine != "i-1" {
		return cloud.Volume{}, errors.New("which machine?")
	}
	c.mounted[id+" wished"] = true
	c.asked[id+" attached"] = 0
	return cloud.Volume{ID: id, State: cloud.Pending, Device: id}, nil
}

func (c clouded) DetachVolume(_ context.Context, id string) error {
	if c.mounted[id] {
		return errors.New("it is mounted")
	}
	delete(c.mounted, id+" wished")
	return nil
}

func (c clouded) DeleteVolume(ctx context.Context, id string) error {
	if c.mounted[id+" wished"] {
		return errors.New("it is attached")
	}
	return c.c.DeleteVolume(ctx, id)
}

func (c clouded) DeleteSnapshot(ctx context.Context, id string) error {
	return c.c.DeleteSnapshot(ctx, id)
}

// TestClouded: the road of drivers whose volumes are disks.
func TestClouded(t *testing.T) {
	t.Parallel()
	c := &copying{sizes: cloud.Unknown}
	o, dir := tiny(t, c)
	d := clouded{&disks{c: c, folder: filepath.Join(dir, FolderPrefix+"test", VolumeName), asked: map[string]int{}, mounted: map[string]bool{}}, cloud.Incremental, "snap-other"}
	// A disk is seen from its mount point: a root in which the copy lies
	// where the volume's files lie below theirs.
	root := t.TempDir()
	o.Rate, o.Driver, o.Volume, o.Machine = 20, d, "vol-1", "i-1"
	relative := ""
	o.Mount = func(_ context.Context, v cloud.Volume) (string, error) {
		d.mounted[v.ID] = true
		rel, err := filepath.Rel(mountPoint(dir), d.folder)
		relative = filepath.Join(root, rel)
		return root, errors.Join(err, os.MkdirAll(filepath.Dir(relative), 0o700), os.Symlink(v.Device, relative))
	}
	o.Unmount = func(context.Context, string) error {
		clear(d.mounted)
		return os.Remove(relative)
	}
	out, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]perfcheck.Test{}
	for _, r := range Results([]*Outcome{out}, "here", nil) {
		if got[r.ID] = r; r.Verdict == perfcheck.Error || r.Verdict == perfcheck.Fail {
			t.Errorf("%s: %s: %s", r.ID, r.Verdict, r.Reason)
		}
	}
	if r := got[TestFull].Reason; !strings.Contains(r, "an incremental one was made") {
		t.Errorf("full: %s", r)
	}
	if r := got[TestIncremental]; !strings.Contains(r.Reason, "is incremental to snap-other") || r.Metrics["size"].Value != 2<<20 {
		t.Errorf("incremental: %s %v", r.Reason, r.Metrics["size"])
	}
	if m := got[TestFull].Metrics; m["captured"].Value > m["complete"].Value || m["accepted"].Value > m["captured"].Value {
		t.Errorf("%+v", m)
	}
	if m := got[TestRestore].Metrics; m["created"].Value > m["attached"].Value || m["attached"].Value > m["first_byte"].Value || m["verified"].Value != float64(o.Size+ProbeFile) {
		t.Errorf("%+v", m)
	}
	empty(t, dir)
	if left, _ := os.ReadDir(c.dir); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

// TestUntold: what the driver does not tell is no metric, and no error.
func TestUntold(t *testing.T) {
	t.Parallel()
	o, _ := tiny(t, &copying{sizes: cloud.Unknown})
	o.Rate = 20
	out, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range Results([]*Outcome{out}, "here", nil) {
		if got.ID == TestFull || got.ID == TestIncremental {
			if _, told := got.Metrics["size"]; told || got.Verdict != perfcheck.Pass {
				t.Errorf("%s: %s: %s: %v", got.ID, got.Verdict, got.Reason, got.Metrics)
			}
		}
		if got.ID == TestFullRead && got.Verdict != perfcheck.Skipped {
			t.Errorf("%s: %s", got.ID, got.Verdict)
		}
	}
}

// TestLeft: what cannot be removed is named, with the command that does it.
func TestLeft(t *testing.T) {
	t.Parallel()
	d := &copying{sizes: cloud.Unknown, noDelete: true}
	o, dir := tiny(t, d)
	o.Rate = 20
	out, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Leftovers) != 4 { // two snapshots, and two volumes of them
		t.Errorf("%d things are named: %q", len(out.Leftovers), out.Leftovers)
	}
	for _, text := range out.Leftovers {
		if !strings.Contains(text, "forget "+d.dir) {
			t.Error(text)
		}
	}
	if l := o.Ledger.(*ledger); len(l.open) != 4 {
		t.Error("remembered:", l.open)
	} else {
		clear(l.open)
	}
	empty(t, dir)
}

// TestCancelled: an end in the middle of a snapshot leaves nothing.
func TestCancelled(t *testing.T) {
	t.Parallel()
	d := &copying{sizes: cloud.Unknown, hang: true}
	o, dir := tiny(t, d)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := fault.New(fault.Interrupted, "", "enough")
	o.Phase = func(text string) {
		if strings.HasPrefix(text, "full snapshot") {
			time.AfterFunc(600*time.Millisecond, func() { cancel(why) })
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, why) {
		t.Error(err)
	}
	clear(o.Ledger.(*ledger).open)
	empty(t, dir)
}
