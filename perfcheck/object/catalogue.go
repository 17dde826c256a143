package object

import (
	"fmt"
	"time"

	"cw/perfcheck"
)

// Test is one test of the catalogue and the job that it runs.
type Test struct {
	perfcheck.Definition
	Job Job // without its Timing
	// MinDuration is the shortest measured phase that makes sense.
	MinDuration time.Duration
	// Knee says that the test measures nothing: it finds the knee in the
	// results of the tests of Sweep, by their number of streams.
	Knee  bool
	Sweep map[string]float64
}

// mostBytes is more than any network interface of a machine carries.
const mostBytes = 100e9

// openDuration is for open loops of few requests per second.
const openDuration = 5 * time.Second

const (
	defaultPart    = 16 * mib
	defaultStreams = 16
)

// Tests lists the catalogue in the order in which it is run.
func Tests() []Test {
	quick, standard, soak := "quick", "standard", "soak"
	out := []Test{open(Job{Kind: Connect, Rate: 10}), open(Job{Kind: FirstByte, Rate: 20})}
	sweep := []int{1, 2, 4, 8, 16, 32, 64}
	gets, puts := map[string]float64{}, map[string]float64{}
	for _, n := range sweep {
		t := moving(Job{Kind: Get, Part: 8 * mib, Streams: n}, quick, standard)
		if n == defaultStreams {
			t.Profiles = append(t.Profiles, soak)
		}
		gets[t.ID] = float64(n)
		out = append(out, t)
	}
	out = append(out, knee("object.get.knee", "where doubling the ranged reads adds less than 5 %", gets, quick, standard))
	for _, part := range []int64{8 * mib, 64 * mib} {
		out = append(out, moving(Job{Kind: Put, Part: part, Streams: defaultStreams}, standard))
	}
	for _, n := range sweep {
		t := moving(Job{Kind: Put, Part: defaultPart, Streams: n}, standard)
		if n == defaultStreams {
			t.Profiles = []string{quick, standard, soak}
		}
		puts[t.ID] = float64(n)
		out = append(out, t)
	}
	return append(out, knee("object.put.knee", "where doubling the parts under way adds less than 5 %", puts, standard))
}

func metric(name, unit string, better perfcheck.Better, gate perfcheck.Gate) perfcheck.MetricDef {
	return perfcheck.MetricDef{Name: name, Unit: unit, Better: better, Gate: gate}
}

func latency(prefix string, p50 perfcheck.Gate) []perfcheck.MetricDef {
	out := []perfcheck.MetricDef{
		metric(prefix+"_p50", perfcheck.Seconds, perfcheck.Lower, p50),
		metric(prefix+"_p99", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
		metric(prefix+"_p999", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
		metric(prefix+"_max", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
		metric(prefix+"_avg", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
	}
	if p50 != perfcheck.GateNone {
		out[1].Gate = perfcheck.GateWarn
	}
	return out
}

// trouble are the metrics of what went wrong and was tried again.
func trouble() []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		metric("errors", perfcheck.Count, perfcheck.Lower, perfcheck.GateWarn),
		metric("retries", perfcheck.Count, perfcheck.Lower, perfcheck.GateNone),
		metric("slow_down", perfcheck.Count, perfcheck.Lower, perfcheck.GateWarn),
		metric("own_cpu", perfcheck.Ratio, perfcheck.Neither, perfcheck.GateNone),
	}
}

func moving(j Job, profiles ...string) Test {
	id, title := fmt.Sprintf("object.get.c%d", j.Streams), fmt.Sprintf("ranged reads of %d MiB, %d at a time", j.Part/mib, j.Streams)
	if j.Kind == Put {
		id, title = fmt.Sprintf("object.put.%dm.c%d", j.Part/mib, j.Streams), fmt.Sprintf("multipart upload, %d parts of %d MiB at a time", j.Streams, j.Part/mib)
	}
	throughput := metric("throughput", perfcheck.BytesPerSecond, perfcheck.Higher, perfcheck.GateFail)
	throughput.Ceiling = mostBytes
	metrics := append([]perfcheck.MetricDef{throughput}, latency("service", perfcheck.GateNone)...)
	metrics = append(metrics, metric("requests", perfcheck.Count, perfcheck.Neither, perfcheck.GateNone))
	if j.Kind == Put {
		metrics = append(metrics, metric("unfinished", perfcheck.Bytes, perfcheck.Neither, perfcheck.GateNone))
	}
	return Test{Job: j, Definition: perfcheck.Definition{
		ID: id, Title: title, Area: perfcheck.Object, Scope: perfcheck.Together, Profiles: profiles, Metrics: append(metrics, trouble()...),
		Params: map[string]any{"part": j.Part, "streams": j.Streams},
	}}
}

// open is an open loop: latencies count from when a request was due.
func open(j Job) Test {
	t := Test{Job: j, MinDuration: openDuration, Definition: perfcheck.Definition{
		Area: perfcheck.Object, Scope: perfcheck.Together, Profiles: []string{"quick", "standard"}, Params: map[string]any{"rate": j.Rate},
	}}
	metrics := latency("response", perfcheck.GateFail)
	// As many requests as there are make the tail the slowest of a hundred.
	metrics = append(metrics, latency("service", perfcheck.GateNone)...)
	metrics = append(metrics, metric("rate", perfcheck.PerSecond, perfcheck.Higher, perfcheck.GateNone), metric("achieved", perfcheck.Ratio, perfcheck.Higher, perfcheck.GateFail))
	switch j.Kind {
	case Connect:
		t.ID, t.Title = fmt.Sprintf("object.connect.rate%g", j.Rate), fmt.Sprintf("new connections, TCP and TLS, %g per second", j.Rate)
		metrics = append(metrics, latency("tcp", perfcheck.GateNone)...)
		metrics = append(metrics, latency("tls", perfcheck.GateNone)...)
		metrics = append(metrics, metric("dns", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone), metric("private", perfcheck.Ratio, perfcheck.Neither, perfcheck.GateNone))
	default:
		t.ID, t.Title = fmt.Sprintf("object.firstbyte.4k.rate%g", j.Rate), fmt.Sprintf("first byte of 4 KiB objects, %g per second", j.Rate)
	}
	t.Metrics = append(metrics, trouble()...)
	return t
}

func knee(id, title string, sweep map[string]float64, profiles ...string) Test {
	return Test{Knee: true, Sweep: sweep, Definition: perfcheck.Definition{
		ID: id, Title: title, Area: perfcheck.Object, Scope: perfcheck.Together, Profiles: profiles,
		Metrics: []perfcheck.MetricDef{
			metric("streams", perfcheck.Count, perfcheck.Neither, perfcheck.GateNone),
			metric("throughput", perfcheck.BytesPerSecond, perfcheck.Higher, perfcheck.GateNone),
		},
	}}
}
