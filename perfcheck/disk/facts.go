package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck/kernel"
)

// Facts tell what a directory lies on. Sizes are bytes.
type Facts struct {
	Dir          string   `json:"dir"`  // as given
	Path         string   `json:"path"` // without symbolic links
	MountPoint   string   `json:"mount_point"`
	MountOptions []string `json:"mount_options,omitempty"`
	Source       string   `json:"source"` // what is mounted, as /dev/vdb1
	Filesystem   string   `json:"filesystem"`
	Size         int64    `json:"size"`
	Free         int64    `json:"free"` // for those who are not root
	ReadOnly     bool     `json:"read_only,omitempty"`
	InMemory     bool     `json:"in_memory,omitempty"` // tmpfs, ramfs, zram: no disk at all
	RootDisk     bool     `json:"root_disk,omitempty"` // on a disk that / is on, too

	Device string `json:"device,omitempty"` // block device, as vdb1; "" when there is none, or none that can be told
	// Disks are the whole disks below the device, through partitions, device
	// mapper and md.
	Disks []Block `json:"disks,omitempty"`

	dev uint64 // st_dev
}

// filesystems that live in memory, by the magic number of statfs(2). Most
// kernels accept O_DIRECT there without a word.
var inMemory = map[int64]string{ //nolint:gochecknoglobals // constant table
	kernel.TmpfsMagic: "tmpfs",
	kernel.RamfsMagic: "ramfs",
	0x958458f6:        "hugetlbfs",
}

// Inspect tells what dir lies on. It needs no privileges and changes nothing.
func Inspect(ctx context.Context, dir string) (Facts, error) {
	if err := ctx.Err(); err != nil {
		return Facts{}, context.Cause(ctx)
	}
	f := Facts{Dir: dir}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return f, fmt.Errorf("%s: %w", dir, err)
	}
	if f.Path, err = filepath.EvalSymlinks(abs); err != nil {
		return f, missing(dir, err)
	}
	st, err := kernel.Stat(f.Path)
	if err != nil {
		return f, missing(dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return f, fault.New(fault.Usage, "give a directory of the disk: --dir "+filepath.Dir(abs), "%s is not a directory", dir)
	}
	f.dev = st.Dev
	vfs, err := kernel.Statfs(f.Path)
	if err != nil {
		return f, fmt.Errorf("%s: ask for its filesystem: %w", dir, err)
	}
	f.Size, f.Free, f.ReadOnly = vfs.Size, vfs.Free, vfs.ReadOnly
	_, f.InMemory = inMemory[vfs.Type]
	if err := f.mounted(); err != nil {
		return f, err
	}
	dev := deviceOf(st.Dev, f.Source)
	f.Device, f.Disks = blockDevices(dev)
	for _, b := range f.Disks {
		if b.Attached == "zram" || b.Attached == "ram" {
			f.InMemory = true
		}
	}
	f.RootDisk = sharesRoot(st.Dev, f.Disks)
	return f, nil
}

// mounted fills in the mount.
func (f *Facts) mounted() error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("%s: find its mount: %w", f.Dir, err)
	}
	defer func() { _ = file.Close() }()
	mounts, err := parseMounts(file)
	if err != nil {
		return err
	}
	m, ok := mountOf(mounts, f.Path)
	if !ok {
		return fmt.Errorf("%s: no mount of this machine holds it", f.Dir)
	}
	f.MountPoint, f.MountOptions, f.Source, f.Filesystem = m.Point, m.Options, m.Source, m.Filesystem
	f.ReadOnly = f.ReadOnly || m.readOnly()
	return nil
}

// sharesRoot says whether one of the disks carries / as well.
func sharesRoot(dev uint64, disks []Block) bool {
	root, err := kernel.Stat("/")
	if err != nil {
		return false
	}
	if root.Dev == dev {
		return true
	}
	rootFacts := Facts{Dir: "/", Path: "/"}
	if rootFacts.mounted() != nil {
		return false
	}
	_, rootDisks := blockDevices(deviceOf(root.Dev, rootFacts.Source))
	for _, a := range disks {
		for _, b := range rootDisks {
			if a.Name == b.Name {
				return true
			}
		}
	}
	return false
}

// missing words the error of a directory that cannot be looked at. It is
// never made: a mount that is missing would be measured on the root disk.
func missing(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, "mount the disk and give a directory that exists: cw makes none, because on a missing mount it would measure the root disk", "%s does not exist", dir)
	}
	return fmt.Errorf("%s: %w", dir, err)
}
