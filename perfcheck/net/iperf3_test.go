package net_test

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"cw/perfcheck"
	"cw/perfcheck/net"
)

func haveIperf3() bool {
	_, err := exec.LookPath("iperf3")
	return err == nil
}

func TestIperf3(t *testing.T) {
	t.Parallel()
	if !haveIperf3() {
		t.Skip("iperf3 is not installed")
	}
	a, b, base := pair(t)
	a.sh(bucket)
	b.sh(bucket)
	for _, c := range []struct {
		name string
		job  net.Job
		want float64
	}{
		{"tcp", net.Job{Kind: net.TCP, Streams: 2}, goodput},
		{"reversed", net.Job{Kind: net.TCP, Reverse: true}, goodput},
		{"udp", net.Job{Kind: net.UDP, Rate: 10e6, Source: addrA}, 10e6},
	} {
		j := c.job
		j.Target, j.Token, j.Timing, j.Engine = base.Target, base.Token, base.Timing, net.EngineIperf3
		j.Warmup, j.Duration = 0, time.Second
		// iperf3 is not ours: half of it is enough to see that units and sums
		// are right, and that once: one slow second of a shared machine proves
		// nothing.
		var m perfcheck.Measurement
		tries(t, func() error {
			m = a.measure(j)
			return off(c.name, m.Values["throughput"], 0.78*c.want, 0.4)
		})
		if !slices.Contains(m.Flags, perfcheck.FlagExternal) || len(m.Series[0].Values) < 1 {
			t.Errorf("%s: %v %v", c.name, m.Flags, m.Series)
		}
	}
}
