package fdist

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// packBytes is how much of one segment's rows is compressed at a time: a gzip
// member or zstd frame of its own, so that segments do not wait for each
// other. Readers take a row of members for one stream.
const packBytes = 1 << 20

// packer compresses rows, several segments at once.
type packer struct {
	codec string

	mu       sync.Mutex
	segments map[int]*packed
	free     []*packer1
}

// packed is what is gathered of one segment. Only one body of it is under way
// at a time.
type packed struct{ rows []byte }

// packer1 is one compressor with its memory.
type packer1 struct {
	gz  *gzip.Writer
	zs  *zstd.Encoder
	out bytes.Buffer
}

// newPacker makes the packer of .gz or .zst, nil for anything else.
func newPacker(codec string) *packer {
	if codec == "" {
		return nil
	}
	return &packer{codec: codec, segments: map[int]*packed{}}
}

// add gathers rows and writes them when there are enough.
func (p *packer) add(segment int, rows []byte, write func([]byte) error) error {
	p.mu.Lock()
	s := p.segments[segment]
	if s == nil {
		s = &packed{}
		p.segments[segment] = s
	}
	p.mu.Unlock()
	if len(s.rows)+len(rows) < packBytes {
		s.rows = append(s.rows, rows...)
		return nil
	}
	err := p.write(write, s.rows, rows)
	s.rows = s.rows[:0]
	return err
}

// flush writes what is gathered, when nobody adds any more.
func (p *packer) flush(write func([]byte) error) error {
	for segment, s := range p.segments {
		if len(s.rows) > 0 {
			if err := p.write(write, s.rows); err != nil {
				return err
			}
		}
		delete(p.segments, segment)
	}
	return nil
}

func (p *packer) write(write func([]byte) error, parts ...[]byte) error {
	z := p.take()
	defer p.give(z)
	z.out.Reset()
	var w io.WriteCloser = z.gz
	if z.zs != nil {
		z.zs.Reset(&z.out)
		w = z.zs
	} else {
		z.gz.Reset(&z.out)
	}
	for _, b := range parts {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return write(z.out.Bytes())
}

func (p *packer) take() *packer1 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		z := p.free[n-1]
		p.free = p.free[:n-1]
		return z
	}
	if p.codec == ".zst" {
		// Constant options are not refused.
		zs, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(packBytes))
		return &packer1{zs: zs}
	}
	return &packer1{gz: gzip.NewWriter(nil)}
}

func (p *packer) give(z *packer1) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, z)
}
