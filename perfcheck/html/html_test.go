package html

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cw/chart"
	"cw/perfcheck"
)

// metric is a plain one.
func metric(v float64, unit string, better perfcheck.Better) perfcheck.Metric {
	return perfcheck.Metric{Value: v, Unit: unit, Better: better, N: 3, Median: v, CV: 0.02, Reps: []float64{v * 0.98, v, v * 1.02}}
}

// sample is a report of four hosts with one bad link, one throttled disk, an
// error and a test that was left out. Shift makes another run of it.
func sample(shift float64) *perfcheck.Report {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	r := &perfcheck.Report{
		APIVersion: "cw/v1", Kind: "PerfReport", Tool: perfcheck.Tool{Version: "1.0", Engine: perfcheck.EngineVersion},
		Run:     perfcheck.Run{ID: "p" + strconv.Itoa(int(shift*100)), Started: at, Finished: at.Add(9 * time.Minute), Complete: true, Profile: "quick", Argv: []string{"cw", "perf", "all"}},
		Verdict: perfcheck.Fail, Reason: "1 fail (net.tcp.s4 h1 -> h3)",
	}
	for h := range 4 {
		name := fmt.Sprintf("h%d", h+1)
		r.Hosts = append(r.Hosts, perfcheck.Host{Name: name, Inventory: map[string]any{
			"cpu":    map[string]any{"model": "Some CPU", "cpus": 8, "kernel": "6.1"},
			"memory": map[string]any{"total": 64 << 30},
			"nics":   []map[string]any{{"name": "eth0", "up": true, "driver": "virtio_net", "mtu": 1500, "speed": 1e10}},
		}})
		hist := perfcheck.NewHistogram()
		rng := rand.New(rand.NewPCG(uint64(h), 1))
		for range 5000 {
			hist.Record(time.Duration(rng.ExpFloat64() * float64(time.Millisecond)))
		}
		s := perfcheck.Series{Name: "iops", Unit: perfcheck.PerSecond, Interval: 1}
		for i := range 60 {
			level := 5000 * shift
			if h == 2 && i >= 30 {
				level = 1000
			}
			s.Values = append(s.Values, level+rng.Float64()*200)
		}
		t := perfcheck.Test{
			ID: "disk.randread.8k.qd32", Area: perfcheck.Disk, Title: "random reads", Host: name, Main: "iops", Verdict: perfcheck.Pass,
			Metrics: map[string]perfcheck.Metric{"iops": metric(5000*shift, perfcheck.PerSecond, perfcheck.Higher), "service_p99": metric(0.004, perfcheck.Seconds, perfcheck.Lower)},
			Series:  []perfcheck.Series{s}, Histograms: map[string]*perfcheck.Histogram{"service": hist},
		}
		if h == 2 {
			t.Verdict, t.Reason, t.Flags = perfcheck.Warn, "it was throttled", []string{perfcheck.FlagNoisy}
			t.Events = []perfcheck.Event{{Kind: perfcheck.EventThrottle, At: 30, Before: 5000, After: 1000, Text: "from 5k/s to 1k/s"}}
		}
		r.Tests = append(r.Tests, t)
	}
	for a := range 4 {
		for b := range 4 {
			if a == b {
				continue
			}
			t := perfcheck.Test{
				ID: "net.tcp.s4", Area: perfcheck.Net, Title: "TCP", Pair: &perfcheck.PairOf{From: fmt.Sprintf("h%d", a+1), To: fmt.Sprintf("h%d", b+1)},
				Main: "throughput", Verdict: perfcheck.Pass, Metrics: map[string]perfcheck.Metric{"throughput": metric(1.1e9*shift, perfcheck.BytesPerSecond, perfcheck.Higher)},
			}
			switch {
			case a == 0 && b == 2:
				t.Verdict, t.Metrics["throughput"] = perfcheck.Fail, metric(2.6e8, perfcheck.BytesPerSecond, perfcheck.Higher)
			case a == 3 && b == 1:
				t.Verdict, t.Reason, t.Metrics = perfcheck.Error, "h4 -> h2: connection refused", nil
			}
			r.Tests = append(r.Tests, t)
		}
	}
	r.Tests = append(r.Tests, perfcheck.Test{ID: "net.nics", Area: perfcheck.Net, Host: "h1", Verdict: perfcheck.Skipped, Reason: "one interface"})
	return r
}

func write(t *testing.T, r, earlier *perfcheck.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r, earlier); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The page says everything that the report does, and loads nothing.
func TestPageIsWholeAndAlone(t *testing.T) {
	t.Parallel()
	r := sample(1)
	text := write(t, r, nil)
	for i := range r.Tests {
		for _, want := range []string{r.Tests[i].ID, template.HTMLEscapeString(r.Tests[i].Reason)} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
	}
	for _, want := range []string{"Some CPU, 8 CPUs", "64.0 GiB", "10 Gbit/s", "throttle after 30 s", "over time", "by percentile", "9m0s", "h4 -&gt; h2: connection refused"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	for _, bad := range []string{"http:", "https:", "src=", "url(", "<script", "@import", "<link", "<img", "<iframe", "NaN", "Inf,"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if opened, closed := strings.Count(text, "<details"), strings.Count(text, "</details>"); opened != closed || opened < 3 {
		t.Errorf("%d details, %d ends", opened, closed)
	}
}

// What comes from a host or a person is text, wherever it stands.
func TestPageEscapes(t *testing.T) {
	t.Parallel()
	r := sample(1)
	evil := `"><script>alert(1)</script><img src=x onerror='y'>`
	r.Hosts[0].Name, r.Hosts[0].Error, r.Reason = evil, evil, evil
	r.Hosts[0].Inventory = map[string]any{evil: map[string]any{evil: evil}}
	r.Run.ID, r.Run.Argv = evil, []string{evil}
	for i := range r.Tests {
		x := &r.Tests[i]
		x.ID, x.Title, x.Reason, x.Flags = evil, evil, evil, []string{evil}
		if x.Host != "" {
			x.Host = evil
		} else {
			x.Pair.From += evil
		}
		for j := range x.Events {
			x.Events[j].Text, x.Events[j].Kind = evil, evil
		}
		for j := range x.Series {
			x.Series[j].Name, x.Series[j].Unit = evil, evil
		}
		for name, h := range x.Histograms {
			delete(x.Histograms, name)
			x.Histograms[evil] = h
		}
		for name, m := range x.Metrics {
			delete(x.Metrics, name)
			m.Unit = evil
			x.Metrics[evil] = m
		}
		x.Main = evil
	}
	text := write(t, r, r)
	for _, bad := range []string{"<script", "<img", `onerror='`} {
		if strings.Contains(text, bad) {
			at := strings.Index(text, bad)
			t.Errorf("%q: …%s…", bad, text[max(0, at-60):at+60])
		}
	}
}

// Reports with next to nothing in them are pages, too.
func TestPageOfLittle(t *testing.T) {
	t.Parallel()
	zero := perfcheck.Test{ID: "disk.x", Area: perfcheck.Disk, Main: "iops", Metrics: map[string]perfcheck.Metric{"iops": {Unit: perfcheck.PerSecond}}}
	zero.Series = []perfcheck.Series{{Name: "iops", Unit: perfcheck.PerSecond, Interval: 1, Values: []float64{0, 0, 0}}, {Name: "one", Interval: 1, Values: []float64{5}}}
	zero.Histograms = map[string]*perfcheck.Histogram{"service": perfcheck.NewHistogram()}
	for _, r := range []*perfcheck.Report{{}, {Tests: []perfcheck.Test{{}}}, {Tests: []perfcheck.Test{zero, zero}, Hosts: []perfcheck.Host{{}}}} {
		for _, earlier := range []*perfcheck.Report{nil, {}, r} {
			if text := write(t, r, earlier); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || !strings.Contains(text, "</html>") {
				t.Errorf("%+v", r)
			}
		}
	}
}

var coordinates = regexp.MustCompile(`[ML]([0-9.]+) ([0-9.]+)`)

// A chart's line goes through the values: read back from its places.
func TestChartTellsTheTruth(t *testing.T) {
	t.Parallel()
	vals := []float64{100, 250, 400, 50, 399}
	test := &perfcheck.Test{ID: "x", Host: "h", Series: []perfcheck.Series{{Name: "throughput", Unit: perfcheck.BytesPerSecond, Interval: 2, Values: vals}}}
	g := &group{ID: "x", tests: []*perfcheck.Test{test}}
	charts := g.overTime()
	if len(charts) != 1 {
		t.Fatalf("%d charts", len(charts))
	}
	found := coordinates.FindAllStringSubmatch(string(charts[0].SVG), -1)
	if len(found) != len(vals) {
		t.Fatalf("%d points: %s", len(found), charts[0].SVG)
	}
	top := 400.0 // a round number at or above the greatest
	for i, f := range found {
		x, _ := strconv.ParseFloat(f[1], 64)
		y, _ := strconv.ParseFloat(f[2], 64)
		v := (chart.Bottom - y) / (chart.Bottom - chart.Top) * top
		at := (x - chart.Left) / (chart.Right - chart.Left) * 9
		if math.Abs(v-vals[i]) > 2 || math.Abs(at-(2*float64(i)+1)) > 0.1 {
			t.Errorf("point %d: %g at %g s, want %g at %d s", i, v, at, vals[i], 2*i+1)
		}
	}
}

func TestMatrixShowsTheBadPair(t *testing.T) {
	t.Parallel()
	var pairs []*perfcheck.Test
	r := sample(1)
	for i := range r.Tests {
		if r.Tests[i].Pair != nil {
			pairs = append(pairs, &r.Tests[i])
		}
	}
	check := func(m *matrix, cold bool) {
		t.Helper()
		if m == nil || len(m.Rows) != 4 {
			t.Fatalf("%+v", m)
		}
		for i, row := range m.Rows {
			for j, c := range row.Cells {
				hot := i == 0 && j == 2 || i == 3 && j == 1
				if c.Self != (i == j) || hot != (c.Heat > 50) && !c.Self || !hot && !c.Self && c.Heat != 0 {
					t.Errorf("%v %d %d: %+v", cold, i, j, c)
				}
			}
		}
	}
	check(newMatrix(pairs), false)
	for _, p := range pairs { // the same as times: less is better
		if m, ok := p.Metrics["throughput"]; ok {
			p.Metrics["throughput"] = metric(1e5/m.Value, perfcheck.Seconds, perfcheck.Lower)
		}
	}
	check(newMatrix(pairs), true)
	if newMatrix(pairs[:1]) != nil || newMatrix([]*perfcheck.Test{{Host: "h"}}) != nil {
		t.Error("a matrix of two hosts, or of none")
	}
}

// The percentile curve ends at the greatest latency and never falls.
func TestPercentiles(t *testing.T) {
	t.Parallel()
	h := perfcheck.NewHistogram()
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	c := percentilesOf([]*perfcheck.Test{{Host: "h", Histograms: map[string]*perfcheck.Histogram{"service": h}}}, "service")
	if len(c) != 1 {
		t.Fatal(c)
	}
	last := 0.0
	for _, p := range c[0].points {
		if p.Y < last {
			t.Errorf("it falls at %g", p.X)
		}
		last = p.Y
		if p.X == 1 && math.Abs(p.Y-0.9) > 0.02 { // p90
			t.Errorf("p90 is %g", p.Y)
		}
	}
	if math.Abs(last-1) > 0.02 || math.Abs(c[0].points[len(c[0].points)-1].X-3) > 1e-6 {
		t.Errorf("it ends at %g", last)
	}
}

func TestSideBySide(t *testing.T) {
	t.Parallel()
	text := write(t, sample(0.5), sample(1))
	for _, want := range []string{`id="compare"`, `class="c-worse"`, "earlier run", "0.50", "line earlier"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if text := write(t, sample(1), sample(1)); strings.Contains(text, `<td class="c-worse"`) || strings.Contains(text, `<td class="c-better"`) {
		t.Error("a run against itself has changes")
	}
	for ratio, want := range map[float64]float64{1: 50, 4: 100, 0.25: 0, 2: 75, 100: 100} {
		if got := onScale(ratio); math.Abs(got-want) > 1e-9 {
			t.Errorf("%g is at %g, want %g", ratio, got, want)
		}
	}
}

// What all places have in common is said once.
func TestSharedFlags(t *testing.T) {
	t.Parallel()
	rows := []row{{Flags: []string{"a", "b"}}, {Flags: []string{"b", "c"}}, {Flags: []string{"b"}}}
	if got := shared(rows); !slices.Equal(got, []string{"b"}) || !slices.Equal(rows[0].Flags, []string{"a"}) || !slices.Equal(rows[1].Flags, []string{"c"}) || len(rows[2].Flags) != 0 {
		t.Errorf("%v %v", got, rows)
	}
	if got := shared(rows[:1]); got != nil {
		t.Error(got)
	}
}

// What was measured before, during and after shares a chart.
func TestPhases(t *testing.T) {
	t.Parallel()
	of := func(d time.Duration) *perfcheck.Histogram {
		h := perfcheck.NewHistogram()
		h.RecordN(d, 100)
		return h
	}
	test := &perfcheck.Test{ID: "x", Host: "h", Histograms: map[string]*perfcheck.Histogram{
		"response_before": of(time.Millisecond), "response_during": of(time.Second), "response_after": of(2 * time.Millisecond), "service_before": of(time.Millisecond),
	}}
	got := (&group{ID: "x", tests: []*perfcheck.Test{test}}).latencies()
	if len(got) != 2 || len(got[0].Legend) != 3 || got[0].Legend[1].Name != "during" || strings.Count(string(got[0].SVG), "<path") != 3 || !strings.HasPrefix(got[1].Caption, "service_before") {
		t.Errorf("%+v", got)
	}
	s := perfcheck.Series{Name: "rate", Unit: perfcheck.PerSecond, Interval: 1, Values: []float64{1, 2, 3, 4}}
	test.Series, test.Events = []perfcheck.Series{s}, []perfcheck.Event{{Kind: "trigger", At: 1, Length: 2}}
	if c := (&group{ID: "x", tests: []*perfcheck.Test{test}}).overTime(); len(c) != 1 || strings.Count(string(c[0].SVG), `class="span"`) != 1 {
		t.Errorf("%+v", c)
	}
}
