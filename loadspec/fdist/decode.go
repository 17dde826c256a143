package fdist

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The codecs of what is read: gzip with any number of members, zstd with any
// number of frames, bzip2 with any number of streams.
const (
	codecNone  = ""
	codecGzip  = "gzip"
	codecBzip2 = "bzip2"
	codecZstd  = "zstd"
)

// magicLen is enough to know each codec's beginning.
const magicLen = 10

// decodeBuffer is read at a time from what is compressed.
const decodeBuffer = 128 << 10

// suffixCodec is the codec a name promises. Some are refused, as by gpfdist.
func suffixCodec(name string) (codec string, err error) {
	switch strings.ToLower(path.Ext(name)) {
	case ".gz":
		return codecGzip, nil
	case ".bz2":
		return codecBzip2, nil
	case ".zst":
		return codecZstd, nil
	case ".z", ".zip":
		return "", &StatusError{Code: 415, Reason: "Unsupported File Type", Err: fmt.Errorf("%s: compress it with gzip, bzip2 or zstd", name)}
	}
	return codecNone, nil
}

// magicCodec is the codec that the first bytes show. Text never begins so.
func magicCodec(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return codecGzip
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return codecZstd
	case len(head) >= magicLen && head[3] >= '1' && head[3] <= '9' && string(head[:3]) == "BZh" && string(head[4:10]) == "1AY&SY":
		return codecBzip2
	}
	return codecNone
}

var errNotCompressed = errors.New("not compressed as its name says")

// decoder undoes a reader's compression. An empty input is empty, whatever its
// name.
func decoder(raw io.ReadCloser, named string) (io.ReadCloser, error) {
	d := &decoded{raw: raw}
	in := bufio.NewReaderSize(d.counted(), decodeBuffer)
	head, err := in.Peek(magicLen)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = raw.Close()
		return nil, err
	}
	codec := magicCodec(head)
	if named != codecNone && codec == codecNone && len(head) > 0 {
		// A bzip2 stream of nothing has no block, a zstd file may begin with a
		// frame to skip: the decoder knows best.
		if codec = named; codec == codecGzip {
			_ = raw.Close()
			return nil, errNotCompressed
		}
	}
	switch codec {
	case codecGzip:
		d.r, err = gzip.NewReader(in)
	case codecBzip2:
		d.r = bzip2.NewReader(in)
	case codecZstd:
		var z *zstd.Decoder
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(512<<20))
		if err == nil {
			d.r, d.stop = z, z.Close
		}
	default:
		d.r = in
	}
	if err != nil && codec != codecNone {
		_ = raw.Close()
		return nil, err
	}
	return d, nil
}

// decoded is an input without its compression.
type decoded struct {
	r    io.Reader
	raw  io.ReadCloser
	n    atomic.Int64
	stop func()
}

func (d *decoded) Read(p []byte) (int, error) { return d.r.Read(p) }

// SourceBytes is how many compressed bytes were read.
func (d *decoded) SourceBytes() int64 { return d.n.Load() }

func (d *decoded) Close() error {
	if d.stop != nil {
		d.stop()
	}
	return d.raw.Close()
}

func (d *decoded) counted() io.Reader { return countReader{d} }

type countReader struct{ d *decoded }

func (c countReader) Read(p []byte) (int, error) {
	n, err := c.d.raw.Read(p)
	c.d.n.Add(int64(n))
	return n, err
}
