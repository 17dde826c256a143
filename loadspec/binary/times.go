package binary

import "encoding/binary"

// Dates and times are read in the ISO forms alone, which mean the same under
// every DateStyle. A time zone is taken only where it is written.

const microsecond = int64(1_000_000) // per second

// days are those from 2000-01-01 to a date of the proleptic Gregorian
// calendar.
func days(y, m, d int64) int64 {
	if m > 2 {
		m++
	} else {
		m, y = m+13, y-1
	}
	era := y + 4800
	return era*365 + era/4 - era/100 + era/400 - 32167 + 7834*m/256 + d - 2451545
}

var monthDays = [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31} //nolint:gochecknoglobals // constant table

// two reads two digits.
func two(s []byte) (int64, bool) {
	a, b := s[0]-'0', s[1]-'0'
	return int64(a)*10 + int64(b), a <= 9 && b <= 9
}

// date reads YYYY-MM-DD.
func date(s []byte) (int64, bool) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	c, ok1 := two(s)
	y, ok2 := two(s[2:])
	m, ok3 := two(s[5:])
	d, ok4 := two(s[8:])
	y += c * 100
	if !ok1 || !ok2 || !ok3 || !ok4 || y == 0 || m < 1 || m > 12 || d < 1 {
		return 0, false
	}
	most := monthDays[m-1]
	if m == 2 && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
		most = 29
	}
	return days(y, m, d), d <= most
}

// clock reads HH:MM:SS with up to six digits of a fraction and returns
// microseconds and what follows.
func clock(s []byte) (us int64, rest []byte, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, nil, false
	}
	h, ok1 := two(s)
	m, ok2 := two(s[3:])
	sec, ok3 := two(s[6:])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 59 {
		return 0, nil, false
	}
	us = ((h*60+m)*60 + sec) * microsecond
	rest = s[8:]
	if len(rest) > 0 && rest[0] == '.' {
		unit, n := microsecond/10, 1
		for ; n < len(rest) && rest[n]-'0' <= 9; n++ {
			us += int64(rest[n]-'0') * unit
			unit /= 10
		}
		if n == 1 || n > 7 {
			return 0, nil, false
		}
		rest = rest[n:]
	}
	return us, rest, true
}

func dateValue(dst, s []byte) ([]byte, bool) {
	d, ok := date(s)
	return binary.BigEndian.AppendUint32(dst, uint32(d)), ok //nolint:gosec // two's complement, in range
}

func timeValue(dst, s []byte) ([]byte, bool) {
	us, rest, ok := clock(s)
	return binary.BigEndian.AppendUint64(dst, uint64(us)), ok && len(rest) == 0 //nolint:gosec // not negative
}

// timestamp reads a date, and a clock after a blank or a T, and returns
// microseconds since 2000-01-01 and what follows.
func timestamp(s []byte) (us int64, rest []byte, ok bool) {
	if len(s) < 10 {
		return 0, nil, false
	}
	d, ok := date(s[:10])
	us = d * 86400 * microsecond
	if !ok || len(s) == 10 {
		return us, nil, ok
	}
	if s[10] != ' ' && s[10] != 'T' {
		return 0, nil, false
	}
	c, rest, ok := clock(s[11:])
	return us + c, rest, ok
}

func timestampValue(dst, s []byte) ([]byte, bool) {
	us, rest, ok := timestamp(s)
	return binary.BigEndian.AppendUint64(dst, uint64(us)), ok && len(rest) == 0 //nolint:gosec // two's complement
}

// timestamptzValue wants Z, +HH, +HHMM or +HH:MM at the end.
func timestamptzValue(dst, s []byte) ([]byte, bool) {
	us, rest, ok := timestamp(s)
	if !ok || len(rest) == 0 {
		return dst, false
	}
	if len(rest) != 1 || rest[0] != 'Z' {
		off, ok := zone(rest)
		if !ok {
			return dst, false
		}
		us -= off
	}
	return binary.BigEndian.AppendUint64(dst, uint64(us)), true //nolint:gosec // two's complement
}

func zone(s []byte) (us int64, ok bool) {
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	sign, s := s[0], s[1:]
	h, ok := two(s)
	m := int64(0)
	switch rest := s[2:]; {
	case len(rest) == 0:
	case len(rest) == 2:
		var good bool
		m, good = two(rest)
		ok = ok && good
	case len(rest) == 3 && rest[0] == ':':
		var good bool
		m, good = two(rest[1:])
		ok = ok && good
	default:
		return 0, false
	}
	us = (h*60 + m) * 60 * microsecond
	if sign == '-' {
		us = -us
	}
	return us, ok && h <= 14 && m <= 59
}
