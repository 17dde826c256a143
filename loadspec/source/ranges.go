package source

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"cw/fault"
	"cw/loadspec/throttle"
)

const chunkSize = 256 << 10

// perStream is the speed one ranged GET is expected to reach; under a limit no
// more ranges are fetched ahead than it takes, so that the first bytes are not
// held up by later ones.
const perStream = 16 << 20

// ranges reads an object as one stream whose next ranges are fetched while
// the present one is read.
type ranges struct {
	ctx    context.Context //nolint:containedctx // io.Reader has no other way to be cancelled
	cancel context.CancelFunc
	get    getter
	o      Options
	l      *throttle.Limiter
	done   sync.WaitGroup
	queue  chan *part
	freed  chan struct{} // a range has been read to its end
	chunks sync.Pool

	part *part  // being read
	have []byte // rest of the chunk being read
	full *[chunkSize]byte
	err  error
}

// getter fetches byte ranges of one object as it was listed.
type getter interface {
	// get opens bytes [from, to).
	get(ctx context.Context, from, to int64) (io.ReadCloser, error)
	// explain says what an error means, and whether trying again may help.
	explain(ctx context.Context, err error) (again bool, explained error)
	url() string
}

// part is one range on its way.
type part struct {
	from, to int64
	data     chan chunk // holds the whole range, so that fetching never waits for reading
	err      error      // valid once data is closed
}

type chunk struct {
	buf *[chunkSize]byte
	n   int
}

func newRanges(ctx context.Context, g getter, size, offset int64, o Options, l *throttle.Limiter) *ranges {
	ctx, cancel := context.WithCancel(ctx)
	r := &ranges{
		ctx: ctx, cancel: cancel, get: g, o: o, l: l,
		queue: make(chan *part, o.Ahead), freed: make(chan struct{}, o.Ahead),
		chunks: sync.Pool{New: func() any { return new([chunkSize]byte) }},
	}
	r.done.Go(func() { r.launch(offset, size) })
	return r
}

// launch starts ranges in order, as many at a time as depth says.
func (r *ranges) launch(from, size int64) {
	defer close(r.queue)
	inFlight := 0
	for from < size {
		for inFlight >= r.depth() {
			select {
			case <-r.freed:
				inFlight--
			case <-r.ctx.Done():
				return
			}
		}
		p := &part{from: from, to: min(from+r.o.rangeSize.Load(), size)}
		p.data = make(chan chunk, 3+(p.to-p.from)/chunkSize) // full chunks, and a short one before and after them
		select {
		case r.queue <- p:
		case <-r.ctx.Done():
			return
		}
		r.done.Go(func() { r.fetch(p) })
		inFlight++
		from = p.to
	}
}

func (r *ranges) depth() int {
	if limit := r.l.Rate(); limit > 0 {
		return min(1+int(limit/perStream), r.o.Ahead)
	}
	return r.o.Ahead
}

// fetch fills a part, continuing where a try broke off.
func (r *ranges) fetch(p *part) {
	defer close(p.data)
	w := &chunkWriter{r: r, p: p}
	b := backoff{o: r.o}
	at := p.from
	for at < p.to {
		n, err := r.try(at, p.to, w)
		at += n
		if n > 0 {
			b.tries = 0
		}
		if err == nil {
			continue
		}
		if r.ctx.Err() != nil {
			p.err = context.Cause(r.ctx)
			return
		}
		again, err := r.get.explain(r.ctx, err)
		if !again || !b.wait(r.ctx, r.get.url(), err) {
			p.err = err
			return
		}
	}
	w.flush()
}

var errStalled = errors.New("the store sent nothing for too long")

// try makes one GET and hands on what it gives. Waiting for the limiter is
// not counted as the store's silence.
func (r *ranges) try(from, to int64, w *chunkWriter) (n int64, err error) {
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	watch := time.AfterFunc(r.o.Stall, func() { cancel(errStalled) })
	defer watch.Stop()
	body, err := r.get.get(ctx, from, to)
	if err != nil {
		return 0, stalledOr(ctx, err)
	}
	defer func() { _ = body.Close() }()
	for n < to-from {
		buf := w.space()
		want := min(int64(len(buf)), to-from-n, int64(r.l.Quantum()))
		watch.Stop()
		if err := r.l.Wait(r.ctx, int(want)); err != nil {
			return n, err
		}
		watch.Reset(r.o.Stall)
		k, err := io.ReadFull(body, buf[:want])
		watch.Stop()
		w.wrote(k)
		n += int64(k)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return n, stalledOr(ctx, err)
		}
	}
	return n, nil
}

func stalledOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// chunkWriter packs bytes into chunks and sends the full ones.
type chunkWriter struct {
	r *ranges
	p *part
	c chunk
}

func (w *chunkWriter) space() []byte {
	if w.c.buf == nil {
		w.c = chunk{buf: w.r.chunks.Get().(*[chunkSize]byte)} //nolint:forcetypeassert // the pool holds nothing else
	}
	return w.c.buf[w.c.n:]
}

func (w *chunkWriter) wrote(n int) {
	w.c.n += n
	// Under a limit every quantum goes on at once, so that rows arrive evenly;
	// the channel is made for full chunks only and takes them without waiting.
	if w.c.n == chunkSize || w.r.l.Rate() > 0 && len(w.p.data) == 0 {
		w.flush()
	}
}

func (w *chunkWriter) flush() {
	if w.c.buf == nil || w.c.n == 0 {
		return
	}
	select {
	case w.p.data <- w.c:
	case <-w.r.ctx.Done():
	}
	w.c = chunk{}
}

// Read gives the object's bytes in order.
func (r *ranges) Read(p []byte) (int, error) {
	for len(r.have) == 0 {
		if r.full != nil {
			r.chunks.Put(r.full)
			r.full = nil
		}
		if r.err != nil {
			return 0, r.err
		}
		r.next()
	}
	n := copy(p, r.have)
	r.have = r.have[n:]
	return n, nil
}

// next takes the next chunk, of the next range where one ends.
func (r *ranges) next() {
	if r.part == nil {
		p, ok := <-r.queue
		switch {
		case ok:
			r.part = p
		case r.ctx.Err() != nil:
			r.err = context.Cause(r.ctx)
		default:
			r.err = io.EOF
		}
		return
	}
	c, ok := <-r.part.data
	if ok {
		r.full, r.have = c.buf, c.buf[:c.n]
		return
	}
	if r.part.err != nil {
		r.err = r.part.err
		r.cancel()
		return
	}
	if r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx) // the part may have been left early
		return
	}
	r.part = nil
	r.freed <- struct{}{} // has room for all ranges in flight
}

// Close stops fetching and waits until nothing runs any more.
func (r *ranges) Close() error {
	r.cancel()
	r.done.Wait()
	return nil
}

// explain says in cw's words what went wrong with the store, and whether
// trying again may help.
func (s *s3Store) explain(what string, err error) (again bool, explained error) {
	if errors.Is(err, errStalled) {
		return true, fault.New(fault.Unreachable, "", "%s: %s: no data for %s", what, s.Name(), s.o.Stall)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return true, fault.New(fault.Unreachable, "", "%s: %s: connection closed in the middle of the data", what, s.Name())
	}
	return s.Explain(what, err)
}
