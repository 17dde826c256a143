package perfcheck

import (
	"net/netip"
	"strings"
)

// carrier are the addresses of RFC 6598: clouds have their own services there.
var carrier = netip.MustParsePrefix("100.64.0.0/10") //nolint:gochecknoglobals // constant table

// Private says whether an address is one that is not routed in the internet.
func Private(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || carrier.Contains(a)
}

// EventAddress says where traffic went.
const EventAddress = "address"

// Addresses says what addresses a name has; private is that all of them are.
func Addresses(name string, addresses []netip.Addr) (e Event, private bool) {
	private = len(addresses) > 0
	var list []string
	for _, a := range addresses {
		private = private && Private(a)
		list = append(list, a.Unmap().String())
	}
	what := "private"
	if !private {
		what = "public"
	}
	if len(list) > 4 {
		list = append(list[:4], "…")
	}
	return Event{Kind: EventAddress, Text: name + " is " + strings.Join(list, ", ") + ": " + what}, private
}
