package fdist

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
)

// Input is one of the files, in the widest sense, of a read session.
type Input struct {
	Name string // for the segments' error logs and for messages
	Size int64  // bytes as stored; 0 unknown
	// Open begins to read; the context is the session's. The reader may tell
	// the stored bytes it has read through SourceBytes() int64.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Ahead is for readers that compute or wait: they run in goroutines of
	// their own, several at a time, ahead of the segments.
	Ahead bool
	// Live is for readers whose data is wanted as it comes, like pipes.
	Live bool

	unused func() error // undoes what was opened, if Open is never called
}

// feed reads an input in chunks.
type feed struct {
	in     Input
	pool   *chunkPool
	r      io.ReadCloser
	err    error
	next   chan fed // of feeds that read ahead
	cancel context.CancelFunc
	done   chan struct{}

	source  atomic.Pointer[sourceBytes]
	through atomic.Bool
}

type sourceBytes interface{ SourceBytes() int64 }

type fed struct {
	c   *chunk
	err error
}

// aheadChunks is how far a feed reads ahead of the cursor.
const aheadChunks = 4

// start begins to read ahead, where that is wanted.
func (f *feed) start(ctx context.Context) {
	if !f.in.Ahead && !f.in.Live || f.next != nil {
		return
	}
	ctx, f.cancel = context.WithCancel(ctx)
	f.next, f.done = make(chan fed, aheadChunks), make(chan struct{})
	go func() {
		defer close(f.done)
		defer f.shut()
		for {
			c, err := f.read(ctx)
			select {
			case f.next <- fed{c, err}:
			case <-ctx.Done():
				if c != nil {
					c.unref()
				}
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

// get is the next chunk, with data in it; io.EOF is the end.
func (f *feed) get(ctx context.Context) (*chunk, error) {
	if f.next == nil {
		return f.read(ctx)
	}
	select {
	case got := <-f.next:
		return got.c, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (f *feed) read(ctx context.Context) (*chunk, error) {
	if f.err != nil {
		return nil, f.err
	}
	if f.r == nil {
		if err := f.open(ctx); err != nil {
			return nil, err
		}
	}
	c := f.pool.get()
	for len(c.room()) > 0 && f.err == nil {
		var n int
		n, f.err = f.r.Read(c.room())
		c.n += n
		if f.err == nil && ctx.Err() != nil {
			f.err = context.Cause(ctx)
		}
		if n > 0 && f.in.Live {
			break
		}
	}
	if c.n > c.off {
		return c, nil
	}
	c.unref()
	return nil, f.err
}

func (f *feed) open(ctx context.Context) error {
	f.r, f.err = f.in.Open(ctx)
	if f.err != nil {
		f.r = nil
		if errors.Is(f.err, io.EOF) {
			f.err = io.ErrUnexpectedEOF // of a decoder that has not even found its header
		}
		return f.err
	}
	if s, ok := f.r.(sourceBytes); ok {
		f.source.Store(&s)
	}
	return nil
}

// progress is how many of the stored bytes are read.
func (f *feed) progress() int64 {
	if f.through.Load() {
		return f.in.Size
	}
	if s := f.source.Load(); s != nil {
		return (*s).SourceBytes()
	}
	return 0
}

func (f *feed) shut() {
	if f.r != nil {
		_ = f.r.Close()
	} else {
		closeUnused(f.in)
	}
	f.r, f.err = errReader{}, errClosed
}

// close stops reading; when it returns, the input is closed.
func (f *feed) close() {
	if f.next == nil {
		f.shut()
		return
	}
	f.cancel()
	<-f.done
	for {
		select {
		case got := <-f.next:
			if got.c != nil {
				got.c.unref()
			}
		default:
			return
		}
	}
}

type errReader struct{}

var errClosed = errors.New("the input is closed")

func (errReader) Read([]byte) (int, error) { return 0, errClosed }
func (errReader) Close() error             { return nil }
