package net_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"cw/perfcheck"
	"cw/perfcheck/net"
)

// TestKinds measures everything once over a slow cable: every metric that the
// catalogue promises is there, plausible by the catalogue's own bounds, and
// travels as JSON.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, test := range net.Tests() {
		switch test.ID {
		case "net.pmtu", "net.tcp.s4", "net.tcp.s4.bidir", "net.udp.8192.p50", "net.rr", "net.rr.rate1000", "net.crr", "net.pps", "net.pps.p80",
			"net.http.keepalive.1k", "net.http.keepalive.1k.p50", "net.http.close.64k":
		default:
			continue // the same with another number
		}
		t.Run(test.ID, func(t *testing.T) {
			t.Parallel()
			a, b, base := pair(t)
			for _, h := range []*host{a, b} {
				h.sh("tc qdisc add dev eth0 root tbf rate 50mbit burst 32kb latency 50ms")
			}
			job := test.Job
			job.Timing, job.Target, job.Token = short(), base.Target, base.Token
			if test.ID == "net.pps.p80" {
				job.Rate = 2000
			}
			r := a.do(order{Run: &job})
			if r.Error != "" {
				t.Fatal(r.Error)
			}
			m := r.Measurement
			for _, def := range test.Metrics {
				v, ok := m.Values[def.Name]
				if !ok {
					t.Errorf("%s is not there: %v", def.Name, m.Values)
				}
				if v < def.Floor || def.Ceiling > 0 && v > def.Ceiling {
					t.Errorf("%s is %g, not %g to %g", def.Name, v, def.Floor, def.Ceiling)
				}
			}
			if m.Began.IsZero() {
				t.Error("it does not say when it began")
			}
			if job.Kind != net.PMTU && (len(r.Seconds) == 0 || r.Seconds[len(r.Seconds)-1].Value <= 0) {
				t.Errorf("the live series is %v", r.Seconds)
			}
			if job.Kind != net.PMTU && job.Kind != net.PPS && (len(m.Series) == 0 || len(m.Series[0].Values) != 1) {
				t.Errorf("series %v, want one second", m.Series)
			}
			for _, h := range m.Histograms {
				if h.Count() == 0 {
					t.Error("an empty histogram")
				}
			}
		})
	}
}

func TestReverseAndBidir(t *testing.T) {
	t.Parallel()
	s := listen(t)
	for _, c := range []struct {
		name string
		job  net.Job
		want []string
	}{
		{"tcp", net.Job{Kind: net.TCP, Streams: 3, Reverse: true}, []string{"throughput", "retransmits"}},
		{"bidir", net.Job{Kind: net.TCP, Bidir: true}, []string{"throughput", "throughput_there", "throughput_back"}},
		{"udp", net.Job{Kind: net.UDP, Reverse: true, Rate: 10e6}, []string{"throughput", "loss", "achieved"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := c.job
			job.Timing, job.Target, job.Token = short(), fmt.Sprint("127.0.0.1:", s.Port()), token
			m := run(t, job)
			for _, name := range c.want {
				if _, ok := m.Values[name]; !ok {
					t.Errorf("%s is not there: %v", name, m.Values)
				}
			}
			if len(m.Series) == 0 || m.Series[0].Values[0] <= 0 {
				t.Errorf("series %v", m.Series)
			}
		})
	}
}

// TestUDPRate: a rate that loopback carries easily is kept, arrives whole,
// and is split over streams.
func TestUDPRate(t *testing.T) {
	t.Parallel()
	s := listen(t)
	job := net.Job{Timing: short(), Kind: net.UDP, Streams: 2, Packet: 1400, Rate: 5e6, Target: fmt.Sprint("127.0.0.1:", s.Port()), Token: token}
	m := run(t, job)
	if v := m.Values["throughput"]; v > 1.05*5e6 {
		t.Errorf("throughput %g, more than was asked for", v)
	}
	if m.Values["duplicates"] != 0 || m.Values["network_loss"] > 0.01 {
		t.Errorf("loopback lost or doubled: %v", m.Values)
	}
}

func TestEndOfContext(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	s := listen(t)
	for _, job := range []net.Job{
		{Kind: net.TCP, Streams: 3},
		{Kind: net.TCP, Bidir: true},
		{Kind: net.UDP},
		{Kind: net.UDP, Reverse: true},
		{Kind: net.UDP, Packet: 8192, Share: 0.5},
		{Kind: net.RR},
		{Kind: net.RR, Rate: 1},
		{Kind: net.CRR},
		{Kind: net.PPS},
		{Kind: net.HTTP},
		{Kind: net.HTTP, KeepAlive: true, Share: 0.5},
	} {
		t.Run(fmt.Sprint(job.Kind, job.Reverse, job.Rate, job.KeepAlive), func(t *testing.T) {
			t.Parallel()
			job.Timing, job.Target, job.Token = perfcheck.Timing{Duration: time.Hour}, fmt.Sprint("127.0.0.1:", s.Port()), token
			if job.Share > 0 {
				job.Rate = 1000
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer time.AfterFunc(300*time.Millisecond, func() { cancel(why) }).Stop()
			_, err := net.Run(ctx, job, nil)
			if !errors.Is(err, why) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	s, err := net.Listen(t.Context(), net.ListenOptions{Address: "::1", Token: token})
	if err != nil {
		t.Skip("no IPv6: ", err)
	}
	defer func() { _ = s.Close() }()
	for _, job := range []net.Job{{Kind: net.RR}, {Kind: net.UDP, Rate: 1e6}, {Kind: net.PMTU}} {
		job.Timing, job.Target, job.Token = short(), joinPort("::1", s.Port()), token
		job.Duration = 300 * time.Millisecond
		m := run(t, job)
		if job.Kind == net.PMTU && (m.Values["mtu"] != m.Values["mtu_interface"] || len(m.Flags) != 0) {
			t.Errorf("%v %v", m.Values, m.Flags)
		}
		if job.Kind == net.UDP && m.Values["network_loss"] > 0.01 {
			t.Errorf("%v", m.Values)
		}
	}
}
