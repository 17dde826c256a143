package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck/snapshot"
)

// mounter makes restored volumes visible on a machine.
type mounter struct {
	run  cloud.Runner
	at   string
	made madeBy
}

// findAndMount waits until the device of a volume is there and mounts it
// read-only, XFS with the identity that its origin has too. Clouds say one
// name of a device and guests see another, which has the volume's id in its
// serial number. What is on it is looked at, not up: names are used again. $1 is the id, $2 the device as the cloud calls it, $3 where.
const findAndMount = `id=$(printf %s "$1" | tr -d -)
for try in $(seq 600); do
  for d in /dev/disk/by-id/*"$id"* /dev/disk/by-id/*"$1"* "$2"; do
    [ -b "$d" ] || continue
    case $d in *-part*|*_[0-9]-part*) continue ;; esac
    kind=$(blkid -p -o value -s TYPE -- "$d") || continue
    mkdir -p -- "$3" || exit
    case $kind in xfs) mount -o ro,nouuid -- "$d" "$3" ;; *) mount -o ro -- "$d" "$3" ;; esac
    exit
  done
  sleep 0.1
done
echo "no device of it appears" >&2
exit 1`

// mount brings a volume's directory; where the driver gives one, that.
func (m *mounter) mount(ctx context.Context, v cloud.Volume) (string, error) {
	if _, err := m.run(ctx, []string{"test", "-d", v.Device}, nil); err == nil && v.Device != "" {
		return v.Device, nil
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err := m.made.Made(snapshot.MadeMount, m.at); err != nil {
		return "", err
	}
	if _, err := m.run(ctx, []string{"/bin/sh", "-c", findAndMount, "mount", v.ID, v.Device, m.at}, nil); err != nil {
		return "", fault.Wrap(fault.Failed, "lsblk there shows what is attached", fmt.Errorf("mount the restored volume %s (%s): %w", v.ID, v.Device, errors.Join(err, m.unmount(context.WithoutCancel(ctx), m.at))))
	}
	return m.at, nil
}

// unmount is the reverse of mount.
func (m *mounter) unmount(ctx context.Context, dir string) error {
	if !strings.HasPrefix(dir, m.at) {
		return nil // the driver's own
	}
	if err := unmount(ctx, m.run, m.at); err != nil {
		return err
	}
	return m.made.Gone(snapshot.MadeMount, m.at)
}

// unmount takes a mount and its directory away, as far as they are there.
func unmount(ctx context.Context, run cloud.Runner, at string) error {
	if _, err := run(ctx, []string{"/bin/sh", "-c", `if mountpoint -q -- "$1"; then umount -- "$1" || exit; fi; if [ -d "$1" ]; then rmdir -- "$1"; fi`, "umount", at}, nil); err != nil {
		return fault.Wrap(fault.Failed, "umount "+at, fmt.Errorf("unmount the restored volume: %w", err))
	}
	return nil
}
