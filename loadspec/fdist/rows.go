package fdist

import (
	"bytes"

	"cw/loadspec/split"
)

// dialect finds row ends in data that begins at a row's start.
type dialect struct {
	csv    bool
	quote  byte
	escape byte   // csv: only where it is not the quote; text: 0 for none
	eol    []byte // what ends a row
	auto   bool   // nobody said what ends a row
}

func newDialect(r *Request) dialect {
	d := dialect{csv: r.CSV, quote: r.Quote, escape: r.Escape, eol: []byte{'\n'}}
	switch r.EOL {
	case EOLCR:
		d.eol = []byte{'\r'}
	case EOLCRLF:
		d.eol = []byte("\r\n")
	case EOLUnknown:
		d.auto = true
	}
	if !d.csv && r.LineDelim != nil {
		d.eol, d.auto = r.LineDelim, false
	}
	if d.csv && d.escape == d.quote {
		d.escape = 0
	}
	// Of ESCAPE 'OFF' segments send the first letter.
	if !d.csv && (d.escape|0x20 >= 'a' && d.escape|0x20 <= 'z') {
		d.escape = 0
	}
	return d
}

// last is the end of the last whole row in b, and how many rows end there; 0
// when there is no whole row.
func (d *dialect) last(b []byte) (end int, rows int64) {
	switch {
	case !d.csv:
		end = d.lastText(b)
		return end, int64(bytes.Count(b[:end], d.eol))
	case d.escape != 0 && bytes.IndexByte(b, d.escape) >= 0:
		s := d.scan(b)
		at, rows := s.End()
		return int(at), rows
	default:
		return d.lastToggle(b)
	}
}

// first is the end of the first whole row in b, 0 for none. In text no escape
// hides it: headers have none.
func (d *dialect) first(b []byte) int {
	if d.csv {
		return int(d.scan(b).First())
	}
	if i := bytes.Index(b, d.eol); i >= 0 {
		return i + len(d.eol)
	}
	return 0
}

// scan is the slow way for csv.
func (d *dialect) scan(b []byte) *split.Scanner {
	n := split.LF
	switch {
	case d.eol[0] == '\r' && len(d.eol) == 1:
		n = split.CR
	case len(d.eol) > 1:
		n = split.CRLF
	}
	s := split.NewScanner(split.Dialect{CSV: d.csv, Quote: d.quote, Escape: d.escape, Newline: n})
	s.Feed(b)
	return s
}

// lastToggle is for csv in which every quote opens or closes: it counts all
// quotes, then walks back from the end until a row end is outside of them.
func (d *dialect) lastToggle(b []byte) (end int, rows int64) {
	quote := []byte{d.quote}
	quotes := bytes.Count(b, quote)
	inside := quotes
	for end = len(b); end > 0; end-- {
		i := bytes.LastIndexByte(b[:end], d.eol[len(d.eol)-1])
		inside -= bytes.Count(b[i+1:end], quote)
		end = i + 1
		if end > 0 && inside&1 == 0 && d.isEnd(b, i) {
			return end, d.countToggle(b[:end], inside)
		}
	}
	return 0, 0
}

// isEnd: with CRLF, a bare LF ends nothing.
func (d *dialect) isEnd(b []byte, i int) bool {
	return len(d.eol) == 1 || i > 0 && b[i-1] == d.eol[0]
}

// manyQuotes is how many bytes there are for each quote when it is quicker to
// go from row end to row end than from quote to quote.
const manyQuotes = 48

// countToggle counts the row ends outside of quotes.
func (d *dialect) countToggle(b []byte, quotes int) int64 {
	if quotes*manyQuotes > len(b) {
		_, rows := d.scan(b).End()
		return rows
	}
	rows := bytes.Count(b, d.eol)
	for quotes > 0 {
		i := bytes.IndexByte(b, d.quote)
		b = b[i+1:]
		i = bytes.IndexByte(b, d.quote)
		if bytes.IndexByte(b[:i], d.eol[0]) >= 0 {
			rows -= bytes.Count(b[:i], d.eol)
		}
		b = b[i+1:]
		quotes -= 2
	}
	return int64(rows)
}

// lastText walks back from the end until a row end is not escaped.
func (d *dialect) lastText(b []byte) int {
	for end := len(b); end > 0; {
		i := bytes.LastIndex(b[:end], d.eol)
		if i < 0 {
			return 0
		}
		if !d.escaped(b, i) {
			return i + len(d.eol)
		}
		end = i
	}
	return 0
}

// escaped tells whether an odd number of escapes precedes b[i].
func (d *dialect) escaped(b []byte, i int) bool {
	n := 0
	if d.escape != 0 {
		for i-n > 0 && b[i-n-1] == d.escape {
			n++
		}
	}
	return n&1 == 1
}

// lastRaw is the end of the last row if escapes mean nothing. Greenplum 6
// takes an escaped row end for a row end all the same, later ones do not: rows
// are cut where both see an end, unless there is no such place.
func (d *dialect) lastRaw(b []byte) int {
	if i := bytes.LastIndex(b, d.eol); i >= 0 && !d.csv {
		return i + len(d.eol)
	}
	return 0
}

// open tells whether data that ends here ends in the middle of a quoted field
// or of an escape.
func (d *dialect) open(b []byte) bool {
	if d.csv {
		return d.scan(b).InQuote()
	}
	return d.escaped(b, len(b))
}
