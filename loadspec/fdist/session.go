package fdist

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// readSession is one scan of one statement: a cursor that its segments share.
type readSession struct {
	s       *Server
	id      int64
	key     string
	request *Request // of the first to come
	started time.Time
	meter   meter
	cancel  context.CancelCauseFunc
	ctx     context.Context //nolint:containedctx // lives as long as the session, which outlives each request

	opened  chan struct{} // closed when Open has answered
	openErr error
	cursor  chan struct{} // holds one token: whoever has it may call blocks.Next
	blocks  Blocks
	ready   func() bool

	mu       sync.Mutex
	attached int
	over     time.Time // zero while there may be more blocks
	whole    bool      // over because everything was handed out
	err      error     // over because of this
	closed   bool
	done     int64 // stored bytes, once closed
	total    int64
}

// Buffered is implemented by Blocks that can tell whether Next would answer
// without waiting. It is asked by whoever may call Next.
type Buffered interface{ Buffered() bool }

func newReadSession(s *Server, key string, r *Request) *readSession {
	rs := &readSession{
		s: s, id: s.nextSession.Add(1), key: key, request: r, started: time.Now(),
		opened: make(chan struct{}), cursor: make(chan struct{}, 1), ready: func() bool { return true },
	}
	rs.cursor <- struct{}{}
	return rs
}

// open asks Inputs for the session's blocks. The session's context is not the
// opener's connection's: the others stay when that one leaves.
func (rs *readSession) open(ctx context.Context, in Inputs) error {
	defer close(rs.opened)
	rs.ctx, rs.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if in == nil {
		rs.openErr = &StatusError{Code: 404, Reason: "this server does not serve reads"}
	} else {
		// The opener's leaving does end the opening itself.
		stop := context.AfterFunc(ctx, func() { rs.cancel(context.Cause(ctx)) })
		rs.blocks, rs.openErr = in.Open(rs.ctx, rs.request)
		if rs.openErr == nil && !stop() {
			_ = rs.blocks.Close(false)
			rs.openErr = context.Cause(ctx)
		}
	}
	if rs.openErr != nil {
		rs.cancel(rs.openErr)
		rs.s.reads.remove(rs)
		return rs.openErr
	}
	if b, ok := rs.blocks.(Buffered); ok {
		rs.ready = b.Buffered
	}
	rs.s.stats.Sessions.Add(1)
	if p, ok := rs.blocks.(Progress); ok {
		_, total := p.Progress()
		rs.s.stats.TotalBytes.Add(total)
	}
	return nil
}

// attach counts a request in. ended means that there is nothing more to get.
func (rs *readSession) attach() (ended bool, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	switch {
	case rs.err != nil:
		return true, rs.err
	case !rs.over.IsZero():
		return true, nil
	}
	rs.attached++
	return false, nil
}

// detach counts a request out; told says that its segment has heard the end.
func (rs *readSession) detach(told bool) {
	rs.mu.Lock()
	rs.attached--
	rs.whole = rs.whole && told
	last := rs.attached == 0 && !rs.over.IsZero()
	rs.mu.Unlock()
	if last {
		rs.close()
	}
}

// take hands out blocks of about want bytes in all, at least one: more than
// one only as long as they are there without waiting. io.EOF is the end.
func (rs *readSession) take(ctx context.Context, dst []*Block, want int) ([]*Block, error) {
	select {
	case <-rs.cursor:
	case <-ctx.Done():
		return dst, context.Cause(ctx)
	}
	defer func() { rs.cursor <- struct{}{} }()
	for got := 0; got < want && (len(dst) == 0 || rs.ready()); {
		if over, err := rs.state(); over {
			return dst, endOf(len(dst) > 0, err)
		}
		b, err := rs.blocks.Next(rs.ctx)
		if err != nil {
			rs.end(err)
			_, err = rs.state()
			return dst, endOf(len(dst) > 0, err)
		}
		if b.Len() == 0 {
			if b.Release != nil {
				b.Release()
			}
			continue
		}
		got += b.Len()
		dst = append(dst, b)
	}
	return dst, nil
}

// endOf is what a segment is told when there are no more blocks. What it has
// in hand goes first; it comes again for the rest of the truth. Every segment
// is told of an error, where gpfdist tells one and lets the others believe in a
// regular end.
func endOf(inHand bool, err error) error {
	switch {
	case inHand:
		return nil
	case err != nil:
		return err
	default:
		return io.EOF
	}
}

// end ends the session, for the first time only: io.EOF is the regular end,
// nil a client that has left, for whom the others see the end too.
func (rs *readSession) end(err error) {
	rs.mu.Lock()
	if !rs.over.IsZero() {
		rs.mu.Unlock()
		return
	}
	rs.over = time.Now()
	rs.whole = errors.Is(err, io.EOF)
	if !rs.whole {
		rs.err = err
	}
	idle := rs.attached == 0
	failed := rs.err != nil
	rs.mu.Unlock()
	if failed {
		rs.s.stats.Failed.Add(1)
	}
	whole := errors.Is(err, io.EOF)
	if !whole && rs.cancel != nil {
		rs.cancel(errSessionOver)
	}
	rs.s.reads.bury(rs)
	if idle || !whole {
		// A pipe or a connection to a store is given up at once, not when the
		// slowest client has taken its last block.
		rs.s.closing.Go(rs.close)
	}
}

var errSessionOver = errors.New("the session is over")

// close closes the blocks once, when nobody is in Next.
func (rs *readSession) close() {
	<-rs.cursor
	defer func() { rs.cursor <- struct{}{} }()
	rs.mu.Lock()
	if rs.closed || rs.blocks == nil {
		rs.mu.Unlock()
		return
	}
	rs.closed = true
	whole := rs.whole
	if p, ok := rs.blocks.(Progress); ok {
		rs.done, rs.total = p.Progress()
	}
	rs.s.stats.ReadBytes.Add(rs.done)
	blocks := rs.blocks
	rs.blocks, rs.ready = nil, nil // tombstones are kept for long
	rs.mu.Unlock()
	if err := blocks.Close(whole); err != nil {
		rs.s.o.Log(LevelWarn, Where{Session: rs.id}, "closing the input: "+err.Error())
	}
	rs.cancel(errSessionOver)
}

func (rs *readSession) state() (over bool, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return !rs.over.IsZero(), rs.err
}

func (rs *readSession) endedAt() time.Time {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.over
}

func (rs *readSession) info() SessionInfo {
	i := rs.request.info()
	i.ID, i.Started = rs.id, rs.started
	rs.meter.fill(&i)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	i.Attached, i.Ended, i.Done, i.Total = rs.attached, !rs.over.IsZero(), rs.done, rs.total
	if rs.err != nil {
		i.Error = rs.err.Error()
	}
	select {
	case <-rs.opened:
		if p, ok := rs.blocks.(Progress); ok {
			i.Done, i.Total = p.Progress()
		}
	default:
	}
	return i
}
