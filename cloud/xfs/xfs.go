// Package xfs makes snapshots of directories by reflink copies, as XFS (and
// every filesystem with FICLONE) has them. A volume is a directory, its id is
// its path; a snapshot is a directory beside it. Each file is of one point in
// time, but the files are cloned one after another: what must be consistent
// between files has to stand still meanwhile.
package xfs

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"cw/cloud"
	"cw/fault"
)

// Driver implements cloud.Snapshotter.
type Driver struct {
	run cloud.Runner

	mu    sync.Mutex
	known map[string]cloud.Snapshot // those that it made
}

// New makes a driver. run has to run commands as root, or as the one that the
// files belong to.
func New(run cloud.Runner) *Driver {
	return &Driver{run: run, known: map[string]cloud.Snapshot{}}
}

// MakeVolume makes an empty directory that owner (UID:GID) may write to.
func (d *Driver) MakeVolume(ctx context.Context, at, owner string) (string, error) {
	if _, err := d.run(ctx, []string{"mkdir", "--", at}, nil); err != nil {
		return "", fmt.Errorf("make %s: %w", at, err)
	}
	// Whether files can be cloned at all is found out before they are large.
	const probe = `: > "$1/.a" && cp --reflink=always -- "$1/.a" "$1/.b" && printf x > "$1/.a" && cp --reflink=always -- "$1/.a" "$1/.b"; r=$?; rm -f -- "$1/.a" "$1/.b"; exit $r`
	if _, err := d.run(ctx, []string{"/bin/sh", "-c", probe, "probe", at}, nil); err != nil {
		return at, fault.Wrap(fault.Check, "give a directory on XFS made with: mkfs.xfs -m reflink=1 DEVICE, or choose another --driver", fmt.Errorf("%s does not clone files: %w", at, err))
	}
	if _, err := d.run(ctx, []string{"chown", "--", owner, at}, nil); err != nil {
		return at, fmt.Errorf("give %s to its user: %w", at, err)
	}
	return at, nil
}

// SnapshotID is what the snapshot of a volume will be called: it lies beside
// the volume.
func (d *Driver) SnapshotID(volume, name string) string { return path.Join(path.Dir(volume), name) }

// CreateSnapshots implements cloud.Snapshotter. It returns when all files are
// cloned: accepted, captured and complete are one moment.
func (d *Driver) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	var made []cloud.Snapshot
	for _, v := range o.Volumes {
		id := d.SnapshotID(v, o.Name)
		if len(o.Volumes) > 1 {
			id += "." + path.Base(v)
		}
		s := cloud.Snapshot{
			ID: id, Volume: v, Kind: cloud.Full, State: cloud.Available, Captured: true,
			Progress: 1, Size: cloud.Unknown, Total: cloud.Unknown, Created: time.Now(),
		}
		if o.Kind == cloud.Incremental {
			s.Kind, s.Parent = cloud.Incremental, o.Parent
		}
		if err := d.clone(ctx, v, id); err != nil {
			return made, fmt.Errorf("snapshot %s: %w", v, err)
		}
		if s.Parent != "" {
			// By itself it holds what is not shared with the one before it.
			size, err := d.ChangedBytes(ctx, id, s.Parent)
			if err != nil {
				return append(made, s), err
			}
			s.Size = size
		}
		made = append(made, s)
		d.mu.Lock()
		d.known[id] = s
		d.mu.Unlock()
	}
	return made, nil
}

// clone copies a directory without copying a byte. A copy that was cut off is
// taken away.
func (d *Driver) clone(ctx context.Context, from, to string) error {
	_, err := d.run(ctx, []string{"cp", "-a", "--reflink=always", "-T", "--", from, to}, nil)
	if err != nil {
		_ = d.remove(context.WithoutCancel(ctx), to)
	}
	return err
}

// Snapshot implements cloud.Snapshotter.
func (d *Driver) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	d.mu.Lock()
	s, ok := d.known[id]
	d.mu.Unlock()
	if ok {
		return s, nil
	}
	s = cloud.Snapshot{ID: id, State: cloud.Gone, Size: cloud.Unknown, Total: cloud.Unknown, Progress: -1}
	if _, err := d.run(ctx, []string{"test", "-d", id}, nil); err == nil {
		s.State, s.Captured = cloud.Available, true
	}
	return s, nil
}

// ChangedBytes implements cloud.Snapshotter: the blocks that the later one
// does not share with the earlier, as the filesystem maps them.
func (d *Driver) ChangedBytes(ctx context.Context, id, earlier string) (int64, error) {
	var maps [2]map[string][]extent
	for i, dir := range []string{earlier, id} {
		out, err := d.run(ctx, []string{"/bin/sh", "-c", `cd -- "$1" && find . -type f -exec filefrag -s -v -b4096 {} +`, "map", dir}, nil)
		if err != nil {
			return cloud.Unknown, fmt.Errorf("ask where the blocks of %s are: %w", dir, err)
		}
		if maps[i], err = parseExtents(string(out)); err != nil {
			return cloud.Unknown, fmt.Errorf("the blocks of %s: %w", dir, err)
		}
	}
	var blocks int64
	for name, now := range maps[1] {
		blocks += unshared(maps[0][name], now)
	}
	return blocks * mapBlock, nil
}

// DeleteSnapshot implements cloud.Snapshotter.
func (d *Driver) DeleteSnapshot(ctx context.Context, id string) error {
	if err := d.remove(ctx, id); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, id)
	return nil
}

func (d *Driver) remove(ctx context.Context, at string) error {
	if at = path.Clean(at); strings.Count(at, "/") < 2 {
		return fault.New(fault.Usage, "", "%s is no snapshot of cw's", at)
	}
	if _, err := d.run(ctx, []string{"rm", "-rf", "--", at}, nil); err != nil {
		return fault.Wrap(fault.Failed, d.DeleteCommand(at), fmt.Errorf("delete %s: %w", at, err))
	}
	return nil
}

// DeleteCommand is what a person types to remove what was left.
func (d *Driver) DeleteCommand(id string) string { return "rm -r " + id }

// RestoreSnapshot implements cloud.Snapshotter: clones of the clones.
func (d *Driver) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	at := path.Join(path.Dir(id), name)
	if err := d.clone(ctx, id, at); err != nil {
		return cloud.Volume{}, fmt.Errorf("restore %s: %w", id, err)
	}
	return cloud.Volume{ID: at, State: cloud.Available, Device: at}, nil
}

// Volume implements cloud.Volumes.
func (d *Driver) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	v := cloud.Volume{ID: id, State: cloud.Available, Device: id}
	if _, err := d.run(ctx, []string{"test", "-d", id}, nil); err != nil {
		v.State = cloud.Gone
	}
	return v, nil
}

// AttachVolume implements cloud.Volumes: a directory can be seen at once.
func (d *Driver) AttachVolume(_ context.Context, volume, machine string) (cloud.Volume, error) {
	return cloud.Volume{ID: volume, State: cloud.InUse, Machine: machine, Device: volume}, nil
}

// DetachVolume implements cloud.Volumes: there is nothing to do.
func (d *Driver) DetachVolume(context.Context, string) error { return nil }

// DeleteVolume implements cloud.Volumes.
func (d *Driver) DeleteVolume(ctx context.Context, id string) error { return d.remove(ctx, id) }
