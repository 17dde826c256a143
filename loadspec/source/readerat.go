package source

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"cw/fault"
	"cw/loadspec/throttle"
)

// At reads an object at any place, for formats whose directory is at the end.
// It may be used from several goroutines.
type At struct {
	ctx context.Context //nolint:containedctx // io.ReaderAt has no other way to be cancelled
	set *Set
	o   Object
	l   *throttle.Limiter
	n   atomic.Int64
}

// ReaderAt prepares reading; every read is one ranged request.
func (s *Set) ReaderAt(ctx context.Context, o Object, l *throttle.Limiter) *At {
	return &At{ctx: ctx, set: s, o: o, l: l}
}

// Size is the object's.
func (a *At) Size() int64 { return a.o.Size }

// SourceBytes is how many bytes have been read.
func (a *At) SourceBytes() int64 { return a.n.Load() }

// ReadAt reads exactly len(p) bytes, or up to the object's end with io.EOF.
func (a *At) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("%s: read at %d", a.o.URL, offset)
	}
	if strings.HasPrefix(a.o.ETag, tagWhole) {
		return 0, fault.New(fault.Failed, "copy it to a file, or to a server that knows HTTP ranges", "%s: its server sends it from the beginning only, and the end of this format's files is read first", a.o.URL)
	}
	want := min(int64(len(p)), a.o.Size-offset)
	if want <= 0 {
		return 0, io.EOF
	}
	part := a.o // the bytes up to there are all that is asked for
	part.Size = offset + want
	body, err := a.set.Open(a.ctx, part, offset, a.l)
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(body, p[:want])
	_ = body.Close()
	a.n.Add(int64(n))
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
