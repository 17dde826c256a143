package hostprep

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"cw/cluster"
	"cw/fault"
)

func TestParseListeners(t *testing.T) {
	t.Parallel()
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1 1 0 100 0 0 10 0
   1: 0200007F:1538 0100007F:9C40 01 00000000:00000000 00:00000000 00000000   101        0 1 1 0 100 0 0 10 0
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0 0 0 0
   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 0 0 0 0
`
	want := []netip.AddrPort{
		netip.MustParseAddrPort("127.0.0.1:5432"), netip.MustParseAddrPort("0.0.0.0:22"),
		netip.MustParseAddrPort("[::1]:8080"), netip.MustParseAddrPort("127.0.0.1:80"),
	}
	if got := parseListeners(text); !reflect.DeepEqual(got, want) {
		t.Errorf("listeners = %v, want %v", got, want)
	}
}

func FuzzParseListeners(f *testing.F) {
	f.Add("0: 0100007F:1538 00000000:0000 0A")
	f.Fuzz(func(_ *testing.T, text string) { parseListeners(text) })
}

func TestTaken(t *testing.T) {
	t.Parallel()
	ls := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:5432"), netip.MustParseAddrPort("0.0.0.0:6000")}
	tests := []struct {
		addrs []string
		port  int
		want  bool
	}{
		{[]string{"127.0.0.2"}, 5432, true},
		{[]string{"127.0.0.3"}, 5432, false}, // another host of a laboratory
		{[]string{"*"}, 5432, true},
		{[]string{"db1.example"}, 5432, true},
		{[]string{"127.0.0.3"}, 6000, true},
		{[]string{"127.0.0.2"}, 5433, false},
	}
	for _, tt := range tests {
		if _, got := taken(ls, tt.addrs, tt.port); got != tt.want {
			t.Errorf("taken(%v, %d) = %v", tt.addrs, tt.port, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr
	nics := []netip.Addr{ip("127.0.0.1"), ip("10.0.0.10"), ip("10.1.0.10"), ip("fe80::1")}
	tests := []struct {
		name  string
		host  cluster.Host
		own   []string
		peers string
	}{
		{"address and interconnect", cluster.Host{Address: "10.0.0.10", Interconnect: []string{"10.1.0.10"}}, []string{"10.0.0.10", "10.1.0.10"}, "[10.0.0.10/32 10.1.0.10/32]"},
		{"behind translation", cluster.Host{Address: "203.0.113.9"}, []string{"*"}, "[203.0.113.9/32]"},
		{"floating address and interconnect", cluster.Host{Address: "203.0.113.9", Interconnect: []string{"10.1.0.10"}}, []string{"10.1.0.10"}, "[203.0.113.9/32 10.1.0.10/32]"},
		{"name", cluster.Host{Address: "db1"}, []string{"db1"}, "[10.0.0.10/32 10.1.0.10/32]"},
		{"laboratory", cluster.Host{Address: "127.0.0.7"}, []string{"127.0.0.7"}, "[127.0.0.7/32 127.0.0.1/32]"},
	}
	if got := ownAddresses(cluster.Host{Address: "127.0.0.7"}, nil); !reflect.DeepEqual(got, []string{"127.0.0.7"}) {
		t.Errorf("laboratory without ip(8): own = %v", got)
	}
	for _, tt := range tests {
		if got := ownAddresses(tt.host, nics); !reflect.DeepEqual(got, tt.own) {
			t.Errorf("%s: own = %v, want %v", tt.name, got, tt.own)
		}
		if got := fmt.Sprint(peerRanges(tt.host, nics)); got != tt.peers {
			t.Errorf("%s: peers = %s, want %s", tt.name, got, tt.peers)
		}
	}
}

func TestNormalLocale(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"C.UTF-8", "C.utf8"}, {"en_US.UTF-8", "en_US.utf8"}, {"C", "C"}} {
		if normalLocale(pair[0]) != normalLocale(pair[1]) {
			t.Errorf("%s and %s are not the same", pair[0], pair[1])
		}
	}
	if normalLocale("de_DE.UTF-8") == normalLocale("de_DE.ISO-8859-1") {
		t.Error("two codesets are the same")
	}
}

func TestReportErr(t *testing.T) {
	t.Parallel()
	gone := FailedBy("ssh", "h1", "login", fault.New(fault.Unreachable, "try ssh", "h1: no answer"))
	full := Check{ID: "disk space", Host: "h2", Severity: Required, Expected: "1GB", Observed: "none", Remedy: "free some"}
	advice := Check{ID: "clock", Host: "h2", Severity: Advised}
	tests := []struct {
		name   string
		checks []Check
		kind   fault.Kind
		none   bool
	}{
		{"advice is no error", []Check{advice, {OK: true, Severity: Required}}, 0, true},
		{"unreachable", []Check{gone, advice}, fault.Unreachable, false},
		{"check", []Check{full}, fault.Check, false},
		{"both", []Check{gone, full}, fault.Check, false},
	}
	for _, tt := range tests {
		err := Report{Checks: tt.checks}.Err()
		if (err == nil) != tt.none || err != nil && fault.KindOf(err) != tt.kind {
			t.Errorf("%s: %v, kind %v", tt.name, err, fault.KindOf(err))
		}
	}
}

func TestParseDF(t *testing.T) {
	t.Parallel()
	if size, free, err := ParseDF(" 100 40\n"); err != nil || size != 102400 || free != 40960 {
		t.Errorf("= %d %d %v", size, free, err)
	}
	if _, _, err := ParseDF("- 1"); err == nil {
		t.Error("no error for a size of -")
	}
}
