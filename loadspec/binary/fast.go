package binary

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// The records of nearly all files are read by plain, which finds the end of a
// field while it reads its value, and writes into room that was made for the
// whole record. Whatever is not of the simplest kind it leaves to the other
// way of this package, record by record: what the two say must be the same.

// kind is how plain reads a column.
type kind uint8

const (
	kindOther kind = iota // by its encode function
	kindRaw               // the bytes are the value
	kindInt               // 2, 4 or 8 bytes
	kindNumeric
	kindDate
)

// roomPerField is the most that a field takes whose bytes are not copied: its
// length, and a numeric of 18 digits or a timestamp.
const roomPerField = 4 + 8 + 2*6

// plainable tells whether plain can be used for this shape at all: values do
// not contain the delimiter.
func (e *Encoder) plainable() bool {
	for _, c := range []byte{e.f.Delimiter, e.special} {
		if c >= '0' && c <= '9' || c == '-' || c == '.' || e.f.CSV && c <= controls {
			return false
		}
	}
	if e.f.CSV {
		return e.f.Null == ""
	}
	return e.f.Null == `\N` && e.f.Escape == '\\'
}

// plain encodes the record that s begins with and returns its length, or 0 for
// one that it leaves to others; dst is then as it was.
func (e *Encoder) plain(dst, s []byte) (out []byte, n int) {
	dst = slices.Grow(dst, e.room)
	b, p := dst[:cap(dst)], len(dst)
	binary.BigEndian.PutUint16(b[p:], uint16(len(e.cols))) //nolint:gosec // New has seen to it
	p += 2
	delim, last := e.f.Delimiter, len(e.cols)-1
	if len(s) < 2 || s[0] == '\\' && s[1] == '.' { // perhaps an end-of-data marker
		return dst, 0
	}
	i := 0
	for col := range e.cols {
		if i >= len(s) {
			return dst, 0
		}
		c := &e.cols[col]
		first := s[i]
		switch {
		case first == delim || first == '\n' || first == '\r': // nothing
			if e.f.CSV {
				if e.notNull(col) {
					return dst, 0
				}
				binary.BigEndian.PutUint32(b[p:], math.MaxUint32)
			} else {
				if c.kind != kindRaw {
					return dst, 0
				}
				binary.BigEndian.PutUint32(b[p:], 0)
			}
			p += 4
		case first == '\\' && !e.f.CSV: // NULL, or an escape
			if i+1 >= len(s) || s[i+1] != 'N' {
				return dst, 0
			}
			binary.BigEndian.PutUint32(b[p:], math.MaxUint32)
			p += 4
			i += 2
		case c.kind == kindRaw && first == e.special:
			if e.f.Escape != e.f.Quote {
				return dst, 0
			}
			at := p
			p += 4
			i++
			for {
				j := bytes.IndexByte(s[i:], e.special)
				if j < 0 {
					return dst, 0
				}
				if len(b)-p < j+e.room {
					b = slices.Grow(b[:p], j+e.room)
					b = b[:cap(b)]
				}
				p += copy(b[p:], s[i:i+j])
				if i += j + 1; i >= len(s) || s[i] != e.special {
					break
				}
				b[p] = e.special
				p++
				i++
			}
			binary.BigEndian.PutUint32(b[at:], uint32(p-at-4)) //nolint:gosec // a record is shorter than 1 GiB
		case c.kind == kindRaw:
			begin := i
			if i++; i < len(s) && s[i] != delim { // flags and marks are of one byte
				i = e.plainEnd(s, i)
			}
			n := i - begin
			if len(b)-p < n+e.room {
				b = slices.Grow(b[:p], n+e.room)
				b = b[:cap(b)]
			}
			binary.BigEndian.PutUint32(b[p:], uint32(n)) //nolint:gosec // as above
			p += 4
			p += copy(b[p:], s[begin:i])
		case c.kind == kindInt:
			negative := first == '-'
			if negative {
				i++
			}
			begin := i
			var v uint64
			for i < len(s) {
				d := s[i] - '0'
				if d > 9 {
					break
				}
				v = v*10 + uint64(d)
				i++
			}
			if i == begin || i-begin > 18 {
				return dst, 0
			}
			x := int64(v) //nolint:gosec // below 10^18
			if negative {
				x = -x
			}
			if x < c.low || x > c.high {
				return dst, 0
			}
			binary.BigEndian.PutUint32(b[p:], uint32(c.width))
			switch p += 4; c.width {
			case 2:
				binary.BigEndian.PutUint16(b[p:], uint16(x)) //nolint:gosec // in range, two's complement
			case 4:
				binary.BigEndian.PutUint32(b[p:], uint32(x)) //nolint:gosec // as above
			default:
				binary.BigEndian.PutUint64(b[p:], uint64(x)) //nolint:gosec // as above
			}
			p += int(c.width)
		case c.kind == kindNumeric:
			var size int
			if i, size = plainNumeric(b[p+4:p+roomPerField], s, i); size == 0 {
				return dst, 0
			}
			binary.BigEndian.PutUint32(b[p:], uint32(size)) //nolint:gosec // small
			p += 4 + size
		case c.kind == kindDate:
			if i+10 > len(s) {
				return dst, 0
			}
			d := e.dates.days(s[i : i+10])
			if d == noDate {
				return dst, 0
			}
			binary.BigEndian.PutUint64(b[p:], 4<<32|uint64(uint32(d))) //nolint:gosec // two's complement
			p += 8
			i += 10
		default:
			begin := i
			i = e.plainEnd(s, i)
			got, ok := e.value(b[:p], s[begin:i], col)
			if !ok {
				return dst, 0
			}
			p = len(got)
			b = slices.Grow(got, e.room)
			b = b[:cap(b)]
		}
		if col < last {
			if i >= len(s) || s[i] != delim {
				return dst, 0
			}
			i++
		}
	}
	switch {
	case i < len(s) && s[i] == '\n' && e.newline == lineFeed:
		return b[:p], i + 1
	case i+1 < len(s) && s[i] == '\r' && s[i+1] == '\n' && e.newline == returnAndFeed:
		return b[:p], i + 2
	}
	return dst, 0
}

// controls are the bytes up to which plainEnd stops to look closer: among
// them both line ends.
const controls = '\r'

// plainEnd is the place from i on where a field ends that is not quoted, or
// has what plain leaves to others.
func (e *Encoder) plainEnd(s []byte, i int) int {
	delims, specials := e.delims, e.specials
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		// A byte is at most controls when taking one more from it borrows.
		m := zeros(w^delims) | zeros(w^specials) | (w-(controls+1)*ones)&^w&highs
		if m != 0 {
			i += bits.TrailingZeros64(m) >> 3
			if e.stops[s[i]] {
				return i
			}
			break // another control character: byte by byte
		}
	}
	for i < len(s) && !e.stops[s[i]] {
		i++
	}
	return i
}

// plainNumeric writes the number at i without its length; size 0 is one that
// is left to others.
func plainNumeric(b, s []byte, i int) (next, size int) {
	sign := uint64(0)
	if s[i] == '-' {
		sign = 0x4000
		i++
	}
	begin := i
	var n uint64
	for i < len(s) {
		d := s[i] - '0'
		if d > 9 {
			break
		}
		n = n*10 + uint64(d)
		i++
	}
	whole, scale := i-begin, 0
	if i < len(s) && s[i] == '.' {
		i++
		begin = i
		for i < len(s) {
			d := s[i] - '0'
			if d > 9 {
				break
			}
			n = n*10 + uint64(d)
			i++
		}
		scale = i - begin
	}
	groups := (scale + 3) / 4
	if whole+scale == 0 || whole+groups*4 > 18 {
		return i, 0
	}
	n *= filling[groups*4-scale]
	count, weight, last := 0, -groups-1, 0
	var digits [6]uint16 // the last group first
	for n > 0 {
		q := n / 10000
		digits[count] = uint16(n - q*10000) //nolint:gosec // below 10000
		n = q
		count++
	}
	weight += count
	for last < count && digits[last] == 0 {
		last++
	}
	if count == 0 {
		sign, weight = 0, 0
	}
	binary.BigEndian.PutUint64(b, uint64(count-last)<<48|uint64(uint16(weight))<<32|sign<<16|uint64(scale)) //nolint:gosec // small, two's complement
	at := 8
	for k := count - 1; k >= last; k-- {
		binary.BigEndian.PutUint16(b[at:], digits[k])
		at += 2
	}
	return i, at
}

// filling makes whole groups of four digits.
var filling = [...]uint64{1, 10, 100, 1000} //nolint:gochecknoglobals // constant table

// dates remembers what dates are: a file has few of them, many times.
type dates [1 << dateBits]struct {
	text uint64 // the first eight bytes
	day  uint16 // the last two
	days int32
}

const dateBits = 12

// noDate is a day on which no date is.
const noDate = math.MinInt32

// days are those from 2000-01-01 to the date that s, of ten bytes, is; noDate
// for one that is none, or not in the plain way.
func (d *dates) days(s []byte) int32 {
	text, day := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint16(s[8:])
	const mix = 0x9e3779b97f4a7c15 // 2^64 by the golden ratio (Knuth, vol. 3, 6.4)
	known := &d[(text^uint64(day)<<17)*mix>>(64-dateBits)]
	if known.text == text && known.day == day && text != 0 {
		return known.days
	}
	n, ok := date(s)
	if !ok {
		return noDate
	}
	known.text, known.day, known.days = text, day, int32(n) //nolint:gosec // four digits of a year
	return known.days
}
