package run

import (
	"cw/cloud"
	"cw/cloud/btrfs"
	"cw/cloud/lvm"
	"cw/cloud/xfs"
)

// LocalDrivers are the names of the drivers that work by commands on the
// machine itself.
func LocalDrivers() []string { return []string{"btrfs", "xfs-reflink", "lvm"} }

// LocalDriver makes one of them; nil when the name is of none.
func LocalDriver(name string, run cloud.Runner) cloud.Snapshotter {
	switch name {
	case "btrfs":
		return btrfs.New(run)
	case "xfs-reflink":
		return xfs.New(run)
	case "lvm":
		return lvm.New(run, lvm.Options{MountBelow: "/tmp"})
	}
	return nil
}
