package sink

import (
	"context"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"cw/fault"
)

// codecs are the compressions that can be written, with the extension of each.
var codecs = []struct{ name, suffix string }{ //nolint:gochecknoglobals // constant table
	{"gzip", ".gz"}, {"zstd", ".zst"}, {"lz4", ".lz4"}, {"snappy", ".sz"},
}

// suffixOf is the extension of a compression that can be written.
func suffixOf(compression string) (string, error) {
	if compression == "" || compression == "none" {
		return "", nil
	}
	for _, c := range codecs {
		if c.name == compression {
			return c.suffix, nil
		}
	}
	return "", fault.New(fault.Usage, "write none, gzip, zstd, lz4 or snappy", "compression %q cannot be written", compression)
}

// Compress puts a compressor before an object; "" and none change nothing.
func Compress(o Object, compression string) (Object, error) {
	// One object is one goroutine: parallelism is across objects.
	var z io.WriteCloser
	switch compression {
	case "", "none":
		return o, nil
	case "gzip":
		z = gzip.NewWriter(o)
	case "zstd":
		w, err := zstd.NewWriter(o, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		z = w
	case "lz4":
		w := lz4.NewWriter(o)
		if err := w.Apply(lz4.ConcurrencyOption(1)); err != nil {
			return nil, err
		}
		z = w
	case "snappy":
		z = snappy.NewBufferedWriter(o)
	default:
		_, err := suffixOf(compression)
		return nil, err
	}
	return &packed{Object: o, z: z}, nil
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

// naming is how the objects of one name are called: what tells them apart
// stands before the extensions, and the last extension tells the compression.
type naming struct {
	dir, stem, ext, packing string
	compression             string
}

// newNaming takes a name apart. An empty compression is what the name ends in.
func newNaming(name, compression string) naming {
	n := naming{compression: compression}
	i := strings.LastIndexByte(name, '/') + 1
	n.dir, name = name[:i], name[i:]
	for _, c := range codecs {
		if strings.HasSuffix(name, c.suffix) && name != c.suffix {
			name, n.packing = strings.TrimSuffix(name, c.suffix), c.suffix
			if compression == "" {
				n.compression = c.name
			}
			break
		}
	}
	if compression != "" {
		n.packing, _ = suffixOf(compression)
	}
	n.stem = name
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		n.stem, n.ext = name[:i], name[i:]
	}
	return n
}

// name is that of one object; empty marks are left out.
func (n naming) name(folder string, marks ...string) string {
	name := n.dir + folder + n.stem
	for _, m := range marks {
		if m != "" {
			name += "." + m
		}
	}
	return name + n.ext + n.packing
}

// Pattern names the objects that an unload would write, with * for what tells
// them apart.
func Pattern(store Store, name string, single bool, compression string, partitions []string) string {
	folder := ""
	for _, p := range partitions {
		folder += p + "=*/"
	}
	marks := []string{"*", "*"}
	if single {
		marks = marks[1:]
	}
	return store.URL(newNaming(name, compression).name(folder, marks...))
}
