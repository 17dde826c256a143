package commands

import (
	"os"
	"syscall"
	"unsafe"
)

// abort ends the process by SIGABRT, the signal that who waits for gpfdist
// looks for. Go's own handler, which would make it exit code 2, is taken out.
func abort() {
	var action [4]uint64 // struct sigaction of the kernel: handler SIG_DFL, no flags, no mask
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
}
