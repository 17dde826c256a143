package disk

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// TestCatalogue runs each test for a moment: each metric that it promises has
// to be there, and be a number.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	s, _ := prepared(t, 128*mib)
	seen := map[string]bool{}
	shape := regexp.MustCompile(`^disk\.[a-z0-9_]+(\.[a-z0-9]+)*$`)
	var inQuick time.Duration
	for _, test := range Tests() {
		if seen[test.ID] || !shape.MatchString(test.ID) || test.Title == "" || test.Area != perfcheck.Disk || len(test.Profiles) == 0 || len(test.Metrics) == 0 {
			t.Errorf("definition of %s: %+v", test.ID, test)
		}
		seen[test.ID] = true
		if slices.Contains(test.Profiles, quick) {
			inQuick += 3 * (max(3*time.Second, test.MinDuration) + time.Second)
		}
		test.Job.Timing = timing(0, 60*time.Millisecond)
		m, err := s.Run(t.Context(), test.Job, nil)
		if err != nil {
			t.Errorf("%s: %v", test.ID, err)
			continue
		}
		for _, d := range test.Metrics {
			v, ok := m.Values[d.Name]
			if !ok || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				t.Errorf("%s: %s is %v (%v)", test.ID, d.Name, v, ok)
			}
			if d.Ceiling > 0 && v > d.Ceiling || d.Gate == perfcheck.GateFail && v == 0 {
				t.Errorf("%s: %s is %v, which cannot be", test.ID, d.Name, v)
			}
		}
		if m.Began.IsZero() || len(m.Series) != 1 || len(m.Histograms) == 0 {
			t.Errorf("%s: began %v, %d series, %d histograms", test.ID, m.Began, len(m.Series), len(m.Histograms))
		}
	}
	for _, id := range []string{"disk.read.1m.qd16", "disk.randread.8k.qd32", "disk.fdatasync.8k", "disk.fdatasync.8k.rate100", "disk.scan.k4"} {
		if !seen[id] {
			t.Errorf("the catalogue has no %s", id)
		}
	}
	if inQuick > 4*time.Minute {
		t.Errorf("quick takes %s without the prefill", inQuick)
	}
}

func TestJobJSON(t *testing.T) {
	t.Parallel()
	for _, test := range Tests() {
		test.Job.Timing = perfcheck.Timing{Warmup: time.Second, Duration: 3 * time.Second, Start: time.Now().UTC().Round(0)}
		data, err := json.Marshal(test.Job)
		if err != nil {
			t.Fatal(err)
		}
		var got Job
		if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, test.Job) {
			t.Errorf("%s became %+v (%v)", data, got, err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := Job{Kind: RandRead, Block: 8 * kib, Depth: 4, Timing: timing(0, time.Second)}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Job){
		"kind":       func(j *Job) { j.Kind = "erase" },
		"block":      func(j *Job) { j.Block = 1000 },
		"huge block": func(j *Job) { j.Block = gib },
		"depth":      func(j *Job) { j.Depth = 0 },
		"deep":       func(j *Job) { j.Depth = 5000 },
		"duration":   func(j *Job) { j.Duration = 0 },
		"sync":       func(j *Job) { j.Kind = Commit },
		"rate":       func(j *Job) { j.Rate = -1 },
		"scan rate":  func(j *Job) { j.Kind, j.Rate = Scan, 10 },
		"share":      func(j *Job) { j.ReadShare = 2 },
		"engine":     func(j *Job) { j.Engine = "dd" },
	} {
		j := good
		change(&j)
		if err := j.Validate(); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, j := range []Job{{Kind: FirstWrite}, {Kind: Commit, Rate: 10}} {
		j.Engine = EngineFio
		if err := j.Supported(); fault.KindOf(err) != fault.Usage {
			t.Errorf("fio runs %+v: %v", j, err)
		}
	}
}

// TestTally counts made-up requests.
func TestTally(t *testing.T) {
	t.Parallel()
	ms := func(n int64) int64 { return n * int64(time.Millisecond) }
	p := &phase{begin: ms(1000), end: ms(3000)}
	j := Job{Kind: Commit, Depth: 1, Rate: 10, Timing: timing(time.Second, 2*time.Second)}
	w, l := newTally(j), &lane{}
	w.note(p, l, ms(900), ms(900), ms(950), 1, true)    // warm-up
	w.note(p, l, ms(1000), ms(1000), ms(1010), 1, true) // first second
	w.note(p, l, ms(1100), ms(1100), ms(1800), 1, true) // 0.7 s of nothing
	w.note(p, l, ms(1200), ms(1800), ms(1810), 1, true) // was due before: 610 ms
	w.note(p, l, ms(2500), ms(2500), ms(2510), 1, true) // nothing was due in between: no stall
	w.note(p, l, ms(2990), ms(2990), ms(3400), 1, true) // done after the end: its latency counts, not its bytes
	if w.doneOps != 4 || w.ops[0].Load() != 3 || w.ops[1].Load() != 1 {
		t.Errorf("%d done, %d and %d in the seconds", w.doneOps, w.ops[0].Load(), w.ops[1].Load())
	}
	if w.service.Count() != 5 || w.response.Count() != 5 {
		t.Errorf("%d and %d latencies", w.service.Count(), w.response.Count())
	}
	if want := []stall{{ms(1100), ms(1800)}, {ms(2990), ms(3400)}}; !slices.Equal(w.stalls, want) || w.stallMax != ms(700) {
		t.Errorf("stalls %v, longest %d", w.stalls, w.stallMax)
	}
	if n := w.response.Above(600 * time.Millisecond); n != 2 {
		t.Errorf("%d responses above 0.6 s", n)
	}
	if n := w.service.Above(600 * time.Millisecond); n != 1 {
		t.Errorf("%d service times above 0.6 s", n)
	}
}

// TestRateMissed: an open loop that its disk cannot keep up with says so, and
// counts what it never came to.
func TestRateMissed(t *testing.T) {
	t.Parallel()
	s, _ := prepared(t, 16*mib)
	trying(t, func() error {
		m, err := s.Run(t.Context(), Job{Kind: Commit, Sync: Fsync, Block: 8 * kib, Depth: 1, Rate: 1e6, Timing: timing(0, 500*time.Millisecond)}, nil)
		switch {
		case err != nil:
			return err // a disk on which other tests hold everybody up
		case !slices.Contains(m.Flags, perfcheck.FlagRateMissed) || m.Values["achieved"] > 0.9:
			return fmt.Errorf("flags %v, achieved %g", m.Flags, m.Values["achieved"])
		case m.Histograms["response"].Count() != 500000:
			return fmt.Errorf("%d responses of 500000 requests that were due, %g never issued", m.Histograms["response"].Count(), m.Values["unfinished"])
		}
		return nil
	})
}
