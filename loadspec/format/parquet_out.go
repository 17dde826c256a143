package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"cw/fault"
	"cw/loadspec"
)

// ParquetColumn is a column of what is unloaded.
type ParquetColumn struct {
	Name   string
	OID    uint32 // of the type; of a domain its base type's
	Typmod int32
	Type   string // for messages
}

// ParquetSchema is how rows become a Parquet file.
type ParquetSchema struct {
	columns []parquetOut
	schema  *parquet.Schema
	codec   compress.Codec
}

// parquetOut is one column's way from COPY's binary format.
type parquetOut struct {
	ParquetColumn
	node   parquet.Node
	asText bool // the database writes it as text
	value  func(field []byte) (parquet.Value, error)
}

// orderedGroup is a group whose fields stand in the columns' order; the
// library's own are sorted by name.
type orderedGroup struct {
	parquet.Group
	names []string
}

// Fields are the columns in order.
func (g orderedGroup) Fields() []parquet.Field {
	byName := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		byName[f.Name()] = f
	}
	fields := make([]parquet.Field, len(g.names))
	for i, n := range g.names {
		fields[i] = byName[n]
	}
	return fields
}

// NewParquetSchema chooses a Parquet type for each column, and warns of those
// that have none of their own. compression is of the pages: auto, zstd, gzip,
// snappy or none.
func NewParquetSchema(columns []ParquetColumn, compression string) (*ParquetSchema, []string, error) {
	s := &ParquetSchema{}
	switch compression {
	case loadspec.CompressionAuto, "", "zstd":
		s.codec = &parquet.Zstd
	case "gzip":
		s.codec = &parquet.Gzip
	case "snappy":
		s.codec = &parquet.Snappy
	case "none":
		s.codec = &parquet.Uncompressed
	default:
		return nil, nil, fault.New(fault.Usage, "write zstd, gzip, snappy or none", "COMPRESSION %s is none of parquet's", compression)
	}
	root := orderedGroup{Group: parquet.Group{}}
	var warnings []string
	for _, c := range columns {
		if c.Name == "" {
			return nil, nil, fault.New(fault.Usage, "name it with AS", "a column has no name, which parquet cannot have")
		}
		out := newParquetOut(c)
		if c.OID == oidNumeric && out.asText {
			warnings = append(warnings, fmt.Sprintf("column %s (%s) is text in parquet: its digits have no bound; cast it, as %s::numeric(18,2), for a decimal", c.Name, c.Type, loadspec.QuoteIdent(c.Name)))
		}
		root.Group[c.Name] = parquet.Optional(out.node)
		root.names = append(root.names, c.Name)
		s.columns = append(s.columns, out)
	}
	s.schema = parquet.NewSchema("cw", root)
	return s, warnings, nil
}

// SelectList asks for the columns of a row in the form that Write takes.
func (s *ParquetSchema) SelectList(row string) string {
	list := make([]string, len(s.columns))
	for i, c := range s.columns {
		list[i] = row + "." + loadspec.QuoteIdent(c.Name)
		if c.asText {
			list[i] += "::text"
		}
	}
	return strings.Join(list, ", ")
}

const (
	parquetRowBatch = 256
	parquetPage     = 256 << 10
	parquetDict     = 1 << 20 // a column with more different texts is written plainly
)

// ParquetWriter makes a Parquet file of rows in COPY's binary format.
type ParquetWriter struct {
	s      *ParquetSchema
	w      *parquet.GenericWriter[any]
	most   int64 // bytes of rows in a row group
	bytes  int64 // in the present one
	rows   int
	values [][]parquet.Value // by column, of rows that are not written yet
}

// NewWriter begins a file. rowGroup is the size of its row groups in bytes of
// rows, 0 the default: that much is held in memory.
func (s *ParquetSchema) NewWriter(w io.Writer, rowGroup int64) *ParquetWriter {
	if rowGroup == 0 {
		rowGroup = loadspec.DefaultRowGroup
	}
	return &ParquetWriter{s: s, most: rowGroup, values: make([][]parquet.Value, len(s.columns)), w: parquet.NewGenericWriter[any](w, s.schema,
		parquet.Compression(s.codec), parquet.PageBufferSize(parquetPage), parquet.DictionaryMaxBytes(parquetDict), parquet.CreatedBy("cw", "1", ""))}
}

var errTuple = errors.New("a row of COPY's binary format ends too early")

// Write adds rows that stand one behind the other.
func (p *ParquetWriter) Write(tuples []byte) error {
	for len(tuples) > 0 {
		rest, err := p.row(tuples)
		if err != nil {
			return err
		}
		p.bytes += int64(len(tuples) - len(rest))
		tuples = rest
		if p.rows == parquetRowBatch {
			if err := p.flush(); err != nil {
				return err
			}
		}
		if p.bytes >= p.most {
			if err := p.endGroup(); err != nil {
				return err
			}
		}
	}
	return p.flush() // the values point into the caller's bytes
}

// row takes one row off the front.
func (p *ParquetWriter) row(b []byte) (rest []byte, err error) {
	if len(b) < 2 {
		return nil, errTuple
	}
	if n := int(binary.BigEndian.Uint16(b)); n != len(p.s.columns) {
		return nil, fmt.Errorf("a row of COPY's binary format has %d fields, %d were asked for", n, len(p.s.columns))
	}
	b = b[2:]
	for i := range p.s.columns {
		if len(b) < 4 {
			return nil, errTuple
		}
		n := int32(binary.BigEndian.Uint32(b)) //nolint:gosec // -1 is NULL
		b = b[4:]
		if n < 0 {
			p.values[i] = append(p.values[i], parquet.NullValue().Level(0, 0, i))
			continue
		}
		if int(n) > len(b) {
			return nil, errTuple
		}
		v, err := p.s.columns[i].value(b[:n])
		if err != nil {
			return nil, fault.New(fault.Failed, "unload a QUERY with "+loadspec.QuoteIdent(p.s.columns[i].Name)+"::text in it", "column %s (%s): %w", p.s.columns[i].Name, p.s.columns[i].Type, err)
		}
		p.values[i] = append(p.values[i], v.Level(0, 1, i))
		b = b[n:]
	}
	p.rows++
	return b, nil
}

// flush hands the batch to the columns.
func (p *ParquetWriter) flush() error {
	if p.rows == 0 {
		return nil
	}
	for i, w := range p.w.ColumnWriters() {
		if _, err := w.WriteRowValues(p.values[i]); err != nil {
			return err
		}
		clear(p.values[i])
		p.values[i] = p.values[i][:0]
	}
	p.rows = 0
	return nil
}

// endGroup writes the row group.
func (p *ParquetWriter) endGroup() error {
	if err := p.flush(); err != nil {
		return err
	}
	p.bytes = 0
	return p.w.Flush()
}

// Close ends the file.
func (p *ParquetWriter) Close() error {
	if err := p.endGroup(); err != nil {
		return err
	}
	return p.w.Close()
}
