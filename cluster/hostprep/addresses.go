package hostprep

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"cw/cluster"
	"cw/remote"
)

// OwnAddresses are the addresses of a host on which its database listens.
func (f *Fleet) OwnAddresses(ctx context.Context, host string) ([]string, error) {
	h, _ := f.Topology.Host(host)
	if f.Topology.Network.Public {
		return []string{"*"}, nil
	}
	facts, err := f.hosts[host].Facts(ctx)
	if err != nil {
		return nil, err
	}
	return ownAddresses(h, carried(facts)), nil
}

// ownAddresses are the topology's addresses as far as the host carries them.
// None is left when the host is behind address translation: then it listens
// on all, and pg_hba.conf alone decides who may come in.
func ownAddresses(h cluster.Host, nics []netip.Addr) []string {
	var own []string
	for _, a := range append([]string{h.Address}, h.Interconnect...) {
		ip, err := netip.ParseAddr(a)
		if err != nil { // a name: the server resolves it itself
			own = append(own, a)
			continue
		}
		// Loopback is on every machine, also on one without ip(8) to say so.
		if ip.IsLoopback() || slices.Contains(nics, ip) {
			own = append(own, a)
		}
	}
	if len(own) == 0 {
		return []string{"*"}
	}
	return own
}

// PeerRanges are the addresses from which a host's own connections come.
func (f *Fleet) PeerRanges(ctx context.Context, host string) ([]netip.Prefix, error) {
	h, _ := f.Topology.Host(host)
	facts, err := f.hosts[host].Facts(ctx)
	if err != nil {
		return nil, err
	}
	return peerRanges(h, carried(facts)), nil
}

// peerRanges are the addresses the topology names and, where it has a name
// instead of one, all that the host carries.
func peerRanges(h cluster.Host, nics []netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	add := func(a netip.Addr) {
		p := netip.PrefixFrom(a.WithZone(""), a.BitLen())
		for _, have := range out {
			if have == p {
				return
			}
		}
		out = append(out, p)
	}
	byName := false
	for _, a := range append([]string{h.Address}, h.Interconnect...) {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			byName = true
			continue
		}
		add(ip)
		if ip.IsLoopback() && ip.Is4() {
			// Linux gives connections to 127.x.y.z this source address.
			add(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		}
	}
	for _, c := range nics {
		if byName && !c.IsLinkLocalUnicast() && !c.IsLoopback() {
			add(c)
		}
	}
	return out
}

// AllRanges are all addresses that a host may connect from or answer on: the
// topology's, and those on its network interfaces, each once. Only loopback and
// link-local ones that the topology does not name are left out. It costs no
// command beyond the facts.
func (f *Fleet) AllRanges(ctx context.Context, host string) ([]netip.Prefix, error) {
	h, _ := f.Topology.Host(host)
	facts, err := f.hosts[host].Facts(ctx)
	if err != nil {
		return nil, err
	}
	return allRanges(h, carried(facts)), nil
}

func allRanges(h cluster.Host, nics []netip.Addr) []netip.Prefix {
	out := peerRanges(h, nics)
	for _, c := range nics {
		p := netip.PrefixFrom(c.WithZone(""), c.BitLen())
		if !c.IsLinkLocalUnicast() && !c.IsLoopback() && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// carried are the addresses on a host's network interfaces.
func carried(facts remote.Facts) []netip.Addr {
	var out []netip.Addr
	for _, n := range facts.NICs {
		for _, a := range n.Addrs {
			text, _, _ := strings.Cut(a, "/")
			if ip, err := netip.ParseAddr(text); err == nil {
				out = append(out, ip)
			}
		}
	}
	return out
}
