//go:build !linux

package kernel

import (
	"net"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cw/fault"
)

// There are none of them here.
const (
	Direct     = 0
	Populate   = 0
	TmpfsMagic = -1
	RamfsMagic = -2
)

// Here says whether this machine can be measured.
func Here() error {
	return fault.New(fault.Usage, "give hosts that run Linux: cw perf disk --host HOST", "this machine runs %s, and cw perf measures machines with Linux", runtime.GOOS)
}

// Statfs is of Linux.
func Statfs(string) (FS, error) { return FS{}, Here() }

// Stat is of Linux.
func Stat(string) (File, error) { return File{}, Here() }

// Fdatasync is of Linux.
func Fdatasync(int) error { return Here() }

// Syncfs is of Linux.
func Syncfs(int) error { return Here() }

// Allocate is of Linux.
func Allocate(int, int64) error { return Here() }

// HugePages is of Linux.
func HugePages([]byte) error { return Here() }

// TimerSlack is of Linux.
func TimerSlack(time.Duration) {}

// Nap sleeps.
func Nap(d time.Duration) { time.Sleep(d) }

// Group has a child lead a process group.
func Group() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Pin is of Linux.
func Pin(int, int) {}

// IOSetup is of Linux.
func IOSetup(int, *uintptr) unix.Errno { return unix.ENOSYS }

// IODestroy is of Linux.
func IODestroy(uintptr) {}

// IOSubmit is of Linux.
func IOSubmit(uintptr, unsafe.Pointer) (int, unix.Errno) { return 0, unix.ENOSYS }

// IOGetevents is of Linux.
func IOGetevents(uintptr, int, unsafe.Pointer, time.Duration) (int, unix.Errno) {
	return 0, unix.ENOSYS
}

// BindAhead is of Linux.
func BindAhead(int) error { return Here() }

// From is of Linux.
func From([]byte) []byte { return nil }

// Packets is of Linux.
func Packets(*net.Interface, uint16) (int, error) { return -1, Here() }

// SendPacket is of Linux.
func SendPacket(int, *net.Interface, net.HardwareAddr, []byte) error { return Here() }

// ReceivePacket is of Linux.
func ReceivePacket(int, []byte, time.Duration) (int, error) { return 0, Here() }
