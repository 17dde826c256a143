package vip

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cw/perfcheck/kernel"
)

const (
	arpSize    = 42 // Ethernet header and ARP for IPv4
	arpRequest = 1
	arpReply   = 2

	etherARP  = 0x0806
	etherIPv4 = 0x0800
)

func broadcast() net.HardwareAddr { return net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// frame makes an ARP packet for everybody.
func frame(op uint16, from net.HardwareAddr, sender netip.Addr, of net.HardwareAddr, target netip.Addr) []byte {
	b := make([]byte, arpSize)
	copy(b, broadcast())
	copy(b[6:], from)
	be := binary.BigEndian
	be.PutUint16(b[12:], etherARP)
	be.PutUint16(b[14:], 1) // Ethernet
	be.PutUint16(b[16:], etherIPv4)
	b[18], b[19] = 6, 4      // lengths of the addresses
	be.PutUint16(b[20:], op) //
	s, t := sender.As4(), target.As4()
	copy(b[22:], from)
	copy(b[28:], s[:])
	copy(b[32:], of)
	copy(b[38:], t[:])
	return b
}

// readARP reads who says to have which address.
func readARP(b []byte) (op uint16, who net.HardwareAddr, sender netip.Addr, ok bool) {
	be := binary.BigEndian
	if len(b) < arpSize || be.Uint16(b[12:]) != etherARP || be.Uint16(b[14:]) != 1 || be.Uint16(b[16:]) != etherIPv4 || b[18] != 6 || b[19] != 4 {
		return 0, nil, netip.Addr{}, false
	}
	return be.Uint16(b[20:]), net.HardwareAddr(b[22:28]), netip.AddrFrom4([4]byte(b[28:32])), true
}

// packetSocket is a socket for the ARP packets of an interface.
type packetSocket struct {
	fd    int
	iface *net.Interface
}

func openPacket(dev string) (*packetSocket, error) {
	iface, err := net.InterfaceByName(dev)
	if err != nil {
		return nil, fmt.Errorf("look for the interface %s: %w", dev, err)
	}
	if len(iface.HardwareAddr) != 6 {
		return nil, fmt.Errorf("the interface %s has no Ethernet address: ARP is not spoken there", dev)
	}
	fd, err := kernel.Packets(iface, etherARP)
	if err != nil {
		return nil, fmt.Errorf("open a socket for ARP on %s: %w", dev, err)
	}
	return &packetSocket{fd, iface}, nil
}

func (p *packetSocket) close() { _ = unix.Close(p.fd) }

func (p *packetSocket) send(b []byte) error {
	if err := kernel.SendPacket(p.fd, p.iface, broadcast(), b); err != nil {
		return fmt.Errorf("send ARP on %s: %w", p.iface.Name, err)
	}
	return nil
}

// announce tells a network that the interface has an address now, in both of
// the ways that are usual: some machines believe only one of them.
func announce(dev string, address netip.Addr) error {
	p, err := openPacket(dev)
	if err != nil {
		return err
	}
	defer p.close()
	mac := p.iface.HardwareAddr
	return errors.Join(
		p.send(frame(arpRequest, mac, address, make(net.HardwareAddr, 6), address)),
		p.send(frame(arpReply, mac, address, mac, address)),
	)
}

// Times of the question whether an address is in use.
const (
	askTimes = 3
	askWait  = 300 * time.Millisecond
)

// whoHas asks for an address without saying one's own, as RFC 5227 wants it.
func whoHas(ctx context.Context, dev string, address netip.Addr) (net.HardwareAddr, error) {
	p, err := openPacket(dev)
	if err != nil {
		return nil, err
	}
	defer p.close()
	b := make([]byte, 1500)
	for range askTimes {
		if err := p.send(frame(arpRequest, p.iface.HardwareAddr, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), address)); err != nil {
			return nil, err
		}
		for end := time.Now().Add(askWait); time.Now().Before(end); {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			n, err := kernel.ReceivePacket(p.fd, b, max(time.Until(end), time.Millisecond))
			if err != nil {
				continue
			}
			if op, who, sender, ok := readARP(b[:n]); ok && op == arpReply && sender == address {
				return append(net.HardwareAddr{}, who...), nil
			}
		}
	}
	return nil, nil
}

// neighbour is the hardware address that this machine's table has for an
// address; "" when it has none.
func neighbour(address string) string {
	data, err := os.ReadFile("/proc/net/arp")
	if err != nil {
		return ""
	}
	return parseARP(string(data), address)
}

// parseARP finds an address in /proc/net/arp: IP address, HW type, Flags, HW
// address, Mask, Device. Flags say whether it is complete (bit 1).
func parseARP(table, address string) string {
	in := bufio.NewScanner(strings.NewReader(table))
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) >= 6 && f[0] == address && f[2] != "0x0" && f[3] != "00:00:00:00:00:00" {
			return f[3]
		}
	}
	return ""
}

// devFor is the interface in whose network an address is.
func devFor(address netip.Addr) (string, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, i := range ifaces {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Bits() < p.Addr().BitLen() && p.Contains(address) {
				return i.Name, nil
			}
		}
	}
	return "", fmt.Errorf("no interface of this machine is in the network of %s", address)
}
