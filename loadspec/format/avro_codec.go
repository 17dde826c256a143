package format

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// avroCodec unpacks blocks; what it returns lasts until the next.
func avroCodec(name string, most int64) (func([]byte) ([]byte, error), error) {
	var out bytes.Buffer
	all := func(r io.Reader) ([]byte, error) {
		out.Reset()
		if _, err := out.ReadFrom(io.LimitReader(r, most+1)); err != nil {
			return nil, err
		}
		if int64(out.Len()) > most {
			return nil, fmt.Errorf("it holds more than %d bytes (MAX_LINE_LENGTH)", most)
		}
		return out.Bytes(), nil
	}
	switch name {
	case "", "null":
		return func(b []byte) ([]byte, error) { return b, nil }, nil
	case "deflate":
		r := flate.NewReader(bytes.NewReader(nil))
		return func(b []byte) ([]byte, error) {
			if err := r.(flate.Resetter).Reset(bytes.NewReader(b), nil); err != nil {
				return nil, err
			}
			return all(r)
		}, nil
	case "snappy":
		return avroSnappy(most), nil
	case "zstandard":
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(most))) //nolint:gosec // a size
		if err != nil {
			return nil, err
		}
		var buf []byte
		return func(b []byte) ([]byte, error) {
			buf, err = r.DecodeAll(b, buf[:0])
			return buf, err
		}, nil
	case "bzip2":
		return func(b []byte) ([]byte, error) { return all(bzip2.NewReader(bytes.NewReader(b))) }, nil
	case "xz":
		return func(b []byte) ([]byte, error) {
			r, err := xz.NewReader(bytes.NewReader(b))
			if err != nil {
				return nil, err
			}
			return all(r)
		}, nil
	}
	return nil, fmt.Errorf("codec %q is not known: null, deflate, snappy, zstandard, bzip2 and xz are", name)
}

// avroSnappy is snappy's block format with the CRC of what it holds behind.
func avroSnappy(most int64) func([]byte) ([]byte, error) {
	var buf []byte
	return func(b []byte) ([]byte, error) {
		if len(b) < 4 {
			return nil, errors.New("it is too short for snappy")
		}
		b, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
		n, err := snappy.DecodedLen(b)
		if err != nil {
			return nil, err
		}
		if int64(n) > most {
			return nil, fmt.Errorf("it holds %d bytes, more than %d (MAX_LINE_LENGTH)", n, most)
		}
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		if buf, err = snappy.Decode(buf[:cap(buf)], b); err != nil {
			return nil, err
		}
		if crc32.ChecksumIEEE(buf) != sum {
			return nil, errors.New("its checksum is wrong")
		}
		return buf, nil
	}
}
