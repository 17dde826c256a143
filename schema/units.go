package schema

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unitBytes maps a unit, lower case, to bytes: decimal without i, binary with
// it (IEC 80000-13).
var unitBytes = map[string]float64{ //nolint:gochecknoglobals // constant table
	"": 1, "b": 1,
	"k": 1e3, "kb": 1e3, "kib": 1 << 10,
	"m": 1e6, "mb": 1e6, "mib": 1 << 20,
	"g": 1e9, "gb": 1e9, "gib": 1 << 30,
	"t": 1e12, "tb": 1e12, "tib": 1 << 40,
}

// ParseSize reads a number of bytes such as 64MB (decimal), 64MiB (binary)
// or 512. Negative and overflowing values are errors.
func ParseSize(s string) (int64, error) {
	t := strings.TrimSpace(s)
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(t)
	}
	n, err := strconv.ParseFloat(t[:i], 64)
	mult, ok := unitBytes[strings.ToLower(strings.TrimSpace(t[i:]))]
	if err != nil || !ok {
		return 0, fmt.Errorf("%q is not a size: write a number and a unit, as 64MB or 1GiB", s)
	}
	v := n * mult
	if v >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large for a size", s)
	}
	return int64(math.Round(v)), nil
}

// ParseRate reads a speed in bytes per second such as 200MB/s; "none", "off"
// and "unlimited" give 0, which stands for no limit. A bare size is taken as
// per second. A rate of zero bytes is an error, since it would stop a load
// for ever: pause is the word for that.
func ParseRate(s string) (int64, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	switch t {
	case "none", "off", "unlimited":
		return 0, nil
	}
	for _, suffix := range []string{"/s", "/sec", "ps"} {
		if r, ok := strings.CutSuffix(t, suffix); ok {
			t = r
			break
		}
	}
	n, err := ParseSize(t)
	if err != nil {
		return 0, fmt.Errorf("%q is not a rate: write 200MB/s, 1GiB/s or none", s)
	}
	if n <= 0 {
		return 0, fmt.Errorf("%q would stop the load: write none for no limit, or pause the job", s)
	}
	return n, nil
}

// FormatSize writes bytes as people read them, decimal: 1.5GB.
func FormatSize(n int64) string {
	f := float64(n)
	for _, u := range []struct {
		unit string
		size float64
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if math.Abs(f) >= u.size {
			return strconv.FormatFloat(f/u.size, 'f', decimals(f/u.size), 64) + u.unit
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// FormatRate writes bytes per second as people read them; 0 is "none".
func FormatRate(n int64) string {
	if n == 0 {
		return "none"
	}
	return FormatSize(n) + "/s"
}

func decimals(f float64) int {
	if f == math.Trunc(f) || math.Abs(f) >= 100 {
		return 0
	}
	return 1
}

// ParseCount reads a number or a percentage: 100, 5%, 0.5%. One of the two is
// zero.
func ParseCount(s string) (n int64, percent float64, err error) {
	t := strings.TrimSpace(s)
	if p, ok := strings.CutSuffix(t, "%"); ok {
		percent, err = strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return 0, 0, fmt.Errorf("%q is no percentage above 0 and up to 100", s)
		}
		return 0, percent, nil
	}
	if n, err = strconv.ParseInt(t, 10, 32); err != nil {
		return 0, 0, fmt.Errorf("%q is no number", s)
	}
	return n, 0, nil
}

// ParseSpan reads a duration that may be long: 90d, 1.5d, 36h, 5s, 0. It is
// never negative.
func ParseSpan(s string) (time.Duration, error) {
	t := strings.TrimSpace(s)
	if days, ok := strings.CutSuffix(t, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && n >= 0 && n <= 36500 { // a hundred years
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(t)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration: write 90d, 36h, 5m or 10s", s)
	}
	return d, nil
}

// FormatSpan writes a duration as ParseSpan reads it and people do: 90d, 36h,
// 1h30m, 10s.
func FormatSpan(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}
