package perfcheck

import (
	"net/netip"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]bool{
		"10.1.2.3": true, "172.31.0.1": true, "172.32.0.1": false, "192.168.7.7": true, "127.0.0.1": true, "100.100.1.1": true, "100.128.0.1": false,
		"52.216.0.1": false, "fd00::1": true, "2600::1": false, "::ffff:10.0.0.1": true, "169.254.1.1": true,
	} {
		if e, got := Addresses("s3", []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr(list)}); got != want || e.Kind != EventAddress {
			t.Errorf("%s: private %v, %+v", list, got, e)
		}
	}
	if _, private := Addresses("s3", nil); private {
		t.Error("no address is private")
	}
}
