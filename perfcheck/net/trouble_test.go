package net_test

import (
	"context"
	"io"
	gonet "net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck/net"
)

func joinPort(host string, port int) string { return gonet.JoinHostPort(host, strconv.Itoa(port)) }

// TestPeerDies: whatever way the other host goes, all tests with it end with
// an error that names it, within seconds.
func TestPeerDies(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"kill", "cut"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			a, b, base := pair(t)
			a.sh(bucket)
			b.sh(bucket)
			idle := a.do(order{State: true}).Goroutines
			var answers []chan outcome
			jobs := []net.Job{{Kind: net.TCP}, {Kind: net.TCP, Reverse: true}, {Kind: net.UDP, Rate: 1e6}, {Kind: net.UDP, Rate: 1e6, Reverse: true}, {Kind: net.RR}, {Kind: net.HTTP, KeepAlive: true}}
			for i, job := range jobs {
				job.Target, job.Token, job.Duration = base.Target, base.Token, time.Hour
				_, answer := a.ask(order{Run: &job})
				answers = append(answers, answer)
				// The run, both sides of its conversation, and at least one that measures.
				waitFor(t, func() bool { return a.do(order{State: true}).Goroutines >= idle+4*(i+1) })
			}
			if how == "kill" {
				b.off()
			} else {
				b.sh("ip link set eth0 down")
			}
			began := time.Now()
			for i, answer := range answers {
				r := a.hear(answer)
				if r.Kind != fault.Unreachable && !strings.Contains(r.Error, "stream broke") && !strings.Contains(r.Error, "request:") && !strings.Contains(r.Error, "send datagrams") {
					t.Errorf("%+v: kind %d: %s", jobs[i], r.Kind, r.Error)
				}
				if !strings.Contains(r.Error, base.Target) {
					t.Errorf("%+v: the error does not name the peer: %s", jobs[i], r.Error)
				}
			}
			if d := time.Since(began); d > 20*time.Second {
				t.Errorf("it took %s", d)
			}
			if how == "cut" { // the other side has noticed, too
				waitFor(t, func() bool { return b.do(order{State: true}).Goroutines < idle+4 })
			}
		})
	}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

// TestNothingIsLeft: after tests that were cancelled, and after good ones, a
// host has as many goroutines, open files and children as before.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	a, b, base := pair(t)
	a.sh(bucket)
	b.sh(bucket)
	base.Warmup, base.Duration = 0, 200*time.Millisecond
	warm := base
	warm.Kind = net.RR
	a.measure(warm) // what Go makes once
	before := [2]outcome{a.do(order{State: true}), b.do(order{State: true})}
	jobs := []net.Job{{Kind: net.TCP, Streams: 3}, {Kind: net.TCP, Reverse: true}, {Kind: net.UDP, Rate: 1e6}, {Kind: net.RR}, {Kind: net.RR, Rate: 500}, {Kind: net.CRR}, {Kind: net.HTTP}, {Kind: net.PPS}, {Kind: net.PMTU}}
	if haveIperf3() {
		jobs = append(jobs, net.Job{Kind: net.TCP, Engine: net.EngineIperf3})
	}
	for _, j := range jobs {
		j.Target, j.Token, j.Timing = base.Target, base.Token, base.Timing
		if j.Kind != net.PPS {
			a.measure(j)
		}
		if j.Kind == net.PMTU {
			continue
		}
		j.Duration = time.Hour
		id, answer := a.ask(order{Run: &j})
		waitFor(t, func() bool { return a.do(order{State: true}).Goroutines > before[0].Goroutines+2 })
		a.do(order{Cancel: id})
		began := time.Now()
		if r := a.hear(answer); !strings.Contains(r.Error, context.Canceled.Error()) {
			t.Errorf("%s ended with %q", j.Kind, r.Error)
		}
		if d := time.Since(began); d > 10*time.Second { // a second, on a machine that is not busy
			t.Errorf("%s took %s to end", j.Kind, d)
		}
	}
	for i, h := range []*host{a, b} {
		waitFor(t, func() bool {
			now := h.do(order{State: true})
			return now.Goroutines <= before[i].Goroutines && now.Files <= before[i].Files && now.Children <= before[i].Children
		})
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	s := listen(t)
	target := joinPort("127.0.0.1", s.Port())
	job := net.Job{Kind: net.RR, Target: target, Token: "another secret", Timing: short()}
	if _, err := net.Run(t.Context(), job, nil); err == nil || fault.KindOf(err) != fault.Unreachable {
		t.Errorf("a wrong token: %v", err)
	}
	job.Kind = net.PMTU
	if _, err := net.Run(t.Context(), job, nil); err == nil {
		t.Error("a wrong token measures the MTU")
	}
	for _, said := range []string{"", "GET /", "GET / HTTP/1.1\r\n\r\n", "GET /" + strings.Repeat("0", 64) + "/1024 HTTP/1.1\r\n\r\n", strings.Repeat("x", 5000), "cwperf1C" + strings.Repeat("\x00", 44), "\x16\x03\x01"} {
		conn, err := gonet.Dial("tcp", target)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, said)
		_ = conn.(*gonet.TCPConn).CloseWrite()
		heard, _ := io.ReadAll(conn)
		if strings.Contains(string(heard), "200 OK") || strings.Contains(string(heard), "ready") {
			t.Errorf("%q was answered %q", said, heard)
		}
		_ = conn.Close()
	}
	udp, err := gonet.Dial("udp", target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = udp.Close() }()
	for n := range 100 {
		_, _ = udp.Write(make([]byte, n))
	}
	if _, err := net.Listen(t.Context(), net.ListenOptions{}); fault.KindOf(err) != fault.Usage {
		t.Errorf("without a token: %v", err)
	}
}

// TestCrowd: a thousand connections that say nothing are in nobody's way.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s := listen(t)
	target := joinPort("127.0.0.1", s.Port())
	conns := make([]gonet.Conn, 1000)
	var all sync.WaitGroup
	for part := range 10 {
		all.Go(func() {
			for i := part; i < len(conns); i += 10 {
				conns[i], _ = gonet.Dial("tcp", target)
			}
		})
	}
	all.Wait()
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	m := run(t, net.Job{Kind: net.RR, Target: target, Token: token, Timing: short()})
	if m.Values["rate"] <= 0 {
		t.Error("nothing was measured")
	}
}

func TestPortsRunOut(t *testing.T) {
	t.Parallel()
	a, _, job := pair(t)
	if r := a.do(order{Exec: []string{"sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001"}}); r.Error != "" {
		t.Fatal(r.Error)
	}
	job.Kind, job.Streams = net.CRR, 8
	r := a.do(order{Run: &job})
	if !strings.Contains(r.Error, "no local ports are left") || !strings.Contains(r.Error, "40000 to 40001") || !strings.Contains(r.Hint, "ip_local_port_range") {
		t.Errorf("error %q, hint %q", r.Error, r.Hint)
	}
}

func TestUDPFiltered(t *testing.T) {
	t.Parallel()
	a, b, job := pair(t)
	b.sh(`nft add table ip wall
		nft add chain ip wall in { type filter hook input priority 0 ; }
		nft add rule ip wall in ip protocol udp drop`)
	job.Kind, job.Rate = net.UDP, 1e6
	r := a.do(order{Run: &job})
	if !strings.Contains(r.Error, "TCP reaches") || !strings.Contains(r.Hint, "UDP") || r.Kind != fault.Unreachable {
		t.Errorf("error %q, hint %q", r.Error, r.Hint)
	}
}

func TestBadJobs(t *testing.T) {
	t.Parallel()
	for _, job := range []net.Job{
		{},
		{Kind: "x"},
		{Kind: net.TCP, Streams: -1},
		{Kind: net.TCP, Streams: 1000},
		{Kind: net.UDP, Packet: 1},
		{Kind: net.UDP, Packet: 70000},
		{Kind: net.HTTP, Body: 1 << 30},
		{Kind: net.RR, Reverse: true},
		{Kind: net.UDP, Bidir: true},
		{Kind: net.TCP, Engine: "netperf"},
		{Kind: net.RR, Engine: net.EngineIperf3},
		{Kind: net.NICs},
		{Kind: net.UDP, Rate: -1},
		{Kind: net.UDP, ReceiveBuffer: -1},
	} {
		job.Target, job.Token, job.Timing = "127.0.0.1:1", token, short()
		if _, err := net.Run(t.Context(), job, nil); fault.KindOf(err) != fault.Usage {
			t.Errorf("%+v: %v", job, err)
		}
	}
	job := net.Job{Kind: net.TCP, Target: "127.0.0.1:1", Token: token, Timing: short()}
	if _, err := net.Run(t.Context(), job, nil); fault.KindOf(err) != fault.Unreachable || fault.HintOf(err) == "" {
		t.Errorf("nobody there: %v", err)
	}
}
