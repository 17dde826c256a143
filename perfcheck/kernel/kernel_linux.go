package kernel

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags and numbers that only Linux has.
const (
	Direct     = unix.O_DIRECT
	Populate   = unix.MAP_POPULATE
	TmpfsMagic = unix.TMPFS_MAGIC
	RamfsMagic = unix.RAMFS_MAGIC
)

// Here says whether this machine can be measured.
func Here() error { return nil }

// Statfs asks for the filesystem that a path is on.
func Statfs(path string) (FS, error) {
	var vfs unix.Statfs_t
	err := unix.Statfs(path, &vfs)
	return FS{Size: int64(vfs.Blocks) * vfs.Bsize, Free: int64(vfs.Bavail) * vfs.Bsize, Type: vfs.Type, ReadOnly: vfs.Flags&unix.ST_RDONLY != 0}, err
}

// Stat asks for a file, through links.
func Stat(path string) (File, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return File{Dev: st.Dev, Rdev: st.Rdev, Mode: st.Mode}, err
}

// Fdatasync forces a file's data to the disk.
func Fdatasync(fd int) error { return unix.Fdatasync(fd) }

// Syncfs writes out all that the filesystem of fd holds back.
func Syncfs(fd int) error { return unix.Syncfs(fd) }

// Allocate reserves the blocks of a file.
func Allocate(fd int, size int64) error { return unix.Fallocate(fd, 0, 0, size) }

// HugePages asks for large pages below memory.
func HugePages(memory []byte) error { return unix.Madvise(memory, unix.MADV_HUGEPAGE) }

// TimerSlack sets how much later than asked for the thread may wake up.
func TimerSlack(d time.Duration) { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d), 0, 0, 0) }

// Nap sleeps in the kernel.
func Nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
}

// Group has a child lead a process group that ends with the thread that
// started it.
func Group() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// Pin ties the thread to the index-th of the CPUs that it may run on, when
// there are so many.
func Pin(index, of int) {
	var allowed unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) != nil || allowed.Count() < of {
		return
	}
	for cpu, n := 0, 0; cpu < 8*len(allowed)*8; cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		if n == index {
			var one unix.CPUSet
			one.Set(cpu)
			_ = unix.SchedSetaffinity(0, &one)
			return
		}
		n++
	}
}

// IOSetup makes a queue for asynchronous requests.
func IOSetup(depth int, queue *uintptr) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IO_SETUP, uintptr(depth), uintptr(unsafe.Pointer(queue)), 0)
	return errno
}

// IODestroy waits for the requests of a queue and removes it.
func IODestroy(queue uintptr) { _, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, queue, 0, 0) }

// IOSubmit hands over the request that cb points to a pointer of.
func IOSubmit(queue uintptr, cb unsafe.Pointer) (int, unix.Errno) {
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, queue, 1, uintptr(cb))
	return int(n), errno
}

// IOGetevents waits for at least one answer, for a time.
func IOGetevents(queue uintptr, most int, events unsafe.Pointer, d time.Duration) (int, unix.Errno) {
	ts := unix.NsecToTimespec(int64(d))
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, queue, 1, uintptr(most), uintptr(events), uintptr(unsafe.Pointer(&ts)), 0)
	return int(n), errno
}
