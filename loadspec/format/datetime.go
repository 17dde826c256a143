package format

import "strconv"

// Dates without time.Time: what a converter writes most of.

// civil is the day of the Gregorian calendar that lies so many days after
// 1970-01-01, by counting in spans of 400 years that begin in March, so that
// the day of a leap year is the last one.
func civil(days int64) (year int64, month, day int) {
	const span = 146097 // days in 400 years
	days += 719468      // from 0000-03-01
	era := days / span
	if days < 0 && days%span != 0 {
		era--
	}
	of := days - era*span // of the span
	y := (of - of/1460 + of/36524 - of/146096) / 365
	of -= 365*y + y/4 - y/100 // of the year
	m := (5*of + 2) / 153
	day = int(of - (153*m+2)/5 + 1)
	month = int(m) + 3
	if month > 12 {
		month -= 12
		y++
	}
	return y + era*400, month, day
}

// appendCivil writes a day without its era, and returns that.
func appendCivil(dst []byte, days int64) (_ []byte, era string) {
	year, month, day := civil(days)
	if year <= 0 {
		year, era = 1-year, " BC"
	}
	if year < 10000 {
		y := int(year)
		dst = append(dst, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10)) //nolint:gosec // digits
	} else {
		dst = strconv.AppendInt(dst, year, 10)
	}
	return append(dst, '-', byte('0'+month/10), byte('0'+month%10), '-', byte('0'+day/10), byte('0'+day%10)), era //nolint:gosec // digits
}

// appendDate writes the day that lies so many days after 1970-01-01.
func appendDate(dst []byte, days int64) []byte {
	dst, era := appendCivil(dst, days)
	return append(dst, era...)
}

// appendMoment writes the time that lies n/unit seconds after 1970, as UTC
// with its zone or as local time without.
func appendMoment(dst []byte, n, unit int64, zone bool) []byte {
	sec, rest := n/unit, n%unit
	if rest < 0 {
		sec, rest = sec-1, rest+unit
	}
	return appendSeconds(dst, sec, int(rest*(1e9/unit)), zone)
}

func appendSeconds(dst []byte, sec int64, nanos int, zone bool) []byte {
	days, of := sec/86400, sec%86400
	if of < 0 {
		days, of = days-1, of+86400
	}
	dst, era := appendCivil(dst, days)
	dst = appendClock(append(dst, ' '), int(of), nanos)
	if zone {
		dst = append(dst, "+00"...)
	}
	return append(dst, era...)
}
