package fdist

import (
	"context"
	"sync"
	"time"
)

// pulse gives a segment signs of life while its request waits for input or
// for its share of the speed: an offset frame, which segments read and forget,
// begins their wait for data anew. It also notices a segment that has left.
type pulse struct {
	c      *conn
	every  time.Duration
	lost   context.CancelCauseFunc
	timer  *time.Timer
	mu     sync.Mutex
	waits  bool
	failed bool
}

// newPulse makes a pulse at rest, nil where the protocol has no frames.
func newPulse(c *conn, r *Request, every time.Duration, lost context.CancelCauseFunc) *pulse {
	if r.Proto == 0 || every <= 0 {
		return nil
	}
	p := &pulse{c: c, every: every, lost: lost}
	p.timer = time.AfterFunc(time.Hour, p.beat)
	p.timer.Stop()
	return p
}

func (p *pulse) begin() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.waits = true
	p.mu.Unlock()
	p.timer.Reset(p.every)
}

// end returns when no beat is under way and none will come.
func (p *pulse) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.waits = false
	p.mu.Unlock()
	p.timer.Stop()
}

func (p *pulse) close() { p.end() }

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waits || p.failed {
		return
	}
	if _, err := p.c.Write(appendNumber(nil, frameOffset, 0)); err != nil {
		p.failed = true
		p.lost(err)
		return
	}
	p.c.s.stats.Heartbeats.Add(1)
	p.timer.Reset(p.every)
}
