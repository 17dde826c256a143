package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"

	"cw/fault"
)

const (
	parquetBatch  = 512      // rows that are put together at a time
	parquetMemory = 64 << 20 // what all columns together read ahead
)

// parquetRows makes rows of a Parquet file column by column: a dictionary's
// entries become text once, and no value is more than that on its way.
type parquetRows struct {
	in      Input
	file    *parquet.File
	at      io.ReaderAt
	columns []parquetColumn
	group   int   // the next
	left    int64 // rows of the present one
	row     int64 // rows done
}

// parquetColumn is one of the two.
type parquetColumn struct {
	flat   *flatColumn
	nested *nestedColumn
	cells  [][]byte // of nested, for the rows at hand; nil is NULL
}

// Parquet converts a Parquet file, whose directory is at its end, so that it
// must be read from any place.
func Parquet(in Input, at io.ReaderAt, size int64) (rows io.Reader, err error) {
	defer recovered(in, 0, &err)
	at, size, err = unpacked(at, size)
	if err != nil {
		return nil, openError(in, err)
	}
	f, err := parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, openError(in, err)
	}
	p := &parquetRows{in: in, file: f, at: at}
	var leaves []pqformat.SchemaElement
	for _, e := range f.Metadata().Schema {
		if e.NumChildren.V == 0 {
			leaves = append(leaves, e)
		}
	}
	top := f.Root().Columns()
	for _, c := range in.Columns {
		field := findColumn(top, c.Name)
		if field == nil {
			names := make([]string, len(top))
			for i, t := range top {
				names[i] = t.Name()
			}
			return nil, fault.New(fault.Usage, "list the columns that it has under COLUMNS; it has: "+Columns(names), "%s: has no column %s", in.URL, c.Name)
		}
		typ := strings.ToLower(c.Type)
		var col parquetColumn
		if field.Leaf() && field.MaxRepetitionLevel() == 0 {
			col.flat, err = newFlatColumn(field, &leaves[field.Index()], typ)
		} else {
			col.nested, err = newNestedColumn(field, leaves)
		}
		if err != nil {
			return nil, fault.New(fault.Usage, "leave it out of COLUMNS, or write it in another type", "%s: column %s: %w", in.URL, c.Name, err)
		}
		p.columns = append(p.columns, col)
	}
	return &rowReader{next: p.next}, nil
}

// openError says what is wrong with a file, unless it is its store.
func openError(in Input, err error) error {
	if fault.KindOf(err) != fault.Failed || fault.HintOf(err) != "" {
		return err
	}
	return &ContentError{URL: in.URL, Kind: "parquet", Err: err, Whole: true}
}

// findColumn takes the column of the very name, else one of another case.
func findColumn(columns []*parquet.Column, name string) *parquet.Column {
	var folded *parquet.Column
	for _, c := range columns {
		if c.Name() == name {
			return c
		}
		if folded == nil && strings.ToLower(c.Name()) == name {
			folded = c
		}
	}
	return folded
}

// recovered makes an error of a panic: of a damaged file the decoder may
// trip over anything.
func recovered(in Input, row int64, err *error) {
	if r := recover(); r != nil {
		*err = &ContentError{URL: in.URL, Kind: "parquet", Row: row, Whole: row == 0, Err: fmt.Errorf("the decoder failed: %v", r)}
	}
}

func (p *parquetRows) next(dst []byte) (out []byte, err error) {
	out = dst
	defer recovered(p.in, p.row+1, &err)
	for len(out) < batch {
		for p.left == 0 {
			if !p.nextGroup() {
				return out, io.EOF
			}
		}
		n, err := p.ready()
		if err != nil {
			return out, err
		}
		for k := range n {
			if out, err = p.one(out, k); err != nil {
				return out, err
			}
			p.left--
			p.row++
		}
	}
	return out, nil
}

// ready is how many rows can be put together without reading on.
func (p *parquetRows) ready() (n int, err error) {
	n = int(min(p.left, parquetBatch))
	for i := range p.columns {
		if c := p.columns[i].flat; c != nil {
			k, err := c.ready()
			if err != nil {
				return 0, p.fail(i, err)
			}
			n = min(n, k)
		}
	}
	for i := range p.columns {
		c := &p.columns[i]
		if c.nested == nil {
			continue
		}
		if c.cells, err = c.nested.read(n); err != nil {
			return 0, p.fail(i, err)
		}
	}
	return n, nil
}

// one puts the next row together; it is row k of those that are ready.
func (p *parquetRows) one(dst []byte, k int) (_ []byte, err error) {
	from := len(dst)
	var refused error
	for i := range p.columns {
		if i > 0 {
			dst = append(dst, '\t')
		}
		c := &p.columns[i]
		if c.flat == nil {
			if cell := c.cells[k]; cell != nil {
				dst = append(dst, cell...)
			} else {
				dst = append(dst, '\\', 'N')
			}
			continue
		}
		if dst, err = c.flat.cell(dst); err != nil {
			return dst[:from], p.fail(i, err)
		}
		if c.flat.refused != nil {
			refused = p.fail(i, c.flat.refused)
			c.flat.refused = nil
			dst = append(dst, '?')
		}
	}
	if refused != nil {
		row := bytes.Clone(dst[from:])
		return p.in.reject(dst[:from], refused, row)
	}
	return append(dst, '\n'), nil
}

func (p *parquetRows) fail(column int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("a column has fewer values than the file has rows")
	}
	if fault.HintOf(err) != "" {
		return err // of the store
	}
	return &ContentError{URL: p.in.URL, Kind: "parquet", Row: p.row + 1, Err: fmt.Errorf("column %s: %w", p.in.Columns[column].Name, err)}
}

func (p *parquetRows) nextGroup() bool {
	for _, c := range p.columns {
		if c.flat != nil {
			c.flat.close()
		} else {
			c.nested.close()
		}
	}
	groups := p.file.RowGroups()
	if p.group == len(groups) {
		return false
	}
	g := groups[p.group]
	p.group++
	p.left = g.NumRows()
	chunks := g.ColumnChunks()
	window := min(max(parquetMemory/max(1, len(p.columns)), 256<<10), 8<<20)
	open := func(leaf int) *parquet.FilePages {
		meta := p.file.Metadata().RowGroups[p.group-1].Columns[leaf].MetaData
		from := meta.DataPageOffset
		if d := meta.DictionaryPageOffset; d > 0 {
			from = min(from, d)
		}
		chunk, _ := chunks[leaf].(*parquet.FileColumnChunk)
		return chunk.PagesFrom(&ahead{r: p.at, window: window, end: from + meta.TotalCompressedSize})
	}
	for _, c := range p.columns {
		if c.flat != nil {
			c.flat.begin(open)
		} else {
			c.nested.begin(open)
		}
	}
	return true
}
