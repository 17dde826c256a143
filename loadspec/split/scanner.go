// Package split decides where one record ends and the next begins, and cuts a
// stream of rows into pieces that start and end there. It is aware of quotes
// (a line end inside csv quotes is data) and of text's escaped line ends, and
// it reads records exactly as PostgreSQL's COPY does, so that a piece copied
// on its own gives the same rows as the whole stream.
package split

import "bytes"

// Newline is how records end.
type Newline uint8

// The line ends. Auto takes that of the first record.
const (
	Auto Newline = iota
	LF
	CR
	CRLF
)

// Dialect is what decides a record's end.
type Dialect struct {
	CSV     bool
	Quote   byte // csv
	Escape  byte // csv: inside quotes; text: backslash. 0 for none
	Newline Newline
}

// Scanner finds record ends in a stream that is fed to it in chunks of any
// size. The zero value is not usable; see NewScanner.
type Scanner struct {
	d        Dialect
	toggle   bool // csv whose quote is its own escape: quotes simply toggle
	eol      byte // the byte that ends a record
	fed      int64
	end      int64 // just after the last record end
	first    int64 // just after the first record since the last Cut
	records  int64 // ended since the last Cut
	inQuote  bool
	escaped  bool // the last byte escapes the next one
	pendCR   bool // Auto: the last byte was a CR, LF may follow
	lastByte byte
}

// NewScanner returns a scanner at the start of a record.
func NewScanner(d Dialect) *Scanner {
	s := &Scanner{d: d, eol: '\n', toggle: d.CSV && (d.Escape == d.Quote || d.Escape == 0)}
	if d.Newline == CR {
		s.eol = '\r'
	}
	return s
}

// End is the offset just after the last complete record, and how many records
// have ended, both since the last Cut. A CR that may be half of a CRLF does
// not end its record until the next byte is known.
func (s *Scanner) End() (offset, records int64) { return s.end, s.records }

// First is the offset just after the first record since the last Cut.
func (s *Scanner) First() int64 { return s.first }

// Finish ends the last record where the data ends without a line end.
func (s *Scanner) Finish() {
	if s.fed > s.end {
		s.ends(0)
	}
}

// Fed is the number of bytes fed since the last Cut.
func (s *Scanner) Fed() int64 { return s.fed }

// InQuote tells whether the bytes so far end inside quotes.
func (s *Scanner) InQuote() bool { return s.inQuote }

// Newline is the line end in use, Auto while no record has ended yet.
func (s *Scanner) Newline() Newline { return s.d.Newline }

// Cut makes the last record end the new origin of offsets.
func (s *Scanner) Cut() {
	s.fed -= s.end
	s.end, s.first, s.records = 0, 0, 0
}

// Feed takes the bytes that follow those fed before.
func (s *Scanner) Feed(b []byte) {
	if len(b) == 0 {
		return
	}
	if s.pendCR {
		s.resolveCR(b[0])
	}
	pos := 0
	if s.d.Newline == Auto {
		pos = s.detect(b)
	}
	switch {
	case pos == len(b):
	case s.toggle:
		s.feedToggle(b, pos)
	case s.d.CSV:
		s.feedCSV(b, pos)
	default:
		s.feedText(b, pos)
	}
	s.fed += int64(len(b))
	s.lastByte = b[len(b)-1]
}

// ends notes a record end just before b[next].
func (s *Scanner) ends(next int) {
	s.end = s.fed + int64(next)
	if s.records == 0 {
		s.first = s.end
	}
	s.records++
}

// settle fixes the line end once the first record shows it.
func (s *Scanner) settle(n Newline) {
	s.d.Newline = n
	if n == CR {
		s.eol = '\r'
	}
}

// resolveCR decides a CR at a chunk's end now that the next byte is known.
func (s *Scanner) resolveCR(next byte) {
	s.pendCR = false
	if next == '\n' {
		s.settle(CRLF) // the LF ends the record
		return
	}
	s.settle(CR)
	s.ends(0)
}

// detect walks the first record byte by byte until its end shows the line
// end; it returns where it stopped.
func (s *Scanner) detect(b []byte) int {
	for i, c := range b {
		if s.step(c) || c != '\n' && c != '\r' {
			continue
		}
		if c == '\n' {
			s.settle(LF)
			s.ends(i + 1)
			return i + 1
		}
		switch {
		case i+1 == len(b):
			s.pendCR = true
		case b[i+1] == '\n':
			s.settle(CRLF)
			s.lastByte = '\r'
			return i + 1
		default:
			s.settle(CR)
			s.ends(i + 1)
		}
		return i + 1
	}
	return len(b)
}

// step moves the quote and escape state over one byte and tells whether that
// byte is data whatever it is.
func (s *Scanner) step(c byte) bool {
	if !s.d.CSV {
		if s.escaped {
			s.escaped = false
			return true
		}
		s.escaped = c == s.d.Escape && c != 0
		return s.escaped
	}
	if s.toggle {
		if c == s.d.Quote {
			s.inQuote = !s.inQuote
		}
		return s.inQuote
	}
	// As CopyReadLineText: an escape counts inside quotes only.
	if s.inQuote && c == s.d.Escape {
		s.escaped = !s.escaped
	}
	if c == s.d.Quote && !s.escaped {
		s.inQuote = !s.inQuote
	}
	if c != s.d.Escape {
		s.escaped = false
	}
	return s.inQuote
}

// atEnd tells whether a line-end byte at b[i] ends a record, quotes and
// escapes apart: with CRLF a bare LF does not.
func (s *Scanner) atEnd(b []byte, i int) bool {
	if s.d.Newline != CRLF {
		return true
	}
	if i == 0 {
		return s.lastByte == '\r'
	}
	return b[i-1] == '\r'
}

// feedToggle is the fast path: a record ends at a line end before which the
// number of quotes is even. IndexByte and Count are vectorised, so the cost
// does not depend on how many quotes there are.
func (s *Scanner) feedToggle(b []byte, pos int) {
	quote := []byte{s.d.Quote}
	for pos < len(b) {
		i := bytes.IndexByte(b[pos:], s.eol)
		if i < 0 {
			if bytes.Count(b[pos:], quote)&1 == 1 {
				s.inQuote = !s.inQuote
			}
			return
		}
		if bytes.Count(b[pos:pos+i], quote)&1 == 1 {
			s.inQuote = !s.inQuote
		}
		pos += i + 1
		if !s.inQuote && s.atEnd(b, pos-1) {
			s.ends(pos)
		}
	}
}

// feedCSV is the way for quotes with an escape of their own: line by line as
// feedToggle while no escape is near, byte by byte where one is.
func (s *Scanner) feedCSV(b []byte, pos int) {
	quote := []byte{s.d.Quote}
	nextEscape := -1 // position of the next escape byte; len(b) for none
	for pos < len(b) {
		line := len(b)
		if i := bytes.IndexByte(b[pos:], s.eol); i >= 0 {
			line = pos + i
		}
		if nextEscape < pos {
			nextEscape = len(b)
			if i := bytes.IndexByte(b[pos:], s.d.Escape); i >= 0 {
				nextEscape = pos + i
			}
		}
		if s.escaped || nextEscape < line {
			for _, c := range b[pos:line] {
				s.step(c)
			}
		} else if bytes.Count(b[pos:line], quote)&1 == 1 {
			s.inQuote = !s.inQuote
		}
		if line == len(b) {
			return
		}
		s.escaped = false
		pos = line + 1
		if !s.inQuote && s.atEnd(b, line) {
			s.ends(pos)
		}
	}
}

// feedText: a record ends at a line end that an even number of escapes
// precedes.
func (s *Scanner) feedText(b []byte, pos int) {
	start := pos
	for pos < len(b) {
		i := bytes.IndexByte(b[pos:], s.eol)
		if i < 0 {
			break
		}
		line := pos + i
		pos = line + 1
		odd := s.oddEscapes(b, start, line)
		s.escaped, start = false, pos
		if !odd && s.atEnd(b, line) {
			s.ends(pos)
		}
	}
	s.escaped = s.oddEscapes(b, start, len(b))
}

// oddEscapes counts the run of escapes before b[end], which may reach back to
// what was carried into b[start].
func (s *Scanner) oddEscapes(b []byte, start, end int) bool {
	if s.d.Escape == 0 {
		return false
	}
	i := end
	for i > start && b[i-1] == s.d.Escape {
		i--
	}
	odd := (end-i)&1 == 1
	if i == start && s.escaped {
		odd = !odd
	}
	return odd
}
