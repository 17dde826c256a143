package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"cw/fault"
)

// avroRows makes rows of an Avro object container file, block by block.
type avroRows struct {
	in      Input
	r       *bufio.Reader
	unpack  func([]byte) ([]byte, error)
	sync    [16]byte
	columns []avroColumn // the file's, in its order
	v       avroValues
	left    int64  // rows of the present block
	packed  []byte // the present block
	row     int64  // rows done
	spans   []span // by column of ours
	text    []byte
}

// avroColumn is a field of the file's records.
type avroColumn struct {
	node  *avroNode
	ours  []int // columns of ours that take it
	bytea []bool
}

func newAvroRows(in Input, r io.Reader) (io.Reader, error) {
	a, root, err := openAvro(in, r)
	if err != nil {
		return nil, err
	}
	a.columns = make([]avroColumn, len(root.fields))
	for i, f := range root.fields {
		a.columns[i].node = f.node
	}
	for k, c := range in.Columns {
		at := findAvro(root.fields, c.Name)
		if at < 0 {
			names := make([]string, len(root.fields))
			for i, f := range root.fields {
				names[i] = f.name
			}
			return nil, fault.New(fault.Usage, "list the columns that it has under COLUMNS; it has: "+Columns(names), "%s: has no column %s", in.URL, c.Name)
		}
		a.columns[at].ours = append(a.columns[at].ours, k)
		a.columns[at].bytea = append(a.columns[at].bytea, strings.EqualFold(c.Type, "bytea"))
	}
	a.spans = make([]span, len(in.Columns))
	return &rowReader{next: a.next}, nil
}

// findAvro takes the field of the very name, else one of another case.
func findAvro(fields []avroField, name string) int {
	folded := -1
	for i, f := range fields {
		if f.name == name {
			return i
		}
		if folded < 0 && strings.ToLower(f.name) == name {
			folded = i
		}
	}
	return folded
}

func (a *avroRows) fail(err error) error {
	if fault.HintOf(err) != "" || fault.KindOf(err) != fault.Failed {
		return err // of the store
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends inside a block: it is not whole")
	}
	return &ContentError{URL: a.in.URL, Kind: "avro", Row: a.row + 1, Err: err}
}

// openAvro reads a file's head.
func openAvro(in Input, r io.Reader) (*avroRows, *avroNode, error) {
	a := &avroRows{in: in, r: bufio.NewReaderSize(r, 256<<10), v: avroValues{max: in.MaxRow}}
	bad := func(err error) (*avroRows, *avroNode, error) {
		if fault.HintOf(err) != "" || fault.KindOf(err) != fault.Failed {
			return nil, nil, err
		}
		return nil, nil, &ContentError{URL: in.URL, Kind: "avro", Whole: true, Err: err}
	}
	magic := make([]byte, 4)
	if _, err := io.ReadFull(a.r, magic); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, err
	}
	if string(magic) != "Obj\x01" {
		return bad(errors.New("it is no Avro object container file: those begin with Obj and a byte 1"))
	}
	meta, err := a.meta()
	if err == nil {
		_, err = io.ReadFull(a.r, a.sync[:])
	}
	if err != nil {
		return bad(fmt.Errorf("its head: %w", err))
	}
	if a.unpack, err = avroCodec(string(meta["avro.codec"]), maxAvroBlock(in)); err != nil {
		return bad(err)
	}
	root, err := parseAvroSchema(meta["avro.schema"])
	if err == nil && root.typ != avroRecord {
		err = errors.New("its schema is no record: there are no columns")
	}
	if err != nil {
		return bad(err)
	}
	return a, root, nil
}

// maxAvroBlock bounds the memory that a block takes.
func maxAvroBlock(in Input) int64 { return max(in.MaxRow, 64<<20) }

// meta reads the head's map.
func (a *avroRows) meta() (map[string][]byte, error) {
	const most = 16 << 20
	meta := map[string][]byte{}
	part := func() ([]byte, error) {
		n, err := readLong(a.r)
		if err != nil {
			return nil, err
		}
		if n < 0 || n > most {
			return nil, fmt.Errorf("an entry of %d bytes", n)
		}
		b := make([]byte, n)
		_, err = io.ReadFull(a.r, b)
		return b, err
	}
	for {
		n, err := readLong(a.r)
		if err != nil || n == 0 {
			return meta, err
		}
		if n < 0 {
			if _, err := readLong(a.r); err != nil {
				return nil, err
			}
			n = -n
		}
		if n < 0 || n > 1000 {
			return nil, fmt.Errorf("%d entries", n)
		}
		for range n {
			key, err := part()
			if err != nil {
				return nil, err
			}
			if meta[string(key)], err = part(); err != nil {
				return nil, err
			}
		}
	}
}

// readLong is avroValues.long for a stream.
func readLong(r *bufio.Reader) (int64, error) {
	n, err := binary.ReadUvarint(r)
	return int64(n>>1) ^ -int64(n&1), err //nolint:gosec // zigzag
}

func (a *avroRows) next(dst []byte) ([]byte, error) {
	for len(dst) < batch {
		for a.left == 0 {
			if err := a.block(); err != nil {
				return dst, err
			}
		}
		var err error
		if dst, err = a.record(dst); err != nil {
			return dst, a.fail(err)
		}
		a.left--
		a.row++
		if a.left == 0 && a.v.i != len(a.v.b) {
			return dst, a.fail(fmt.Errorf("%d bytes are left in a block after its last row", len(a.v.b)-a.v.i))
		}
	}
	return dst, nil
}

// block reads the next block; io.EOF says that there is none.
func (a *avroRows) block() error {
	if _, err := a.r.Peek(1); err != nil {
		return err
	}
	rows, err := readLong(a.r)
	if err != nil {
		return a.fail(err)
	}
	size, err := readLong(a.r)
	if err != nil {
		return a.fail(err)
	}
	if most := maxAvroBlock(a.in); rows < 0 || size < 0 || size > most {
		return a.fail(fmt.Errorf("a block of %d rows in %d bytes: at most %d are read (MAX_LINE_LENGTH)", rows, size, most))
	}
	if int64(cap(a.packed)) < size {
		a.packed = make([]byte, size)
	}
	a.packed = a.packed[:size]
	if _, err := io.ReadFull(a.r, a.packed); err != nil {
		return a.fail(err)
	}
	var sync [16]byte
	if _, err := io.ReadFull(a.r, sync[:]); err != nil {
		return a.fail(err)
	}
	if !bytes.Equal(sync[:], a.sync[:]) {
		return a.fail(errors.New("the mark after a block is not the file's: it is damaged"))
	}
	data, err := a.unpack(a.packed)
	if err != nil {
		return a.fail(fmt.Errorf("unpack a block: %w", err))
	}
	if rows > int64(len(data)) && rows > 1<<20 {
		return a.fail(fmt.Errorf("%d rows in %d bytes", rows, len(data)))
	}
	a.v.b, a.v.i, a.v.count, a.left = data, 0, 0, rows
	return nil
}

// record appends the next row.
func (a *avroRows) record(dst []byte) ([]byte, error) {
	a.text = a.text[:0]
	var bad error
	for i := range a.columns {
		c := &a.columns[i]
		if len(c.ours) == 0 {
			if err := a.v.skip(c.node); err != nil {
				return dst, err
			}
			continue
		}
		start := a.v.i
		for n, k := range c.ours {
			a.v.i = start
			from := len(a.text)
			text, null, err := a.v.text(a.text, c.node, c.bytea[n])
			if err != nil {
				return dst, fmt.Errorf("column %s: %w", a.in.Columns[k].Name, err)
			}
			if a.v.bad != nil {
				bad = fmt.Errorf("column %s: %w", a.in.Columns[k].Name, a.v.bad)
				a.v.bad, text, null = nil, append(text[:from], '?'), false
			}
			a.text = text
			a.spans[k] = span{from, len(text), !null}
		}
	}
	if bad != nil {
		return a.in.reject(dst, a.fail(bad), bytes.TrimSuffix(appendSpans(nil, a.text, a.spans), []byte{'\n'}))
	}
	return appendSpans(dst, a.text, a.spans), nil
}
