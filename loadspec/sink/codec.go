package sink

import (
	"context"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"cw/fault"
)

// suffixes of the compressions that are written, by name.
func suffixOf(compression string) (string, error) {
	switch compression {
	case "", "none":
		return "", nil
	case "gzip":
		return ".gz", nil
	case "zstd":
		return ".zst", nil
	}
	return "", fault.New(fault.Usage, "write none, gzip or zstd", "compression %q cannot be written", compression)
}

// Compress puts gzip or zstd before an object; "" and none change nothing.
func Compress(o Object, compression string) (Object, error) {
	switch compression {
	case "", "none":
		return o, nil
	case "gzip":
		return &packed{Object: o, z: gzip.NewWriter(o)}, nil
	case "zstd":
		// One object is one goroutine: parallelism is across objects.
		z, err := zstd.NewWriter(o, zstd.WithEncoderConcurrency(1))
		return &packed{Object: o, z: z}, err
	}
	_, err := suffixOf(compression)
	return nil, err
}

// packed is an object behind a compressor.
type packed struct {
	Object
	z      io.WriteCloser
	closed bool
}

func (p *packed) Write(b []byte) (int, error) { return p.z.Write(b) }

// Finish ends the compressed stream.
func (p *packed) Finish(ctx context.Context) error {
	if !p.closed {
		p.closed = true
		if err := p.z.Close(); err != nil {
			return err
		}
	}
	return p.Object.Finish(ctx)
}

// Commit finishes first.
func (p *packed) Commit(ctx context.Context) error {
	if err := p.Finish(ctx); err != nil {
		return err
	}
	return p.Object.Commit(ctx)
}
