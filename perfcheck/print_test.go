package perfcheck

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// colourful has a test of every verdict.
func colourful() *Report {
	fail, warn := on("sdw2", Fail, "iops of 100/s is 0.50 times of base's 200/s"), on("sdw1", Warn, "a | b\n<c> & \"d\" \x01")
	fail.Baseline = &Comparison{ID: "base", Kind: KindRecorded, Metric: "iops", Value: 200, Ratio: 0.5, Verdict: Fail, Reason: "too slow"}
	fail.Comparisons = []Comparison{*fail.Baseline}
	fail.Metrics["iops"] = newMetric(definition().Metrics[0], []float64{50, 50, 50})
	warn.Events = []Event{{Kind: EventThrottle, Text: "iops fell"}}
	warn.Flags = []string{FlagSteal, "unheard_of"}
	broken := Failed(definition(), errors.New("connection lost"))
	broken.Pair = &PairOf{"sdw1", "sdw2"}
	left, unsure := Omitted(definition(), "needs root"), on("sdw3", Inconclusive, "too noisy")
	left.ID, unsure.ID = "disk.other", "net.rr"
	unsure.Area = Net
	r := report(on("sdw1", Pass, ""), warn, fail, broken, left, unsure)
	r.Conclude(nil)
	return r
}

func TestWriteTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := WriteTable(&b, colourful()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"DISK\n", "NET\n", "TEST", "disk.randread.8k.qd32  sdw2",
		"50/s   ±0.0 %  0.50 x base  fail", "sdw1 -> sdw2", "SUMMARY", "50/s [sdw2]", "101/s [sdw1]",
		"disk.randread.8k.qd32 sdw1: throttle: iops fell", `warn: a | b <c> & "d"`, "steal: the hypervisor took CPU time away: the host of this machine is crowded (disk.randread.8k.qd32 sdw1)", "unheard_of",
		"verdict: fail: 1 fail (disk.randread.8k.qd32 sdw2); 1 error", "connection lost",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	if err := WriteTable(&b, report()); err != nil {
		t.Error(err)
	}
}

func TestWriteJUnit(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := WriteJUnit(&b, colourful()); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	dec := xml.NewDecoder(bytes.NewReader(b.Bytes()))
	dec.Strict = true
	if err := dec.Decode(&got); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	for {
		token, err := dec.Token()
		if text, ok := token.(xml.CharData); ok && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("more after the document: %v %v", token, err)
		}
		break
	}
	if got.Tests != 6 || got.Failures != 1 || got.Errors != 1 || got.Skipped != 2 || len(got.Suites) != 2 || got.Time != "60.000" {
		t.Errorf("%+v", got)
	}
	disk := got.Suites[0]
	if disk.Name != "disk" || disk.Tests != 5 || disk.Failures != 1 || disk.Errors != 1 || disk.Skipped != 1 || len(disk.Properties.Properties) != 5 || disk.Timestamp != "2026-01-02T03:04:05" {
		t.Errorf("%+v", disk)
	}
	c := disk.Cases
	if c[0].ClassName != "disk.randread.8k.qd32" || c[0].Name != "sdw1" || c[0].Failure != nil || c[0].Properties.Properties[0] != (junitProperty{"iops (/s)", "101"}) {
		t.Errorf("%+v", c[0])
	}
	if c[1].Failure != nil || !strings.Contains(c[1].SystemOut, `a | b`) || !strings.Contains(c[1].SystemOut, `<c> & "d"`) {
		t.Errorf("warn: %+v", c[1])
	}
	if c[2].Failure == nil || c[2].Failure.Message == "" || c[3].Error == nil || c[3].Name != "sdw1 -> sdw2" || c[4].Skipped == nil || got.Suites[1].Cases[0].Skipped == nil {
		t.Errorf("%+v", c)
	}
	for _, forbidden := range []string{"\x01", "<c>"} {
		if strings.Contains(b.String(), forbidden) {
			t.Errorf("%q is not escaped", forbidden)
		}
	}
}

func TestWriteMarkdown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := WriteMarkdown(&b, colourful()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if !strings.HasPrefix(text, "## Performance: fail\n") {
		t.Errorf("the verdict is not first:\n%s", text)
	}
	for _, want := range []string{`a \| b &lt;c&gt;`, "| **fail** |", "1 pass, 1 warn, 1 inconclusive, 1 fail, 1 error, 1 skipped", "<details><summary>All 6 results</summary>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	open, _, _ := strings.Cut(text, "<details>")
	if strings.Contains(open, "| pass |") {
		t.Error("what passed is not folded away")
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 7 && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 8 {
			t.Errorf("a broken row: %q", line)
		}
	}
}

func TestFormatValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v          float64
		unit, want string
	}{
		{1.234e9, BytesPerSecond, "1.23 GB/s"},
		{999, BytesPerSecond, "999 B/s"},
		{0, BytesPerSecond, "0 B/s"},
		{12345, PerSecond, "12.3k/s"},
		{7.25, PerSecond, "7.25/s"},
		{0.00152, Seconds, "1.52 ms"},
		{3, Seconds, "3 s"},
		{25e-6, Seconds, "25 µs"},
		{80e-9, Seconds, "80 ns"},
		{0, Seconds, "0 s"},
		{0.9999, Seconds, "1 s"},
		{2.5e12, Bytes, "2.5 TB"},
		{17, Count, "17"},
		{0.93, Ratio, "0.93"},
		{0.0004, Ratio, "0.0004"},
		{999999, PerSecond, "1M/s"},
	} {
		if got := FormatValue(c.v, c.unit); got != c.want {
			t.Errorf("%v %s is %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	a, b := report(), report()
	b.Run.ID, b.Run.Profile, b.Tool.Engine = "p2", "standard", "2"
	add := func(r *Report, id, host string, iops ...float64) {
		test := Combine(definition(), reps(iops...))
		test.ID, test.Host = id, host
		r.Tests = append(r.Tests, test)
	}
	add(a, "same", "x", 100, 101, 102)
	add(b, "same", "x", 101, 100, 102)
	add(a, "worse", "x", 100, 101, 102)
	add(b, "worse", "x", 80, 81, 82)
	add(a, "better", "x", 100, 101, 102)
	add(b, "better", "x", 150, 151, 152)
	add(a, "noisy", "x", 50, 100, 150)
	add(b, "noisy", "x", 40, 80, 130)
	add(a, "gone", "x", 1)
	add(b, "new", "x", 1)
	add(a, "pooled", "x", 100, 101)
	add(a, "pooled", "y", 100, 101)
	add(b, "pooled", "z", 50, 51)
	broken := Failed(definition(), errors.New("lost"))
	broken.ID, broken.Host = "broken", "x"
	add(a, "broken", "x", 1, 1)
	b.Tests = append(b.Tests, broken)
	d := Compare(a, b)
	if len(d.Notes) != 2 {
		t.Errorf("notes %v", d.Notes)
	}
	want := map[string]string{"same": ChangeSame, "worse": ChangeWorse, "better": ChangeBetter, "noisy": ChangeUnclear, "gone": ChangeOnlyA, "new": ChangeOnlyB, "pooled": ChangeWorse, "broken": ChangeNone}
	for _, c := range d.Metrics {
		if c.Metric != "iops" && c.Metric != "" {
			if c.Change != ChangeSame && c.ID != "broken" {
				t.Errorf("%+v", c)
			}
			continue
		}
		if c.Change != want[c.ID] {
			t.Errorf("%+v, want %s", c, want[c.ID])
		}
		delete(want, c.ID)
		if c.ID == "worse" && math.Abs(c.Ratio-81.0/101) > 1e-9 || c.ID == "pooled" && c.Where != "" || c.ID == "broken" && !strings.Contains(c.Note, "B: error: lost") {
			t.Errorf("%+v", c)
		}
	}
	if len(want) > 0 || d.Worse() != 2 {
		t.Errorf("missing %v, %d worse", want, d.Worse())
	}
	var table, mark, doc bytes.Buffer
	if err := errors.Join(d.WriteTable(&table, false), d.WriteMarkdown(&mark), d.WriteJSON(&doc)); err != nil {
		t.Fatal(err)
	}
	var back Difference
	if err := json.Unmarshal(doc.Bytes(), &back); err != nil || len(back.Metrics) != len(d.Metrics) || back.Kind != "PerfComparison" {
		t.Errorf("%v %+v", err, back)
	}
	for _, s := range []string{table.String(), mark.String()} {
		if !strings.Contains(s, "worse") || !strings.Contains(s, "only in A") || strings.Contains(s, "stall") {
			t.Error(s)
		}
	}
	if d := Compare(a, a); d.Worse() != 0 {
		t.Error("a run is worse than itself")
	}
}
