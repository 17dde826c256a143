package disk

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Found lists the mount points of data disks: filesystems on disks that hold
// nothing of the operating system, one for each disk, in the order of their
// names. Whether files can be made there is for Prepare to tell.
func Found(ctx context.Context) ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list the mounted disks: %w", err)
	}
	defer func() { _ = file.Close() }()
	mounts, err := parseMounts(file)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(mounts, func(a, b mount) int { return strings.Compare(a.Point, b.Point) })
	var dirs []string
	seen := map[string]bool{}
	for _, m := range mounts {
		if !strings.HasPrefix(m.Source, "/dev/") || m.Root != "/" || m.Point == "/" || below(m.Point, "/boot") || m.readOnly() {
			continue
		}
		f, err := Inspect(ctx, m.Point)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil || f.RootDisk || f.InMemory || f.Device == "" || len(f.Disks) == 0 || f.MountPoint != m.Point {
			continue // not to be looked at, or hidden by another mount
		}
		var names []string
		for _, d := range f.Disks {
			names = append(names, d.Name)
		}
		slices.Sort(names)
		if key := strings.Join(names, " "); !seen[key] {
			seen[key] = true
			dirs = append(dirs, m.Point)
		}
	}
	return dirs, nil
}
