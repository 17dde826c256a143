package source

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync/atomic"

	"cw/fault"
	"cw/loadspec/throttle"
)

// Stream is the uncompressed bytes of an object.
type Stream struct {
	Codec string // none, gzip, zstd, bzip2, lz4, snappy, xz
	o     Object
	body  io.Closer
	raw   *counter
	r     io.Reader
	close func()
	dry   *dry // snappy
	out   int64
}

// Stream opens an object and undoes its compression (auto, none or a codec),
// standing at offset of the uncompressed bytes. Reaching an offset in a
// compressed object means reading up to it.
func (s *Set) Stream(ctx context.Context, o Object, compression string, offset int64, l *throttle.Limiter) (*Stream, error) {
	if offset > 0 {
		codec, err := s.codec(ctx, o, compression)
		if err != nil {
			return nil, err
		}
		if codec == codecNone {
			body, err := s.Open(ctx, o, offset, l)
			if err != nil {
				return nil, err
			}
			raw := &counter{r: body}
			raw.n.Store(offset)
			return &Stream{Codec: codecNone, o: o, body: body, raw: raw, r: raw, close: func() {}, out: offset}, nil
		}
	}
	st, err := s.stream(ctx, o, compression, l)
	if err != nil || offset == 0 {
		return st, err
	}
	if _, err := io.CopyN(io.Discard, st, offset); err != nil {
		st.Close()
		if errors.Is(err, io.EOF) {
			return nil, fault.New(fault.Failed, "", "%s: ends at byte %d uncompressed, but rows up to byte %d are loaded", o.URL, st.out, offset)
		}
		return nil, err
	}
	return st, nil
}

// codec finds how an object is compressed by reading its first bytes.
func (s *Set) codec(ctx context.Context, o Object, compression string) (string, error) {
	if compression == codecNone {
		return codecNone, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := s.Open(ctx, o, 0, throttle.New(0, nil))
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	head := make([]byte, longestMagic)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	return detect(o, compression, head[:n])
}

func (s *Set) stream(ctx context.Context, o Object, compression string, l *throttle.Limiter) (*Stream, error) {
	body, err := s.Open(ctx, o, 0, l)
	if err != nil {
		return nil, err
	}
	if sum := s.sums[o.URL]; sum != "" {
		body = newSummed(body, o.URL, sum)
	}
	st := &Stream{Codec: codecNone, o: o, body: body, raw: &counter{r: body}, close: func() {}}
	if compression == codecNone {
		st.r = st.raw
		return st, nil
	}
	buffered := bufio.NewReaderSize(st.raw, 256<<10)
	head, err := buffered.Peek(longestMagic)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = body.Close()
		return nil, err
	}
	st.Codec, err = detect(o, compression, head)
	if err == nil {
		err = st.decode(buffered)
	}
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	return st, nil
}

// Read gives uncompressed bytes.
func (st *Stream) Read(p []byte) (int, error) {
	n, err := st.r.Read(p)
	st.out += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = st.explain(err)
	}
	return n, err
}

// explain tells errors of the data from errors of reading it.
func (st *Stream) explain(err error) error {
	if st.Codec == codecNone {
		return err
	}
	at := st.raw.n.Load()
	switch {
	case st.raw.err != nil:
		return st.raw.err
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || st.dry != nil && st.dry.yes:
		return &TruncatedError{URL: st.o.URL, Codec: st.Codec, Offset: at, Rows: st.out}
	default:
		return &CorruptError{URL: st.o.URL, Codec: st.Codec, Offset: at, Err: err}
	}
}

// SourceBytes is how many stored bytes have been read; it may be called from
// other goroutines.
func (st *Stream) SourceBytes() int64 { return st.raw.n.Load() }

// Close ends the stream.
func (st *Stream) Close() {
	st.close()
	_ = st.body.Close()
}

// counter counts bytes and keeps the error that is not the end.
type counter struct {
	r   io.Reader
	n   atomic.Int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}
