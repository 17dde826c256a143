package split

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// Piece is a run of whole records.
type Piece struct {
	Data       []byte // the records, for COPY; return it with Cutter.Release
	Start, End int64  // the piece's place in the uncompressed stream; a dropped header and byte-order mark belong to it
	Records    int64
	Line       int64 // number of the line at Start, from 1
	FirstLine  int64 // number of the line at which Data begins
	Lines      int64 // line ends between Start and End
	Newline    Newline
	Last       bool // the stream ends here
}

// Options sets a Cutter.
type Options struct {
	Dialect Dialect
	Size    int           // bytes at which a piece is cut
	MaxRow  int64         // longest record in bytes
	Every   time.Duration // a piece is cut when it is this old, so that slow streams arrive steadily; 0 never
	Header  bool          // drop the first record of the stream
	BOM     bool          // drop a UTF-8 byte-order mark at the stream's start
	Offset  int64         // where in the uncompressed stream the reader stands
	Line    int64         // number of the line there, from 1
	Now     func() time.Time
}

// ErrTooLong and the other errors say where they happened through Error.
var (
	ErrTooLong     = errors.New("record is longer than the limit")
	ErrOpenQuote   = errors.New("quoted field is not closed before the end of the data")
	errEmptyOption = errors.New("split: Size and MaxRow must be positive")
)

// Error is a record that cannot be cut.
type Error struct {
	Err    error
	Offset int64 // of the record, in the uncompressed stream
	Line   int64 // at which the record begins
	Limit  int64 // for ErrTooLong
	Quote  bool  // the record is inside quotes
}

func (e *Error) Error() string {
	msg := e.Err.Error()
	if e.Err == ErrTooLong { //nolint:errorlint // our own sentinel, set below
		msg = fmt.Sprintf("record is longer than %d bytes", e.Limit)
	}
	msg = fmt.Sprintf("line %d (byte %d): %s", e.Line, e.Offset, msg)
	if e.Quote && e.Err == ErrTooLong { //nolint:errorlint // as above
		msg += "; a quote in it may never be closed"
	}
	return msg
}

// Unwrap gives errors.Is the sentinel.
func (e *Error) Unwrap() error { return e.Err }

// Cutter reads a stream and hands it out in pieces.
type Cutter struct {
	r       io.Reader
	o       Options
	scan    *Scanner
	buf     []byte // begins at offset, holds n bytes
	n       int
	offset  int64
	line    int64
	free    Pool
	chunk   int // longest read
	started bool
	eof     bool
}

// readChunk bounds one read, so that time is looked at often enough and a
// piece is not much larger than asked for.
const readChunk = 256 << 10

// Pool keeps the buffers of pieces for reuse, by one Cutter or several.
type Pool chan []byte

// NewPool keeps at most that many buffers.
func NewPool(most int) Pool { return make(Pool, most) }

// NewCutter cuts r into buffers of the pool.
func NewCutter(r io.Reader, o Options, free Pool) (*Cutter, error) {
	if o.Size <= 0 || o.MaxRow <= 0 {
		return nil, errEmptyOption
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Line == 0 {
		o.Line = 1
	}
	c := &Cutter{r: r, o: o, scan: NewScanner(o.Dialect), offset: o.Offset, line: o.Line, free: free}
	c.chunk = min(readChunk, max(o.Size/4, 4<<10))
	c.started = o.Offset > 0
	return c, nil
}

// Release gives a piece's buffer back for reuse; it may be called from any
// goroutine, once per piece.
func (c *Cutter) Release(p *Piece) {
	select {
	case c.free <- p.Data[:0:cap(p.Data)]:
	default:
	}
	p.Data = nil
}

func (c *Cutter) buffer(size int) []byte {
	select {
	case b := <-c.free:
		if cap(b) >= size {
			return b[:cap(b)]
		}
	default:
	}
	return make([]byte, size)
}

// Next returns the next piece, or io.EOF after the last. A stream without
// records gives one empty piece that is Last, so that its end can be noted.
func (c *Cutter) Next() (*Piece, error) {
	if c.eof {
		return nil, io.EOF
	}
	if c.buf == nil {
		c.buf = c.buffer(c.o.Size + c.chunk)
	}
	skip, err := c.begin()
	if err != nil {
		return nil, err
	}
	began := c.o.Now()
	for !c.eof {
		end, _ := c.scan.End()
		if end > int64(skip) && (c.n >= c.o.Size || c.o.Every > 0 && c.o.Now().Sub(began) >= c.o.Every) {
			break
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	return c.cut(skip), nil
}

// fill reads once. The error is the reader's, io.EOF being noted in c.eof.
func (c *Cutter) fill() error {
	if end, _ := c.scan.End(); int64(c.n)-end > c.o.MaxRow {
		return c.fail(ErrTooLong, end)
	}
	if c.n == len(c.buf) {
		bigger := make([]byte, 2*len(c.buf))
		copy(bigger, c.buf)
		c.buf = bigger
	}
	k, err := c.r.Read(c.buf[c.n:min(len(c.buf), c.n+c.chunk)])
	c.scan.Feed(c.buf[c.n : c.n+k])
	c.n += k
	if errors.Is(err, io.EOF) {
		c.eof = true
		return c.finish()
	}
	return err
}

// finish completes the last record when the stream does not end in a line end.
func (c *Cutter) finish() error {
	end, _ := c.scan.End()
	if c.scan.InQuote() && int64(c.n) > end {
		return c.fail(ErrOpenQuote, end)
	}
	if int64(c.n)-end > c.o.MaxRow {
		return c.fail(ErrTooLong, end)
	}
	c.scan.Finish()
	return nil
}

func (c *Cutter) fail(err error, at int64) error {
	return &Error{
		Err: err, Offset: c.offset + at, Line: c.line + c.lines(c.buf[:at]),
		Limit: c.o.MaxRow, Quote: c.scan.InQuote(),
	}
}

// begin drops byte-order mark and header at the stream's start; it returns
// how many bytes at the buffer's start are not data.
func (c *Cutter) begin() (int, error) {
	if c.started {
		return 0, nil
	}
	c.started = true
	skip := 0
	if c.o.BOM {
		bom := []byte("\xef\xbb\xbf")
		for c.n < len(bom) && !c.eof {
			if err := c.fill(); err != nil {
				return 0, err
			}
		}
		if bytes.HasPrefix(c.buf[:c.n], bom) {
			skip = len(bom)
		}
	}
	if !c.o.Header {
		if c.eof && c.n == skip {
			c.scan.records = 0 // nothing but the mark
		}
		return skip, nil
	}
	for {
		if _, records := c.scan.End(); records > 0 || c.eof {
			c.scan.records = max(0, records-1)
			return int(c.scan.First()), nil
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

func (c *Cutter) lines(b []byte) int64 {
	return int64(bytes.Count(b, []byte{c.scan.eol}))
}

// cut makes a piece of everything up to the last record end; the rest moves
// to a fresh buffer.
func (c *Cutter) cut(skip int) *Piece {
	end, records := c.scan.End()
	p := &Piece{
		Data: c.buf[skip:end:cap(c.buf)], Start: c.offset, End: c.offset + end, Records: records,
		Line: c.line, FirstLine: c.line + c.lines(c.buf[:skip]), Lines: c.lines(c.buf[:end]),
		Newline: c.scan.Newline(), Last: c.eof,
	}
	rest := c.buf[end:c.n]
	c.buf = nil
	if !c.eof {
		c.buf = c.buffer(max(c.o.Size, len(rest)) + c.chunk)
		c.n = copy(c.buf, rest)
	}
	c.scan.Cut()
	c.offset, c.line = p.End, c.line+p.Lines
	return p
}
