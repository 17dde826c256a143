package format

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"
)

// nestedColumn writes lists, maps and structs as JSON.
type nestedColumn struct {
	root   *nestedNode
	leaves []*nestedLeaf
	cells  [][]byte
	text   []byte
}

// nestedLeaf reads one leaf's values.
type nestedLeaf struct {
	index  int
	pages  *parquet.FilePages
	values parquet.ValueReader
	page   parquet.Page
	buf    []parquet.Value
	have   []parquet.Value // the first is the next
}

// nestedNode is one node of the column's schema.
type nestedNode struct {
	name     string
	optional bool
	repeated bool
	list     bool // LIST: its only child repeats
	bare     bool // a repeated group that only wraps the element
	mapping  bool // MAP
	fields   []*nestedNode
	leaf     *nestedLeaf
	first    *nestedLeaf // of all below
	below    []*nestedLeaf
	write    writeValue
	text     bool // values are strings in JSON
	asJSON   bool // values are JSON
	raw      bool // values are bytes
}

func newNestedColumn(c *parquet.Column, elements []pqformat.SchemaElement) (*nestedColumn, error) {
	n := &nestedColumn{cells: make([][]byte, 0, parquetBatch)}
	var err error
	n.root, err = n.node(c, elements)
	return n, err
}

func (n *nestedColumn) node(c *parquet.Column, elements []pqformat.SchemaElement) (*nestedNode, error) {
	d := &nestedNode{name: c.Name(), optional: c.Optional(), repeated: c.Repeated()}
	if c.Leaf() {
		d.leaf = &nestedLeaf{index: c.Index(), buf: make([]parquet.Value, 256)}
		d.first, d.below = d.leaf, []*nestedLeaf{d.leaf}
		n.leaves = append(n.leaves, d.leaf)
		e := &elements[c.Index()]
		var err error
		if d.write, err = valueWriter(c.Type(), e, ""); err != nil {
			return nil, err
		}
		d.text = true
		var logical any
		if l := c.Type().LogicalType(); l != nil {
			logical = l.Value
		}
		switch l := logical.(type) {
		case nil:
			switch c.Type().Kind() {
			case parquet.Boolean, parquet.Int32, parquet.Int64, parquet.Float, parquet.Double:
				d.text = false
			case parquet.ByteArray, parquet.FixedLenByteArray:
				d.raw = !e.ConvertedType.Valid
			}
		case *pqformat.IntType, *pqformat.DecimalType:
			d.text = false
		case *pqformat.JsonType:
			d.asJSON = true
		case *pqformat.StringType, *pqformat.EnumType:
			d.raw = true
		default:
			_ = l
		}
		return d, nil
	}
	if l := c.Type().LogicalType(); l != nil {
		switch l.Value.(type) {
		case *pqformat.ListType:
			d.list = len(c.Columns()) == 1 && c.Columns()[0].Repeated()
		case *pqformat.MapType:
			d.mapping = len(c.Columns()) == 1 && c.Columns()[0].Repeated() && len(c.Columns()[0].Columns()) == 2
		}
	}
	for _, child := range c.Columns() {
		f, err := n.node(child, elements)
		if err != nil {
			return nil, err
		}
		d.fields = append(d.fields, f)
		d.below = append(d.below, f.below...)
	}
	if len(d.below) == 0 {
		return nil, errors.New("a group without columns")
	}
	d.first = d.below[0]
	if d.list {
		// The rules of the format's description for older writers.
		item := d.fields[0]
		item.bare = len(item.fields) == 1 && item.name != "array" && item.name != d.name+"_tuple"
	}
	return d, nil
}

func (n *nestedColumn) begin(open func(int) *parquet.FilePages) {
	for _, l := range n.leaves {
		l.pages, l.have, l.values = open(l.index), nil, nil
	}
}

func (n *nestedColumn) close() {
	for _, l := range n.leaves {
		if l.page != nil {
			parquet.Release(l.page)
			l.page = nil
		}
		if l.pages != nil {
			_ = l.pages.Close()
			l.pages = nil
		}
	}
}

// peek makes the next value the first of have; false at the end.
func (l *nestedLeaf) peek() (bool, error) {
	for len(l.have) == 0 {
		if l.values != nil {
			k, err := l.values.ReadValues(l.buf)
			l.have = l.buf[:k]
			if k > 0 {
				return true, nil
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return false, err
			}
		}
		if l.page != nil {
			parquet.Release(l.page)
			l.page = nil
		}
		page, err := l.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		l.page, l.values = page, page.Values()
	}
	return true, nil
}

func (l *nestedLeaf) take() (parquet.Value, error) {
	ok, err := l.peek()
	if err != nil || !ok {
		return parquet.Value{}, errors.Join(err, io.ErrUnexpectedEOF)
	}
	v := l.have[0]
	l.have = l.have[1:]
	return v, nil
}

func (n *nestedColumn) read(rows int) ([][]byte, error) {
	n.cells, n.text = n.cells[:0], n.text[:0]
	for range rows {
		ok, err := n.root.first.peek()
		if err != nil || !ok {
			return nil, errors.Join(err, io.ErrUnexpectedEOF)
		}
		if n.root.optional && n.root.first.have[0].DefinitionLevel() == 0 {
			n.cells = append(n.cells, nil)
			if err := n.root.drop(); err != nil {
				return nil, err
			}
			continue
		}
		doc, err := n.root.append(nil, 0, 0)
		if err != nil {
			return nil, err
		}
		from := len(n.text)
		n.text = appendText(n.text, doc)
		n.cells = append(n.cells, n.text[from:len(n.text):len(n.text)])
	}
	return n.cells, nil
}

// drop takes the one value that stands for nothing in every leaf.
func (d *nestedNode) drop() error {
	for _, l := range d.below {
		if _, err := l.take(); err != nil {
			return err
		}
	}
	return nil
}

// append writes the next value of a node whose parent has these levels.
func (d *nestedNode) append(dst []byte, def, rep int) ([]byte, error) {
	switch {
	case d.optional:
		if ok, err := d.first.peek(); err != nil || !ok {
			return dst, errors.Join(err, io.ErrUnexpectedEOF)
		}
		if d.first.have[0].DefinitionLevel() <= def {
			return append(dst, "null"...), d.drop()
		}
		return d.one(dst, def+1, rep)
	case d.repeated:
		dst = append(dst, '[')
		dst, err := d.items(dst, def, rep, d.one)
		return append(dst, ']'), err
	default:
		return d.one(dst, def, rep)
	}
}

// items writes the values of a repeated node, with commas between them.
func (d *nestedNode) items(dst []byte, def, rep int, one func(dst []byte, def, rep int) ([]byte, error)) ([]byte, error) {
	if ok, err := d.first.peek(); err != nil || !ok {
		return dst, errors.Join(err, io.ErrUnexpectedEOF)
	}
	if d.first.have[0].DefinitionLevel() <= def {
		return dst, d.drop()
	}
	for i := 0; ; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = one(dst, def+1, rep+1); err != nil {
			return dst, err
		}
		more, err := d.first.peek()
		if err != nil {
			return dst, err
		}
		if !more || d.first.have[0].RepetitionLevel() <= rep {
			return dst, nil
		}
		if d.first.have[0].RepetitionLevel() > rep+1 {
			return dst, fmt.Errorf("repetition level %d where %d is the highest", d.first.have[0].RepetitionLevel(), rep+1)
		}
	}
}

// one writes a value that is there.
func (d *nestedNode) one(dst []byte, def, rep int) (_ []byte, err error) {
	switch {
	case d.leaf != nil:
		v, err := d.leaf.take()
		if err != nil {
			return dst, err
		}
		return d.scalar(dst, v)
	case d.list:
		return d.fields[0].append(dst, def, rep)
	case d.bare:
		return d.fields[0].append(dst, def, rep)
	case d.mapping:
		dst = append(dst, '{')
		entry := d.fields[0]
		dst, err = entry.items(dst, def, rep, func(dst []byte, def, rep int) ([]byte, error) {
			key, err := entry.fields[0].append(nil, def, rep)
			if err != nil {
				return dst, err
			}
			if len(key) == 0 || key[0] != '"' {
				key = appendJSONString(nil, key)
			}
			return entry.fields[1].append(append(append(dst, key...), ':'), def, rep)
		})
		return append(dst, '}'), err
	}
	dst = append(dst, '{')
	for i, f := range d.fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSONString(dst, []byte(f.name)), ':')
		if dst, err = f.append(dst, def, rep); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// scalar writes a leaf's value as JSON.
func (d *nestedNode) scalar(dst []byte, v parquet.Value) ([]byte, error) {
	switch {
	case v.IsNull():
		return append(dst, "null"...), nil
	case d.asJSON && json.Valid(v.ByteArray()):
		return append(dst, v.ByteArray()...), nil
	case d.raw || d.asJSON:
		if b := v.ByteArray(); utf8.Valid(b) {
			return appendJSONString(dst, b), nil
		}
		return append(hex.AppendEncode(append(dst, `"\\x`...), v.ByteArray()), '"'), nil
	}
	text, err := d.write(nil, v)
	if err != nil {
		return dst, err
	}
	if d.text || text[len(text)-1] == 'y' || text[0] == 'N' { // Infinity and NaN are no JSON
		return appendJSONString(dst, text), nil
	}
	return append(dst, text...), nil
}

const hexDigits = "0123456789abcdef"

func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
