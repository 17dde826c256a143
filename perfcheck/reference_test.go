package perfcheck

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/fault"
)

func TestBaselineOfRuns(t *testing.T) {
	t.Parallel()
	var reports []*Report
	for i, level := range []float64{100, 110, 90, 100, 120} {
		a, b := Combine(definition(), reps(level, level, level)), Combine(definition(), reps(level, level, level))
		a.Host = "sdw1"
		b.Pair = &PairOf{"sdw2", "sdw3"}
		broken := Failed(definition(), os.ErrClosed)
		broken.ID = "disk.broken"
		r := report(a, b, broken)
		r.Run.ID = string(rune('a' + i))
		reports = append(reports, r)
	}
	b, warnings, err := NewBaseline("c4", "c4.xlarge", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), reports)
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	m := b.Tests[definition().ID].Metrics["iops"]
	if m.Median != 100 || m.MAD != 10 || m.N != 10 || m.Low != 90 || m.High != 120 || m.Noise != 0 || math.Abs(m.Spread-0.108) > 0.04 {
		t.Errorf("%+v", m)
	}
	if len(b.Tests) != 1 || len(b.Hosts) != 3 || len(b.Runs) != 5 {
		t.Errorf("%+v", b)
	}
	if _, warnings, err = NewBaseline("c4", "", time.Time{}, reports[:2]); err != nil || len(warnings) != 1 {
		t.Error("two runs are enough", err)
	}
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseBaseline("b.yaml", data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	again, err := back.Marshal()
	if err != nil || string(again) != string(data) || !back.Created.Equal(b.Created) {
		t.Errorf("%v\n%s\n%s", err, data, again)
	}
	// What was saved judges others.
	same, slow := Combine(definition(), reps(100, 100, 100)), Combine(definition(), reps(45, 45, 45))
	Judge(&same, definition(), []Reference{back.Reference()})
	Judge(&slow, definition(), []Reference{back.Reference()})
	if same.Verdict != Pass || slow.Verdict != Fail {
		t.Errorf("%s %q, %s %q", same.Verdict, same.Reason, slow.Verdict, slow.Reason)
	}
}

func TestBaselineRefusals(t *testing.T) {
	t.Parallel()
	ok := func() *Report { return report(on("a", Pass, "")) }
	older, other := ok(), ok()
	older.Tool.Engine, older.Run.ID = "0", "older"
	other.Run.ID = "other"
	other.Tests[0].Params = map[string]any{"block": 1}
	for name, rs := range map[string][]*Report{
		"none": nil, "without results": {report(Failed(definition(), os.ErrClosed))}, "twice": {ok(), ok()}, "other engines": {ok(), older}, "other settings": {ok(), other},
	} {
		if _, _, err := NewBaseline("x", "", time.Time{}, rs); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const baselineHead = "apiVersion: cw/v1\nkind: PerfBaseline\nname: x\n"

func TestBaselineFileErrors(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                   "the file is empty",
		"apiVersion: cw/v1\nkind: Cluster\n": `kind is "Cluster"`,
		baselineHead + "test: {}\n":          `b.yaml:4:1: unknown key "test": did you mean "tests"?`,
		baselineHead + "tests: {a: {metrics: {iops: {median: fast}}}}\n":            `b.yaml:4:38: tests.a.metrics.iops.median wants a number that is not negative, found "fast"`,
		baselineHead + "tests: {a: {metrics: {iops: {median: -1}}}}\n":              `found "-1"`,
		baselineHead + "tests: {a: {metrics: {iops: {mediam: 1}}}}\n":               `did you mean "median"?`,
		baselineHead + "created: yesterday\ntests: {}\n":                            "created is no time",
		baselineHead + "tests: {a: {metrics: {iops: {median: 1, better: faster}}}}": `better is "faster"`,
	} {
		_, err := ParseBaseline("b.yaml", []byte(in))
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestBuiltinVendor(t *testing.T) {
	t.Parallel()
	v, err := BuiltinVendor()
	if err != nil {
		t.Fatal(err)
	}
	if v.Source == "" || v.Date == "" {
		t.Error("no source or date")
	}
	// min(128 + 0.5 GB, 350) MB/s and the rest of the vendor's table.
	for _, c := range []struct {
		disk                 string
		gb                   int64
		bytes, iops, seconds float64
	}{
		{"general-ssd", 100, 178e6, 7000, 0.0003},
		{"general-ssd", 500, 350e6, 27000, 0.0003},
		{"general-ssd", 2000, 350e6, 50000, 0.0003},
		{"capacity", 100, 115e6, 2600, 0.0005},
		{"capacity", 1000, 150e6, 5500, 0.0005},
		{"enhanced-ssd", 1000, 628e6, 52000, 0.00005},
		{"enhanced-ssd", 4000, 750e6, 100000, 0.00005},
		{"local-enterprise-ssd", 200, 228e6, 8000, 0.0002},
		{"local-enterprise-ssd", 1000, 320e6, 30000, 0.0002},
	} {
		r, err := v.Reference(c.disk, c.gb*1e9)
		if err != nil {
			t.Fatal(err)
		}
		for test, want := range map[string]float64{"disk.read.1m.qd16.throughput": c.bytes, "disk.randread.4k.qd32.iops": c.iops, "disk.randread.4k.qd1.service_p50": c.seconds} {
			id, metric, _ := splitMetric(test)
			b := r.find(id, metric)
			if len(b) != 1 || math.Abs(b[0].Value/want-1) > 1e-9 {
				t.Errorf("%s of %d GB: %s is %+v, want %v", c.disk, c.gb, test, b, want)
			}
		}
	}
	for disk, gb := range map[string]int64{"general-sdd": 100, "general-ssd": 1, "enhanced-ssd": 100, "capacity": 99999} {
		if _, err := v.Reference(disk, gb*1e9); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%s of %d GB: %v", disk, gb, err)
		}
	}
}

func TestVendorFileErrors(t *testing.T) {
	t.Parallel()
	const top = "apiVersion: cw/v1\nkind: PerfVendor\nname: x\nsource: y\ndate: z\n"
	for in, want := range map[string]string{
		top + "tests: {iops: [iops]}\ndisks: {}\n":                           `"iops" is no metric of a test`,
		top + "tests: {}\ndisks: {ssd: {iops: {base: many}}}\n":              `v.yaml:7:28: disks.ssd.iops.base wants a number`,
		top + "tests: {}\ndisks: {ssd: {latnecy: 1}}\n":                      `did you mean "latency"?`,
		"apiVersion: cw/v1\nkind: PerfVendor\nname: x\ntests: {}\ndisks: {}": "source is missing",
	} {
		if _, err := ParseVendor("v.yaml", []byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestParseRequirement(t *testing.T) {
	t.Parallel()
	known := []Definition{definition(), {ID: "net.tcp.s4", Metrics: []MetricDef{{Name: "throughput", Unit: BytesPerSecond}, {Name: "achieved", Unit: Ratio}}}}
	for in, want := range map[string]Bound{
		"disk.randread.8k.qd32.iops>=5000":             {Value: 5000, Direction: Higher, Level: GateFail, Metric: "iops"},
		"disk.randread.8k.qd32.iops >= 5k":             {Value: 5000, Direction: Higher, Level: GateFail, Metric: "iops"},
		"warn: disk.randread.*.iops>=5000":             {Value: 5000, Direction: Higher, Level: GateWarn, Metric: "iops"},
		"fail:disk.randread.8k.qd32.service_p99<=10ms": {Value: 0.01, Direction: Lower, Level: GateFail, Metric: "service_p99"},
		"disk.randread.8k.qd32.service_p99<=0.5":       {Value: 0.5, Direction: Lower, Level: GateFail, Metric: "service_p99"},
		"net.tcp.s4.throughput>=1.1GB/s":               {Value: 1.1e9, Direction: Higher, Level: GateFail, Metric: "throughput"},
		"net.tcp.s4.throughput>=100MiB/s":              {Value: 100 << 20, Direction: Higher, Level: GateFail, Metric: "throughput"},
		"net.tcp.s4.achieved>=90%":                     {Value: 0.9, Direction: Higher, Level: GateFail, Metric: "achieved"},
	} {
		got, err := ParseRequirement(in, known)
		if err != nil || got.Value != want.Value || got.Direction != want.Direction || got.Level != want.Level || got.Metric != want.Metric {
			t.Errorf("%q: %+v %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"":                                         "neither >= nor <=",
		"iops>=5":                                  "no metric of a test",
		"disk.randread.8k.qd32.iops=5":             "neither",
		"disk.randread.8k.qd32.iops>=fast":         `"fast" is no value in /s`,
		"disk.randread.8k.qd32.iops>=-1":           "no value",
		"disk.randread.8k.qd32.iops>=NaN":          "no value",
		"disk.randread.8k.qd32.iops>=10ms":         "no value in /s",
		"disk.randread.8k.qd33.iops>=5":            "did you mean disk.randread.8k.qd32?",
		"disk.randread.8k.qd32.iosp>=5":            "did you mean iops?",
		"disk.randread.8k.qd32.bananas>=5":         "has no metric bananas, but iops",
		"disk.[.iops>=5":                           "no pattern",
		"disk.randread.8k.qd32.service_p50<=5MB/s": "no value in s",
	} {
		if _, err := ParseRequirement(in, known); err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

func TestParseRequirements(t *testing.T) {
	t.Parallel()
	const top = "apiVersion: cw/v1\nkind: PerfRequirements\nname: need\n"
	r, err := ParseRequirements("r.yaml", []byte(top+"fail: disk.randread.8k.qd32.iops>=5000\nwarn:\n- disk.randread.8k.qd32.iops>=9000\n"), []Definition{definition()})
	if err != nil || len(r.Bounds) != 2 || r.Bounds[0].Level != GateFail || r.Bounds[1].Level != GateWarn || r.ID != "need" {
		t.Fatalf("%+v %v", r, err)
	}
	_, err = ParseRequirements("r.yaml", []byte(top+"fail:\n- disk.randread.8k.qd32.iops>=5000\n- disk.randread.8k.qd32.iosp>=1\nwarn: [x]\n"), []Definition{definition()})
	for _, want := range []string{"r.yaml:6:3: ", "did you mean iops?", "r.yaml:7:8: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	r.KeepTests([]Definition{{ID: "net.rr"}})
	if len(r.Bounds) != 0 {
		t.Error("bounds of tests that do not run are kept")
	}
}

func TestFindReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, id := range []string{"p3abc", "p3xyz", "p4abc"} {
		if err := os.MkdirAll(filepath.Join(dir, id), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, id, "report.json"), []byte(`{"apiVersion":"cw/v1","kind":"PerfReport","run":{"id":"`+id+`"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "p9"), 0o700); err != nil { // unfinished
		t.Fatal(err)
	}
	for what, want := range map[string]string{"p3abc": "p3abc", "p4": "p4abc", "p3x": "p3xyz", filepath.Join(dir, "p4abc", "report.json"): "p4abc", filepath.Join(dir, "p4abc"): "p4abc"} {
		if r, err := ReadReport(dir, what); err != nil || r.Run.ID != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, what := range []string{"", "p3", "p9", "..", "../p3abc", "nothing", filepath.Join(dir, "none.json")} {
		if _, err := ReadReport(dir, what); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v", what, err)
		}
	}
	if _, err := FindReport(filepath.Join(dir, "no"), "p3abd"); fault.KindOf(err) != fault.Usage {
		t.Error(err)
	}
	if _, err := FindReport(dir, "p3abd"); !strings.Contains(fault.HintOf(err), "p3abc") {
		t.Error(fault.HintOf(err))
	}
}

func FuzzParseBaseline(f *testing.F) {
	f.Add([]byte(baselineHead + "tests: {a: {params: {x: y}, metrics: {iops: {median: 1e3, mad: 2}}}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBaseline("f", data)
		if err != nil {
			return
		}
		out, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseBaseline("f", out); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func FuzzParseVendor(f *testing.F) {
	f.Add(vendorData)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := ParseVendor("f", data)
		if err != nil {
			return
		}
		for name := range v.Disks {
			r, err := v.Reference(name, 1e12)
			if err != nil {
				continue
			}
			for _, b := range r.Bounds {
				if b.Value < 0 {
					t.Errorf("%+v", b)
				}
			}
		}
	})
}

func FuzzParseRequirement(f *testing.F) {
	f.Add("warn: disk.randread.8k.qd32.iops>=5k")
	f.Add("disk.randread.8k.qd32.service_p99<=10ms")
	f.Fuzz(func(t *testing.T, text string) {
		for _, known := range [][]Definition{nil, {definition()}} {
			if b, err := ParseRequirement(text, known); err == nil && (b.Value < 0 || !finite(b.Value) || b.Test == "" || b.Metric == "" || b.Direction == Neither) {
				t.Errorf("%q: %+v", text, b)
			}
		}
	})
}
