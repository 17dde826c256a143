package infer

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"cw/loadspec"
	"cw/loadspec/split"
)

// How much of the objects is looked at, at most.
const (
	SampleBytes = 10 << 20
	SampleRows  = 100_000
)

// Rows guesses the columns of objects of text or csv. Add takes one object
// after the other, Table ends it.
type Rows struct {
	f       loadspec.Format
	d       split.Dialect
	maxRow  int64
	names   []string
	guesses []guess
	width   []int // fields of a row: how many rows have them, at most one more than seen
	rows    int64
	bytes   int64
	whole   bool // everything was looked at
	text    []byte
}

// NewRows prepares for rows of this format; dialect is how records end.
func NewRows(f loadspec.Format, d split.Dialect, maxRow int64) *Rows {
	return &Rows{f: f, d: d, maxRow: maxRow, whole: true}
}

// Full says that enough was seen.
func (r *Rows) Full() bool { return r.bytes >= SampleBytes || r.rows >= SampleRows }

// Skipped says that an object was not looked at.
func (r *Rows) Skipped() { r.whole = false }

// Add looks at the first rows of an object, decompressed.
func (r *Rows) Add(object io.Reader, bom bool) error {
	const size = 256 << 10
	c, err := split.NewCutter(object, split.Options{Dialect: r.d, Size: size, MaxRow: r.maxRow, BOM: bom}, split.NewPool(2))
	if err != nil {
		return err
	}
	header := r.f.Header
	for !r.Full() {
		p, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.bytes += p.End - p.Start
		r.piece(p, &header)
		last := p.Last
		c.Release(p)
		if last {
			return nil
		}
	}
	r.whole = false
	return nil
}

// piece looks at all records of a piece.
func (r *Rows) piece(p *split.Piece, header *bool) {
	d := r.d
	d.Newline = p.Newline
	scan := split.NewScanner(d)
	begin := 0
	for i := range p.Data {
		if c := p.Data[i]; c != '\n' && c != '\r' && i+1 < len(p.Data) {
			continue
		}
		scan.Feed(p.Data[begin+int(scan.Fed()) : i+1])
		if i+1 == len(p.Data) {
			scan.Finish()
		}
		end, n := scan.End()
		if n == 0 {
			continue
		}
		r.record(trimEnd(p.Data[begin:begin+int(end)], p.Newline), header)
		scan.Cut()
		begin += int(end)
	}
}

func trimEnd(b []byte, n split.Newline) []byte {
	switch l := len(b); {
	case l > 1 && n == split.CRLF && b[l-2] == '\r' && b[l-1] == '\n':
		return b[:l-2]
	case l > 0 && n != split.CR && b[l-1] == '\n', l > 0 && n == split.CR && b[l-1] == '\r':
		return b[:l-1]
	}
	return b
}

// record looks at one row.
func (r *Rows) record(b []byte, header *bool) {
	if string(b) == `\.` || len(b) > 0 && b[0] == 0 { // a converter's line for what it could not take
		return
	}
	if *header {
		*header = false
		if r.names == nil {
			var fields []string
			r.fields(b, func(_ int, f []byte, _ bool) { fields = append(fields, string(f)) })
			r.names = headings(fields)
		}
		return
	}
	r.rows++
	n := 0
	r.fields(b, func(i int, f []byte, null bool) {
		n = i + 1
		if i == len(r.guesses) {
			if i >= maxColumns {
				return
			}
			r.guesses = append(r.guesses, guess{})
		}
		if !null && i < len(r.guesses) {
			r.guesses[i].text(f)
		}
	})
	for len(r.width) <= min(n, maxColumns+1) {
		r.width = append(r.width, 0)
	}
	r.width[min(n, maxColumns+1)]++
}

// maxColumns is how many columns a table may have.
const maxColumns = 1600

// fields gives the fields of a record as COPY reads them.
func (r *Rows) fields(b []byte, each func(i int, field []byte, null bool)) {
	f := &r.f
	csv := f.Kind == loadspec.FormatCSV
	null := f.Null
	if !f.NullSet && !csv {
		null = `\N`
	}
	n, inQuote, quoted := 0, false, false
	from := 0
	r.text = r.text[:0]
	done := func(raw []byte) {
		isNull := !quoted && string(raw) == null
		if csv && (f.ForceAll || r.forced(n)) {
			isNull = false
		}
		each(n, r.text, isNull)
		n++
		r.text, quoted = r.text[:0], false
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case csv && inQuote && c == f.Escape && i+1 < len(b) && (b[i+1] == f.Quote || b[i+1] == f.Escape):
			i++
			r.text = append(r.text, b[i])
		case csv && c == f.Quote:
			inQuote, quoted = !inQuote, true
		case c == f.Delimiter && !inQuote:
			done(b[from:i])
			from = i + 1
		case !csv && c == f.Escape && !f.EscapeOff && i+1 < len(b):
			i++
			r.text = append(r.text, '\\', b[i]) // whatever it means, it is no plain value
		default:
			r.text = append(r.text, c)
		}
	}
	done(b[from:])
}

func (r *Rows) forced(i int) bool {
	return i < len(r.names) && slices.Contains(r.f.ForceNotNull, r.names[i])
}

// Table is what was found. given are the control file's columns, whose names
// and types count; nil leaves both to the rows.
func (r *Rows) Table(given []loadspec.Column) (*Table, error) {
	n := 0
	for width, rows := range r.width {
		if rows > r.width[n] {
			n = width
		}
	}
	names := r.names
	if given != nil {
		names = make([]string, len(given))
		for i, c := range given {
			names[i] = c.Name
		}
	}
	if names == nil {
		if n == 0 {
			return nil, errors.New("the objects have no rows to infer columns from")
		}
		names = numbered(n)
	}
	if n > 0 && n != len(names) && (n > len(names) || !r.f.FillMissing) {
		return nil, fmt.Errorf("most rows have %d fields, but there are %d column names", n, len(names))
	}
	if len(names) > maxColumns {
		return nil, fmt.Errorf("a row has more than %d fields", maxColumns)
	}
	t := &Table{}
	for i, name := range names {
		c := Column{Name: name, Type: Text}
		if i < len(r.guesses) {
			c.Type = r.guesses[i].typ(r.whole)
		}
		if given != nil && given[i].Type != "" {
			c.Type = given[i].Type
		}
		t.Columns = append(t.Columns, c)
	}
	return t, nil
}
