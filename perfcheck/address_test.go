package perfcheck

import (
	"net/netip"
	"strings"
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

func TestWordsOfClientLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cpu, throughput, line float64
		want                  string
	}{{0.5, 1e9, 0, ""}, {0.9, 1, 0, "CPU"}, {0.2, 115e6, 125e6, "eth7"}, {0.2, 60e6, 125e6, ""}} {
		if got := clientLimit(c.cpu, c.throughput, "eth7", c.line); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
