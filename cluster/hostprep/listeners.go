package hostprep

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"

	"cw/remote"
)

// WriteFile puts a file on a host as OS user as.
func (f *Fleet) WriteFile(ctx context.Context, host, as, path string, data []byte, mode fs.FileMode) error {
	return f.hosts[host].WriteFile(ctx, path, data, remote.FileOptions{As: as, Mode: mode})
}

// Listeners are the addresses and ports on which something on the host
// listens for TCP connections.
func (f *Fleet) Listeners(ctx context.Context, host string) ([]netip.AddrPort, error) {
	// /proc instead of ss: iproute2 is not on every host.
	out, err := f.Script(ctx, host, "", "cat /proc/net/tcp; cat /proc/net/tcp6 2>/dev/null || :")
	if err != nil {
		return nil, err
	}
	return parseListeners(out), nil
}

// parseListeners reads /proc/net/tcp and tcp6 (proc(5)): the second field is
// the local address in hexadecimal words of host byte order, the fourth the
// state, 0A for listening. Lines of another form are skipped.
func parseListeners(text string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != "0A" {
			continue
		}
		addr, port, ok := strings.Cut(f[1], ":")
		raw, err := hex.DecodeString(addr)
		p, perr := strconv.ParseUint(port, 16, 16)
		if !ok || err != nil || perr != nil || len(raw)%4 != 0 {
			continue
		}
		for i := 0; i < len(raw); i += 4 { // cw runs on little-endian hosts only
			binary.BigEndian.PutUint32(raw[i:], binary.LittleEndian.Uint32(raw[i:]))
		}
		if ip, ok := netip.AddrFromSlice(raw); ok {
			out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(p)))
		}
	}
	return out
}

// taken returns the listener that keeps a server from binding to port on
// the given addresses; "*" and names stand for all.
func taken(listeners []netip.AddrPort, addrs []string, port int) (netip.AddrPort, bool) {
	for _, l := range listeners {
		if int(l.Port()) != port {
			continue
		}
		for _, a := range addrs {
			ip, err := netip.ParseAddr(a)
			if err != nil || l.Addr().IsUnspecified() || l.Addr() == ip {
				return l, true
			}
		}
	}
	return netip.AddrPort{}, false
}
