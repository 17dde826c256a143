// Package btrfs makes snapshots of btrfs subvolumes, as a cloud does of disks.
// A volume is a subvolume, its id is its path; a snapshot is a read-only
// subvolume beside it, and what a cloud uploads is what btrfs send writes:
// it is counted where it is made and goes nowhere, so that a snapshot's size
// is the true size of the stream.
package btrfs

import (
	"context"
	"fmt"
	"path"
	"strconv"
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

// New makes a driver. run has to run commands as root.
func New(run cloud.Runner) *Driver {
	return &Driver{run: run, known: map[string]cloud.Snapshot{}}
}

// measureSend counts the bytes of a stream without a pipe hiding whether it
// came to its end. $1 is a parent or empty, $2 the snapshot.
const measureSend = `exec 3>&1
status=$( { { btrfs send -q ${1:+-p "$1"} -- "$2"; echo $? >&4; } | wc -c >&3; } 4>&1 )
exit "$status"`

// MakeVolume makes an empty subvolume that owner (UID:GID) may write to.
func (d *Driver) MakeVolume(ctx context.Context, at, owner string) (string, error) {
	if _, err := d.run(ctx, []string{"btrfs", "-q", "subvolume", "create", "--", at}, nil); err != nil {
		return "", fault.Wrap(fault.Check, "give a directory on btrfs: mount it with mkfs.btrfs DEVICE, or choose another --driver", fmt.Errorf("make a subvolume %s: %w", at, err))
	}
	if _, err := d.run(ctx, []string{"chown", "--", owner, at}, nil); err != nil {
		return at, fmt.Errorf("give %s to its user: %w", at, err)
	}
	return at, nil
}

// SnapshotID is what the snapshot of a volume will be called: it lies beside
// the volume.
func (d *Driver) SnapshotID(volume, name string) string { return path.Join(path.Dir(volume), name) }

// CreateSnapshots implements cloud.Snapshotter: the point in time is fixed when it returns.
func (d *Driver) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	var made []cloud.Snapshot
	for _, v := range o.Volumes {
		id := d.SnapshotID(v, o.Name)
		if len(o.Volumes) > 1 {
			id += "." + path.Base(v)
		}
		s := cloud.Snapshot{
			ID: id, Volume: v, Kind: cloud.Full, State: cloud.Pending, Captured: true,
			Progress: -1, Size: cloud.Unknown, Total: cloud.Unknown, Created: time.Now(),
		}
		if o.Kind == cloud.Incremental {
			if o.Parent == "" {
				return made, fault.New(fault.Usage, "", "an incremental snapshot of %s needs the one before it", v)
			}
			s.Kind, s.Parent = cloud.Incremental, o.Parent
		}
		if _, err := d.run(ctx, []string{"btrfs", "-q", "subvolume", "snapshot", "-r", "--", v, id}, nil); err != nil {
			return made, fmt.Errorf("snapshot %s: %w", v, err)
		}
		made = append(made, s)
		d.keep(s)
	}
	return made, nil
}

func (d *Driver) keep(s cloud.Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[s.ID] = s
}

func (d *Driver) recall(id string) (cloud.Snapshot, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.known[id]
	return s, ok
}

// Snapshot implements cloud.Snapshotter. The first question after a snapshot that is not
// complete sends it, and returns when that is done.
func (d *Driver) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	s, ok := d.recall(id)
	if !ok {
		s = cloud.Snapshot{ID: id, State: cloud.Gone, Size: cloud.Unknown, Total: cloud.Unknown, Progress: -1}
		if _, err := d.run(ctx, []string{"btrfs", "subvolume", "show", "--", id}, nil); err == nil {
			s.State, s.Captured = cloud.Available, true
		}
		return s, nil
	}
	if s.State != cloud.Pending {
		return s, nil
	}
	size, err := d.sent(ctx, s.Parent, id)
	switch {
	case ctx.Err() != nil:
		return s, context.Cause(ctx)
	case err != nil:
		s.State, s.Problem = cloud.Failed, err.Error()
	default:
		s.State, s.Size, s.Progress = cloud.Available, size, 1
	}
	d.keep(s)
	return s, nil
}

// sent is the size of a stream.
func (d *Driver) sent(ctx context.Context, parent, id string) (int64, error) {
	out, err := d.run(ctx, []string{"/bin/sh", "-c", measureSend, "send", parent, id}, nil)
	if err != nil {
		return 0, fmt.Errorf("send %s: %w", id, err)
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil || size <= 0 {
		return 0, fmt.Errorf("send %s: its size is %q, which is no result", id, strings.TrimSpace(string(out)))
	}
	return size, nil
}

// ChangedBytes implements cloud.Snapshotter: the size of the stream between the two.
func (d *Driver) ChangedBytes(ctx context.Context, id, earlier string) (int64, error) {
	return d.sent(ctx, earlier, id)
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

// remove deletes a subvolume unless it has gone.
func (d *Driver) remove(ctx context.Context, at string) error {
	if _, err := d.run(ctx, []string{"test", "-e", at}, nil); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	if _, err := d.run(ctx, []string{"btrfs", "-q", "subvolume", "delete", "--", at}, nil); err != nil {
		return fault.Wrap(fault.Failed, d.DeleteCommand(at), fmt.Errorf("delete the subvolume %s: %w", at, err))
	}
	return nil
}

// DeleteCommand is what a person types to remove what was left.
func (d *Driver) DeleteCommand(id string) string { return "btrfs subvolume delete " + id }

// RestoreSnapshot implements cloud.Snapshotter: a writable snapshot of it.
func (d *Driver) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	at := path.Join(path.Dir(id), name)
	if _, err := d.run(ctx, []string{"btrfs", "-q", "subvolume", "snapshot", "--", id, at}, nil); err != nil {
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

// AttachVolume implements cloud.Volumes: a subvolume can be seen at once.
func (d *Driver) AttachVolume(_ context.Context, volume, machine string) (cloud.Volume, error) {
	return cloud.Volume{ID: volume, State: cloud.InUse, Machine: machine, Device: volume}, nil
}

// DetachVolume implements cloud.Volumes: there is nothing to do.
func (d *Driver) DetachVolume(context.Context, string) error { return nil }

// DeleteVolume implements cloud.Volumes.
func (d *Driver) DeleteVolume(ctx context.Context, id string) error { return d.remove(ctx, id) }
