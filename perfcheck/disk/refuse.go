package disk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck/kernel"
	"cw/schema"
)

// smallest is the least that is worth filling.
const smallest = 16 * mib

// sizes are what is written into a directory.
type sizes struct {
	data, wal, keep int64
	small           bool
}

// refuse says why f must not be measured, nil when it may.
func (f Facts) refuse(allowRoot bool) error {
	switch {
	case f.InMemory:
		return fault.New(fault.Check, "give a directory on a disk", "%s is on %s, which is memory and no disk", f.Dir, f.Filesystem)
	case f.ReadOnly:
		return fault.New(fault.Check, "mount -o remount,rw "+f.MountPoint, "%s: %s is mounted read-only", f.Dir, f.MountPoint)
	case f.RootDisk && !allowRoot && f.MountPoint != f.Path:
		return fault.New(fault.Check, "mount the data disk there, or measure the root disk on purpose: --allow-root-disk",
			"%s is not a mount point and lies on the root disk (%s, mounted on %s)", f.Dir, f.Source, f.MountPoint)
	case f.RootDisk && !allowRoot:
		return fault.New(fault.Check, "--allow-root-disk measures it nevertheless", "%s is on the root disk (%s)", f.Dir, f.Source)
	}
	if err := unix.Access(f.Path, unix.W_OK|unix.X_OK); err != nil {
		return fault.New(fault.Check, "run as its owner, or: chown "+fmt.Sprint(unix.Getuid())+" "+f.Path, "%s: cannot make files there: %w", f.Dir, err)
	}
	return nil
}

// fit decides how much is written, given how many directories share the
// filesystem. A disk is never filled to the brim: a database that lives there
// would stop.
func (f Facts) fit(size, keep int64, sharers int64) (sizes, error) {
	s := sizes{data: size, keep: keep}
	if s.keep == 0 {
		s.keep = f.margin()
	}
	room := (f.Free - s.keep) / sharers
	if size == 0 {
		s.data = min(DefaultSize(quick), max(room*4/5, smallest))
	}
	s.data = max(s.data/mib*mib, smallest)
	s.wal = min(max(s.data/4/mib*mib, mib), 64*mib)
	if s.data+s.wal > room {
		hint := "free some space"
		if fits := room*4/5 - 64*mib; fits >= smallest {
			hint = fmt.Sprintf("--size %dMiB fits", fits/mib)
		} else if f.Free/sharers > 2*smallest {
			hint = "free some space, or keep less of it free: --keep-free 100MiB"
		}
		return s, fault.New(fault.Check, hint, "%s: %s is too small for %s of test files: %s free, of which %s stay free",
			f.Dir, f.MountPoint, schema.FormatSize((s.data+s.wal)*sharers), schema.FormatSize(f.Free), schema.FormatSize(s.keep))
	}
	s.small = s.data < min(32*gib, f.Size/10)
	return s, nil
}

// margin is what stays free when nobody says: 5 %, and at least 1 GiB, which
// on a small filesystem is too much to ask.
func (f Facts) margin() int64 { return max(f.Size/20, min(gib, f.Size/10)) }

// backedByMemory says whether a loop device's file is in memory.
func (f Facts) backedByMemory(ctx context.Context) bool {
	return slices.ContainsFunc(f.Disks, func(b Block) bool {
		if b.Backing == "" {
			return false
		}
		below, err := Inspect(ctx, filepath.Dir(b.Backing))
		return err == nil && below.InMemory
	})
}

// sectorOf is the largest logical sector of the disks below.
func (f Facts) sectorOf() int64 {
	sector := int64(512)
	for _, b := range f.Disks {
		sector = max(sector, b.Logical)
	}
	return sector
}

// shareDisk says whether two directories lie on a common disk.
func shareDisk(a, b Facts) bool {
	if a.dev == b.dev {
		return true
	}
	return slices.ContainsFunc(a.Disks, func(x Block) bool {
		return slices.ContainsFunc(b.Disks, func(y Block) bool { return x.Name == y.Name })
	})
}

// probeDirect writes one aligned block through direct I/O.
func probeDirect(folder, dir string) error {
	path := filepath.Join(folder, probeName)
	fd, err := openFile(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|kernel.Direct)
	if err == nil {
		defer func() { _ = unix.Close(fd) }()
		var b []byte
		if b, err = newBuffer(pageSize); err == nil {
			err = writeAt(fd, b, 0)
			freeBuffer(b)
		}
	}
	if rm := unix.Unlink(path); err == nil && rm != nil && !errors.Is(rm, unix.ENOENT) {
		err = rm
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return fault.New(fault.Check, "give a directory on a disk of its own (ext4, xfs, btrfs)", "%s: its filesystem does not take direct I/O: the page cache would be measured", dir)
	}
	if err != nil {
		return writeFailed(dir, err)
	}
	return nil
}

// writeFailed words the error of a write.
func writeFailed(dir string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.New(fault.Failed, "free some space, or write less: --size 1GiB", "write %s: %w", dir, err)
	}
	return fmt.Errorf("write %s: %w", dir, err)
}
