package fdist

import (
	"sync"
	"sync/atomic"
)

// A chunk's room: before what is read there is space for the unfinished row
// of the chunk before, behind it for a missing row end. It is small enough to
// stay in a core's cache on its way from the file to the socket.
const (
	chunkHead = 64 << 10
	chunkBody = 512 << 10
	chunkTail = maxDelim
)

// chunkBlocks is how many blocks of a chunk need no memory of their own.
const chunkBlocks = 32

// chunk is a buffer that several blocks share. It goes back when the last of
// them is sent.
type chunk struct {
	buf     []byte
	off, n  int // what was read is buf[off:n]
	refs    atomic.Int32
	blocks  []Block
	pool    *chunkPool
	release func()
}

// chunkPool keeps chunks for reuse; what is not reused the garbage collector
// takes away.
type chunkPool struct{ pool sync.Pool }

func (p *chunkPool) get() *chunk {
	c, ok := p.pool.Get().(*chunk)
	if !ok {
		c = newChunk(chunkHead + chunkBody + chunkTail)
		c.pool = p
	}
	c.off, c.n, c.blocks = chunkHead, chunkHead, c.blocks[:0]
	c.refs.Store(1)
	return c
}

func newChunk(size int) *chunk {
	c := &chunk{buf: make([]byte, size), blocks: make([]Block, 0, chunkBlocks)}
	c.release = c.unref
	c.refs.Store(1)
	return c
}

func (c *chunk) unref() {
	if c.refs.Add(-1) == 0 && c.pool != nil {
		c.pool.pool.Put(c)
	}
}

// block makes a block of a part of the chunk.
func (c *chunk) block(data []byte) *Block {
	var b *Block
	if len(c.blocks) < cap(c.blocks) {
		c.blocks = append(c.blocks, Block{})
		b = &c.blocks[len(c.blocks)-1]
	} else {
		b = new(Block)
	}
	c.refs.Add(1)
	b.Data, b.Release = data, c.release
	return b
}

// room is the body of the chunk that is still free.
func (c *chunk) room() []byte { return c.buf[c.n : len(c.buf)-chunkTail] }
