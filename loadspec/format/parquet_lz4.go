package format

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	pqformat "github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// parquet-go 0.32 loses the pages of codec LZ4_RAW that are not packed to a
// third at least: what it unpacks goes into a buffer that it then forgets, and
// another's contents are taken for the page. So those columns are unpacked here:
// the library sees a file whose directory calls them not compressed and that has
// their pages, unpacked, behind all others.

// unpackedFile is such a file.
type unpackedFile struct {
	at     io.ReaderAt
	size   int64 // of the true file
	chunks []*lz4Chunk
	tail   []byte // directory
	end    int64  // where it begins
}

// lz4Chunk is a column's part of a row group.
type lz4Chunk struct {
	at         io.ReaderAt
	from, size int64 // in the true file
	base, room int64 // in the other

	r    *bufio.Reader
	page []byte // the present one with its head
	pos  int64  // its place behind base
}

// unpacked returns the file to read instead, and its size, when columns are
// packed so.
func unpacked(at io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	var tail [8]byte
	if size < 12 {
		return at, size, nil // the library will say what is wrong
	}
	if _, err := at.ReadAt(tail[:], size-8); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if string(tail[4:]) != "PAR1" || length > size-12 {
		return at, size, nil
	}
	directory := make([]byte, length)
	if _, err := at.ReadAt(directory, size-8-length); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	var meta pqformat.FileMetaData
	protocol := &thrift.CompactProtocol{}
	if thrift.Unmarshal(protocol, directory, &meta) != nil {
		return at, size, nil
	}
	f := &unpackedFile{at: at, size: size, end: size}
	for g := range meta.RowGroups {
		for c := range meta.RowGroups[g].Columns {
			if m := &meta.RowGroups[g].Columns[c].MetaData; m.Codec == pqformat.Lz4Raw {
				if err := f.add(m); err != nil {
					return nil, 0, err
				}
			}
		}
	}
	if len(f.chunks) == 0 {
		return at, size, nil
	}
	out, err := thrift.Marshal(protocol, &meta)
	if err != nil {
		return nil, 0, err
	}
	f.tail = append(binary.LittleEndian.AppendUint32(out, uint32(len(out))), "PAR1"...) //nolint:gosec // about as long as before
	return f, f.end + int64(len(f.tail)), nil
}

// add moves a column's part behind the file.
func (f *unpackedFile) add(m *pqformat.ColumnMetaData) error {
	c := &lz4Chunk{at: f.at, from: m.DataPageOffset, size: m.TotalCompressedSize, base: f.end, room: 2*m.TotalUncompressedSize + 1<<20}
	if d := m.DictionaryPageOffset; d > 0 {
		c.from = min(c.from, d)
	}
	if c.from < 4 || c.size < 0 || c.from > f.size-c.size || m.TotalUncompressedSize < 0 || m.TotalUncompressedSize > 1<<40 {
		return fmt.Errorf("a column of %d bytes at %d in a file of %d", c.size, c.from, f.size)
	}
	f.end += c.room
	m.Codec, m.TotalCompressedSize, m.DataPageOffset = pqformat.Uncompressed, c.room, c.base
	if m.DictionaryPageOffset > 0 {
		m.DictionaryPageOffset, m.DataPageOffset = c.base, c.base+1 // the pages come in their order anyway
	}
	f.chunks = append(f.chunks, c)
	return nil
}

// ReadAt reads what the library asks for.
func (f *unpackedFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset < f.size {
		return f.at.ReadAt(p, offset)
	}
	if offset >= f.end {
		n := copy(p, f.tail[min(offset-f.end, int64(len(f.tail))):])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	for _, c := range f.chunks {
		if offset < c.base+c.room {
			return c.read(p, offset-c.base)
		}
	}
	return 0, io.EOF
}

// read gives bytes of the unpacked pages, which are asked for in their order,
// and maybe from the beginning again.
func (c *lz4Chunk) read(p []byte, offset int64) (n int, err error) {
	if c.r == nil || offset < c.pos {
		window := &ahead{r: c.at, window: 1 << 20, end: c.from + c.size}
		c.r = bufio.NewReaderSize(io.NewSectionReader(window, c.from, c.size), 64<<10)
		c.page, c.pos = c.page[:0], 0
	}
	for n < len(p) {
		if at := offset + int64(n) - c.pos; at < int64(len(c.page)) {
			n += copy(p[n:], c.page[at:])
			continue
		}
		if err := c.next(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// next unpacks a page; io.EOF says that there is none.
func (c *lz4Chunk) next() error {
	if _, err := c.r.Peek(1); err != nil {
		return err
	}
	protocol := &thrift.CompactProtocol{}
	var head pqformat.PageHeader
	if err := thrift.NewDecoder(protocol.NewReader(c.r)).Decode(&head); err != nil {
		return fmt.Errorf("the head of a page: %w", err)
	}
	packed, size := int64(head.CompressedPageSize), int64(head.UncompressedPageSize)
	if packed < 0 || packed > c.size || size < 0 || size > 1<<30 {
		return fmt.Errorf("a page of %d bytes, %d unpacked", packed, size)
	}
	data := make([]byte, packed)
	if _, err := io.ReadFull(c.r, data); err != nil {
		return fmt.Errorf("a page of %d bytes: %w", packed, io.ErrUnexpectedEOF)
	}
	levels := int64(0) // of the second version's pages, which are not packed
	isPacked := true
	if h := head.DataPageHeaderV2; h.Valid {
		levels = int64(h.V.RepetitionLevelsByteLength) + int64(h.V.DefinitionLevelsByteLength)
		isPacked = !h.V.IsCompressed.Valid || h.V.IsCompressed.V
	}
	if levels < 0 || levels > packed || levels > size {
		return fmt.Errorf("levels of %d bytes in a page of %d", levels, packed)
	}
	head.CompressedPageSize, head.CRC = head.UncompressedPageSize, 0
	out, err := thrift.Marshal(protocol, &head)
	if err != nil {
		return err
	}
	c.pos += int64(len(c.page))
	c.page = append(c.page[:0], out...)
	if !isPacked || size == levels {
		c.page = append(c.page, data...)
		return nil
	}
	from := len(c.page) + int(levels)
	c.page = append(append(c.page, data[:levels]...), make([]byte, size-levels)...)
	n, err := lz4.UncompressBlock(data[levels:], c.page[from:])
	if err != nil || int64(n) != size-levels {
		return fmt.Errorf("a page of codec LZ4_RAW is damaged: %d bytes of %d: %w", n, size-levels, errors.Join(err, errDamaged))
	}
	return nil
}

var errDamaged = errors.New("it cannot be unpacked")
