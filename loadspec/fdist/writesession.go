package fdist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// writeSession is one statement that writes one path: from its first segment's
// first request until all segments seen are done.
type writeSession struct {
	s       *Server
	id      int64
	key     string
	request *Request // of the first to come
	started time.Time
	meter   meter
	ctx     context.Context //nolint:containedctx // lives as long as the session, which outlives each request
	cancel  context.CancelCauseFunc

	opened  chan struct{} // closed when Create has answered
	openErr error
	out     Output
	ended   chan struct{} // closed when the session is over; err and over are then fixed

	mu       sync.Mutex
	segments map[int]*writeSegment
	attached int
	last     time.Time // of the last request to come or go
	ending   bool      // Publish or Abort has begun
	linger   *time.Timer
	over     time.Time
	err      error
}

// writeSegment is what one segment has written.
type writeSegment struct {
	turn chan struct{} // whoever holds it applies a body
	seq  int64         // of the last body applied
	done bool
}

// Finisher is implemented by an Output whose session need not, or cannot, be
// held open for segments that come late.
type Finisher interface {
	// Late says what becomes of the linger time.
	Late() Late
}

// Late is how an Output takes segments that come when all others are done.
type Late int

const (
	// LateHold is that the last segment's answer waits for the linger time, then the
	// output is published. What an Output without Finisher gets.
	LateHold Late = iota
	// LateAgain is that a late segment's session appends to what was published, so
	// nothing is gained by waiting.
	LateAgain
	// LateOpen is that publishing adds nothing; the last segment is answered at once,
	// and the output is closed after the linger time (named pipes).
	LateOpen
)

// maxHold bounds the linger time where answers wait for it: segments give up
// after 300 s.
const maxHold = 200 * time.Second

func newWriteSession(s *Server, key string, r *Request) *writeSession {
	now := time.Now()
	return &writeSession{
		s: s, id: s.nextSession.Add(1), key: key, request: r, started: now, last: now,
		opened: make(chan struct{}), ended: make(chan struct{}), segments: map[int]*writeSegment{},
	}
}

// open asks Outputs for the session's output.
func (ws *writeSession) open(ctx context.Context) {
	defer close(ws.opened)
	ws.ctx, ws.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if ws.s.o.Outputs == nil {
		ws.openErr = &StatusError{Code: 404, Reason: "this server does not take writes"}
	} else {
		// The opener's leaving ends the opening: a pipe may have no reader.
		stop := context.AfterFunc(ctx, func() { ws.cancel(context.Cause(ctx)) })
		ws.out, ws.openErr = ws.s.o.Outputs.Create(ws.ctx, ws.request)
		if ws.openErr == nil && !stop() {
			_ = ws.out.Abort(context.WithoutCancel(ctx))
			ws.openErr = context.Cause(ctx)
		}
	}
	if ws.openErr != nil {
		ws.cancel(ws.openErr)
		ws.s.writes.remove(ws)
		return
	}
	ws.s.stats.Sessions.Add(1)
}

// wait returns when the session is open.
func (ws *writeSession) wait(ctx context.Context) error {
	select {
	case <-ws.opened:
		return ws.openErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter counts a request in; false when the session is ending.
func (ws *writeSession) enter(r *Request) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.ending {
		return false
	}
	ws.attached++
	ws.last = time.Now()
	if ws.linger != nil && !r.Done {
		ws.linger.Stop()
		ws.linger = nil
	}
	if ws.segments[r.Segment] == nil {
		sg := &writeSegment{turn: make(chan struct{}, 1)}
		sg.turn <- struct{}{}
		ws.segments[r.Segment] = sg
	}
	return true
}

// leave counts a request out. A client of its own has no second request.
func (ws *writeSession) leave(ctx context.Context) {
	ws.mu.Lock()
	ws.attached--
	ws.last = time.Now()
	own := ws.request.tid() == "" && !ws.ending && ws.out != nil
	ws.mu.Unlock()
	if own {
		ws.end(context.WithoutCancel(ctx), errors.New("the client left before its rows were whole"))
	}
}

// append stores rows if they are the segment's next. stored is false for what
// is stored already.
func (ws *writeSession) append(ctx context.Context, c *conn, r *Request, rows []byte) (stored bool, err error) {
	ws.mu.Lock()
	sg := ws.segments[r.Segment]
	ws.mu.Unlock()
	select {
	case <-sg.turn:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { sg.turn <- struct{}{} }()
	if err := ws.failed(); err != nil {
		return false, &StatusError{Code: 500, Reason: "session error: " + reason(err), Err: err}
	}
	switch {
	case r.Seq == 0 && sg.seq > 0:
		c.logf(LevelInfo, "got an request missing sequence number, expected sequence number is %d.", sg.seq+1)
		return false, bad("invalid request due to missing sequence number")
	case r.Seq == 1 && sg.seq >= 1, r.Seq > 0 && r.Seq == sg.seq:
		c.logf(LevelDebug, "got a duplicate request, sequence number is %d.", r.Seq)
		return false, nil
	case r.Seq > 0 && r.Seq != sg.seq+1, sg.done:
		c.logf(LevelInfo, "got an out of order request, sequence number is %d, expected sequence number is %d.", r.Seq, sg.seq+1)
		ws.forget(r.Segment, sg)
		return false, bad("invalid request due to wrong sequence number")
	}
	if len(rows) > 0 {
		if err := ws.out.Append(ws.ctx, r.Segment, rows); err != nil {
			ws.end(context.WithoutCancel(ctx), err)
			return false, err
		}
	}
	if r.Seq > 0 {
		sg.seq = r.Seq
	}
	if ws.request.tid() == "" {
		// No other request can belong to it.
		ws.finish(ctx)
		<-ws.ended
		return true, ws.failed()
	}
	return true, nil
}

// forget strikes out a segment that has written nothing and asks for what
// cannot be: the session's end does not wait for it.
func (ws *writeSession) forget(segment int, sg *writeSegment) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if sg.seq == 0 && !sg.done && len(ws.segments) > 1 {
		delete(ws.segments, segment)
	}
}

func (ws *writeSession) failed() error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.err
}

// done notes that a segment has nothing more. The last one's answer is that of
// publishing.
func (ws *writeSession) done(ctx context.Context, r *Request) error {
	ws.mu.Lock()
	sg := ws.segments[r.Segment]
	ws.mu.Unlock()
	select {
	case <-sg.turn: // a body of it may still be on its way
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	wrong := r.Seq > 0 && sg.seq > 0 && r.Seq != sg.seq || r.Seq > 1 && sg.seq == 0
	if !wrong {
		sg.done = true
	}
	sg.turn <- struct{}{}
	if wrong {
		ws.forget(r.Segment, sg)
		return bad(fmt.Sprintf("invalid request due to wrong sequence number (the end of %d bodies, %d have come)", r.Seq-1, sg.seq-1))
	}
	ws.mu.Lock()
	all := true
	for _, sg := range ws.segments {
		all = all && sg.done
	}
	ws.mu.Unlock()
	if !all {
		return nil
	}
	late := LateHold
	if f, ok := ws.out.(Finisher); ok {
		late = f.Late()
	}
	hold := ws.s.o.Linger
	if late != LateOpen {
		hold = min(hold, maxHold)
	}
	if hold <= 0 || late == LateAgain {
		ws.finish(ctx)
	} else {
		ws.finishLater(ctx, hold)
	}
	if late == LateOpen && hold > 0 {
		return nil
	}
	return ws.result(ctx)
}

// result waits until the session is over, or goes on because of a segment that
// came late.
func (ws *writeSession) result(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ws.ended:
			return ws.failed()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if ws.goesOn() {
				return nil
			}
		}
	}
}

// goesOn tells whether some segment is not done.
func (ws *writeSession) goesOn() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.ending {
		return false
	}
	for _, sg := range ws.segments {
		if !sg.done {
			return true
		}
	}
	return false
}

func (ws *writeSession) finishLater(ctx context.Context, d time.Duration) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.linger == nil && !ws.ending {
		ctx = context.WithoutCancel(ctx)
		ws.linger = time.AfterFunc(d, func() { ws.finish(ctx) })
	}
}

// finish publishes, unless a segment has come that is not done.
func (ws *writeSession) finish(ctx context.Context) {
	own := ws.request.tid() == ""
	ws.mu.Lock()
	for _, sg := range ws.segments {
		if !sg.done && !own || ws.ending {
			ws.mu.Unlock()
			return
		}
	}
	ws.ending = true
	ws.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	go func() {
		err := ws.out.Publish(ctx)
		if err != nil {
			ws.s.stats.Failed.Add(1)
			err = errors.Join(err, ws.out.Abort(ctx))
		}
		ws.close(err)
	}()
}

// end gives the session up; what it wrote is thrown away.
func (ws *writeSession) end(ctx context.Context, err error) {
	ws.mu.Lock()
	if ws.ending {
		ws.mu.Unlock()
		return
	}
	ws.ending = true
	ws.err = err
	ws.mu.Unlock()
	ws.s.stats.Failed.Add(1)
	ws.s.o.Log(LevelWarn, Where{Session: ws.id, Write: true}, "session given up: "+err.Error())
	ws.cancel(err)
	if abort := ws.out.Abort(ctx); abort != nil {
		ws.s.o.Log(LevelWarn, Where{Session: ws.id, Write: true}, "throw away what was written: "+abort.Error())
	}
	ws.close(err)
}

func (ws *writeSession) close(err error) {
	ws.mu.Lock()
	ws.err = err
	ws.over = time.Now()
	if ws.linger != nil {
		ws.linger.Stop()
	}
	ws.mu.Unlock()
	ws.cancel(errSessionOver)
	ws.s.writes.bury(ws)
	ws.s.o.Log(LevelVerbose, Where{Session: ws.id, Write: true}, "free session "+ws.key)
	close(ws.ended)
}

// idle tells since when nobody is there; zero while somebody is.
func (ws *writeSession) idle() time.Time {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.attached > 0 || ws.ending || ws.linger != nil {
		return time.Time{}
	}
	return ws.last
}

func (ws *writeSession) info() SessionInfo {
	i := ws.request.info()
	i.ID, i.Started = ws.id, ws.started
	ws.meter.fill(&i)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	i.Attached, i.Ended = ws.attached, !ws.over.IsZero()
	if ws.err != nil {
		i.Error = ws.err.Error()
	}
	return i
}
