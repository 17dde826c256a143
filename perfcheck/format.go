package perfcheck

import (
	"math"
	"strconv"
	"strings"
)

// FormatValue writes a value of a unit for people: 1.23 GB/s, 12.3k/s,
// 1.52 ms. Prefixes are decimal, three digits are shown.
func FormatValue(v float64, unit string) string {
	switch unit {
	case BytesPerSecond, Bytes:
		if unit == Bytes && math.Abs(v) < 1e5 && v == math.Trunc(v) {
			return strconv.FormatFloat(v, 'f', -1, 64) + " B" // as an MTU is spoken of
		}
		n, prefix := scale(v)
		if prefix == "" {
			return n + " " + unit
		}
		return n + " " + prefix + unit
	case PerSecond:
		n, prefix := scale(v)
		return n + prefix + "/s"
	case Seconds:
		return formatSeconds(v)
	case Count:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return digits(v)
	}
}

// scale finds the decimal prefix.
func scale(v float64) (number, prefix string) {
	for _, p := range []struct {
		name string
		size float64
	}{{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if math.Abs(v) >= p.size*0.9995 {
			return digits(v / p.size), p.name
		}
	}
	return digits(v), ""
}

func formatSeconds(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0 s"
	case a < 0.9995e-6:
		return digits(v*1e9) + " ns"
	case a < 0.9995e-3:
		return digits(v*1e6) + " µs"
	case a < 0.9995:
		return digits(v*1e3) + " ms"
	default:
		return digits(v) + " s"
	}
}

// digits writes three significant digits without an exponent.
func digits(v float64) string {
	a := math.Abs(v)
	places := 2
	switch {
	case a >= 99.95 || a == math.Trunc(a):
		places = 0
	case a >= 9.995:
		places = 1
	case a > 0 && a < 0.0995:
		places = 4
	case a < 0.995:
		places = 3
	}
	s := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
