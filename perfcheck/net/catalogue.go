package net

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"cw/perfcheck"
)

// Test is one test of the catalogue. The runner adds target, token, phases
// and, where it has measured it already, the rate.
type Test struct {
	perfcheck.Definition
	Job Job
	// EveryPair: the result of one pair says nothing of another, since any
	// link may be the bad one. The others are enough on neighbours.
	EveryPair bool
	// MinDuration is the shortest measured phase that makes sense; 0 is any.
	MinDuration time.Duration
	// RateFrom and RateMetric name the test and the metric whose value on the
	// same pair times Job.Share is the rate; without it Run measures the
	// maximum first by itself.
	RateFrom, RateMetric string
}

// Profiles.
const (
	quick    = "quick"
	standard = "standard"
	soak     = "soak"
)

// Plausible bounds: nothing at all, and more than there are networks for.
const (
	leastRate   = 1e4     // B/s
	mostRate    = 100e9   // B/s, 800 Gbit/s
	leastRTT    = 1e-6    // s; loopback is above
	mostRTT     = 10.0    // s
	mostPackets = 1e9     // /s
	mostOps     = 1e8     // /s
	mostMTU     = 1 << 16 // B
)

// Tests is the catalogue of network tests, in the order in which they run.
func Tests() []Test {
	tests := []Test{pmtuTest()}
	tests = append(tests, tcpTests()...)
	tests = append(tests, nicsTest())
	tests = append(tests, udpTests()...)
	tests = append(tests, rrTests()...)
	tests = append(tests, ppsTest(), ppsHoldTest())
	tests = append(tests, httpTests()...)
	for i := range tests {
		t := &tests[i]
		t.Area, t.Scope = perfcheck.Net, perfcheck.Pair
		t.EveryPair = t.Job.Kind == TCP || t.Job.Kind == PMTU || t.Job.Kind == RR && t.Job.Rate == 0
		if t.Params == nil {
			t.Params = map[string]any{}
		}
	}
	return tests
}

func throughputDef() perfcheck.MetricDef {
	return perfcheck.MetricDef{Name: "throughput", Unit: perfcheck.BytesPerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Floor: leastRate, Ceiling: mostRate}
}

// said is a metric that is not judged.
func said(name, unit string) perfcheck.MetricDef { return perfcheck.MetricDef{Name: name, Unit: unit} }

// lower is a metric that may warn when it grows.
func lower(name, unit string) perfcheck.MetricDef {
	return perfcheck.MetricDef{Name: name, Unit: unit, Better: perfcheck.Lower, Gate: perfcheck.GateWarn}
}

// latency are the metrics of a service or a response time. The median and the
// 99th may fail a test, what is rarer is too noisy for that.
func latency(prefix string) []perfcheck.MetricDef {
	one := func(name string, gate perfcheck.Gate) perfcheck.MetricDef {
		return perfcheck.MetricDef{Name: prefix + name, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: gate, Floor: leastRTT, Ceiling: mostRTT}
	}
	return []perfcheck.MetricDef{
		one("_p50", perfcheck.GateFail), one("_p99", perfcheck.GateFail), one("_p999", perfcheck.GateWarn), one("_max", perfcheck.GateNone), one("_avg", perfcheck.GateNone),
	}
}

func stalls() []perfcheck.MetricDef {
	return []perfcheck.MetricDef{said("stall_max", perfcheck.Seconds), said("over_100ms", perfcheck.Count), said("over_1s", perfcheck.Count)}
}

func pmtuTest() Test {
	return Test{
		Definition: perfcheck.Definition{
			ID: "net.pmtu", Title: "path MTU, and whether 8192-byte datagrams arrive", Profiles: []string{quick, standard},
			Metrics: []perfcheck.MetricDef{
				{Name: "mtu", Unit: perfcheck.Bytes, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Floor: 68, Ceiling: mostMTU},
				{Name: "mtu_back", Unit: perfcheck.Bytes, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Floor: 68, Ceiling: mostMTU},
				said("mtu_interface", perfcheck.Bytes), said("fragments", perfcheck.Count), lower("large_loss", perfcheck.Ratio), lower("small_loss", perfcheck.Ratio), said("rtt", perfcheck.Seconds),
			},
		},
		Job: Job{Kind: PMTU},
	}
}

func tcpTests() []Test {
	metrics := []perfcheck.MetricDef{throughputDef(), said("retransmits", perfcheck.Count), lower("retransmit_share", perfcheck.Ratio)}
	var tests []Test
	for _, n := range []int{1, 4, 16} {
		profiles := []string{standard}
		switch n {
		case 1:
			profiles = []string{quick, standard}
		case 4:
			profiles = []string{quick, standard, soak}
		}
		tests = append(tests, Test{
			Definition: perfcheck.Definition{
				ID: fmt.Sprint("net.tcp.s", n), Title: fmt.Sprintf("TCP throughput, %s", plural(n, "stream")),
				Metrics: metrics, Profiles: profiles, Params: map[string]any{"streams": n},
			},
			Job: Job{Kind: TCP, Streams: n},
		})
	}
	both := append([]perfcheck.MetricDef{}, metrics...)
	both = append(both, said("throughput_there", perfcheck.BytesPerSecond), said("throughput_back", perfcheck.BytesPerSecond))
	return append(tests, Test{
		Definition: perfcheck.Definition{
			ID: "net.tcp.s4.bidir", Title: "TCP throughput, 4 streams in each direction at once",
			Metrics: both, Profiles: []string{standard}, Params: map[string]any{"streams": 4, "bidir": true},
		},
		Job: Job{Kind: TCP, Streams: 4, Bidir: true},
	})
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// NICsTest is the test that needs links: hosts with one interface skip it.
const NICsTest = "net.nics"

func nicsTest() Test {
	return Test{
		Definition: perfcheck.Definition{
			ID: NICsTest, Title: "several interfaces, each alone and all together", Profiles: []string{standard},
			Metrics: []perfcheck.MetricDef{
				{Name: "independence", Unit: perfcheck.Ratio, Better: perfcheck.Higher, Gate: perfcheck.GateWarn, Floor: 0.01, Ceiling: 10},
				throughputDef(), said("alone_sum", perfcheck.BytesPerSecond), said("retransmits", perfcheck.Count),
			},
			Params: map[string]any{"streams": 4},
		},
		Job: Job{Kind: NICs, Streams: 4},
	}
}

func udpTests() []Test {
	var tests []Test
	for _, size := range []int{1400, 8192} {
		for _, percent := range []int{10, 50, 90, 100} {
			profiles := []string{standard}
			if size == 8192 && percent == 50 {
				profiles = []string{quick, standard}
			}
			if size == 8192 && percent == 90 {
				profiles = []string{standard, soak}
			}
			// At its full rate TCP itself loses packets: there loss is only said.
			loss := perfcheck.MetricDef{Name: "loss", Unit: perfcheck.Ratio, Better: perfcheck.Lower, Gate: perfcheck.GateWarn}
			if percent == 100 {
				loss.Better, loss.Gate = perfcheck.Neither, perfcheck.GateNone
			}
			tests = append(tests, Test{
				Definition: perfcheck.Definition{
					ID:    fmt.Sprintf("net.udp.%d.p%d", size, percent),
					Title: fmt.Sprintf("UDP, %d-byte datagrams at %d %% of the TCP rate", size, percent),
					Metrics: []perfcheck.MetricDef{
						throughputDef(), loss, said("network_loss", perfcheck.Ratio), said("receiver_drops", perfcheck.Count), said("lost", perfcheck.Count),
						said("reordered", perfcheck.Count), said("duplicates", perfcheck.Count), lower("jitter", perfcheck.Seconds), said("achieved", perfcheck.Ratio),
						said("target", perfcheck.BytesPerSecond), said("reassembly_failures", perfcheck.Count), said("softnet_drops", perfcheck.Count),
					},
					Profiles: profiles, Params: map[string]any{"packet": size, "share": float64(percent) / 100},
				},
				Job:      Job{Kind: UDP, Packet: size, Share: float64(percent) / 100},
				RateFrom: "net.tcp.s4", RateMetric: "throughput",
			})
		}
	}
	return tests
}

func rrTests() []Test {
	rate := perfcheck.MetricDef{Name: "rate", Unit: perfcheck.PerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Floor: 0.1, Ceiling: mostOps}
	asked := rate
	asked.Better, asked.Gate = perfcheck.Neither, perfcheck.GateNone
	closed := append(append(latency("service"), rate), stalls()...)
	open := append(append(append(latency("response"), latency("service")...), asked, said("achieved", perfcheck.Ratio), said("target", perfcheck.PerSecond)), stalls()...)
	connect := append(append([]perfcheck.MetricDef{rate}, latency("service")...), lower("listen_drops", perfcheck.Count))
	return []Test{
		{
			Definition: perfcheck.Definition{
				ID: "net.rr", Title: "round trip of one byte, one after the other", Metrics: closed, Profiles: []string{quick, standard}, Params: map[string]any{"streams": 1},
			},
			Job: Job{Kind: RR, Streams: 1},
		},
		{
			Definition: perfcheck.Definition{
				ID: "net.rr.rate1000", Title: "round trip of one byte, 1000 per second on schedule", Metrics: open, Profiles: []string{standard, soak}, Params: map[string]any{"streams": 1, "rate": 1000},
			},
			Job: Job{Kind: RR, Streams: 1, Rate: 1000},
		},
		{
			Definition: perfcheck.Definition{
				ID: "net.crr", Title: "connections per second, each for one request", Metrics: connect, Profiles: []string{standard, soak}, Params: map[string]any{"streams": 4},
			},
			Job: Job{Kind: CRR, Streams: 4},
		},
	}
}

func ppsTest() Test {
	return Test{
		Definition: perfcheck.Definition{
			ID: "net.pps", Title: "64-byte datagrams per second with less than 0.1 % loss", Profiles: []string{standard},
			Metrics: []perfcheck.MetricDef{
				{Name: "rate", Unit: perfcheck.PerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Floor: 10, Ceiling: mostPackets},
				said("tx_target", perfcheck.PerSecond), said("tx_achieved", perfcheck.PerSecond), said("loss", perfcheck.Ratio), said("sender_max", perfcheck.PerSecond),
			},
			Params: map[string]any{"packet": 64, "streams": 4},
		},
		Job: Job{Kind: PPS, Packet: 64, Streams: 4}, MinDuration: ppsSteps * time.Second,
	}
}

func ppsHoldTest() Test {
	return Test{
		Definition: perfcheck.Definition{
			ID: "net.pps.p80", Title: "64-byte datagrams, held at 80 % of the highest rate", Profiles: []string{soak},
			Metrics: []perfcheck.MetricDef{
				{Name: "rate", Unit: perfcheck.PerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Floor: 10, Ceiling: mostPackets},
				lower("loss", perfcheck.Ratio), said("network_loss", perfcheck.Ratio), said("receiver_drops", perfcheck.Count), said("achieved", perfcheck.Ratio), said("target", perfcheck.PerSecond),
			},
			Params: map[string]any{"packet": 64, "streams": 4, "share": 0.8},
		},
		Job: Job{Kind: PPS, Packet: 64, Streams: 4, Share: 0.8}, RateFrom: "net.pps", RateMetric: "rate",
	}
}

func httpTests() []Test {
	rate := perfcheck.MetricDef{Name: "rate", Unit: perfcheck.PerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateFail, Floor: 0.1, Ceiling: mostOps}
	tail := []perfcheck.MetricDef{lower("errors", perfcheck.Count), said("throughput", perfcheck.BytesPerSecond), lower("listen_drops", perfcheck.Count)}
	closed := append(append([]perfcheck.MetricDef{rate}, latency("service")...), tail...)
	asked := rate
	asked.Better, asked.Gate = perfcheck.Neither, perfcheck.GateNone
	open := append(append(append(latency("response"), asked, said("achieved", perfcheck.Ratio), said("target", perfcheck.PerSecond)), stalls()...), tail...)
	var tests []Test
	for _, way := range []struct {
		id, title string
		keep      bool
	}{{"keepalive", "with keep-alive", true}, {"close", "one connection per request", false}} {
		for _, body := range []struct {
			id, title string
			bytes     int
		}{{"1k", "1 KiB", 1 << 10}, {"64k", "64 KiB", 64 << 10}} {
			id := "net.http." + way.id + "." + body.id
			params := map[string]any{"streams": 16, "body": body.bytes, "keep_alive": way.keep}
			job := Job{Kind: HTTP, Streams: 16, Body: body.bytes, KeepAlive: way.keep}
			tests = append(tests, Test{
				Definition: perfcheck.Definition{
					ID: id, Title: fmt.Sprintf("HTTP, %s, %s", body.title, way.title), Metrics: closed, Profiles: []string{standard}, Params: params,
				},
				Job: job,
			})
			for _, percent := range []int{50, 70, 90} {
				paced, with := job, maps.Clone(params)
				paced.Share = float64(percent) / 100
				with["share"] = paced.Share
				tests = append(tests, Test{
					Definition: perfcheck.Definition{
						ID: fmt.Sprintf("%s.p%d", id, percent), Title: fmt.Sprintf("HTTP, %s, %s, at %d %% of its maximum", body.title, way.title, percent),
						Metrics: open, Profiles: []string{standard}, Params: with,
					},
					Job: paced, RateFrom: id, RateMetric: "rate",
				})
			}
		}
	}
	return tests
}
