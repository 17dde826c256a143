package binary

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Append encodes records from the beginning of data, which holds whole ones,
// until dst is at least most bytes long or data is at its end. It returns how
// much of data it took. The error is an *Unusual; what was appended before it
// is whole.
func (e *Encoder) Append(dst, data []byte, most int) (out []byte, taken int, err error) {
	record := e.textRecord
	if e.f.CSV {
		record = e.csvRecord
	}
	for taken < len(data) && len(dst) < most {
		begin := len(dst)
		n, col, why := 0, 0, ""
		if e.fast {
			if dst, n = e.plain(dst, data[taken:]); n > 0 {
				taken += n
				continue
			}
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.cols))) //nolint:gosec // New has seen to it
		dst, n, col, why = record(dst, data[taken:])
		if why != "" {
			return dst[:begin], taken, &Unusual{Offset: taken, Column: col, Why: why}
		}
		taken += n
	}
	return dst, taken, nil
}

// The reasons for an Unusual.
const (
	tooMany   = "more fields than columns"
	tooFew    = "fewer fields than columns"
	carriage  = "a carriage return outside quotes"
	marker    = "an end-of-data marker"
	quotes    = "quotes inside a field"
	openQuote = "a quote that is not closed"
	escapes   = "an escape that is not plain"
	notPlain  = "not written in the plain way of its type"
	lineEnds  = "line ends of two kinds"
)

// csvRecord encodes one record and returns its length. A quote counts only at
// the ends of a field; the server allows it anywhere.
func (e *Encoder) csvRecord(dst, s []byte) (out []byte, n, col int, why string) {
	delim, quote, escape := e.f.Delimiter, e.f.Quote, e.f.Escape
	if len(s) >= 2 && s[0] == '\\' && s[1] == '.' && (len(s) == 2 || s[2] == '\n' || s[2] == '\r') {
		return dst, 0, -1, marker
	}
	i := 0
	var ok bool
	for col = 0; ; col++ {
		var field []byte
		quoted := i < len(s) && s[i] == quote
		if quoted {
			if field, i, why = e.quoted(s, i+1, quote, escape); why != "" {
				return dst, 0, col, why
			}
		} else {
			begin := i
			if i = e.stop(s, i); i < len(s) {
				if c := s[i]; c == quote || c == '\r' && i+1 < len(s) && s[i+1] != '\n' {
					return dst, 0, col, choose(c == quote, quotes, carriage)
				}
			}
			field = s[begin:i]
		}
		if col >= len(e.cols) {
			return dst, 0, -1, tooMany
		}
		if !quoted && string(field) == e.f.Null && !e.notNull(col) {
			dst = null(dst)
		} else if dst, ok = e.value(dst, field, col); !ok {
			return dst, 0, col, notPlain
		}
		if i < len(s) && s[i] == delim {
			i++
			continue
		}
		if col+1 != len(e.cols) {
			return dst, 0, -1, tooFew
		}
		n, why = e.lineEnd(s, i)
		return dst, n, -1, why
	}
}

// Eight bytes at a time: the lowest byte of x that is zero has its high bit set
// in zeros(x), and none below it has (Mycroft's test, as in "Bit Twiddling
// Hacks", S. E. Anderson).
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func zeros(x uint64) uint64 { return (x - ones) &^ x & highs }

// stop is the place from i on where an unquoted field of csv ends, or has what
// must not be in it.
func (e *Encoder) stop(s []byte, i int) int {
	delims, quotes := uint64(e.f.Delimiter)*ones, uint64(e.f.Quote)*ones
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		if m := zeros(w^delims) | zeros(w^quotes) | zeros(w^'\n'*ones) | zeros(w^'\r'*ones); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(s) && !e.stops[s[i]] {
		i++
	}
	return i
}

// The line ends of the data at hand. The server takes the first for all.
const (
	unknown = iota
	lineFeed
	returnAndFeed
)

// lineEnd is the place after the line end at i, or why it is not like the
// others.
func (e *Encoder) lineEnd(s []byte, i int) (next int, why string) {
	kind := lineFeed
	switch {
	case i == len(s):
		return i, ""
	case s[i] == '\r':
		kind = returnAndFeed
		i++
		if i == len(s) {
			return i, lineEnds
		}
	}
	if e.newline == unknown {
		e.newline = kind
	}
	if e.newline != kind {
		return i, lineEnds
	}
	return i + 1, ""
}

// quoted reads a field after its opening quote and returns it and the place
// after its closing one.
func (e *Encoder) quoted(s []byte, i int, quote, escape byte) (field []byte, next int, why string) {
	begin, pieces := i, false
	for {
		j := bytes.IndexByte(s[i:], quote)
		if escape != quote {
			if k := bytes.IndexByte(s[i:], escape); k >= 0 && (j < 0 || k < j) {
				if i+k+1 < len(s) && (s[i+k+1] == quote || s[i+k+1] == escape) {
					e.text = append(e.first(pieces), s[begin:i+k]...)
					pieces, begin = true, i+k+1
					i += k + 2
					continue
				}
				i += k + 1
				continue
			}
		}
		if j < 0 {
			return nil, 0, openQuote
		}
		i += j
		if escape == quote && i+1 < len(s) && s[i+1] == quote {
			e.text = append(e.first(pieces), s[begin:i]...)
			pieces, begin = true, i+1
			i += 2
			continue
		}
		break
	}
	field = s[begin:i]
	if pieces {
		e.text = append(e.text, field...)
		field = e.text
	}
	i++
	if i < len(s) && s[i] != e.f.Delimiter && s[i] != '\n' && (s[i] != '\r' || i+1 < len(s) && s[i+1] != '\n') {
		return nil, 0, quotes
	}
	return field, i, ""
}

// first is the buffer that pieces of a field are put together in.
func (e *Encoder) first(more bool) []byte {
	if more {
		return e.text
	}
	return e.text[:0]
}

// textRecord encodes one record of the text format.
func (e *Encoder) textRecord(dst, s []byte) (out []byte, n, col int, why string) {
	delim := e.f.Delimiter
	i := 0
	var ok bool
	for col = 0; ; col++ {
		begin, escaped := i, false
		for {
			for i < len(s) && !e.stops[s[i]] {
				i++
			}
			if i == len(s) || s[i] == delim || s[i] == '\n' {
				break
			}
			if s[i] == '\r' {
				if i+1 == len(s) || s[i+1] == '\n' {
					break
				}
				return dst, 0, col, carriage
			}
			escaped = true
			i += 2 // what follows is no delimiter
			if i > len(s) || s[i-1] == '\n' || s[i-1] == '\r' {
				return dst, 0, col, escapes
			}
		}
		if col >= len(e.cols) {
			return dst, 0, -1, tooMany
		}
		field := s[begin:i]
		switch {
		case string(field) == e.f.Null:
			dst = null(dst)
		default:
			if escaped {
				if field, why = e.unescape(field); why != "" {
					return dst, 0, col, why
				}
			}
			if dst, ok = e.value(dst, field, col); !ok {
				return dst, 0, col, notPlain
			}
		}
		if i < len(s) && s[i] == delim {
			i++
			continue
		}
		if col+1 != len(e.cols) {
			return dst, 0, -1, tooFew
		}
		n, why = e.lineEnd(s, i)
		return dst, n, -1, why
	}
}

// unescape resolves the backslash sequences of the manual's table but those
// with numbers.
func (e *Encoder) unescape(field []byte) ([]byte, string) {
	e.text = e.text[:0]
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c != e.f.Escape {
			e.text = append(e.text, c)
			continue
		}
		i++
		switch c = field[i]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case '.':
			return nil, marker
		case 'x', 'N', '0', '1', '2', '3', '4', '5', '6', '7':
			return nil, escapes
		}
		e.text = append(e.text, c)
	}
	return e.text, ""
}

func choose(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
