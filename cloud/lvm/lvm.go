// Package lvm makes snapshots of logical volumes, thin ones and those of the
// old kind that copy a chunk before its first overwriting. A volume is
// VG/LV, a snapshot a logical volume of the same group. What a snapshot of
// the old kind holds grows as its origin is written to, until it is full: it
// is worthless then, which is told as a failure.
package lvm

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"cw/cloud"
	"cw/fault"
)

// Options of the driver.
type Options struct {
	// Reserve is how many bytes a snapshot of the old kind may hold; 0 is a
	// tenth of its origin. Thin ones need none.
	Reserve int64
	// MountBelow is the folder below which restored volumes are mounted.
	MountBelow string
}

// Driver implements cloud.Snapshotter.
type Driver struct {
	run cloud.Runner
	o   Options
}

// New makes a driver. run has to run commands as root.
func New(run cloud.Runner, o Options) *Driver { return &Driver{run: run, o: o} }

// Check says why the machine cannot make snapshots with LVM; nil when it can.
func (d *Driver) Check(ctx context.Context) error {
	out, err := d.run(ctx, []string{"cat", "/proc/devices"}, nil)
	if err != nil {
		return fmt.Errorf("ask for the device-mapper: %w", err)
	}
	if !strings.Contains(string(out), "device-mapper") {
		return fault.New(fault.Check, "modprobe dm-snapshot dm-thin-pool, or choose another --driver", "the kernel has no device-mapper: LVM cannot make snapshots here")
	}
	return nil
}

// VolumeAt finds the logical volume that a directory is on.
func (d *Driver) VolumeAt(ctx context.Context, dir string) (string, error) {
	if err := d.Check(ctx); err != nil {
		return "", err
	}
	out, err := d.run(ctx, []string{"findmnt", "-n", "-o", "SOURCE", "--target", dir}, nil)
	if err != nil {
		return "", fmt.Errorf("ask what %s is on: %w", dir, err)
	}
	source := strings.TrimSpace(string(out))
	v, err := d.find(ctx, source)
	if err != nil {
		return "", fault.Wrap(fault.Check, "give a directory on a logical volume, or choose another --driver", fmt.Errorf("%s is on %s: %w", dir, source, err))
	}
	return v.id(), nil
}

// SnapshotID is what the snapshot of a volume will be called.
func (d *Driver) SnapshotID(volume, name string) string { return path.Join(path.Dir(volume), name) }

// CreateSnapshots implements cloud.Snapshotter. LVM takes snapshots of
// several volumes one after another.
func (d *Driver) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	if err := d.Check(ctx); err != nil {
		return nil, err
	}
	var made []cloud.Snapshot
	for _, id := range o.Volumes {
		origin, err := d.find(ctx, id)
		if err != nil {
			return made, err
		}
		name := o.Name
		if len(o.Volumes) > 1 {
			name += "." + origin.Name
		}
		args := []string{"lvcreate", "-q", "--yes", "--snapshot", "--name", name}
		if origin.Pool == "" {
			reserve := d.o.Reserve
			if reserve == 0 {
				reserve = origin.Size / 10
			}
			args = append(args, "--size", fmt.Sprintf("%db", (reserve+511)/512*512))
		}
		if _, err := d.run(ctx, append(args, id), nil); err != nil {
			return made, fmt.Errorf("snapshot %s: %w", id, err)
		}
		s, err := d.Snapshot(ctx, origin.Group+"/"+name)
		if err != nil {
			return append(made, cloud.Snapshot{ID: origin.Group + "/" + name, Volume: id, State: cloud.Pending}), err
		}
		s.Created = time.Now()
		made = append(made, s)
	}
	return made, nil
}

// Snapshot implements cloud.Snapshotter.
func (d *Driver) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	// Its size stays unknown: one of the old kind holds what was overwritten
	// since, a thin one does not tell.
	s := cloud.Snapshot{ID: id, Progress: -1, Size: cloud.Unknown, Total: cloud.Unknown, Kind: cloud.Full}
	v, err := d.find(ctx, id)
	if fault.KindOf(err) == fault.Check {
		s.State = cloud.Gone
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Volume, s.State, s.Captured, s.Progress = v.Group+"/"+v.Origin, cloud.Available, true, 1
	switch {
	case len(v.Attr) > 4 && strings.ContainsRune("IS", rune(v.Attr[4])), v.Pool == "" && v.SnapPercent >= 100:
		s.State = cloud.Failed
		s.Problem = fmt.Sprintf("the snapshot %s is full (%s): what it held is lost; reserve more than was overwritten meanwhile", id, strconv.FormatInt(v.Size, 10)+" B")
	case v.Origin == "":
		s.State, s.Problem = cloud.Failed, id+" is no snapshot"
	}
	return s, nil
}

// ChangedBytes implements cloud.Snapshotter: LVM does not tell.
func (d *Driver) ChangedBytes(context.Context, string, string) (int64, error) {
	return cloud.Unknown, nil
}

// DeleteSnapshot implements cloud.Snapshotter.
func (d *Driver) DeleteSnapshot(ctx context.Context, id string) error {
	if _, err := d.find(ctx, id); fault.KindOf(err) == fault.Check {
		return nil
	}
	if _, err := d.run(ctx, []string{"lvremove", "-q", "--yes", "--", id}, nil); err != nil {
		return fault.Wrap(fault.Failed, d.DeleteCommand(id), fmt.Errorf("delete the snapshot %s: %w", id, err))
	}
	return nil
}

// DeleteCommand is what a person types to remove what was left.
func (d *Driver) DeleteCommand(id string) string { return "lvremove --yes " + id }

// RestoreSnapshot implements cloud.Snapshotter. Of a thin snapshot a new thin
// volume is made; one of the old kind can be used by itself only.
func (d *Driver) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	v, err := d.find(ctx, id)
	if err != nil {
		return cloud.Volume{}, err
	}
	if v.Pool == "" {
		return cloud.Volume{ID: id, State: cloud.Available, Device: "/dev/" + id, Size: v.Size}, nil
	}
	at := v.Group + "/" + name
	if _, err := d.run(ctx, []string{"lvcreate", "-q", "--yes", "--snapshot", "--setactivationskip", "n", "--name", name, id}, nil); err != nil {
		return cloud.Volume{}, fmt.Errorf("restore %s: %w", id, err)
	}
	return cloud.Volume{ID: at, State: cloud.Available, Device: "/dev/" + at, Size: v.Size}, nil
}

// Volume implements cloud.Volumes.
func (d *Driver) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	v, err := d.find(ctx, id)
	if fault.KindOf(err) == fault.Check {
		return cloud.Volume{ID: id, State: cloud.Gone}, nil
	}
	return cloud.Volume{ID: id, State: cloud.Available, Device: "/dev/" + id, Size: v.Size}, err
}

// mountPoint is where a restored volume is mounted.
func (d *Driver) mountPoint(id string) string {
	return path.Join(d.o.MountBelow, "cw-restored."+strings.ReplaceAll(id, "/", "-"))
}

// AttachVolume implements cloud.Volumes: it mounts the volume, read-only and
// with a second identity, and its device is that directory.
func (d *Driver) AttachVolume(ctx context.Context, volume, machine string) (cloud.Volume, error) {
	at, dev := d.mountPoint(volume), "/dev/"+volume
	const mount = `mkdir -p -- "$2" && case $(blkid -p -o value -s TYPE -- "$1") in xfs) mount -o ro,nouuid -- "$1" "$2" ;; *) mount -o ro -- "$1" "$2" ;; esac`
	if _, err := d.run(ctx, []string{"/bin/sh", "-c", mount, "mount", dev, at}, nil); err != nil {
		return cloud.Volume{}, fmt.Errorf("mount %s: %w", dev, err)
	}
	return cloud.Volume{ID: volume, State: cloud.InUse, Machine: machine, Device: at}, nil
}

// DetachVolume implements cloud.Volumes.
func (d *Driver) DetachVolume(ctx context.Context, volume string) error {
	const umount = `if mountpoint -q -- "$1"; then umount -- "$1" || exit; fi; if [ -d "$1" ]; then rmdir -- "$1"; fi`
	if _, err := d.run(ctx, []string{"/bin/sh", "-c", umount, "umount", d.mountPoint(volume)}, nil); err != nil {
		return fmt.Errorf("unmount %s: %w", d.mountPoint(volume), err)
	}
	return nil
}

// DeleteVolume implements cloud.Volumes. An origin is never deleted.
func (d *Driver) DeleteVolume(ctx context.Context, id string) error {
	v, err := d.find(ctx, id)
	if fault.KindOf(err) == fault.Check {
		return nil
	}
	if err != nil {
		return err
	}
	if v.Origin == "" {
		return fault.New(fault.Usage, "", "%s is no restored snapshot: it is left alone", id)
	}
	if v.Pool == "" {
		return nil // the snapshot itself, which DeleteSnapshot takes away
	}
	return d.DeleteSnapshot(ctx, id)
}

// volume is what lvs tells.
type volume struct {
	Name, Group, Origin, Pool, Attr string
	Size                            int64
	SnapPercent                     float64
}

func (v volume) id() string { return v.Group + "/" + v.Name }

// find asks for a logical volume by VG/LV or its device.
func (d *Driver) find(ctx context.Context, id string) (volume, error) {
	out, err := d.run(ctx, []string{"lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", "lv_name,vg_name,lv_size,origin,pool_lv,lv_attr,snap_percent", "--", id}, nil)
	if err != nil {
		if text := err.Error(); strings.Contains(text, "Failed to find") || strings.Contains(text, "not found") {
			return volume{}, fault.Wrap(fault.Check, "lvs shows what there is", fmt.Errorf("there is no logical volume %s: %w", id, err))
		}
		return volume{}, fmt.Errorf("ask for the logical volume %s: %w", id, err)
	}
	return parseVolume(out)
}

// parseVolume reads the report of one logical volume; all its values are
// strings.
func parseVolume(text []byte) (volume, error) {
	var doc struct {
		Report []struct {
			LV []struct {
				Name    string `json:"lv_name"`
				Group   string `json:"vg_name"`
				Size    string `json:"lv_size"`
				Origin  string `json:"origin"`
				Pool    string `json:"pool_lv"`
				Attr    string `json:"lv_attr"`
				Percent string `json:"snap_percent"`
			} `json:"lv"`
		} `json:"report"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return volume{}, fmt.Errorf("lvs speaks no sense: %w", err)
	}
	if len(doc.Report) != 1 || len(doc.Report[0].LV) != 1 {
		return volume{}, fault.New(fault.Check, "name it as VG/LV", "lvs does not tell of one logical volume")
	}
	l := doc.Report[0].LV[0]
	v := volume{Name: l.Name, Group: l.Group, Origin: l.Origin, Pool: l.Pool, Attr: l.Attr}
	var err error
	if v.Size, err = strconv.ParseInt(l.Size, 10, 64); err != nil || v.Size <= 0 || v.Name == "" || v.Group == "" {
		return volume{}, fmt.Errorf("lvs speaks no sense: %s/%s of size %q", l.Group, l.Name, l.Size)
	}
	if l.Percent != "" {
		if v.SnapPercent, err = strconv.ParseFloat(l.Percent, 64); err != nil {
			return volume{}, fmt.Errorf("lvs speaks no sense: snap_percent is %q", l.Percent)
		}
	}
	return v, nil
}
