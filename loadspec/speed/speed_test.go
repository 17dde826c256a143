package speed

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cw/loadspec"
)

func TestSchedule(t *testing.T) {
	t.Parallel()
	weekdays := []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	s, err := NewSchedule([]loadspec.Window{
		{From: 8 * 60, To: 20 * 60, Days: weekdays, Limit: 50},
		{From: 12 * 60, To: 13 * 60, Limit: 70},
		{From: 22 * 60, To: 6 * 60, Days: []time.Weekday{time.Saturday}, Limit: 5},
		{From: 3 * 60, To: 3*60 + 30, Days: []time.Weekday{time.Wednesday}, Pause: true},
		{From: 3 * 60, To: 4 * 60, Limit: 1},
		{From: 23 * 60, To: 0, Limit: 9},
		{From: 10 * 60, To: 11 * 60, Limit: 0},
	}, "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at    string // UTC; Berlin is one hour ahead in winter, two in summer
		limit int64
		pause bool
		name  string
	}{
		{"2026-11-23T06:59:59Z", 0, false, ""},
		{"2026-11-23T07:00:00Z", 50, false, "50B/s from 08:00 to 20:00 on mon, tue, wed, thu, fri"},
		{"2026-11-23T11:30:00Z", 50, false, "50B/s from 08:00 to 20:00 on mon, tue, wed, thu, fri"}, // the slower of two
		{"2026-11-22T11:30:00Z", 70, false, "70B/s from 12:00 to 13:00"},                            // Sunday
		{"2026-11-21T21:30:00Z", 5, false, "5B/s from 22:00 to 06:00 on sat"},                       // Saturday 22:30
		{"2026-11-22T04:59:00Z", 5, false, "5B/s from 22:00 to 06:00 on sat"},                       // Sunday 05:59
		{"2026-11-22T05:00:00Z", 0, false, ""},
		{"2026-11-21T04:00:00Z", 0, false, ""}, // Saturday morning belongs to Friday
		{"2026-11-25T02:15:00Z", 0, true, "pause from 03:00 to 03:30 on wed"},
		{"2026-11-25T02:45:00Z", 1, false, "1B/s from 03:00 to 04:00"},
		{"2026-11-25T22:59:59Z", 9, false, "9B/s from 23:00 to 00:00"},
		{"2026-11-25T23:00:00Z", 0, false, ""},
		{"2026-07-01T06:00:00Z", 50, false, "50B/s from 08:00 to 20:00 on mon, tue, wed, thu, fri"}, // summer time
		{"2026-03-29T00:59:59Z", 5, false, "5B/s from 22:00 to 06:00 on sat"},                       // the hour from 02:00 is left out
		{"2026-03-29T01:00:00Z", 1, false, "1B/s from 03:00 to 04:00"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.At(at); got != (Rule{c.limit, c.pause, c.name}) {
			t.Errorf("%s: %+v, want %+v", c.at, got, c)
		}
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit int64
		rates []int64
		want  []int64
	}{
		{100, []int64{500}, []int64{100}},
		{100, []int64{500, 500}, []int64{50, 50}},
		{100, []int64{10, 500}, []int64{20, 80}},
		{100, []int64{0, 500}, []int64{6, 94}},
		{100, []int64{0, 0}, []int64{6, 6}},
		{0, []int64{5, 5}, []int64{0, 0}},
	} {
		if got := Share(c.limit, c.rates); !slices.Equal(got, c.want) {
			t.Errorf("Share(%d, %v) = %v, want %v", c.limit, c.rates, got, c.want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		limit := 1000 + r.Int64N(1e9)
		rates := make([]int64, 1+r.IntN(20))
		for i := range rates {
			rates[i] = r.Int64N(2 * limit)
		}
		sum := int64(0)
		for _, s := range Share(limit, rates) {
			if s <= 0 {
				t.Fatalf("Share(%d, %v) gives somebody nothing", limit, rates)
			}
			sum += s
		}
		if sum > limit {
			t.Fatalf("Share(%d, %v) sums to %d", limit, rates, sum)
		}
	}
}

// database is a model: its latency grows with the load as in a queue.
func database(rate, capacity float64) float64 {
	use := min(rate/capacity, 0.99)
	return 0.005 / (1 - use)
}

// TestAdaptiveKeepsTheTarget drives models of a database whose capacity
// changes: the target is kept in nine windows of ten, and most of what can be
// had is used.
func TestAdaptiveKeepsTheTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		capacity func(second float64) float64
		source   float64 // more cannot be read
		share    float64 // of what is possible
	}{
		{"steady", func(float64) float64 { return 100e6 }, 1e12, 0.6},
		{"slow source", func(float64) float64 { return 100e6 }, 5e6, 0.95},
		{"busy in between", func(s float64) float64 { return map[bool]float64{true: 20e6, false: 100e6}[s > 60 && s < 120] }, 1e12, 0.45},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(3, 4))
			a := NewAdaptive(0.020, 1e6, 0)
			at := time.Unix(1e9, 0)
			v := a.Decide(at, 0, 0)
			var total float64
			var moved, possible float64
			good, windows := 0, 0
			var window []float64
			for i := range 10 * 200 { // tenths of a second
				at = at.Add(100 * time.Millisecond)
				capacity := c.capacity(float64(i) / 10)
				rate := min(float64(v.Limit), c.source)
				value := database(rate, capacity) * (0.9 + 0.2*r.Float64())
				a.Sample(at, value)
				total += rate / 10
				v = a.Decide(at, int64(total), 0)
				if i < 100 {
					continue // finding out
				}
				moved += rate
				possible += min(0.75*capacity, c.source) // where the latency is the target
				if window = append(window, value); len(window) == 10 {
					windows++
					if quantile(window) <= 0.020 {
						good++
					}
					window = window[:0]
				}
			}
			if part := float64(good) / float64(windows); part < 0.9 {
				t.Errorf("the target was kept in %.0f %% of the seconds", 100*part)
			}
			if part := moved / possible; part < c.share {
				t.Errorf("%.0f %% of the possible speed was used", 100*part)
			}
		})
	}
}

// TestAdaptiveAtItsFloor wants a database that is slow by itself to be told
// of, and the speed never below the least.
func TestAdaptiveAtItsFloor(t *testing.T) {
	t.Parallel()
	a := NewAdaptive(0.020, 1e6, 50e6)
	at := time.Unix(1e9, 0)
	var v Verdict
	var total int64 // the source gives all that is allowed
	beat := func(value float64) {
		at = at.Add(100 * time.Millisecond)
		a.Sample(at, value)
		total += v.Limit / 10
		v = a.Decide(at, total, 0)
	}
	for range 100 {
		beat(0.1)
	}
	if v.Limit != 1e6 || !v.Floor || v.Missed < 8*time.Second {
		t.Errorf("a slow database: %+v", v)
	}
	for range 1000 {
		beat(0.001)
	}
	if v.Limit != 50e6 || v.Floor {
		t.Errorf("a database that is well: %+v", v)
	}
	// A probe that hangs counts before it is back.
	at, total = at.Add(time.Second), total+v.Limit
	if v = a.Decide(at, total, 1); v.Limit != 30e6 {
		t.Errorf("a probe that hangs: %+v", v)
	}
	// One bad sample among many is chance.
	for range 30 {
		beat(0.015)
	}
	before := v.Limit
	for i := range 20 {
		if beat(map[bool]float64{true: 1, false: 0.015}[i == 7]); v.Limit < before {
			t.Errorf("one bad sample of %d: %d after %d", len(a.samples), v.Limit, before)
		}
	}
	if a.Stop(); a.Decide(at.Add(2*step), total, 0).Limit != 1e6 {
		t.Error("nothing can be measured, and it goes on as before")
	}
	if !math.IsNaN(quantile(nil)) {
		t.Error("the percentile of nothing")
	}
}
