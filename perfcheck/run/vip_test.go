package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/vip"
)

// quickVIP are options for tests.
func quickVIP(s *site, q *quietReporter, address string, repeats int, tests ...string) VIPOptions {
	return VIPOptions{
		ID: "test", Machines: s.machines(), Reporter: q,
		Protocol: vip.Options{
			Address: address, Tests: tests, Repeats: repeats, Every: 10 * time.Millisecond, Calm: 300 * time.Millisecond,
			Timeout: time.Minute, Detect: 300 * time.Millisecond, Fault: vip.FaultAddress,
		},
	}
}

// sh runs a line on a host as root.
func (s *site) sh(i int, line string) string {
	s.t.Helper()
	return s.Run(i, "/bin/sh", "-c", line)
}

// ownNetwork gives the hosts a second interface in a network of their own,
// through which nobody logs in.
func (s *site) ownNetwork(prefix string) {
	s.t.Helper()
	for i := range s.Hosts {
		if out, err := s.Try(i+1, "ip", "link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", "bridge"); err != nil {
			s.t.Skipf("no macvlan: %v: %s", err, out)
		}
		s.sh(i+1, fmt.Sprintf("ip addr add %s%d/24 dev mv0 && ip link set mv0 up && ip route add 10.99.0.0/24 dev mv0", prefix, i+1))
	}
}

// forgetful makes a client's neighbour entries stale in a second or two, not
// in half a minute: without a gratuitous ARP the address is away for as long.
func (s *site) forgetful(i int, dev string) {
	s.sh(i, "cd /proc/sys/net/ipv4/neigh/"+dev+" && echo 1000 > base_reachable_time_ms && echo 1 > delay_first_probe_time && echo 500 > retrans_time_ms")
}

// TestVIP tells the two known cases apart, each time: with a gratuitous ARP
// the address is away for some tens of milliseconds, without one for as long
// as the client believes in its old neighbour.
func TestVIP(t *testing.T) {
	const testAddress = "10.77.9.9" // all labs share a network
	t.Parallel()
	s := newSite(t, 3)
	s.forgetful(1, "eth0")
	q := &quietReporter{t: t}
	var err error
	for range 3 { // a starved machine loses tens of milliseconds by itself
		if err = toldApart(t, s, q, testAddress); err == nil {
			break
		}
		t.Log(err)
	}
	if err != nil {
		t.Error(err)
	}
	for i := 1; i <= 3; i++ {
		if out := s.sh(i, "ip -o addr show"); strings.Contains(out, testAddress) {
			t.Errorf("%s still has the address: %s", s.Hosts[i-1].Name, out)
		}
	}
}

// toldApart moves an address ten times each way, and wants each move of one
// kind to be unlike each of the other.
func toldApart(t *testing.T, s *site, q *quietReporter, address string) error {
	t.Helper()
	report, err := VIP(t.Context(), quickVIP(s, q, address, 10, vip.TestPlanned, vip.TestPlannedQuiet))
	if err != nil {
		t.Fatal(err, q.warnings)
	}
	got := map[string]perfcheck.Test{}
	for _, test := range report.Tests {
		got[test.ID] = test
		t.Log(test.Line(), test.Metrics["outage"].Reps, "tcp", test.Metrics["tcp_outage"].Reps, "arp", test.Metrics["arp_changed"].Reps, "lost", test.Metrics["lost"].Reps)
	}
	loud, quiet := got[vip.TestPlanned].Metrics["outage"].Reps, got[vip.TestPlannedQuiet].Metrics["outage"].Reps
	if len(loud) != 10 || len(quiet) != 10 {
		return fmt.Errorf("%d and %d moves were measured", len(loud), len(quiet))
	}
	for i := range 10 {
		if loud[i] > 0.7 || quiet[i] < 1 || quiet[i] < 3*loud[i] {
			return fmt.Errorf("move %d: %.3f s with and %.3f s without a gratuitous ARP", i+1, loud[i], quiet[i])
		}
	}
	if m := got[vip.TestPlanned].Metrics; m["outage_max"].Value < m[vip.P95].Value || m[vip.P95].Value < m["outage"].Value || m["arp_changed"].N != 10 {
		return fmt.Errorf("metrics: %+v", m)
	}
	return nil
}

// TestVIPUnplanned: the outage holds the time until the failure is detected,
// an interface that went down is up again with its routes, and one that other
// things depend on is never taken down.
func TestVIPUnplanned(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	q := &quietReporter{t: t}
	o := quickVIP(s, q, "10.77.9.8", 2, vip.TestUnplanned)
	o.Protocol.Fault = vip.FaultLink
	if _, err := VIP(t.Context(), o); fault.KindOf(err) != fault.Check || !strings.Contains(err.Error(), "SSH comes in") {
		t.Fatalf("the way in was to be cut: %v", err)
	}
	s.ownNetwork("10.88.0.")
	o.Protocol.Address = "10.88.0.99"
	report, err := VIP(t.Context(), o)
	if err != nil {
		t.Fatal(err, q.warnings)
	}
	test := report.Tests[0]
	t.Log(test.Line(), test.Metrics["outage"].Reps, test.Metrics["lost"].Reps)
	for _, v := range test.Metrics["outage"].Reps {
		if v < 0.3 || v > 2 {
			t.Errorf("the address was away for %.3f s", v)
		}
	}
	for i := 2; i <= 3; i++ {
		if out := s.sh(i, "ip -o link show mv0; ip -4 -o addr show dev mv0; ip route"); !strings.Contains(out, "state UP") && !strings.Contains(out, ",UP,") || strings.Contains(out, "10.88.0.99") || !strings.Contains(out, "10.99.0.0/24") {
			t.Errorf("%s was left as %s", s.Hosts[i-1].Name, out)
		}
	}
}

// TestVIPRefuses an address that somebody has, and gives one back to the
// holder that had it.
func TestVIPRefuses(t *testing.T) {
	const testAddress = "10.77.9.7"
	t.Parallel()
	s := newSite(t, 4)
	q := &quietReporter{t: t}
	o := quickVIP(s, q, testAddress, 1, vip.TestPlanned)
	o.Machines = o.Machines[:3]
	o.Protocol.Address = s.Hosts[3].Addr
	if _, err := VIP(t.Context(), o); fault.KindOf(err) != fault.Check || !strings.Contains(err.Error(), "in use by") {
		t.Fatalf("another host's address: %v", err)
	}
	s.sh(3, "ip addr add "+testAddress+"/32 dev eth0")
	o.Protocol.Address = testAddress
	report, err := VIP(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if m := report.Tests[0].Metrics["outage"]; m.N != 1 || m.Value > 1 {
		t.Errorf("away for %+v", m)
	}
	if a, b := s.sh(2, "ip -o addr"), s.sh(3, "ip -o addr"); strings.Contains(a, testAddress) || !strings.Contains(b, testAddress) {
		t.Errorf("the address is not where it was: %s %s", a, b)
	}
}

// TestVIPInterrupted: an end in the middle of a move leaves no address and no
// interface down, whether it was wished for or a host died.
func TestVIPInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.ownNetwork("10.89.0.")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := fault.New(fault.Interrupted, "", "enough")
	q := &quietReporter{t: t}
	o := quickVIP(s, q, "10.89.0.99", 5, vip.TestUnplanned)
	o.Protocol.Fault, o.Protocol.Detect = vip.FaultLink, 30*time.Second
	ended := make(chan error, 1)
	go func() {
		_, err := VIP(ctx, o)
		ended <- err
	}()
	down := func() bool {
		out, _ := s.Try(2, "ip", "-o", "link", "show", "mv0")
		return out != "" && !strings.Contains(out, ",UP")
	}
	for deadline := time.Now().Add(time.Minute); !down(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no interface goes down")
		}
	}
	cancel(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Error(err)
	}
	for i := 1; i <= 3; i++ {
		if out := s.sh(i, "ip -o link show mv0; ip -o addr"); !strings.Contains(out, ",UP") || strings.Contains(out, "10.89.0.99") {
			t.Errorf("host %d was left as %s", i, out)
		}
	}
}

// TestVIPRouted: somebody else moves the address, as a cloud does: by sending
// its packets elsewhere. Afterwards they go where they went before.
func TestVIPRouted(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	q := &quietReporter{t: t}
	const address = "10.66.0.9"
	route := func(to int) { s.sh(1, "ip route replace "+address+"/32 via "+s.Hosts[to+1].Addr) }
	route(1)
	o := quickVIP(s, q, address, 3, vip.TestPlanned)
	o.Protocol.Loopback = true
	o.Protocol.Move = func(_ context.Context, from, to int) error {
		if from == to {
			return errors.New("it is there")
		}
		route(to)
		return nil
	}
	report, err := VIP(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	test := report.Tests[0]
	if m := test.Metrics["outage"]; m.N != 3 || m.Value <= 0 || m.Value > 1 || test.Verdict != perfcheck.Pass {
		t.Error(test.Line(), m.Reps)
	}
	if _, has := test.Metrics["arp_changed"]; has {
		t.Error("no hardware address of it was to be seen")
	}
	if out := s.sh(1, "ip route get "+address); !strings.Contains(out, s.Hosts[2].Addr) {
		t.Error("it is not where it was:", out)
	}
	for i := 2; i <= 3; i++ {
		if out := s.sh(i, "ip -o addr"); strings.Contains(out, address) {
			t.Error("left behind:", out)
		}
	}
}
