package net

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/ethtool.h.
const (
	statsSet   = 1  // ETH_SS_STATS
	stringSize = 32 // ETH_GSTRING_LEN
	// ethtoolMax bounds what a driver may say it has.
	ethtoolMax = 4096
)

// ifreq is what SIOCETHTOOL takes.
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// ethtoolStats reads a driver's counters, as ethtool -S does.
func ethtoolStats(nic string) (map[string]uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	call := func(b []byte) error {
		r := ifreq{data: unsafe.Pointer(&b[0])}
		copy(r.name[:unix.IFNAMSIZ-1], nic)
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r)))
		runtime.KeepAlive(b)
		if e != 0 {
			return fmt.Errorf("ethtool %s: %w", nic, e)
		}
		return nil
	}
	// struct ethtool_sset_info: command, reserved, a mask of sets, then sizes.
	info := make([]byte, 16+4)
	binary.NativeEndian.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	binary.NativeEndian.PutUint64(info[8:], 1<<statsSet)
	if err := call(info); err != nil {
		return nil, err
	}
	n := binary.NativeEndian.Uint32(info[16:])
	if binary.NativeEndian.Uint64(info[8:]) == 0 || n == 0 || n > ethtoolMax {
		return nil, nil
	}
	names := make([]byte, 12+int(n)*stringSize)
	binary.NativeEndian.PutUint32(names, unix.ETHTOOL_GSTRINGS)
	binary.NativeEndian.PutUint32(names[4:], statsSet)
	binary.NativeEndian.PutUint32(names[8:], n)
	if err := call(names); err != nil {
		return nil, err
	}
	values := make([]byte, 8+int(n)*8)
	binary.NativeEndian.PutUint32(values, unix.ETHTOOL_GSTATS)
	binary.NativeEndian.PutUint32(values[4:], n)
	if err := call(values); err != nil {
		return nil, err
	}
	stats := make(map[string]uint64, n)
	for i := range int(n) {
		name, _, _ := bytes.Cut(names[12+i*stringSize:12+(i+1)*stringSize], []byte{0})
		stats[string(name)] = binary.NativeEndian.Uint64(values[8+i*8:])
	}
	return stats, nil
}
