package throttle

import (
	"context"
	"io"
)

// Reader returns r with every byte taken from the budget before it is read.
// What a read did not need is not given back: reads are small.
func (l *Limiter) Reader(ctx context.Context, r io.Reader) io.Reader {
	return &reader{ctx: ctx, l: l, r: r}
}

type reader struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no other way to be cancelled
	l    *Limiter
	r    io.Reader
	have int // granted and not yet read
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.have == 0 {
		n := min(len(p), r.l.Quantum())
		if err := r.l.Wait(r.ctx, n); err != nil {
			return 0, err
		}
		r.have = n
	}
	n, err := r.r.Read(p[:min(len(p), r.have)])
	r.have -= n
	return n, err
}
