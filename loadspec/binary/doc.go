// Package binary turns records of COPY's text and CSV formats into its binary
// format, which costs the server half as much to read. It knows the plain
// ways to write a value; whatever else the server would accept, or refuse, is
// left to the server: the caller sends such records as they are. So it need
// not, and does not, know the server's settings (DateStyle, TimeZone) or tell
// bad values apart from unusual ones.
//
// The binary format is in PostgreSQL's manual under COPY, "Binary Format"; the
// values are what the receive functions of the types take
// (src/backend/utils/adt).
package binary

import (
	"encoding/binary"
	"fmt"
)

// signature begins the format: the text, flags and the length of the header's
// extension, both zero.
const signature = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// trailer ends it: -1 in the place of a record's number of fields.
const trailer = "\xff\xff"

// Unusual is a record that only the server can read, or refuse.
type Unusual struct {
	Offset int // of the record in the data
	Column int // from 0; -1 when it is not about one
	Why    string
}

func (u *Unusual) Error() string {
	if u.Column < 0 {
		return fmt.Sprintf("record at byte %d: %s", u.Offset, u.Why)
	}
	return fmt.Sprintf("record at byte %d, column %d: %s", u.Offset, u.Column+1, u.Why)
}

// Format says how the records are written.
type Format struct {
	CSV       bool
	Delimiter byte
	Quote     byte // CSV
	Escape    byte // CSV: inside quotes; text: the backslash, or 0 for none
	Null      string
	NotNull   []bool // by column: in CSV, an unquoted Null is text there; may be shorter than the columns
}

// Encoder encodes records of one shape. It is not safe for concurrent use.
type Encoder struct {
	f    Format
	cols []column
	text []byte // of a field that is not contiguous in the data

	newline int       // of the data at hand
	stops   [256]bool // bytes at which a field may end or is not plain

	// For plain, see there.
	fast             bool
	room             int    // for all fields of a record whose bytes are not copied
	special          byte   // the quote, or in text the escape
	delims, specials uint64 // eight of each
	dates            *dates // nil without a column of them
}

// column is how one column's values are written.
type column struct {
	encode encode
	raw    bool // the bytes of the field are the value

	kind      kind
	width     uint8 // of kindInt
	low, high int64
}

// encode appends a value's bytes, without their length, or says that it is not
// a plain one.
type encode func(dst, field []byte) ([]byte, bool)

// New makes an encoder for columns of the given types, as format_type writes
// them. ok is false when one of them has no encoder.
func New(f Format, types []string) (e *Encoder, ok bool) {
	e = &Encoder{f: f, cols: make([]column, len(types))}
	for _, c := range []byte{f.Delimiter, '\n', '\r'} {
		e.stops[c] = true
	}
	if f.CSV {
		e.stops[f.Quote] = true
	} else if f.Escape != 0 {
		e.stops[f.Escape] = true
	}
	e.special = f.Escape
	if f.CSV {
		e.special = f.Quote
	}
	e.delims, e.specials = uint64(f.Delimiter)*ones, uint64(e.special)*ones
	e.room = 2 + roomPerField*len(types) + 8
	e.fast = e.plainable()
	for i, t := range types {
		c, known := columnOf(t)
		if !known {
			return nil, false
		}
		if e.cols[i] = c; c.kind == kindDate && e.dates == nil {
			e.dates = new(dates)
		}
	}
	return e, len(types) > 0 && len(types) < 1<<15
}

// notNull says whether NULL cannot be written in a column.
func (e *Encoder) notNull(i int) bool { return i < len(e.f.NotNull) && e.f.NotNull[i] }

// value appends a field that is not NULL, with its length.
func (e *Encoder) value(dst, field []byte, i int) ([]byte, bool) {
	c := &e.cols[i]
	if c.raw {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(field))) //nolint:gosec // a record is shorter than 1 GiB
		return append(dst, field...), true
	}
	at := len(dst)
	dst, ok := c.encode(append(dst, 0, 0, 0, 0), field)
	if !ok {
		return dst, false
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4)) //nolint:gosec // as above
	return dst, true
}

// null appends NULL.
func null(dst []byte) []byte { return append(dst, 0xff, 0xff, 0xff, 0xff) }
