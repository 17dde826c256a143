package disk

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/fiemap.h.
const (
	fsIocFiemap         = 0xc020660b
	fiemapFlagSync      = 0x1
	fiemapLast          = 0x1
	fiemapUnknown       = 0x2
	fiemapDelayed       = 0x4
	fiemapUnwritten     = 0x800
	fiemapExtentsPerAsk = 256
)

type fiemapExtent struct {
	logical, physical, length uint64
	reserved64                [2]uint64
	flags                     uint32
	reserved                  [3]uint32
}

type fiemap struct {
	start, length                          uint64
	flags, mapped, extentCount, reserved32 uint32
	extents                                [fiemapExtentsPerAsk]fiemapExtent
}

// errNoFiemap is what filesystems answer that cannot map extents.
var errNoFiemap = errors.New("the filesystem does not map extents")

// unwritten is how many bytes of a file are holes, or reserved but never
// written: reading them asks the disk for nothing.
func unwritten(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := uint64(st.Size())
	var written, at uint64
	m := new(fiemap)
	for at < size {
		*m = fiemap{start: at, length: size - at, flags: fiemapFlagSync, extentCount: fiemapExtentsPerAsk}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsIocFiemap, uintptr(unsafe.Pointer(m)))
		if errors.Is(errno, unix.EOPNOTSUPP) || errors.Is(errno, unix.ENOTTY) || errors.Is(errno, unix.EINVAL) || errors.Is(errno, unix.ENOSYS) {
			return 0, errNoFiemap
		}
		if errno != 0 {
			return 0, fmt.Errorf("map the extents of %s: %w", path, errno)
		}
		if m.mapped == 0 {
			break
		}
		last := false
		for _, e := range m.extents[:m.mapped] {
			from, to := max(e.logical, at), min(e.logical+e.length, size)
			if to > from && e.flags&(fiemapUnwritten|fiemapDelayed|fiemapUnknown) == 0 {
				written += to - from
			}
			at = max(at, to)
			last = last || e.flags&fiemapLast != 0
		}
		if last {
			break
		}
	}
	return int64(size - written), nil
}
