package fdist

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Rows is what one segment gets of a read session. It is read as one stream
// of rows, by one goroutine.
type Rows struct {
	File   string // of the bytes read last
	Offset int64
	Line   int64
	Frames int64 // data frames so far
	Beats  int64 // offset frames without data behind them: signs of life

	url    string
	a      *answer
	frames *frameReader
	err    error
}

// Get begins a read as one segment.
func (c *Client) Get(ctx context.Context, s *Scan) (*Rows, error) {
	a, err := c.exchange(ctx, s, "GET", nil, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := a.refused(s.URL); err != nil {
		a.close()
		return nil, err
	}
	rows := &Rows{url: s.URL, a: a}
	if a.header["X-GP-PROTO"] == "1" { // byte by byte, as segments look for it
		rows.frames = &frameReader{r: a.r, zstd: a.header["X-GP-ZSTD"] == "1"}
	}
	return rows, nil
}

// Read gives rows; io.EOF is the end as the server means it.
func (r *Rows) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.frames == nil {
		n, err := r.a.r.Read(p)
		r.err = err
		return n, err
	}
	n, err := r.frames.read(p, r)
	if err != nil {
		var said *ServerError
		if errors.As(err, &said) {
			said.URL = r.url
		} else if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s: %w", r.url, err)
		}
		r.err = err
	}
	return n, err
}

// Close ends the read, where the rows end or before.
func (r *Rows) Close() { r.a.close() }

// frameReader takes protocol 1 apart, as strictly as segments do.
type frameReader struct {
	r      *bufio.Reader
	zstd   bool
	left   int    // of the present data frame
	plain  []byte // of a compressed one
	packed []byte
	dec    *zstd.Decoder
	beat   bool // the last frame was an offset
}

// maxMeta bounds the frames that are kept whole: segments take file names of
// 256 bytes; error texts are 8 KiB.
const maxMeta = 64 << 10

func (f *frameReader) read(p []byte, to *Rows) (int, error) {
	for f.left == 0 {
		if err := f.next(to); err != nil {
			return 0, err
		}
	}
	if f.zstd {
		n := copy(p, f.plain[len(f.plain)-f.left:])
		f.left -= n
		return n, nil
	}
	n, err := f.r.Read(p[:min(len(p), f.left)])
	f.left -= n
	if errors.Is(err, io.EOF) {
		err = ErrCut
	}
	return n, err
}

func (f *frameReader) next(to *Rows) error {
	var head [5]byte
	if err := f.full(head[:]); err != nil {
		return err
	}
	n := int32(binary.BigEndian.Uint32(head[1:]))
	if n < 0 {
		return fmt.Errorf("bad packet type %d length %d", head[0], n)
	}
	if head[0] == frameData {
		return f.data(int(n), to)
	}
	if n > maxMeta {
		return fmt.Errorf("frame %q of %d bytes is too long", head[0], n)
	}
	payload := make([]byte, n)
	if err := f.full(payload); err != nil {
		return err
	}
	if f.beat && head[0] == frameOffset {
		to.Beats++
	}
	f.beat = head[0] == frameOffset
	switch head[0] {
	case frameFile:
		if n > 256 {
			return fmt.Errorf("filename length %d is too long", n)
		}
		to.File = string(payload)
	case frameOffset, frameLine:
		if n != 8 {
			return fmt.Errorf("bad packet type %d length %d", head[0], n)
		}
		v := int64(binary.BigEndian.Uint64(payload))
		if head[0] == frameOffset {
			to.Offset = v
		} else {
			to.Line = v
		}
	case frameError:
		text := string(payload)
		if text == "" {
			text = "please check gpfdist log messages"
		}
		return &ServerError{Text: text}
	default:
		return fmt.Errorf("unknown meta type %d", head[0])
	}
	return nil
}

func (f *frameReader) data(n int, to *Rows) error {
	if n == 0 {
		return io.EOF
	}
	f.beat = false
	to.Frames++
	f.left = n
	if !f.zstd {
		return nil
	}
	if n > maxPlain {
		return fmt.Errorf("compressed data of %d bytes is too long", n)
	}
	if f.dec == nil {
		f.dec, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPlain))
	}
	var err error
	if f.packed, err = f.zstdFrame(f.packed[:0]); err != nil {
		return err
	}
	f.plain, err = f.dec.DecodeAll(f.packed, f.plain[:0])
	if err == nil && len(f.plain) != n {
		err = fmt.Errorf("compressed data has %d bytes, not %d", len(f.plain), n)
	}
	return err
}

// maxPlain bounds a compressed frame's content.
const maxPlain = 512 << 20

// zstdFrame reads one zstd frame: it is not told how long it is, only how
// long its content is.
func (f *frameReader) zstdFrame(b []byte) ([]byte, error) {
	head, err := f.r.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return b, err
	}
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return b, errors.Join(ErrCut, err)
	}
	if b, err = f.grow(b, h.HeaderSize); err != nil {
		return b, err
	}
	for last := false; !last; {
		at := len(b)
		if b, err = f.grow(b, 3); err != nil {
			return b, err
		}
		v := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16
		size := int(v >> 3)
		if v>>1&3 == 1 { // one byte, repeated
			size = 1
		}
		last = v&1 == 1
		if len(b)+size > maxPlain {
			return b, errors.New("compressed data is too long")
		}
		if b, err = f.grow(b, size); err != nil {
			return b, err
		}
	}
	if h.HasCheckSum {
		return f.grow(b, 4)
	}
	return b, nil
}

func (f *frameReader) grow(b []byte, n int) ([]byte, error) {
	at := len(b)
	b = append(b, make([]byte, n)...)
	return b, f.full(b[at:])
}

// full reads all of b: a stream that ends within a frame, or without the
// frame that says so, is cut.
func (f *frameReader) full(b []byte) error {
	_, err := io.ReadFull(f.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrCut
	}
	return err
}
