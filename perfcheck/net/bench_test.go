package net_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"cw/perfcheck/net"
)

// TestBenchIperf3 measures the same capped link with iperf3 and with this
// package by turns and compares the medians of the ratios. CW_BENCH=1 turns
// it on.
func TestBenchIperf3(t *testing.T) {
	if os.Getenv("CW_BENCH") != "1" {
		t.Skip("set CW_BENCH=1 to measure")
	}
	if !haveIperf3() {
		t.Skip("iperf3 is not installed")
	}
	for _, c := range []struct {
		name, bucket string
		job          net.Job
		within       float64 // 0 is only said
	}{
		{"500 Mbit, 1 stream", bucket, net.Job{Kind: net.TCP}, 0.03},
		{"500 Mbit, 4 streams", bucket, net.Job{Kind: net.TCP, Streams: 4}, 0.03},
		{"500 Mbit, reversed", bucket, net.Job{Kind: net.TCP, Reverse: true}, 0.03},
		{"500 Mbit, both ways", bucket, net.Job{Kind: net.TCP, Bidir: true}, 0},
		{"2 Gbit, 1 stream", "tc qdisc add dev eth0 root tbf rate 2gbit burst 256kb latency 20ms", net.Job{Kind: net.TCP}, 0.03},
		{"500 Mbit, UDP at 80 %", bucket, net.Job{Kind: net.UDP, Rate: 50e6}, 0.03},
		{"uncapped, 1 stream", "true", net.Job{Kind: net.TCP}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, base := pair(t)
			a.sh(c.bucket)
			b.sh(c.bucket)
			var ratios, own, other []float64
			for i := range 5 {
				var v [2]float64
				for k := range 2 {
					j := c.job
					j.Target, j.Token, j.Timing = base.Target, base.Token, base.Timing
					j.Warmup, j.Duration = time.Second, 3*time.Second
					which := (i + k) % 2 // who is first changes
					if which == 1 {
						j.Engine = net.EngineIperf3
					}
					v[which] = a.measure(j).Values["throughput"]
				}
				own, other, ratios = append(own, v[0]), append(other, v[1]), append(ratios, v[0]/v[1])
			}
			slices.Sort(own)
			slices.Sort(other)
			slices.Sort(ratios)
			t.Logf("cw %.1f Mbit/s, iperf3 %.1f Mbit/s, ratio %.3f (%.3f to %.3f)", own[2]*8/1e6, other[2]*8/1e6, ratios[2], ratios[0], ratios[4])
			if r := ratios[2]; c.within > 0 && (r < 1-c.within || r > 1+c.within) {
				t.Errorf("the median ratio is %.3f", r)
			}
		})
	}
}
