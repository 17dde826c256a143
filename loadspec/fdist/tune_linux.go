package fdist

import (
	"net"

	"golang.org/x/sys/unix"
)

// tune spares connections within the machine the pacing of BBR, where that is
// the system's choice: its timers cost more than the copying.
func tune(nc net.Conn) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	local, lok := t.LocalAddr().(*net.TCPAddr)
	remote, rok := t.RemoteAddr().(*net.TCPAddr)
	if !lok || !rok || !local.IP.Equal(remote.IP) {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		name, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		if err == nil && name == "bbr" {
			// Where it is not to be had, the connection stays as it is.
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
		}
	})
}
