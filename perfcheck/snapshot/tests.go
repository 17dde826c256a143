package snapshot

import "cw/perfcheck"

// Ids of the tests.
const (
	TestFull               = "snapshot.full"
	TestFullWrite          = "snapshot.full.write"
	TestFullRead           = "snapshot.full.read"
	TestIncremental        = "snapshot.incremental"
	TestIncrementalWrite   = "snapshot.incremental.write"
	TestControlWrite       = "snapshot.control.write"
	TestControlRead        = "snapshot.control.read"
	TestRestore            = "snapshot.restore.full"
	TestRestoreIncremental = "snapshot.restore.incremental"
)

// seconds is a duration that may only warn: clouds' own vary.
func seconds(name string) perfcheck.MetricDef {
	return perfcheck.MetricDef{Name: name, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateWarn}
}

// worst is a number of which the worst repetition counts.
func worst(m perfcheck.MetricDef) perfcheck.MetricDef {
	m.Worst = true
	return m
}

// said is a number that nobody judges.
func said(name, unit string) perfcheck.MetricDef {
	return perfcheck.MetricDef{Name: name, Unit: unit}
}

func durations() []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		{Name: "complete", Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateFail},
		seconds("accepted"), seconds("captured"),
	}
}

func impact() []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		worst(seconds("delta_p99")), seconds("delta_p50"), worst(seconds("delta_max")), worst(seconds("stall")), worst(seconds("gap")), worst(seconds("recover")),
		{Name: "loss", Unit: perfcheck.Ratio, Better: perfcheck.Lower, Gate: perfcheck.GateWarn},
		worst(seconds("excess_p99")),
		said("before_p50", perfcheck.Seconds), said("before_p99", perfcheck.Seconds), said("during_p50", perfcheck.Seconds), said("during_p99", perfcheck.Seconds),
		said("during_max", perfcheck.Seconds), said("service_p99", perfcheck.Seconds), said("after_p99", perfcheck.Seconds), said("during", perfcheck.Seconds),
	}
}

// control is impact without what it is compared with itself.
func control() []perfcheck.MetricDef {
	var out []perfcheck.MetricDef
	for _, m := range impact() {
		if m.Name != "excess_p99" {
			m.Gate = perfcheck.GateNone // of the machine's noise nobody makes a verdict
			out = append(out, m)
		}
	}
	return out
}

func restored() []perfcheck.MetricDef {
	return []perfcheck.MetricDef{
		{Name: "first_byte", Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateFail},
		seconds("created"), seconds("attached"), seconds("complete"),
		{Name: "read", Unit: perfcheck.BytesPerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateWarn},
		{Name: "verified", Unit: perfcheck.Bytes, Better: perfcheck.Neither},
	}
}

// Tests lists the catalogue, in the order in which they run.
func Tests() []perfcheck.Definition {
	size := perfcheck.MetricDef{Name: "size", Unit: perfcheck.Bytes}
	profiles := []string{"quick", "standard", "soak"}
	def := func(id, title string, metrics ...perfcheck.MetricDef) perfcheck.Definition {
		return perfcheck.Definition{ID: id, Title: title, Area: perfcheck.Snapshot, Scope: perfcheck.Alone, Metrics: metrics, Profiles: profiles}
	}
	return []perfcheck.Definition{
		def(TestFull, "full snapshot: how long and how large", append(durations(), size,
			perfcheck.MetricDef{Name: "rate", Unit: perfcheck.BytesPerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateWarn})...),
		def(TestFullWrite, "what a full snapshot does to synced 8 KiB writes", impact()...),
		def(TestIncremental, "incremental snapshot: how long, and its size by what was overwritten", append(durations(), size,
			perfcheck.MetricDef{Name: "amplification", Unit: perfcheck.Ratio, Better: perfcheck.Lower, Gate: perfcheck.GateFail},
			said("written", perfcheck.Bytes), said("written_probe", perfcheck.Bytes))...),
		def(TestIncrementalWrite, "what an incremental snapshot does to synced 8 KiB writes", impact()...),
		def(TestControlWrite, "the same around no snapshot: what the machine does by itself to writes", control()...),
		def(TestFullRead, "what a full snapshot does to 1 MiB sequential reads at half of the disk's speed", impact()...),
		def(TestControlRead, "the same around no snapshot: what the machine does by itself to reads", control()...),
		def(TestRestore, "restore of the full snapshot: first byte, whole read, content as it was", restored()...),
		def(TestRestoreIncremental, "restore of the incremental snapshot: first byte, whole read, content as it was", restored()...),
	}
}

// Find returns a test by its id.
func Find(id string) perfcheck.Definition {
	for _, d := range Tests() {
		if d.ID == id {
			return d
		}
	}
	return perfcheck.Definition{ID: id, Area: perfcheck.Snapshot}
}
