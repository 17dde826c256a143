package fdist

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// sendRegion sends a head and n bytes of a region from the file, without
// reading them. It does nothing, and says so, where that is not possible.
func sendRegion(nc net.Conn, head []byte, g *region, n int) (done bool, err error) {
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return false, nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return true, err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for len(head) > 0 || n > 0 {
			var sent int
			var err error
			if len(head) > 0 {
				sent, err = unix.SendmsgN(int(fd), head, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
				head = head[max(sent, 0):]
			} else {
				sent, err = unix.Sendfile(int(fd), int(g.file.Fd()), &g.at, n)
				n -= max(sent, 0)
				g.size -= max(sent, 0)
				if sent == 0 && err == nil {
					err = g.errShrunk()
				}
			}
			switch {
			case errors.Is(err, unix.EAGAIN):
				return false
			case err != nil && !errors.Is(err, unix.EINTR):
				failed = err
				return true
			}
		}
		return true
	})
	return true, errors.Join(failed, err)
}
