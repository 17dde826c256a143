package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxAvroDepth is how deep schemas and values may be nested.
const maxAvroDepth = 200

var errAvroEnd = errors.New("a value goes on after the block's end")

// avroValues reads the values of a block.
type avroValues struct {
	b     []byte
	i     int
	max   int64  // longest value in text
	bad   error  // why a value that was read cannot be written
	doc   []byte // of a nested value
	depth int
	count int64 // items of arrays and maps in the block
}

// long reads a number of variable length.
func (v *avroValues) long() (int64, error) {
	var n uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if v.i == len(v.b) {
			return 0, errAvroEnd
		}
		c := v.b[v.i]
		v.i++
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return int64(n>>1) ^ -int64(n&1), nil //nolint:gosec // zigzag
		}
	}
	return 0, errors.New("a number has more than ten bytes")
}

// take reads n bytes.
func (v *avroValues) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(v.b)-v.i) {
		return nil, errAvroEnd
	}
	b := v.b[v.i : v.i+int(n)]
	v.i += int(n)
	return b, nil
}

func (v *avroValues) bytes() ([]byte, error) {
	n, err := v.long()
	if err != nil {
		return nil, err
	}
	return v.take(n)
}

// raw reads what bytes, string and fixed hold.
func (v *avroValues) raw(n *avroNode) ([]byte, error) {
	if n.typ == avroFixed {
		return v.take(int64(n.size))
	}
	return v.bytes()
}

// branch reads which type of a union follows.
func (v *avroValues) branch(n *avroNode) (*avroNode, error) {
	i, err := v.long()
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= int64(len(n.branches)) {
		return nil, fmt.Errorf("branch %d of a union of %d", i, len(n.branches))
	}
	return n.branches[i], nil
}

// items reads the values of an array or map.
func (v *avroValues) items(each func() error) error {
	for {
		n, err := v.long()
		if err != nil || n == 0 {
			return err
		}
		if n < 0 {
			if _, err := v.long(); err != nil { // bytes of the block
				return err
			}
			n = -n
		}
		// An item has a byte at least, unless it is null or the like.
		if v.count += n; n < 0 || v.count < n || v.count > int64(len(v.b))+1<<20 {
			return fmt.Errorf("a block of %d items", n)
		}
		for range n {
			if err := each(); err != nil {
				return err
			}
		}
	}
}

func (v *avroValues) deeper() error {
	if v.depth++; v.depth > maxAvroDepth {
		return errors.New("values are nested too deep")
	}
	return nil
}

// skip reads a value that nobody wants.
func (v *avroValues) skip(n *avroNode) (err error) {
	switch n.typ {
	case avroNull:
	case avroBoolean:
		_, err = v.take(1)
	case avroInt, avroLong, avroEnum:
		_, err = v.long()
	case avroFloat:
		_, err = v.take(4)
	case avroDouble:
		_, err = v.take(8)
	case avroBytes, avroString, avroFixed:
		_, err = v.raw(n)
	case avroUnion:
		if n, err = v.branch(n); err == nil {
			err = v.skip(n)
		}
	default:
		if err := v.deeper(); err != nil {
			return err
		}
		defer func() { v.depth-- }()
		if n.typ == avroRecord {
			for _, f := range n.fields {
				if err := v.skip(f.node); err != nil {
					return err
				}
			}
			return nil
		}
		return v.items(func() error {
			if n.typ == avroMap {
				if _, err := v.bytes(); err != nil {
					return err
				}
			}
			return v.skip(n.items)
		})
	}
	return err
}

// text appends a value in COPY's text format; null says that it is NULL. What
// is read but cannot be written is left in v.bad.
func (v *avroValues) text(dst []byte, n *avroNode, bytea bool) (_ []byte, null bool, err error) {
	if n.typ == avroUnion && !n.nested() {
		if n, err = v.branch(n); err != nil {
			return dst, false, err
		}
	}
	switch n.typ {
	case avroNull:
		return dst, true, nil
	case avroUnion, avroArray, avroMap, avroRecord:
		if n.typ == avroUnion {
			if n, err = v.branch(n); err != nil || n.typ == avroNull {
				return dst, true, err
			}
		}
		if v.doc, err = v.json(v.doc[:0], n); err != nil {
			return dst, false, err
		}
		return appendText(dst, v.doc), false, nil
	case avroBytes, avroString, avroFixed, avroEnum:
		if n.logical != plain && n.logical != avroUUID || n.logical == avroUUID && n.typ == avroFixed {
			break
		}
		raw, err := v.characters(n)
		switch {
		case err != nil:
			return dst, false, err
		case bytea && n.typ != avroEnum:
			return hex.AppendEncode(append(dst, `\\x`...), raw), false, nil
		case bytes.IndexByte(raw, 0) >= 0:
			v.bad = errZeroByte
			return dst, false, nil
		}
		return appendText(dst, raw), false, nil
	}
	dst, err = v.scalar(dst, n)
	return dst, false, err
}

func (v *avroValues) characters(n *avroNode) ([]byte, error) {
	if n.typ != avroEnum {
		return v.raw(n)
	}
	i, err := v.long()
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= int64(len(n.symbols)) {
		return nil, fmt.Errorf("symbol %d of an enum of %d", i, len(n.symbols))
	}
	return []byte(n.symbols[i]), nil
}

// scalar appends a value that needs no escapes.
func (v *avroValues) scalar(dst []byte, n *avroNode) ([]byte, error) {
	switch n.typ {
	case avroBoolean:
		b, err := v.take(1)
		if err != nil {
			return dst, err
		}
		return strconv.AppendBool(dst, b[0] != 0), nil
	case avroInt, avroLong:
		i, err := v.long()
		if err != nil {
			return dst, err
		}
		return v.number(dst, n, i), nil
	case avroFloat:
		b, err := v.take(4)
		if err != nil {
			return dst, err
		}
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32), nil
	case avroDouble:
		b, err := v.take(8)
		if err != nil {
			return dst, err
		}
		return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64), nil
	}
	raw, err := v.raw(n)
	if err != nil {
		return dst, err
	}
	switch n.logical {
	case avroDecimal:
		return appendDecimal(dst, raw, n.scale), nil
	case avroDuration:
		word := func(i int) int64 { return int64(binary.LittleEndian.Uint32(raw[i:])) }
		dst = append(strconv.AppendInt(dst, word(0), 10), " months "...)
		dst = append(strconv.AppendInt(dst, word(4), 10), " days "...)
		return append(strconv.AppendInt(dst, word(8), 10), " milliseconds"...), nil
	default:
		return appendUUID(dst, raw), nil
	}
}

// number appends an int or long.
func (v *avroValues) number(dst []byte, n *avroNode, i int64) []byte {
	switch n.logical {
	case avroDate:
		return appendDate(dst, i)
	case avroTime:
		if i < 0 || i > 86400*n.unit {
			v.bad = fmt.Errorf("%d is no time of day", i)
			return dst
		}
		return appendClock(dst, int(i/n.unit), int(i%n.unit*(1e9/n.unit)))
	case avroTimestamp, avroLocal:
		return appendMoment(dst, i, n.unit, n.logical == avroTimestamp)
	}
	return appendInt(dst, i)
}

// json appends a value as JSON.
func (v *avroValues) json(dst []byte, n *avroNode) (_ []byte, err error) {
	if int64(len(dst)) > v.max {
		return dst, errRowTooLong
	}
	switch n.typ {
	case avroNull:
		return append(dst, "null"...), nil
	case avroUnion:
		if n, err = v.branch(n); err != nil {
			return dst, err
		}
		return v.json(dst, n)
	case avroBytes, avroString, avroFixed, avroEnum:
		if n.logical != plain && (n.logical != avroUUID || n.typ == avroFixed) {
			break
		}
		raw, err := v.characters(n)
		if err != nil {
			return dst, err
		}
		if !utf8.Valid(raw) {
			return append(hex.AppendEncode(append(dst, `"\\x`...), raw), '"'), nil
		}
		return appendJSONString(dst, raw), nil
	case avroArray, avroMap, avroRecord:
		return v.object(dst, n)
	}
	quoted := n.logical != plain && n.logical != avroDecimal
	from := len(dst)
	if quoted {
		dst = append(dst, '"')
	}
	if dst, err = v.scalar(dst, n); err != nil || v.bad != nil {
		return dst, err
	}
	if end := dst[len(dst)-1]; !quoted && (end == 'y' || end == 'N') { // Infinity and NaN are no JSON
		word := string(dst[from:])
		return append(append(append(dst[:from], '"'), word...), '"'), nil
	}
	if quoted {
		dst = append(dst, '"')
	}
	return dst, nil
}

// object appends an array, a map or a record.
func (v *avroValues) object(dst []byte, n *avroNode) (_ []byte, err error) {
	if err := v.deeper(); err != nil {
		return dst, err
	}
	defer func() { v.depth-- }()
	if n.typ == avroRecord {
		dst = append(dst, '{')
		for i, f := range n.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSONString(dst, []byte(f.name)), ':')
			if dst, err = v.json(dst, f.node); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	open, end := byte('['), byte(']')
	if n.typ == avroMap {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	first := true
	err = v.items(func() error {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if n.typ == avroMap {
			key, err := v.bytes()
			if err != nil {
				return err
			}
			dst = append(appendJSONString(dst, bytes.ToValidUTF8(key, []byte("\uFFFD"))), ':')
		}
		dst, err = v.json(dst, n.items)
		return err
	})
	return append(dst, end), err
}
