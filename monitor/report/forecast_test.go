package report

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// history is n samples over days that grow by rate a day to last, with noise.
func history(n int, days, rate, last, noise float64) []Point {
	rng := rand.New(rand.NewPCG(1, 2))
	end := at("2026-11-21 12:00")
	var out []Point
	for i := range n {
		back := days * float64(n-1-i) / float64(n-1)
		out = append(out, Point{At: end.Add(-time.Duration(back * 24 * float64(time.Hour))), Value: last - rate*back + noise*(rng.Float64()-0.5)})
	}
	return out
}

func TestForecast(t *testing.T) {
	t.Parallel()
	cleaned := history(300, 14, 2e9, 60e9, 0) // somebody made room once
	for i := range 100 {
		cleaned[i].Value += 30e9
	}
	batch := history(300, 14, 0, 60e9, 0) // one load, long ago, and still since
	for i := range 40 {
		batch[i].Value -= 20e9
	}
	for _, c := range []struct {
		name       string
		h          []Point
		days       float64 // until 100 GB; 0 is never
		within     float64
		confidence string
		why        string
	}{
		{"a known rate", history(300, 14, 2e9, 60e9, 0), 20, 0.1, High, ""},
		{"with noise", history(300, 14, 2e9, 60e9, 1e9), 20, 1, High, ""},
		{"two days", history(50, 2, 1e9, 97e9, 1e7), 3, 0.2, Medium, ""},
		{"far beyond what was seen", history(50, 8, 1e8, 90e9, 0), 100, 2, Medium, ""},
		{"room was made once", cleaned, 20, 3, "", ""},
		{"one load", batch, 0, 0, "", "does not grow"},
		{"it shrinks", history(300, 14, -2e9, 60e9, 0), 0, 0, "", "does not grow"},
		{"very slowly", history(300, 14, 2e6, 60e9, 0), 0, 0, "", "five years"},
		{"full", history(300, 14, 2e9, 100e9, 0), 0.0001, 0.001, "", ""},
		{"an hour", history(300, 1.0/24, 2e9, 60e9, 0), 0, 0, "", "too little history"},
		{"three samples", history(3, 20, 2e9, 60e9, 0), 0, 0, "", "too little history"},
		{"nothing", nil, 0, 0, "", "cw monitor"},
	} {
		f := NewForecast(c.h, 100e9)
		if f.Samples != len(c.h) || c.confidence != "" && f.Confidence != c.confidence {
			t.Errorf("%s: %+v", c.name, f)
		}
		if c.days == 0 {
			if f.FullAt != nil || !strings.Contains(f.WhyNot, c.why) {
				t.Errorf("%s: %+v", c.name, f)
			}
			continue
		}
		if f.FullAt == nil || f.WhyNot != "" {
			t.Errorf("%s: %+v", c.name, f)
			continue
		}
		if got := f.FullAt.Sub(at("2026-11-21 12:00")).Hours() / 24; got < c.days-c.within || got > c.days+c.within {
			t.Errorf("%s: full in %.2f days, not in %g", c.name, got, c.days)
		}
	}
}

// What was long ago does not count, and what nobody measures any more is not
// foretold.
func TestForecastOfToday(t *testing.T) {
	t.Parallel()
	now := at("2026-11-21 12:00")
	h := history(300, 80, 0, 40e9, 0) // nothing for long, and then 2 GB a day
	for i, p := range h {
		if back := now.Sub(p.At).Hours() / 24; back < 30 {
			h[i].Value = 40e9 + 2e9*(30-back)
		}
	}
	if f := forecastOf(h, 140e9, now); f.FullAt == nil || f.FullAt.Sub(now).Hours()/24 < 19 || f.FullAt.Sub(now).Hours()/24 > 21 {
		t.Errorf("%+v", f)
	}
	if f := forecastOf(h, 140e9, now.Add(10*24*time.Hour)); f.FullAt != nil || !strings.Contains(f.WhyNot, "2026-11-21") {
		t.Errorf("%+v", f)
	}
}

// Whatever the samples are, the answer is a time from the last one on, or a
// reason.
func FuzzForecast(f *testing.F) {
	f.Add(uint16(30), 14.0, 2e9, 60e9, 100e9)
	f.Fuzz(func(t *testing.T, n uint16, days, rate, last, size float64) {
		if n < 2 || n > 500 || !(days > 0 && days < 1000) {
			return
		}
		h := history(int(n), days, rate, last, 0)
		got := NewForecast(h, size)
		if got.FullAt == nil && got.WhyNot == "" {
			t.Errorf("neither a time nor a reason: %+v", got)
		}
		if got.FullAt != nil && got.FullAt.Before(h[len(h)-1].At.Add(-time.Second)) {
			t.Errorf("it is full before now: %s", got.FullAt)
		}
	})
}

func TestNewestGpbackup(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"backupconfigs:\n- {timestamp: '20260101000000', status: Success}\n- {timestamp: '20260301000000', status: Failure}\n- {timestamp: '20260201000000', status: Success, datedeleted: '20260202000000'}\n": "20260101000000",
		"backupconfigs:\n- {timestamp: '20260101000000'}\n":                           "20260101000000", // of before there was a status
		"backupconfigs:\n- {timestamp: '20260101000000', metadataonly: true}\n":       "",
		"backupconfigs:\n- {timestamp: \"1'); drop table x; --\", status: Success}\n": "",
		"backupconfigs: []\n": "",
		"":                    "",
	} {
		if got, err := newestGpbackup([]byte(text)); got != want || err != nil {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	for _, bad := range []string{"- [", "a: b\n"} {
		if got, err := newestGpbackup([]byte(bad)); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func FuzzNewestGpbackup(f *testing.F) {
	f.Add([]byte("backupconfigs:\n- {timestamp: '20260101000000', status: Success}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := newestGpbackup(text)
		if got == "" {
			return
		}
		if _, perr := time.Parse("20060102150405", got); perr != nil || err != nil {
			t.Errorf("%q %v %v", got, perr, err)
		}
	})
}
