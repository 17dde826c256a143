package format

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"
)

// flatKind is how a plain page's values are written without parquet.Value.
type flatKind uint8

const (
	flatOther flatKind = iota // through parquet.Value
	flatInt32
	flatInt64
	flatUint32
	flatUint64
	flatDate
	flatMoment // of unit
	flatDecimal32
	flatDecimal64
	flatDecimalFixed
	flatFloat
	flatDouble
	flatText
	flatHex
)

// flatColumn is a column of plain values.
type flatColumn struct {
	leaf  int
	kind  flatKind
	unit  int64 // per second
	utc   bool
	scale int
	write writeValue
	max   byte // level of a value that is not NULL

	pages  *parquet.FilePages
	page   parquet.Page
	rows   int    // left in the page
	levels []byte // of the rows left; nil: none is NULL
	dict   parquet.Dictionary
	texts  [][]byte // of the dictionary's entries
	index  []int32  // into it, of the values left

	i32    []int32 // the values left, by kind
	i64    []int64
	f32    []float32
	f64    []float64
	raw    []byte
	ends   []uint32 // offsets into raw, one more than values
	size   int      // of a value in raw
	values parquet.ValueReader
	buf    []parquet.Value
	have   []parquet.Value

	refused error // why the last value cannot be written
}

func newFlatColumn(c *parquet.Column, e *pqformat.SchemaElement, target string) (*flatColumn, error) {
	w, err := valueWriter(c.Type(), e, target)
	f := &flatColumn{leaf: c.Index(), write: w, max: byte(c.MaxDefinitionLevel())}
	if err == nil {
		f.choose(c.Type(), e, target)
	}
	return f, err
}

// choose mirrors valueWriter for what is common.
func (c *flatColumn) choose(t parquet.Type, e *pqformat.SchemaElement, target string) {
	k := t.Kind()
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *pqformat.DecimalType:
			c.scale = int(l.Scale)
			c.kind = map[parquet.Kind]flatKind{parquet.Int32: flatDecimal32, parquet.Int64: flatDecimal64, parquet.FixedLenByteArray: flatDecimalFixed}[k]
			return
		case *pqformat.DateType:
			c.kind = flatDate
			return
		case *pqformat.TimestampType:
			c.kind, c.unit, c.utc = flatMoment, int64(time.Second/unitOf(l.Unit)), l.IsAdjustedToUTC
			return
		case *pqformat.IntType:
			if !l.IsSigned {
				c.kind = map[parquet.Kind]flatKind{parquet.Int32: flatUint32, parquet.Int64: flatUint64}[k]
				return
			}
		case *pqformat.StringType, *pqformat.EnumType, *pqformat.JsonType:
		default:
			return
		}
	}
	switch k {
	case parquet.Int32:
		c.kind = flatInt32
	case parquet.Int64:
		c.kind = flatInt64
	case parquet.Float:
		c.kind = flatFloat
	case parquet.Double:
		c.kind = flatDouble
	case parquet.ByteArray:
		if c.kind = flatText; target == "bytea" {
			c.kind = flatHex
		}
	}
	_ = e
}

func (c *flatColumn) begin(open func(int) *parquet.FilePages) {
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

// ready is how many rows can be written before another page is read.
func (c *flatColumn) ready() (int, error) {
	for c.rows == 0 {
		if err := c.nextPage(); err != nil {
			return 0, err
		}
	}
	return c.rows, nil
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
	c.page, c.rows, c.values, c.index, c.levels, c.have = page, int(page.NumRows()), nil, nil, nil, nil
	if c.max > 0 {
		if c.levels = page.DefinitionLevels(); len(c.levels) < c.rows {
			return fmt.Errorf("%d levels for %d rows", len(c.levels), c.rows)
		}
	}
	if d := page.Dictionary(); d != nil {
		if d != c.dict {
			c.dict, c.texts = d, make([][]byte, d.Len())
		}
		data := page.Data()
		c.index = data.Int32()
		return c.enough(len(c.index))
	}
	return c.plain(page)
}

// plain takes the values of a page that has no dictionary.
func (c *flatColumn) plain(page parquet.Page) error {
	if c.kind == flatOther {
		c.values = page.Values()
		if c.buf == nil {
			c.buf = make([]parquet.Value, 256)
		}
		return nil
	}
	data := page.Data()
	n := 0
	switch c.kind {
	case flatInt32, flatUint32, flatDate, flatDecimal32:
		c.i32 = data.Int32()
		n = len(c.i32)
	case flatInt64, flatUint64, flatMoment, flatDecimal64:
		c.i64 = data.Int64()
		n = len(c.i64)
	case flatFloat:
		c.f32 = data.Float()
		n = len(c.f32)
	case flatDouble:
		c.f64 = data.Double()
		n = len(c.f64)
	case flatText, flatHex:
		c.raw, c.ends = data.ByteArray()
		if n = len(c.ends) - 1; n > 0 && int(c.ends[n]) > len(c.raw) {
			return fmt.Errorf("values of %d bytes in %d", c.ends[n], len(c.raw))
		}
	case flatDecimalFixed:
		if c.raw, c.size = data.FixedLenByteArray(); c.size > 0 {
			n = len(c.raw) / c.size
		}
	}
	return c.enough(n)
}

// enough checks that there is a value for every row that is not NULL, once for
// the page and not for every value.
func (c *flatColumn) enough(n int) error {
	want := c.rows
	if c.levels != nil {
		want = bytes.Count(c.levels[:c.rows], []byte{c.max})
	}
	if n < want {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// cell writes the next row's value.
func (c *flatColumn) cell(dst []byte) ([]byte, error) {
	c.rows--
	if c.values != nil {
		return c.other(dst)
	}
	if c.levels != nil {
		level := c.levels[0]
		c.levels = c.levels[1:]
		if level != c.max {
			return append(dst, '\\', 'N'), nil
		}
	}
	if c.index != nil {
		i := c.index[0]
		c.index = c.index[1:]
		if uint(i) < uint(len(c.texts)) && c.texts[i] != nil { //nolint:gosec // below zero is above
			return append(dst, c.texts[i]...), nil
		}
		return c.entry(dst, int(i))
	}
	switch c.kind {
	case flatInt32, flatUint32, flatDate, flatDecimal32:
		v := c.i32[0]
		c.i32 = c.i32[1:]
		switch c.kind {
		case flatInt32:
			return appendInt(dst, int64(v)), nil
		case flatUint32:
			return appendUint(dst, uint64(uint32(v))), nil //nolint:gosec // it is one
		case flatDate:
			return appendDate(dst, int64(v)), nil
		}
		return appendFixed(dst, int64(v), c.scale), nil
	case flatInt64, flatUint64, flatMoment, flatDecimal64:
		v := c.i64[0]
		c.i64 = c.i64[1:]
		switch c.kind {
		case flatInt64:
			return appendInt(dst, v), nil
		case flatUint64:
			return appendUint(dst, uint64(v)), nil //nolint:gosec // it is one
		case flatMoment:
			return appendMoment(dst, v, c.unit, c.utc), nil
		}
		return appendFixed(dst, v, c.scale), nil
	case flatFloat:
		v := c.f32[0]
		c.f32 = c.f32[1:]
		return appendFloat(dst, float64(v), 32), nil
	case flatDouble:
		v := c.f64[0]
		c.f64 = c.f64[1:]
		return appendFloat(dst, v, 64), nil
	case flatDecimalFixed:
		v := c.raw[:c.size]
		c.raw = c.raw[c.size:]
		return appendDecimal(dst, v, c.scale), nil
	}
	v := c.raw[c.ends[0]:c.ends[1]]
	c.ends = c.ends[1:]
	if c.kind == flatHex {
		return hex.AppendEncode(append(dst, `\\x`...), v), nil
	}
	if plainRun(v) {
		return append(dst, v...), nil
	}
	if bytes.IndexByte(v, 0) >= 0 {
		c.refused = errZeroByte
		return dst, nil
	}
	return appendText(dst, v), nil
}

// entry writes a value of the dictionary for the first time.
func (c *flatColumn) entry(dst []byte, i int) ([]byte, error) {
	if i < 0 || i >= len(c.texts) {
		return dst, fmt.Errorf("entry %d of a dictionary of %d", i, len(c.texts))
	}
	text, err := c.write([]byte{}, c.dict.Index(int32(i))) //nolint:gosec // it came as one
	if err != nil {
		c.refused = err
		return dst, nil
	}
	c.texts[i] = text
	return append(dst, text...), nil
}

// other writes a value that comes as a parquet.Value.
func (c *flatColumn) other(dst []byte) ([]byte, error) {
	if len(c.have) == 0 {
		n, err := c.values.ReadValues(c.buf)
		if n == 0 {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return dst, err
		}
		c.have = c.buf[:n]
	}
	v := c.have[0]
	c.have = c.have[1:]
	if v.IsNull() {
		return append(dst, '\\', 'N'), nil
	}
	from := len(dst)
	dst, err := c.write(dst, v)
	if err != nil {
		c.refused = err
		return dst[:from], nil
	}
	return dst, nil
}
