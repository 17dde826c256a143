package format

import "unicode/utf8"

// endsRun marks the bytes at which the plain part of a string ends.
var endsRun = func() (t [256]bool) { //nolint:gochecknoglobals // constant table
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// skipString reads a string; plain says that no escape is in it.
func (p *jsonParser) skipString() (plain bool, err error) {
	b, i := p.b, p.i+1
	plain = true
	for {
		for i < len(b) && !endsRun[b[i]] {
			i++
		}
		if i == len(b) {
			return false, errShort
		}
		switch b[i] {
		case '"':
			p.i = i + 1
			return plain, nil
		case '\\':
			plain = false
			if i+1 == len(b) {
				return false, errShort
			}
			switch b[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				for k := i + 2; k < i+6; k++ {
					if k == len(b) {
						return false, errShort
					}
					if hexDigit(b[k]) < 0 {
						return false, &jsonError{i, `\u wants four hexadecimal digits`}
					}
				}
				i += 6
			default:
				return false, &jsonError{i, "unknown escape \\" + string(rune(b[i+1]))}
			}
		default:
			return false, &jsonError{i, "a control character in a string must be written with \\u"}
		}
	}
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	default:
		return -1
	}
}

func hex4(b []byte) rune {
	return hexDigit(b[0])<<12 | hexDigit(b[1])<<8 | hexDigit(b[2])<<4 | hexDigit(b[3])
}

// unescape appends the characters of the string between two places, which
// skipString has checked; with the escapes of COPY's text format when copying.
func (p *jsonParser) unescape(dst []byte, from, to int, copying bool) ([]byte, error) {
	b := p.b
	for i := from; i < to; {
		run := i
		for i < to && b[i] != '\\' {
			i++
		}
		dst = append(dst, b[run:i]...)
		if i == to {
			break
		}
		at := i
		var r rune
		switch b[i+1] {
		case 'b':
			r = '\b'
		case 'f':
			r = '\f'
		case 'n':
			r = '\n'
		case 'r':
			r = '\r'
		case 't':
			r = '\t'
		case 'u':
			r = hex4(b[i+2:])
			i += 4
		default:
			r = rune(b[i+1])
		}
		i += 2
		if r >= 0xd800 && r < 0xe000 {
			if r >= 0xdc00 || i+6 > to || b[i] != '\\' || b[i+1] != 'u' || hex4(b[i+2:])&^0x3ff != 0xdc00 {
				return dst, &jsonError{at, `a \u escape is half of a surrogate pair: it is no character`}
			}
			r = 0x10000 + (r-0xd800)<<10 + hex4(b[i+2:]) - 0xdc00
			i += 6
		}
		if r == 0 {
			return dst, &jsonError{at, `\u0000 cannot be stored in a text column: the database has no such character`}
		}
		if copying {
			var one [utf8.UTFMax]byte
			dst = appendText(dst, one[:utf8.EncodeRune(one[:], r)])
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst, nil
}

// number reads a number; what it is worth is the database's business.
func (p *jsonParser) number() error {
	b, i := p.b, p.i
	if b[i] == '-' {
		i++
	}
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	switch {
	case i == len(b):
		return errShort
	case b[i] == '0':
		i++
	case !digits():
		return p.fail("a value should stand here")
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return p.cut(i)
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return p.cut(i)
		}
	}
	if i == len(b) {
		return errShort // it may go on
	}
	p.i = i
	return nil
}

// cut says why a digit is missing at i.
func (p *jsonParser) cut(i int) error {
	if i == len(p.b) {
		return errShort
	}
	return &jsonError{i, "a digit should stand here"}
}
