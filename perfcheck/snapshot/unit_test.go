package snapshot

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/perfcheck"
)

func TestLastAt(t *testing.T) {
	t.Parallel()
	const places = 4
	last := make([]int64, places) // by doing it
	for n := int64(1); n < 40; n++ {
		last[(n-1)%places] = n
		for p := range int64(places) {
			if got := lastAt(p, n, places); got != last[p] {
				t.Fatalf("place %d after write %d: %d, not %d", p, n, got, last[p])
			}
		}
	}
}

// numbers are those of a copy that holds writes 1 to n.
func numbers(n, places int64) []int64 {
	out := make([]int64, places)
	for i := range out {
		out[i] = lastAt(int64(i), n, places)
	}
	return out
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                string
		last, acked, issued int64
		change              func(n []int64, torn map[int64]bool)
		want                string
	}{
		{"exact", 20, 18, 21, nil, ""},
		{"all", 20, 20, 20, nil, ""},
		{"acknowledged and lost", 17, 18, 21, nil, "was acknowledged before the snapshot"},
		{"from the future", 22, 18, 21, nil, "began after it was captured"},
		{"a hole", 20, 18, 21, func(n []int64, _ map[int64]bool) { n[2] -= 8 }, "of no one moment"},
		{"under way", 20, 18, 21, func(_ []int64, torn map[int64]bool) { torn[20%8] = true }, ""},
		{"torn before", 20, 18, 21, func(_ []int64, torn map[int64]bool) { torn[19%8] = true }, "of no write"},
		{"torn without one under way", 20, 18, 20, func(_ []int64, torn map[int64]bool) { torn[20%8] = true }, "of no write"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n, torn := numbers(tc.last, 8), map[int64]bool{}
			if tc.change != nil {
				tc.change(n, torn)
			}
			v := Verified{Last: tc.last, Acked: tc.acked, Issued: tc.issued}
			if got := v.order(n, torn); got != tc.want && (tc.want == "" || !strings.Contains(got, tc.want)) {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := choose(1000, 300, 7)
	if again := choose(1000, 300, 7); !slices.Equal(all, again) {
		t.Error("the same seed chooses others")
	}
	seen := map[int64]bool{}
	for _, v := range all {
		if v < 0 || v >= 1000 || seen[v] {
			t.Fatalf("%d is chosen twice, or none", v)
		}
		seen[v] = true
	}
	if whole := choose(64, 64, 1); slices.Max(whole) != 63 || len(whole) != 64 {
		t.Error(whole)
	}
}

// result makes what a probe of 100 requests a second would have seen: a
// response for each tenth of a second, 0 for a window in which nothing was
// done.
func result(trigger, done float64, responses ...float64) ProbeResult {
	r := ProbeResult{Mode: Write, Rate: 100, Window: 0.1, Trigger: trigger, Done: done, Length: float64(len(responses)) / 10, Response: map[string]*perfcheck.Histogram{}}
	for _, p := range []string{Before, During, After} {
		r.Response[p] = perfcheck.NewHistogram()
	}
	for i, v := range responses {
		var w Window
		if v > 0 {
			w = Window{Done: 10, P50: v, Max: v}
			phase := During
			switch at := float64(i) / 10; {
			case at < trigger:
				phase = Before
			case at >= done:
				phase = After
			}
			r.Response[phase].RecordN(time.Duration(v*float64(time.Second)), 10)
		}
		r.Windows = append(r.Windows, w)
	}
	return r
}

func TestImpact(t *testing.T) {
	t.Parallel()
	calm := slices.Repeat([]float64{0.002}, 20)
	stall := result(2, 3, slices.Concat(calm, []float64{0.002, 0, 0, 0, 0, 0.4, 0.3, 0.2, 0.1, 0.002}, []float64{0.1, 0.1, 0.1}, calm)...)
	i := ImpactOf(stall)
	if i.Stall < 0.39 || i.Stall > 0.41 || i.DeltaP99 < 0.3 || i.Loss < 0.3 || i.Loss > 0.45 {
		t.Errorf("stall: %+v", i)
	}
	if !i.Recovered || i.Recover < 0.19 || i.Recover > 0.31 {
		t.Errorf("recovered after %.2f s: %v", i.Recover, i.Recovered)
	}
	if Verdict(i, Impact{}) == "" || Verdict(i, i) != "" {
		t.Errorf("%q and %q", Verdict(i, Impact{}), Verdict(i, i))
	}
	still := ImpactOf(result(2, 3, slices.Concat(calm, calm[:10], calm)...))
	if still.Stall != 0 || still.DeltaP99 != 0 || still.Loss != 0 || still.Recover != 0 || !still.Recovered || Verdict(still, Impact{}) != "" {
		t.Errorf("nothing happened: %+v", still)
	}
	never := ImpactOf(result(2, 3, slices.Concat(calm, slices.Repeat([]float64{0.1}, 30))...))
	if never.Recovered || Verdict(never, Impact{}) == "" {
		t.Errorf("it never recovers: %+v", never)
	}
	if none := ImpactOf(ProbeResult{Window: 0.1}); none.Stall != 0 {
		t.Errorf("no windows: %+v", none)
	}
}

// TestJudged: an impact counts beyond what the control moved; one that the
// control has as well is nobody's, and no impact needs no control.
func TestJudged(t *testing.T) {
	t.Parallel()
	bad, calm := Impact{Stall: 1, DeltaP99: 0.5}, Impact{DeltaP99: 0.001}
	for _, tc := range []struct {
		name        string
		i, control  *Impact
		want, noisy perfcheck.Verdict
	}{
		{"impact", &bad, &calm, perfcheck.Warn, perfcheck.Pass},
		{"none", &calm, &calm, perfcheck.Pass, perfcheck.Pass},
		{"both", &bad, &bad, perfcheck.Inconclusive, perfcheck.Inconclusive},
		{"no control", &bad, nil, perfcheck.Inconclusive, perfcheck.Pass},
		{"noisy", &calm, &bad, perfcheck.Pass, perfcheck.Inconclusive},
	} {
		out := &Outcome{Impacts: map[string]Impact{TestFullWrite: *tc.i}}
		if tc.control != nil {
			out.Impacts[TestControlWrite] = *tc.control
		}
		for id, want := range map[string]perfcheck.Verdict{TestFullWrite: tc.want, TestControlWrite: tc.noisy} {
			got := perfcheck.Test{ID: id, Verdict: perfcheck.Pass}
			judge(&got, []*Outcome{out})
			if got.Verdict != want || (want == perfcheck.Pass) != (got.Reason == "") {
				t.Errorf("%s: %s is %s: %s", tc.name, id, got.Verdict, got.Reason)
			}
		}
	}
}

// TestLeftovers: a folder whose run is gone is found, one that is in use not.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := onDiskDir(t)
	var s Set
	o, err := s.Open(t.Context(), dir, "lives")
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(dir, FolderPrefix+"dead")
	if err := os.Mkdir(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := mark(filepath.Join(dead, markerName))
	if err != nil {
		t.Fatal(err)
	}
	if left := Leftovers(dir); len(left) != 0 {
		t.Error("in use:", left)
	}
	_ = f.Close()
	if left := Leftovers(dir); !slices.Equal(left, []string{dead}) {
		t.Error(left)
	}
	if _, err := os.Stat(o.Folder); err != nil {
		t.Error(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(o.Folder); !os.IsNotExist(err) {
		t.Error("the folder is still there:", err)
	}
}

func FuzzReadProbeBlock(f *testing.F) {
	b := make([]byte, 64)
	probeBlock(b, 7, 3, 12)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := readProbeBlock(b, make([]byte, 64), 7, 3)
		if !ok {
			return
		}
		want := make([]byte, 64)
		probeBlock(want, 7, 3, n)
		if string(want) != string(b) {
			t.Error("a block that is none of the probe's")
		}
	})
}
