package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"cw/fault"
	"cw/loadspec"
	"cw/schema"
)

// Input is an object that is converted to rows of COPY's text format: fields
// between tabs, \N for NULL, backslash escapes, UTF-8, every row ended by a
// line feed, which stands nowhere else. So line n of what comes out is the
// object's row n. The same object always gives the same bytes.
type Input struct {
	URL     string
	Convert loadspec.Convert
	Columns []loadspec.Column // of the rows, in order, with their types
	MaxRow  int64             // longest row in bytes, as it stands in the object

	// Tolerant leaves rows that cannot be converted in their place, as lines
	// that EachRun tells apart; else the first one is an error.
	Tolerant bool
}

// Rows converts what r reads, uncompressed.
func Rows(in Input, r io.Reader) (io.Reader, error) {
	switch in.Convert.Kind {
	case loadspec.FormatJSON:
		return newJSONRows(in, r)
	case loadspec.FormatMySQLDump:
		return newDumpRows(in, r)
	case loadspec.FormatAvro:
		return newAvroRows(in, r)
	case loadspec.FormatFixed:
		return newFixedRows(in, r)
	default:
		return nil, fault.New(fault.Usage, "", "%s: there is no converter for format %s", in.URL, in.Convert.Kind)
	}
}

// batch is about how many bytes of rows are made at a time.
const batch = 128 << 10

// rowReader gives the rows of a converter as one stream.
type rowReader struct {
	next func(dst []byte) ([]byte, error) // appends rows; io.EOF after the last
	buf  []byte
	at   int
	err  error
}

func (r *rowReader) Read(p []byte) (int, error) {
	for r.at == len(r.buf) {
		if r.err != nil {
			return 0, r.err
		}
		r.buf, r.err = r.next(r.buf[:0])
		r.at = 0
	}
	n := copy(p, r.buf[r.at:])
	r.at += n
	return n, nil
}

// ContentError is a place in an object that cannot be converted.
type ContentError struct {
	URL          string
	Kind         string
	Line, Column int64 // from 1; column in bytes
	Row          int64 // from 1; 0 when lines tell it better
	Whole        bool  // it is about no place, but the object
	Err          error
}

func (e *ContentError) Error() string {
	at := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Row > 0 {
		at = fmt.Sprintf("row %d", e.Row)
	}
	if e.Whole {
		return fmt.Sprintf("%s: %s: %v", e.URL, e.Kind, e.Err)
	}
	return fmt.Sprintf("%s %s: %s: %v", e.URL, at, e.Kind, e.Err)
}

// Unwrap gives the reason.
func (e *ContentError) Unwrap() error { return e.Err }

// FaultKind is an ordinary failure.
func (e *ContentError) FaultKind() fault.Kind { return fault.Failed }

// FaultHint says what can be done.
func (e *ContentError) FaultHint() string {
	if errors.Is(e.Err, errRowTooLong) {
		return "raise MAX_LINE_LENGTH in the control file if the row is right"
	}
	return "correct the object and upload it again; ERROR_LIMIT is for rows that the database refuses, not for objects that cannot be read on"
}

var errRowTooLong = errors.New("row is longer than MAX_LINE_LENGTH allows")

// appendText writes a value's bytes with the escapes of COPY's text format.
func appendText(dst, value []byte) []byte {
	from := 0
	for i, c := range value {
		if c > '\r' && c != '\\' {
			continue
		}
		var e byte
		switch c {
		case '\\':
			e = '\\'
		case '\n':
			e = 'n'
		case '\r':
			e = 'r'
		case '\t':
			e = 't'
		default:
			continue
		}
		dst = append(append(dst, value[from:i]...), '\\', e)
		from = i + 1
	}
	return append(dst, value[from:]...)
}

// window is the part of a stream that is being looked at.
type window struct {
	r    io.Reader
	max  int64 // most bytes of one row
	buf  []byte
	at   int // everything before it is done with
	eof  bool
	line int64 // of buf's first byte, from 0
	col  int64 // bytes of that line before buf
}

// more reads on, moving what is left to the buffer's front.
func (w *window) more() error {
	if w.at > 0 {
		w.line, w.col = w.place(w.at)
		w.buf = w.buf[:copy(w.buf, w.buf[w.at:])]
		w.at = 0
	}
	if int64(len(w.buf)) > w.max {
		return errRowTooLong
	}
	if len(w.buf) == cap(w.buf) {
		bigger := make([]byte, len(w.buf), max(256<<10, 2*cap(w.buf)))
		copy(bigger, w.buf)
		w.buf = bigger
	}
	// What is left is looked at again from its beginning: of a long row much is
	// read at a time, so that the work does not grow with its square.
	for want := len(w.buf) + 1 + (len(w.buf)>>16)<<15; len(w.buf) < want && len(w.buf) < cap(w.buf); {
		n, err := w.r.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		if errors.Is(err, io.EOF) {
			w.eof = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place is the line and the bytes of it before a position, both from 0.
func (w *window) place(at int) (line, col int64) {
	before := w.buf[:at]
	last := bytes.LastIndexByte(before, '\n')
	if last < 0 {
		return w.line, w.col + int64(at)
	}
	return w.line + int64(bytes.Count(before, []byte{'\n'})), int64(at - last - 1)
}

func unknownFileColumn(key, name string, known []string) error {
	hint := "the file's columns are: " + Columns(known)
	if near := schema.Nearest(name, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return fault.New(fault.Usage, hint, "%s: column %s is not one of the file's columns", key, name)
}
