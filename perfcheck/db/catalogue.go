package db

import (
	"fmt"
	"time"

	"cw/perfcheck"
)

// Test is one test of the catalogue and the job that it runs.
type Test struct {
	perfcheck.Definition
	Job Job // without its Timing and Target
	// MinDuration is the shortest measured phase that makes sense.
	MinDuration time.Duration
	// Knee says that the test measures nothing: it finds the knee in the
	// results of the tests of Sweep, by their number of connections.
	Knee  bool
	Sweep map[string]float64
}

// mostBytes is more than any network interface of a machine carries.
const mostBytes = 100e9

// Tests lists the catalogue in the order in which it is run.
func Tests() []Test {
	quick, standard, soak := "quick", "standard", "soak"
	sweep := map[string]float64{}
	out := []Test{connecting(Job{Kind: Connect, Rate: 10}, quick, standard)}
	for _, n := range []int{1, 2, 4, 8, 16} {
		t := reading(Job{Kind: Read, Streams: n}, quick, standard)
		if n == 4 {
			t.Profiles = append(t.Profiles, soak)
		}
		sweep[t.ID] = float64(n)
		out = append(out, t)
	}
	return append(out, Test{Knee: true, Sweep: sweep, Definition: perfcheck.Definition{
		ID: "db.read.knee", Title: "where doubling the connections adds less than 5 %", Area: perfcheck.DB, Scope: perfcheck.Together, Profiles: []string{quick, standard},
		Metrics: []perfcheck.MetricDef{
			metric("streams", perfcheck.Count, perfcheck.Neither, perfcheck.GateNone),
			metric("throughput", perfcheck.BytesPerSecond, perfcheck.Higher, perfcheck.GateNone),
		},
	}})
}

func metric(name, unit string, better perfcheck.Better, gate perfcheck.Gate) perfcheck.MetricDef {
	return perfcheck.MetricDef{Name: name, Unit: unit, Better: better, Gate: gate}
}

func latency(prefix string, p50, p99 perfcheck.Gate) []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		metric(prefix+"_p50", perfcheck.Seconds, perfcheck.Lower, p50),
		metric(prefix+"_p99", perfcheck.Seconds, perfcheck.Lower, p99),
		metric(prefix+"_p999", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
		metric(prefix+"_max", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
		metric(prefix+"_avg", perfcheck.Seconds, perfcheck.Lower, perfcheck.GateNone),
	}
}

func ends() []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		metric("private", perfcheck.Ratio, perfcheck.Neither, perfcheck.GateNone),
		metric("own_cpu", perfcheck.Ratio, perfcheck.Neither, perfcheck.GateNone),
	}
}

func reading(j Job, profiles ...string) Test {
	throughput := metric("throughput", perfcheck.BytesPerSecond, perfcheck.Higher, perfcheck.GateFail)
	throughput.Ceiling = mostBytes
	metrics := []perfcheck.MetricDef{throughput, metric("rows", perfcheck.PerSecond, perfcheck.Higher, perfcheck.GateFail)}
	metrics = append(metrics, latency("first_row", perfcheck.GateNone, perfcheck.GateNone)...)
	metrics = append(metrics, metric("queries", perfcheck.Count, perfcheck.Neither, perfcheck.GateNone))
	return Test{Job: j, Definition: perfcheck.Definition{
		ID: fmt.Sprintf("db.read.c%d", j.Streams), Title: fmt.Sprintf("rows streamed from a database, %d connections", j.Streams), Area: perfcheck.DB, Scope: perfcheck.Together,
		Profiles: profiles, Metrics: append(metrics, ends()...), Params: map[string]any{"streams": j.Streams},
	}}
}

// connecting is an open loop: a time counts from when the connection was due.
func connecting(j Job, profiles ...string) Test {
	metrics := latency("response", perfcheck.GateFail, perfcheck.GateWarn)
	metrics = append(metrics, latency("service", perfcheck.GateNone, perfcheck.GateNone)...)
	metrics = append(metrics, metric("rate", perfcheck.PerSecond, perfcheck.Higher, perfcheck.GateNone), metric("achieved", perfcheck.Ratio, perfcheck.Higher, perfcheck.GateFail))
	return Test{Job: j, MinDuration: 5 * time.Second, Definition: perfcheck.Definition{
		ID: fmt.Sprintf("db.connect.rate%g", j.Rate), Title: fmt.Sprintf("new connections to a database, %g per second", j.Rate), Area: perfcheck.DB, Scope: perfcheck.Together,
		Profiles: profiles, Metrics: append(metrics, ends()...), Params: map[string]any{"rate": j.Rate},
	}}
}
