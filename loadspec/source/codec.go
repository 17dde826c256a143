package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"cw/fault"
	"cw/loadspec/throttle"
)

const (
	codecNone = "none"
	codecGzip = "gzip"
	codecZstd = "zstd"
)

// signatures begin the streams of the known codecs.
var signatures = []struct{ codec, suffix, magic string }{ //nolint:gochecknoglobals // constant table
	{codecGzip, ".gz", "\x1f\x8b"},
	{codecZstd, ".zst", "\x28\xb5\x2f\xfd"},
	{"bzip2", ".bz2", "BZh"},
	{"xz", ".xz", "\xfd7zXZ\x00"},
	{"lz4", ".lz4", "\x04\x22\x4d\x18"},
	{"snappy", ".sz", "\xff\x06\x00\x00sNaPpY"},
}

const longestMagic = 10

// Stream is the uncompressed bytes of an object.
type Stream struct {
	Codec string // none, gzip, zstd
	o     Object
	body  io.Closer
	raw   *counter
	r     io.Reader
	close func()
	out   int64
}

// Stream opens an object and undoes its compression (auto, none, gzip, zstd),
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

// detect chooses the codec: what the control file says, else what the content
// shows. A name that contradicts the content is an error, since either may be
// the damaged one.
func detect(o Object, compression string, head []byte) (string, error) {
	found := codecNone
	named := codecNone
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.magic)) {
			found = s.codec
		}
		if strings.HasSuffix(o.URL, s.suffix) {
			named = s.codec
		}
	}
	switch {
	case compression != "" && compression != "auto":
		if found != compression {
			return "", fault.New(fault.Failed, "write COMPRESSION: auto", "%s: does not begin as %s data", o.URL, compression)
		}
	case found == codecNone && named != codecNone:
		return "", fault.New(fault.Failed, "write COMPRESSION: none if it is not compressed, else upload it again", "%s: does not begin as %s data, which its name promises", o.URL, named)
	}
	if found != codecNone && found != codecGzip && found != codecZstd {
		return "", fault.New(fault.Usage, "compress it with gzip or zstd", "%s: compression %s is not supported yet", o.URL, found)
	}
	return found, nil
}

func (st *Stream) decode(r *bufio.Reader) error {
	switch st.Codec {
	case codecGzip:
		z, err := gzip.NewReader(r) // reads all members
		if err != nil {
			return st.explain(err)
		}
		st.r = z
	case codecZstd:
		// One object is one goroutine: parallelism is across objects.
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return st.explain(err)
		}
		st.r, st.close = z, z.Close
	default:
		st.r = r
	}
	return nil
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
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
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
