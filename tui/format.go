package tui

import (
	"math"
	"strconv"
	"time"
)

// appendSize writes bytes in decimal units, at most six cells: 1.5GB.
func appendSize(b []byte, n int64) []byte {
	f := float64(n)
	switch a := math.Abs(f); {
	case a >= 1e15:
		return append(appendShort(b, f/1e15), "PB"...)
	case a >= 1e12:
		return append(appendShort(b, f/1e12), "TB"...)
	case a >= 1e9:
		return append(appendShort(b, f/1e9), "GB"...)
	case a >= 1e6:
		return append(appendShort(b, f/1e6), "MB"...)
	case a >= 1e3:
		return append(appendShort(b, f/1e3), "kB"...)
	}
	return append(strconv.AppendInt(b, n, 10), 'B')
}

// appendShort writes one decimal below ten.
func appendShort(b []byte, f float64) []byte {
	if math.Abs(f) < 9.95 {
		return strconv.AppendFloat(b, f, 'f', 1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', 0, 64)
}

func appendRate(b []byte, n int64) []byte { return append(appendSize(b, n), "/s"...) }

// appendLimit writes a speed limit as it is typed.
func appendLimit(b []byte, n int64) []byte {
	if n <= 0 {
		return append(b, "none"...)
	}
	return appendRate(b, n)
}

// appendCount writes a number of rows.
func appendCount(b []byte, n int64) []byte {
	f := float64(n)
	switch {
	case n < 10000:
		return strconv.AppendInt(b, n, 10)
	case n < 1e6:
		return append(appendShort(b, f/1e3), 'k')
	case n < 1e9:
		return append(appendShort(b, f/1e6), 'M')
	case n < 1e12:
		return append(appendShort(b, f/1e9), 'G')
	}
	return append(appendShort(b, f/1e12), 'T')
}

// appendPercent writes a share of one.
func appendPercent(b []byte, share float64) []byte {
	if math.IsNaN(share) || math.IsInf(share, 0) {
		return append(b, '-')
	}
	return append(strconv.AppendInt(b, int64(math.Round(min(10, max(0, share))*100)), 10), '%')
}

// appendSpan writes a duration in its two largest units: 4m12s, 41d.
func appendSpan(b []byte, d time.Duration) []byte {
	s := int64(max(0, d) / time.Second)
	two := func(big int64, bu byte, small int64, su byte) []byte {
		b = append(strconv.AppendInt(b, big, 10), bu)
		if small < 10 {
			b = append(b, '0')
		}
		return append(strconv.AppendInt(b, small, 10), su)
	}
	switch {
	case s < 60:
		return append(strconv.AppendInt(b, s, 10), 's')
	case s < 3600:
		return two(s/60, 'm', s%60, 's')
	case s < 86400:
		return two(s/3600, 'h', s%3600/60, 'm')
	case s < 10*86400:
		return two(s/86400, 'd', s%86400/3600, 'h')
	}
	return append(strconv.AppendInt(b, s/86400, 10), 'd')
}

// share is a part of a whole that may not be known.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
