package vip

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// TestFrame: a gratuitous ARP, byte by byte as RFC 5227 draws it.
func TestFrame(t *testing.T) {
	t.Parallel()
	mac, err := net.ParseMAC("02:77:00:00:01:03")
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddr("10.77.9.9")
	want := "ffffffffffff" + "027700000103" + "0806" + "0001" + "0800" + "06" + "04" + "0001" + "027700000103" + "0a4d0909" + "000000000000" + "0a4d0909"
	b := frame(arpRequest, mac, address, make(net.HardwareAddr, 6), address)
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	op, who, sender, ok := readARP(b)
	if !ok || op != arpRequest || who.String() != mac.String() || sender != address {
		t.Error(op, who, sender, ok)
	}
}

func FuzzReadARP(f *testing.F) {
	f.Add(make([]byte, arpSize))
	f.Add(frame(arpReply, make(net.HardwareAddr, 6), netip.MustParseAddr("10.0.0.1"), make(net.HardwareAddr, 6), netip.MustParseAddr("10.0.0.1")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, who, sender, ok := readARP(b); ok && (len(who) != 6 || !sender.Is4()) {
			t.Error(who, sender)
		}
	})
}

const arpTable = `IP address       HW type     Flags       HW address            Mask     Device
10.77.9.9        0x1         0x2         02:77:00:00:01:03     *        eth0
10.77.9.8        0x1         0x0         00:00:00:00:00:00     *        eth0
10.77.9.7        0x1         0x0         02:77:00:00:01:04     *        eth0
`

func TestParseARP(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"10.77.9.9": "02:77:00:00:01:03", "10.77.9.8": "", "10.77.9.7": "", "10.77.9": ""} {
		if got := parseARP(arpTable, address); got != want {
			t.Errorf("%s: %q", address, got)
		}
	}
}

func FuzzParseARP(f *testing.F) {
	f.Add(arpTable, "10.77.9.9")
	f.Fuzz(func(t *testing.T, table, address string) {
		if mac := parseARP(table, address); mac != "" && !strings.Contains(table, mac) {
			t.Error(mac)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(append(question(7, 9), 1))
	f.Add(question(7, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		number, holder, ok := readAnswer(b, 7)
		if ok && (holder == 0 || string(append(question(7, number), byte(holder))) != string(b)) {
			t.Errorf("%x is %d by %d", b, number, holder)
		}
	})
}

// scene is what a client would have seen: questions every 10 ms, of which
// those in a gap were not answered.
func scene(gapFrom, gapTo time.Duration) (sent []time.Time, answers []answer) {
	begin := time.Unix(1000, 0)
	for n := range 100 {
		at := begin.Add(time.Duration(n) * 10 * time.Millisecond)
		sent = append(sent, at)
		switch d := at.Sub(begin); {
		case d < gapFrom:
			answers = append(answers, answer{uint64(n), 1, at, at.Add(time.Millisecond)})
		case d >= gapTo:
			answers = append(answers, answer{uint64(n), 2, at, at.Add(time.Millisecond)})
		}
	}
	return sent, answers
}

func TestGap(t *testing.T) {
	t.Parallel()
	sent, answers := scene(300*time.Millisecond, 500*time.Millisecond)
	slices.Reverse(answers) // they come in any order
	seconds, last, first, err := gap(answers, 2)
	if err != nil || seconds < 0.2099 || seconds > 0.2101 {
		t.Errorf("%.4f s: %v", seconds, err)
	}
	if n := lost(sent, answers, last.sent, first.sent); n != 20 {
		t.Errorf("%d were lost", n)
	}
	if _, _, _, err := gap(answers, 3); err == nil {
		t.Error("one who never answered")
	}
	only := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.holder == 1 })
	if _, _, _, err := gap(only, 2); err == nil {
		t.Error("nobody answered before")
	}
	e := Eye{udp: answers, tcp: slices.Clone(answers), sent: sent, dialled: sent}
	e.udp = append(e.udp, answer{70, 1, sent[70], sent[70].Add(2 * time.Millisecond)}) // the old one is back
	if s, err := e.seen(2); err != nil || s.Both != 1 || s.Lost != 20 || s.ARP != -1 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestSteadyBy(t *testing.T) {
	t.Parallel()
	sent, answers := scene(300*time.Millisecond, 500*time.Millisecond)
	begin := sent[0]
	for _, tc := range []struct {
		name     string
		from, to time.Duration
		who      int
		ok       bool
	}{
		{"before", 0, 250 * time.Millisecond, 1, true},
		{"in between", 200 * time.Millisecond, 450 * time.Millisecond, 1, false},
		{"both", 100 * time.Millisecond, 990 * time.Millisecond, 0, false},
		{"after", 600 * time.Millisecond, 900 * time.Millisecond, 2, true},
	} {
		until := slices.IndexFunc(sent, func(at time.Time) bool { return at.Sub(begin) >= tc.to })
		seen := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.at.Sub(begin) > tc.to })
		who, ok := steadyBy(seen, sent[:until], begin.Add(tc.from), begin.Add(tc.to))
		if ok != tc.ok || ok && who != tc.who {
			t.Errorf("%s: %d %v", tc.name, who, ok)
		}
	}
}

// scripted is a client and two holders of which one is the case.
type scripted struct {
	broken    int
	seen      Seen
	has       [2]bool
	takeFails bool
	inUse     string
}

type scriptedHolder struct {
	s *scripted
	i int
}

func (h scriptedHolder) Listen(context.Context, HolderArgs) (Listening, error) {
	return Listening{Port: 7, Dev: "eth0", Has: h.s.has[h.i]}, nil
}

func (h scriptedHolder) Take(context.Context, bool) error {
	if h.s.takeFails && h.i == 1 {
		return errors.New("no such device")
	}
	h.s.has[h.i] = true
	return nil
}
func (h scriptedHolder) Drop(context.Context) error { h.s.has[h.i] = false; return nil }
func (h scriptedHolder) Down(context.Context) error { h.s.has[h.i] = false; h.s.broken++; return nil }
func (h scriptedHolder) Up(context.Context) error   { h.s.broken--; return nil }

func (s *scripted) InUse(context.Context, string) (string, error) { return s.inUse, nil }

func (s *scripted) Begin(context.Context, ClientArgs) (int, error) {
	for i, has := range s.has {
		if has {
			return i + 1, nil
		}
	}
	return 0, errors.New("nobody answers")
}

func (s *scripted) Finish(_ context.Context, holder int) (Seen, error) {
	if !s.has[holder-1] {
		return Seen{}, errors.New("it does not answer")
	}
	return s.seen, nil
}

func (s *scripted) options(tests ...string) Options {
	return Options{
		Address: "10.0.0.9", Tests: tests, Repeats: 3, Every: 10 * time.Millisecond, Fault: FaultLink, Names: [2]string{"a", "b"},
		Client: s, Holders: [2]Holder{scriptedHolder{s, 0}, scriptedHolder{s, 1}}, Phase: func(string) {}, Warn: func(string) {},
	}
}

// TestRun: the address ends where it began, whatever went wrong, and a failed
// interface is up again.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		s      scripted
		want   [2]bool
		failed bool
		kind   fault.Kind
	}{
		{"nobody had it", scripted{}, [2]bool{}, false, 0},
		{"the second had it", scripted{has: [2]bool{false, true}}, [2]bool{false, true}, false, 0},
		{"it cannot be given", scripted{has: [2]bool{true, false}, takeFails: true}, [2]bool{true, false}, true, 0},
		{"both had it", scripted{has: [2]bool{true, true}}, [2]bool{true, true}, false, fault.Check},
		{"another has it", scripted{inUse: "02:00:00:00:00:01"}, [2]bool{}, false, fault.Check},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &tc.s
			out, err := Run(t.Context(), s.options(TestPlanned, TestUnplanned))
			if tc.kind != 0 && fault.KindOf(err) != tc.kind || tc.kind == 0 && err != nil {
				t.Fatal(err)
			}
			if s.has != tc.want || s.broken != 0 {
				t.Errorf("left %v, %d interfaces down", s.has, s.broken)
			}
			if (len(out.Failed) > 0) != tc.failed {
				t.Errorf("failed: %v", out.Failed)
			}
		})
	}
}

// TestResults: repetitions, their quantiles, and two who answer at once.
func TestResults(t *testing.T) {
	t.Parallel()
	out := &Outcome{Moves: map[string][]Move{}, Failed: map[string]error{TestUnplanned: errors.New("it broke")}}
	for i := range 20 {
		m := Move{Seen: Seen{Outage: float64(i+1) / 100, TCPOutage: 0.1, Lost: i, ARP: 0.01}, From: "a", To: "b"}
		out.Moves[TestPlanned] = append(out.Moves[TestPlanned], m)
	}
	tests := Results(out, []string{TestPlanned, TestUnplanned, TestPlannedQuiet}, "c", [2]string{"a", "b"}, 0.01, nil)
	m := tests[0].Metrics
	if math.Abs(m["outage"].Value-0.105) > 1e-9 || m[P95].Value != 0.19 || m["outage_max"].Value != 0.2 || m["outage"].N != 20 || m["arp_changed"].Value != 0.01 || tests[0].Verdict != perfcheck.Pass {
		t.Errorf("%s: %+v", tests[0].Verdict, m)
	}
	for _, i := range []int{1, 2} {
		if tests[i].Verdict != perfcheck.Error {
			t.Errorf("%s: %s", tests[i].ID, tests[i].Verdict)
		}
	}
	out.Moves[TestPlanned][3].Both = 2
	if got := Results(out, []string{TestPlanned}, "c", [2]string{"a", "b"}, 0.01, nil)[0]; got.Verdict != perfcheck.Warn || !strings.Contains(got.Reason, "both had the address") {
		t.Errorf("%s: %s", got.Verdict, got.Reason)
	}
}
