package format

import (
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

// parquetColumn gives the text of one column, in order.
type parquetColumn interface {
	begin(g parquet.RowGroup, open func(leaf int) *parquet.FilePages)
	read(n int) (cells [][]byte, err error) // nil is NULL; valid until the next
	close()
}

// Parquet converts a Parquet file, whose directory is at its end, so that it
// must be read from any place.
func Parquet(in Input, at io.ReaderAt, size int64) (rows io.Reader, err error) {
	defer recovered(in, 0, &err)
	f, err := parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		if fault.KindOf(err) != fault.Failed || fault.HintOf(err) != "" {
			return nil, err // of the store
		}
		return nil, &ContentError{URL: in.URL, Kind: "parquet", Err: err, Whole: true}
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
			col, err = newFlatColumn(field, &leaves[field.Index()], typ)
		} else {
			col, err = newNestedColumn(field, leaves)
		}
		if err != nil {
			return nil, fault.New(fault.Usage, "leave it out of COLUMNS, or write it in another type", "%s: column %s: %w", in.URL, c.Name, err)
		}
		p.columns = append(p.columns, col)
	}
	return &rowReader{next: p.next}, nil
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
		n := int(min(p.left, parquetBatch))
		cells := make([][][]byte, len(p.columns))
		for i, c := range p.columns {
			if cells[i], err = c.read(n); err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					err = errors.New("a column has fewer values than the file has rows")
				}
				if fault.HintOf(err) != "" {
					return out, err // of the store
				}
				return out, &ContentError{URL: p.in.URL, Kind: "parquet", Row: p.row + 1, Err: fmt.Errorf("column %s: %w", p.in.Columns[i].Name, err)}
			}
		}
		for k := range n {
			for i := range cells {
				if i > 0 {
					out = append(out, '\t')
				}
				if c := cells[i][k]; c != nil {
					out = append(out, c...)
				} else {
					out = append(out, '\\', 'N')
				}
			}
			out = append(out, '\n')
		}
		p.left -= int64(n)
		p.row += int64(n)
	}
	return out, nil
}

func (p *parquetRows) nextGroup() bool {
	for _, c := range p.columns {
		c.close()
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
		c.begin(g, open)
	}
	return true
}

// flatColumn is a column of plain values.
type flatColumn struct {
	leaf   int
	write  writeValue
	pages  *parquet.FilePages
	page   parquet.Page
	values parquet.ValueReader
	dict   parquet.Dictionary
	texts  [][]byte // of the dictionary's entries
	index  []int32  // into it, of the page's values that are not NULL
	levels []byte   // of the page's values
	max    byte     // level of a value that is not NULL
	rows   int64    // left in the page

	buf   []parquet.Value
	cells [][]byte
	text  []byte
	ends  []int
}

func newFlatColumn(c *parquet.Column, e *pqformat.SchemaElement, target string) (*flatColumn, error) {
	w, err := valueWriter(c.Type(), e, target)
	return &flatColumn{leaf: c.Index(), write: w, max: byte(c.MaxDefinitionLevel()), buf: make([]parquet.Value, parquetBatch), cells: make([][]byte, 0, parquetBatch)}, err
}

func (c *flatColumn) begin(_ parquet.RowGroup, open func(int) *parquet.FilePages) {
	c.pages, c.rows, c.dict, c.texts = open(c.leaf), 0, nil, nil
}

func (c *flatColumn) close() {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	if c.pages != nil {
		_ = c.pages.Close()
		c.pages = nil
	}
}

func (c *flatColumn) nextPage() error {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	page, err := c.pages.ReadPage()
	if err != nil {
		return err
	}
	c.page, c.rows, c.values, c.index = page, page.NumRows(), nil, nil
	d := page.Dictionary()
	if d == nil {
		c.values = page.Values()
		return nil
	}
	if d != c.dict {
		c.dict, c.texts = d, make([][]byte, d.Len())
	}
	data := page.Data()
	c.index, c.levels = data.Int32(), page.DefinitionLevels()
	return nil
}

func (c *flatColumn) read(n int) ([][]byte, error) {
	c.cells, c.text, c.ends = c.cells[:0], c.text[:0], c.ends[:0]
	for len(c.cells) < n {
		for c.rows == 0 {
			if err := c.nextPage(); err != nil {
				return nil, err
			}
		}
		k := int(min(c.rows, int64(n-len(c.cells))))
		var err error
		if c.values == nil {
			err = c.looked(k)
		} else {
			err = c.plain(k)
		}
		if err != nil {
			return nil, err
		}
		c.rows -= int64(k)
	}
	return c.cells, nil
}

// looked takes values of a page that has a dictionary.
func (c *flatColumn) looked(k int) error {
	for range k {
		if len(c.levels) > 0 {
			level := c.levels[0]
			c.levels = c.levels[1:]
			if level != c.max {
				c.cells = append(c.cells, nil)
				continue
			}
		}
		if len(c.index) == 0 {
			return io.ErrUnexpectedEOF
		}
		i := int(c.index[0])
		c.index = c.index[1:]
		if i < 0 || i >= len(c.texts) {
			return fmt.Errorf("entry %d of a dictionary of %d", i, len(c.texts))
		}
		if c.texts[i] == nil {
			text, err := c.write([]byte{}, c.dict.Index(int32(i))) //nolint:gosec // it came as one
			if err != nil {
				return err
			}
			c.texts[i] = text
		}
		c.cells = append(c.cells, c.texts[i])
	}
	return nil
}

// plain takes values of a page that has none.
func (c *flatColumn) plain(k int) error {
	for k > 0 {
		n, err := c.values.ReadValues(c.buf[:min(k, len(c.buf))])
		if n == 0 {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		for _, v := range c.buf[:n] {
			if v.IsNull() {
				c.cells = append(c.cells, nil)
				continue
			}
			from := len(c.text)
			if c.text, err = c.write(c.text, v); err != nil {
				return err
			}
			c.cells = append(c.cells, c.text[from:len(c.text):len(c.text)])
		}
		k -= n
	}
	return nil
}
