package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"cw/fault"
)

// fixedRows makes rows of objects whose fields have a fixed width, in
// characters.
type fixedRows struct {
	in     Input
	w      window
	fields []fixedField
	width  int // of a row
	spans  []span
	text   []byte
	begun  bool
	rows   int64 // done
}

// fixedField is a field of the object's rows.
type fixedField struct {
	width  int
	column int  // of ours; -1 none
	words  bool // blanks before the text count
}

func newFixedRows(in Input, r io.Reader) (io.Reader, error) {
	f := &fixedRows{in: in, w: window{r: r, max: in.MaxRow}, spans: make([]span, len(in.Columns))}
	found := 0
	names := make([]string, 0, len(in.Convert.Widths))
	for _, w := range in.Convert.Widths {
		field := fixedField{width: w.Width, column: -1}
		for k, c := range in.Columns {
			if c.Name == w.Column {
				field.column, field.words = k, isWords(c.Type)
				found++
			}
		}
		names = append(names, w.Column)
		f.width += w.Width
		f.fields = append(f.fields, field)
	}
	if found < len(in.Columns) {
		for _, c := range in.Columns {
			if !slices.Contains(names, c.Name) {
				return nil, fault.New(fault.Usage, "give it one, or list the file's columns under COLUMNS", "FIXED: column %s has no width", c.Name)
			}
		}
	}
	return &rowReader{next: f.next}, nil
}

// isWords tells types apart in which leading blanks are part of a value.
func isWords(typ string) bool {
	t, _, _ := strings.Cut(strings.ToLower(typ), "(")
	switch strings.TrimSpace(t) {
	case "", "text", "varchar", "character varying", "char", "character", "bpchar", "name", "citext":
		return true
	}
	return false
}

func (f *fixedRows) fail(err error) error {
	line, _ := f.w.place(f.w.at)
	row := int64(0)
	if f.in.Convert.Unended {
		row = f.rows + 1 // there are no lines to count
	}
	return &ContentError{URL: f.in.URL, Kind: "fixed", Line: line + 1, Column: 1, Row: row, Err: err}
}

func (f *fixedRows) next(dst []byte) ([]byte, error) {
	for len(dst) < batch {
		row, end, err := f.record()
		if err != nil {
			return dst, err
		}
		if f.begun || !f.in.Convert.Header {
			out, err := f.append(dst, row)
			if err != nil {
				if out, err = f.in.reject(dst, f.fail(err), row); err != nil {
					return dst, err
				}
			}
			dst = out
		}
		f.begun = true
		f.rows++
		f.w.at = end
	}
	return dst, nil
}

// record is the next row without its end, and the place behind it.
func (f *fixedRows) record() (row []byte, end int, err error) {
	for {
		if !f.begun && bytes.HasPrefix(f.w.buf[f.w.at:], []byte("\xef\xbb\xbf")) {
			f.w.at += 3
		}
		rest := f.w.buf[f.w.at:]
		if f.in.Convert.Unended {
			n, whole := prefix(rest, f.width)
			if whole || f.w.eof && n > 0 {
				return rest[:n], f.w.at + n, nil
			}
		} else if i := bytes.IndexByte(rest, '\n'); i >= 0 || f.w.eof && len(rest) > 0 {
			end := f.w.at + i + 1
			if i < 0 {
				i, end = len(rest), len(f.w.buf)
			}
			return bytes.TrimSuffix(rest[:i], []byte{'\r'}), end, nil
		}
		if f.w.eof {
			return nil, 0, io.EOF
		}
		if err := f.w.more(); err != nil {
			if errors.Is(err, errRowTooLong) {
				err = f.fail(err)
			}
			return nil, 0, err
		}
	}
}

// prefix is how many bytes the first n characters have; whole is false when
// there are not so many, or the last may go on.
func prefix(b []byte, n int) (bytes int, whole bool) {
	at := 0
	for range n {
		if at == len(b) {
			return at, false
		}
		if b[at] < utf8.RuneSelf {
			at++
			continue
		}
		if !utf8.FullRune(b[at:]) {
			return len(b), false
		}
		_, size := utf8.DecodeRune(b[at:])
		at += size
	}
	return at, true
}

// append makes a row of a record.
func (f *fixedRows) append(dst, row []byte) ([]byte, error) {
	if bytes.IndexByte(row, 0) >= 0 {
		return dst, errZeroByte
	}
	clear(f.spans)
	f.text = f.text[:0]
	rest := row
	for i, field := range f.fields {
		n, whole := prefix(rest, field.width)
		if !whole && !f.in.Convert.Fill {
			return dst, fmt.Errorf("%d characters, but the fields have %d: it ends in column %s (FILL_MISSING_FIELDS: true takes short rows)",
				utf8.RuneCount(row), f.width, f.in.Convert.Widths[i].Column)
		}
		value := bytes.TrimRight(rest[:n], " ")
		rest = rest[n:]
		if field.column < 0 {
			continue
		}
		if !field.words {
			value = bytes.TrimLeft(value, " ")
		}
		if string(value) == f.in.Convert.Null || n == 0 {
			continue
		}
		from := len(f.text)
		f.text = appendText(f.text, value)
		f.spans[field.column] = span{from, len(f.text), true}
	}
	if len(bytes.TrimRight(rest, " ")) > 0 {
		return dst, fmt.Errorf("%d characters, but the fields have %d", utf8.RuneCount(row), f.width)
	}
	return appendSpans(dst, f.text, f.spans), nil
}

// appendSpans appends a row of values that stand in a text.
func appendSpans(dst, text []byte, spans []span) []byte {
	for k, s := range spans {
		if k > 0 {
			dst = append(dst, '\t')
		}
		if s.set {
			dst = append(dst, text[s.from:s.to]...)
		} else {
			dst = append(dst, '\\', 'N')
		}
	}
	return append(dst, '\n')
}
