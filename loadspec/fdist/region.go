package fdist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// A region is rows that stay where they are, in a file: where the row end is
// known from the last bytes alone, as in text, the rest need not be read before
// it is sent, and then the kernel sends it.
type region struct {
	file *os.File
	name string
	at   int64
	size int
}

// A region is at most regionMax, the less the more segments there are for what
// is left of the file, and at least regionMin. Files with less than regionLeft
// to come are dealt out in blocks.
const (
	regionMin  = 256 << 10
	regionMax  = 2 << 20
	regionLeft = 4 << 20
	regionBack = 4 << 10 // first look for the last row end
)

// regionShare is into how many regions for each segment the rest of a file is
// divided: those who are quick take more of them.
const regionShare = 16

// Len is how many bytes of rows a block has.
func (b *Block) Len() int {
	if b.region != nil {
		return b.region.size
	}
	return len(b.Data)
}

// reader reads the region.
func (g *region) reader() io.Reader { return io.NewSectionReader(g.file, g.at, int64(g.size)) }

// errShrunk is a file that is shorter than it was.
func (g *region) errShrunk() error {
	return fmt.Errorf("file %s was shortened while it was read, near (%d bytes)", g.name, g.at)
}

// load reads the region's next n bytes into b.
func (g *region) load(b []byte) error {
	if _, err := io.ReadFull(g.reader(), b); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return g.errShrunk()
		}
		return err
	}
	g.at, g.size = g.at+int64(len(b)), g.size-len(b)
	return nil
}

// regions tells whether the input at hand can be dealt out in regions from
// where the cutter stands.
func (c *cutter) regions(ctx context.Context) bool {
	f := c.feeds[c.at]
	if c.d.csv || c.skip || c.offset == 0 || f.next != nil {
		return false
	}
	p, ok := f.r.(*plainFile)
	return ok && p.size-c.offset > regionLeft && ctx.Err() == nil
}

// nextRegion makes a block of the rows from the offset on. The data at hand,
// an unfinished row, is in it.
func (c *cutter) nextRegion() *Block {
	p, _ := c.feeds[c.at].r.(*plainFile)
	c.drop()
	most := int(min(max((p.size-c.offset)/int64(regionShare*c.segments), regionMin), regionMax))
	size, err := c.regionEnd(p.File, most)
	if err != nil {
		c.err = err
		return nil
	}
	b := &Block{File: c.name(), Offset: c.offset, region: &region{file: p.File, name: c.name(), at: c.offset, size: size}, Release: p.release}
	p.hold()
	c.offset += int64(size)
	p.n.Store(c.offset)
	c.line = 0 // nobody has counted
	// What follows the last region is read as other files are.
	_, err = p.Seek(c.offset, io.SeekStart)
	if err != nil {
		c.err = readError(c.name(), err)
	}
	return b
}

// regionEnd finds the last row end within most bytes.
func (c *cutter) regionEnd(f *os.File, most int) (int, error) {
	for back := regionBack; ; back *= 4 {
		back = min(back, most)
		buf := make([]byte, back)
		if _, err := f.ReadAt(buf, c.offset+int64(most-back)); errors.Is(err, io.EOF) {
			return 0, (&region{name: c.name(), at: c.offset}).errShrunk()
		} else if err != nil {
			return 0, readError(c.name(), err)
		}
		if end := c.d.lastText(buf); end > 0 && (back == most || !c.startsEscaped(buf[:end])) {
			return most - back + end, nil
		}
		if end := c.d.lastRaw(buf); end > 0 && back == most {
			return most - back + end, nil
		}
		if back == most {
			return 0, fmt.Errorf("line too long in file %s near (%d bytes)", c.name(), c.offset)
		}
	}
}

// startsEscaped tells whether a row end may depend on bytes before b: there
// are only escapes between it and b's start.
func (c *cutter) startsEscaped(b []byte) bool {
	i := len(b) - len(c.d.eol) - 1
	for c.d.escape != 0 && i >= 0 && b[i] == c.d.escape {
		i--
	}
	return i < 0
}
