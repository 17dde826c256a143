package size

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/cpu"
	"cw/perfcheck/disk"
	"cw/perfcheck/memory"
)

const gib = int64(1) << 30

// given is what a made report says of each host.
type given struct {
	cpus                                     int
	memory                                   int64
	steal                                    float64
	disks                                    int
	scans                                    map[int]float64 // B/s by readers
	write, iops, commits, network, bandwidth float64
}

// plenty of everything: 100 segments could work.
func plenty() given {
	return given{cpus: 200, memory: 900 * gib, disks: 100, scans: map[int]float64{1: 4e9, 2: 8e9, 4: 16e9, 8: 16e9}, write: 20e9, iops: 1e6, commits: 1e5, network: 20e9, bandwidth: 200e9}
}

func result(id, host string, metrics map[string]float64) perfcheck.Test {
	t := perfcheck.Test{ID: id, Host: host, Verdict: perfcheck.Pass, Metrics: map[string]perfcheck.Metric{}}
	for name, v := range metrics {
		t.Metrics[name] = perfcheck.Metric{Value: v, Median: v, N: 3, Reps: []float64{v, v, v}}
		t.Main = name
	}
	return t
}

// report makes the document, through JSON as it would be read.
func report(t *testing.T, hosts map[string]given) *perfcheck.Report {
	t.Helper()
	r := perfcheck.Report{APIVersion: "cw/v1", Kind: "PerfReport", Run: perfcheck.Run{ID: "ptest", Started: time.Now()}}
	for _, name := range []string{"a", "b"} {
		g, ok := hosts[name]
		if !ok {
			continue
		}
		var facts []disk.Facts
		for i := range g.disks {
			facts = append(facts, disk.Facts{Dir: fmt.Sprint("/data", i), Size: 1e12, Disks: []disk.Block{{Name: fmt.Sprint("vd", i)}}})
		}
		inventory := map[string]any{"cpu": cpu.Facts{CPUs: g.cpus}, "memory": memory.Facts{Total: g.memory}, "test_dirs": facts}
		r.Hosts = append(r.Hosts, perfcheck.Host{Name: name, Inventory: inventory, Health: perfcheck.Health{Steal: g.steal}})
		for k, v := range g.scans {
			r.Tests = append(r.Tests, result(fmt.Sprintf("disk.scan.k%d", k), name, map[string]float64{"throughput": v, "service_p99": 0.001}))
		}
		for id, v := range map[string]float64{"disk.write.1m.qd16/throughput": g.write, "disk.randread.8k.qd32/iops": g.iops, "disk.fdatasync.8k.c16/rate": g.commits, "memory.triad.all/throughput": g.bandwidth} {
			if name2, metric, _ := strings.Cut(id, "/"); v > 0 {
				r.Tests = append(r.Tests, result(name2, name, map[string]float64{metric: v}))
			}
		}
		if g.network > 0 {
			for i, v := range []float64{g.network, 3 * g.network} { // the slowest pair counts
				pair := result("net.tcp.s4", "", map[string]float64{"throughput": v})
				pair.Pair = &perfcheck.PairOf{From: name, To: fmt.Sprint("other", i)}
				r.Tests = append(r.Tests, pair)
			}
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := perfcheck.ParseReport(data)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func options() Options {
	return Options{Demand: DefaultDemand(), Mirrors: cluster.MirrorsNone, Hosts: 4}
}

// Each resource in turn is the one that decides.
func TestEachResourceBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*given)
		mirrors string
		want    int
		bound   string
	}{
		"cores":                  {func(g *given) { g.cpus = 11 }, "none", 5, "cores"},
		"cores with steal":       {func(g *given) { g.cpus, g.steal = 16, 0.2 }, "none", 6, "cores"},
		"memory":                 {func(g *given) { g.memory = 64 * gib }, "none", 6, "memory"},
		"scan":                   {func(g *given) { g.scans = map[int]float64{4: 620e6} }, "none", 4, "scan"},
		"write":                  {func(g *given) { g.write = 350e6 }, "none", 7, "write"},
		"write twice by mirrors": {func(g *given) { g.write = 350e6 }, "group", 3, "write"},
		"iops":                   {func(g *given) { g.iops = 900 }, "none", 3, "iops"},
		"iops are not mirrored":  {func(g *given) { g.iops = 900 }, "group", 3, "iops"},
		"commits":                {func(g *given) { g.commits = 130 }, "none", 6, "commits"},
		"commits with mirrors":   {func(g *given) { g.commits = 130 }, "group", 3, "commits"},
		"network":                {func(g *given) { g.network = 125e6 }, "none", 3, "network"},
		"network with mirrors":   {func(g *given) { g.network = 170e6 }, "group", 2, "network"},
		"bandwidth":              {func(g *given) { g.bandwidth = 3.1e9 }, "none", 2, "memory bandwidth"},
		"knee":                   {func(g *given) { g.disks, g.scans = 2, map[int]float64{1: 4e9, 2: 8e9, 4: 8.1e9, 8: 8e9} }, "none", 4, "scan knee"},
		"not even one":           {func(g *given) { g.iops = 100 }, "none", 1, "iops"},
		"a little steal":         {func(g *given) { g.cpus, g.steal = 16, 0.01 }, "none", 8, "cores"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weak := plenty()
			c.change(&weak)
			o := options()
			o.Mirrors = c.mirrors
			a, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": weak})}, o)
			if err != nil {
				t.Fatal(err)
			}
			if a.SegmentsPerHost != c.want || !strings.HasPrefix(a.Bound, c.bound+":") {
				t.Errorf("%d by %s, want %d by %s", a.SegmentsPerHost, a.Bound, c.want, c.bound)
			}
			bounds := 0
			for _, l := range a.Limits {
				if l.Bounds {
					bounds++
				}
				if name != "not even one" && (l.Headroom < -1e-9 || l.Headroom > 1 || l.Reason == "" || l.Host == "") {
					t.Errorf("%+v", l)
				}
			}
			if bounds != 1 || len(a.Limits) < 8 || len(a.Memory) == 0 {
				t.Errorf("%d bounds of %d limits, %d memory lines", bounds, len(a.Limits), len(a.Memory))
			}
			if name == "not even one" && !slices.ContainsFunc(a.Warnings, func(w string) bool { return strings.Contains(w, "no whole segment") }) {
				t.Errorf("%q", a.Warnings)
			}
		})
	}
}

func TestTheWeakestHostDecides(t *testing.T) {
	t.Parallel()
	weak := plenty()
	weak.iops = 1600
	a, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": plenty(), "b": weak})}, options())
	if err != nil || a.SegmentsPerHost != 5 || !strings.Contains(a.Bound, "of b") {
		t.Errorf("%+v, %v", a, err)
	}
	o := options()
	o.Only = []string{"a"}
	if a, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": plenty(), "b": weak})}, o); err != nil || a.SegmentsPerHost < 50 {
		t.Errorf("%+v, %v", a, err)
	}
	o.Only = []string{"c"}
	if _, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": plenty()})}, o); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
	other := plenty()
	other.cpus = 8
	if _, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": plenty(), "b": other})}, options()); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "--host a") {
		t.Errorf("two types: %v", err)
	}
}

// What was not measured is said, on one host as well; what is not to be
// believed is not used.
func TestNotConsidered(t *testing.T) {
	t.Parallel()
	some := plenty()
	some.commits, some.network, some.scans = 0, 0, nil
	half := plenty()
	half.write = 0
	r := report(t, map[string]given{"a": some, "b": half})
	for i := range r.Tests {
		if r.Tests[i].ID == "disk.randread.8k.qd32" {
			r.Tests[i].Verdict, r.Tests[i].Reason = perfcheck.Error, "a cache was measured"
		}
	}
	a, err := Size([]*perfcheck.Report{r}, options())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"commits: not measured on a", "network: not measured on a", "scan: not measured on a", "write: not measured on b", "iops: not believed", "scan knee: "} {
		if !slices.ContainsFunc(a.NotConsidered, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("%q is not said: %q", want, a.NotConsidered)
		}
	}
	for _, l := range a.Limits {
		if slices.Contains([]string{"commits", "network", "scan", "write", "iops", "scan knee"}, l.Resource) {
			t.Errorf("made up: %+v", l)
		}
	}
	if _, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": {cpus: 4, memory: 32 * gib}})}, options()); fault.KindOf(err) != fault.Usage {
		t.Errorf("nothing was measured: %v", err)
	}
	if _, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": {iops: 1e4}})}, options()); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "--cores") {
		t.Errorf("no inventory: %v", err)
	}
}

// The knee that bounds is the machine's, whatever the noise.
func TestKneeOfNoisyScans(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 5))
	const rounds = 100
	wrong := 0
	for range rounds {
		g := plenty()
		g.disks = 1
		g.scans = nil
		r := report(t, map[string]given{"a": g})
		for _, k := range []float64{1, 2, 4, 8} {
			level := math.Min(k*300e6, 1200e6)
			x := perfcheck.Test{ID: fmt.Sprintf("disk.scan.k%g", k), Host: "a", Verdict: perfcheck.Pass, Metrics: map[string]perfcheck.Metric{}}
			values := make([]float64, 60)
			for i := range values {
				values[i] = level * math.Max(0.1, 1+0.2*rng.NormFloat64())
			}
			x.Series = []perfcheck.Series{{Name: "throughput", Interval: 1, Values: values}}
			v := perfcheck.Median(values)
			x.Metrics["throughput"] = perfcheck.Metric{Value: v, N: 1, Reps: []float64{v}}
			p99 := 0.003 * math.Max(1, k*300e6/1200e6) * math.Exp(0.1*rng.NormFloat64())
			x.Metrics["service_p99"] = perfcheck.Metric{Value: p99, N: 1, Reps: []float64{p99}}
			r.Tests = append(r.Tests, x)
		}
		a, err := Size([]*perfcheck.Report{r}, options())
		if err != nil {
			t.Fatal(err)
		}
		if a.SegmentsPerHost != 4 || !strings.HasPrefix(a.Bound, "scan knee") {
			wrong++
		}
	}
	if wrong > rounds*4/100 {
		t.Errorf("%d of %d knees are wrong", wrong, rounds)
	}
}

// Of two runs the newer counts, and both are named.
func TestSeveralReports(t *testing.T) {
	t.Parallel()
	old, fresh := plenty(), plenty()
	old.iops, fresh.iops = 600, 900
	first, second := report(t, map[string]given{"a": old}), report(t, map[string]given{"a": fresh})
	first.Run.ID, first.Run.Started = "pold", time.Now().Add(-time.Hour)
	for _, order := range [][]*perfcheck.Report{{first, second}, {second, first}} {
		a, err := Size(order, options())
		if err != nil || a.SegmentsPerHost != 3 || !slices.Equal(a.Runs, []string{"pold", "ptest"}) {
			t.Errorf("%+v, %v", a, err)
		}
	}
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	weak := plenty()
	weak.iops = 1300
	b, _, err := perfcheck.NewBaseline("c4", "", time.Now(), []*perfcheck.Report{report(t, map[string]given{"a": weak})})
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	if _, err := Size([]*perfcheck.Report{FromBaseline(b)}, o); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "--cores") {
		t.Errorf("%v", err)
	}
	o.Machine, o.Disks = cluster.Machine{CPUs: 64, Memory: 512 * gib}, 10
	a, err := Size([]*perfcheck.Report{FromBaseline(b)}, o)
	if err != nil || a.SegmentsPerHost != 4 || !strings.HasPrefix(a.Bound, "iops") {
		t.Errorf("%+v, %v", a, err)
	}
}

// What is written is what layout.measured reads: it bounds auto, and hosts of
// another type are refused.
func TestTopologyTakesIt(t *testing.T) {
	t.Parallel()
	g := plenty()
	g.cpus, g.memory, g.iops = 32, 256*gib, 1000
	o := options()
	o.Mirrors = cluster.MirrorsGroup
	a, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": g})}, o)
	if err != nil {
		t.Fatal(err)
	}
	doc := struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		*Answer
	}{"cw/v1", cluster.KindMeasured, a}
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "size.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := cluster.Parse(filepath.Join(dir, "cluster.yaml"), []byte(`
apiVersion: cw/v1
kind: Cluster
name: dw1
engine: {kind: greenplum}
layout: {segments_per_host: auto, measured: ./size.json, mirrors: group, data_dirs: [/data1]}
hosts:
  - {name: cdw, address: 10.0.0.1, roles: [coordinator]}
  - {name: "sdw[1-2]", address: "10.0.0.[2-3]", roles: [segment]}
`))
	if err != nil {
		t.Fatal(err)
	}
	is := cluster.Machine{CPUs: 32, Memory: 255 * gib}
	n, reason, err := cluster.AutoSegmentsOf(top, top.Hosts[1], is)
	if err != nil || n != 3 || !strings.Contains(reason, "ptest") || !strings.Contains(reason, "iops") {
		t.Errorf("%d, %s, %v", n, reason, err)
	}
	is.CPUs = 16
	if _, _, err := cluster.AutoSegmentsOf(top, top.Hosts[1], is); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" || !strings.Contains(err.Error(), "sdw1") {
		t.Errorf("another type: %v", err)
	}
}

func TestDemand(t *testing.T) {
	t.Parallel()
	d := DefaultDemand()
	if err := d.ParseDemand([]string{"scan=200MB/s", "memory=4GiB", "cores=1.5", "iops=100/s", "bandwidth=0"}); err != nil || d.Scan != 200e6 || d.Memory != 4*float64(gib) || d.Cores != 1.5 || d.IOPS != 100 || d.Bandwidth != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	for _, bad := range []string{"scn=1MB/s", "scan", "scan=x", "cores=-1", "cores=NaN", "=1"} {
		if err := d.ParseDemand([]string{bad}); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", bad, err)
		}
	}
	o := options()
	o.Demand.IOPS = 0
	weak := plenty()
	weak.iops = 1
	a, err := Size([]*perfcheck.Report{report(t, map[string]given{"a": weak})}, o)
	if err != nil || a.SegmentsPerHost == 1 || !slices.ContainsFunc(a.NotConsidered, func(s string) bool { return strings.HasPrefix(s, "iops") }) {
		t.Errorf("%+v, %v", a, err)
	}
}

func FuzzParseDemand(f *testing.F) {
	f.Add("scan=200MB/s")
	f.Fuzz(func(t *testing.T, text string) {
		d := DefaultDemand()
		if err := d.ParseDemand([]string{text}); err == nil && (d.Scan < 0 || d.Cores < 0 || math.IsNaN(d.Cores) || math.IsInf(d.IOPS, 0)) {
			t.Errorf("%q: %+v", text, d)
		}
	})
}
