package kernel

import (
	"encoding/binary"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// BindAhead lets a socket bind an address that the machine does not have yet,
// and tells of each datagram which address it was sent to.
func BindAhead(fd int) error {
	return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1), unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
}

// From makes of how a datagram came how the answer goes: from the address
// that it was sent to.
func From(oob []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		// struct in_pktinfo: interface, the local address, the one in the header
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo {
			return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(m.Data[4:8])})
		}
	}
	return nil
}

// Packets opens a socket for the packets of an Ethernet protocol on an
// interface, which does not wait.
func Packets(iface *net.Interface, protocol uint16) (int, error) {
	proto := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, protocol)))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(proto), Ifindex: iface.Index}); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// SendPacket sends a packet to a hardware address.
func SendPacket(fd int, iface *net.Interface, to net.HardwareAddr, b []byte) error {
	at := &unix.SockaddrLinklayer{Ifindex: iface.Index, Halen: 6}
	copy(at.Addr[:], to)
	return unix.Sendto(fd, b, 0, at)
}

// ReceivePacket waits for a packet, for a time.
func ReceivePacket(fd int, b []byte, d time.Duration) (int, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, _ = unix.Poll(fds, int(d.Milliseconds()))
	n, _, err := unix.Recvfrom(fd, b, 0)
	return n, err
}
