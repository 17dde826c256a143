package net

import (
	"errors"
	"fmt"
	gonet "net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socketOptions are set before a socket is bound.
type socketOptions struct {
	device string
	shared bool // others bind the same UDP port: one socket per peer
}

func (o socketOptions) control(_, _ string, raw syscall.RawConn) error {
	var err error
	if outer := raw.Control(func(fd uintptr) {
		if o.shared {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
			)
		}
		if o.device != "" && err == nil {
			if e := unix.BindToDevice(int(fd), o.device); e != nil {
				err = fmt.Errorf("bind to interface %s: %w", o.device, e)
			}
		}
	}); outer != nil {
		return outer
	}
	return err
}

// withFD calls fn with the file descriptor of a connection.
func withFD(conn syscall.Conn, fn func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// sent reads what the kernel knows of a TCP sender: segments sent again and
// all segments with data.
func sent(conn *gonet.TCPConn) (again, segments int64, err error) {
	err = withFD(conn, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			again, segments = int64(info.Total_retrans), int64(info.Data_segs_out)
		}
		return err
	})
	return again, segments, err
}

// giveUpAfter ends a connection whose data nobody has acknowledged for so long.
func giveUpAfter(conn *gonet.TCPConn, d time.Duration) error {
	return withFD(conn, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

// receiveBuffer sets the size of a socket's buffer, beyond the system's limit
// where that is allowed.
func receiveBuffer(conn syscall.Conn, bytes int) error {
	return withFD(conn, func(fd int) error {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) == nil {
			return nil
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	})
}

// memInfoDrops is the place of the drop counter in SO_MEMINFO's answer.
const memInfoDrops = 8

// socketDrops is how many datagrams found the socket's buffer full; false
// where the kernel (before 4.12) does not tell.
func socketDrops(conn syscall.Conn) (int64, bool) {
	var info [memInfoDrops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	err := withFD(conn, func(fd int) error {
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if e != 0 {
			return e
		}
		return nil
	})
	return int64(info[memInfoDrops]), err == nil && size >= uint32(unsafe.Sizeof(info))
}

// kernelNotes has the kernel note on every datagram when it arrived (a batch
// is read at one moment, it did not arrive at one) and how many were dropped
// before it.
func kernelNotes(conn syscall.Conn) error {
	return withFD(conn, func(fd int) error {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1),
		)
	})
}

// How IP treats datagrams that do not fit.
const (
	mayFragment  = unix.IP_PMTUDISC_DONT
	usualMTU     = unix.IP_PMTUDISC_WANT  // fragments to what is known of the path
	dontFragment = unix.IP_PMTUDISC_DO    // and believes ICMP
	probeMTU     = unix.IP_PMTUDISC_PROBE // DF is set, what ICMP said before is ignored
)

func isIPv6(conn gonet.Conn) bool {
	a, ok := conn.RemoteAddr().(*gonet.UDPAddr)
	return ok && a.IP.To4() == nil
}

// mtuDiscovery sets how a UDP socket treats datagrams that do not fit.
func mtuDiscovery(conn *gonet.UDPConn, mode int) error {
	return withFD(conn, func(fd int) error {
		if isIPv6(conn) {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, mode)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, mode)
	})
}

// knownMTU is what the kernel believes the path's MTU to be.
func knownMTU(conn *gonet.UDPConn) (mtu int, err error) {
	err = withFD(conn, func(fd int) error {
		if isIPv6(conn) {
			mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU)
		} else {
			mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
		}
		return err
	})
	return mtu, err
}

// The errors of sockets that mean something.
const (
	errTooLarge     = unix.EMSGSIZE
	errNoPorts      = unix.EADDRNOTAVAIL
	errNobodyThere  = unix.ECONNREFUSED
	errNoBuffers    = unix.ENOBUFS
	errPortTaken    = unix.EADDRINUSE
	errNotPermitted = unix.EPERM
)

// nap sleeps more exactly than time.Sleep, whose timers may be a millisecond
// late. It takes a thread.
func nap(d time.Duration) {
	if d <= 0 {
		return
	}
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}

// childAttributes has the kernel end a child when the thread that started it
// ends.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
