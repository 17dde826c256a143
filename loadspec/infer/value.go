package infer

// kinds is a set of forms that a value may have, or that all values of a
// column may have had.
type kinds uint16

const (
	kindWord      kinds = 1 << iota // true, false
	kindLetter                      // t, f
	kindInteger                     // fits bigint
	kindDecimal                     // an integer of any length, or digits with a point
	kindFloat                       // also an exponent; at most 15 digits, which double precision keeps
	kindDate                        // a day
	kindTimestamp                   // a day and a time
	kindZoned                       // a day, a time and its zone
	kindUUID
	kindEndless // infinity, which dates and floats know
	kindNaN
	kindText
)

// form tells what a value looks like. What is not written the one plain way is
// text: a leading zero, a plus sign or a space is lost in a number.
func form(v []byte) kinds {
	if len(v) == 0 || len(v) > 1000 {
		return kindText
	}
	switch c := v[0]; {
	case c == '-' || c == '.' || c >= '0' && c <= '9':
		if k := number(v); k != kindText {
			return k
		}
		if k := moment(v); k != kindText {
			return k
		}
		if isUUID(v) {
			return kindUUID
		}
		if word(v, "-infinity") {
			return kindEndless
		}
		return kindText
	case len(v) == 1 && (c == 't' || c == 'f'):
		return kindLetter
	case word(v, "true") || word(v, "false"):
		return kindWord
	case word(v, "infinity"):
		return kindEndless
	case word(v, "nan"):
		return kindNaN
	case isUUID(v):
		return kindUUID
	}
	return kindText
}

// word compares without case.
func word(v []byte, w string) bool {
	if len(v) != len(w) {
		return false
	}
	for i, c := range v {
		if c|0x20 != w[i]|0x20 {
			return false
		}
	}
	return true
}

// number is the form of a number, or kindText.
func number(v []byte) kinds {
	i := 0
	if v[0] == '-' {
		i++
	}
	from := i
	digits := func() int {
		at := i
		for i < len(v) && v[i] >= '0' && v[i] <= '9' {
			i++
		}
		return i - at
	}
	whole := digits()
	if whole > 1 && v[from] == '0' {
		return kindText // an identifier, a postal code
	}
	significant := whole
	if whole == 1 && v[from] == '0' {
		significant = 0
	}
	if i == len(v) && whole > 0 {
		switch {
		case whole <= 15:
			return kindInteger
		case whole <= 18:
			return kindInteger | kindWide
		}
		return kindDecimal | kindWide
	}
	fraction := 0
	if i < len(v) && v[i] == '.' {
		i++
		fraction = digits()
		significant += fraction
	}
	if whole+fraction == 0 {
		return kindText
	}
	wide := kinds(0)
	if significant > 15 {
		wide = kindWide
	}
	if i == len(v) {
		return kindDecimal | wide
	}
	if v[i]|0x20 != 'e' {
		return kindText
	}
	i++
	if i < len(v) && (v[i] == '-' || v[i] == '+') {
		i++
	}
	at := i
	if n := digits(); n == 0 || n > 3 || i < len(v) {
		return kindText
	}
	exponent := 0
	for _, c := range v[at:] {
		exponent = exponent*10 + int(c-'0')
	}
	if exponent > 290 {
		return kindText // near or beyond what double precision holds
	}
	return kindFloat | wide
}

// kindWide marks numbers of more digits than double precision keeps.
const kindWide kinds = 1 << 15

// two reads two digits; -1 when they are none.
func two(v []byte) int {
	if len(v) < 2 || v[0] < '0' || v[0] > '9' || v[1] < '0' || v[1] > '9' {
		return -1
	}
	return int(v[0]-'0')*10 + int(v[1]-'0')
}

// moment is the form of a date or timestamp as ISO 8601 writes them, or
// kindText. Other orders of day and month cannot be told apart.
func moment(v []byte) kinds {
	if len(v) < 10 || v[4] != '-' || v[7] != '-' {
		return kindText
	}
	century, rest, month, day := two(v), two(v[2:]), two(v[5:]), two(v[8:])
	year := century*100 + rest
	if century < 0 || rest < 0 || year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return kindText
	}
	if len(v) == 10 {
		return kindDate
	}
	if v[10] != ' ' && v[10] != 'T' || len(v) < 16 {
		return kindText
	}
	v = v[11:]
	if h, m := two(v), two(v[3:]); h < 0 || h > 23 || m < 0 || m > 59 || v[2] != ':' {
		return kindText
	}
	if v = v[5:]; len(v) > 2 && v[0] == ':' {
		if s := two(v[1:]); s < 0 || s > 59 {
			return kindText
		}
		if v = v[3:]; len(v) > 1 && v[0] == '.' {
			n := 1
			for n < len(v) && v[n] >= '0' && v[n] <= '9' {
				if n > 6 && v[n] != '0' {
					return kindText // nanoseconds would be rounded
				}
				n++
			}
			if n == 1 {
				return kindText
			}
			v = v[n:]
		}
	}
	if len(v) == 0 {
		return kindTimestamp
	}
	if len(v) == 1 && v[0] == 'Z' {
		return kindZoned
	}
	if v[0] != '+' && v[0] != '-' {
		return kindText
	}
	if h := two(v[1:]); h < 0 || h > 15 {
		return kindText
	}
	switch v = v[3:]; {
	case len(v) == 0, len(v) == 2 && valid60(v), len(v) == 3 && v[0] == ':' && valid60(v[1:]):
		return kindZoned
	}
	return kindText
}

func valid60(v []byte) bool { n := two(v); return n >= 0 && n < 60 }

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func isUUID(v []byte) bool {
	if len(v) != 36 {
		return false
	}
	for i, c := range v {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}
