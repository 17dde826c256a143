package net

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	gonet "net"
	"os"
	"sync"
	"time"

	"cw/fault"
)

// maxLine is the longest message: a series of two days fits.
const maxLine = 8 << 20

// control is one side of a control connection. Both sides say something every
// second, so that a dead peer is noticed even when nothing resets the
// connection; the loss of the connection cancels the test with its cause.
type control struct {
	conn   gonet.Conn
	peer   string
	cancel context.CancelCauseFunc
	in     chan message
	over   chan struct{}

	mu      sync.Mutex
	enc     *json.Encoder
	closing bool
	met     bool // the peer has said something that makes sense
	seconds func(at, value float64)
	all     sync.WaitGroup
}

// newControl takes over a connection on which hello and request are exchanged
// already. cancel is the test's.
func newControl(ctx context.Context, conn gonet.Conn, r *bufio.Reader, peer string, cancel context.CancelCauseFunc) *control {
	c := &control{conn: conn, peer: peer, cancel: cancel, in: make(chan message, 16), over: make(chan struct{}), enc: json.NewEncoder(conn)}
	c.all.Go(func() { c.read(r) })
	c.all.Go(func() { c.beat(ctx) })
	return c
}

// onSecond sets who gets the other side's series.
func (c *control) onSecond(fn func(at, value float64)) {
	c.mu.Lock()
	c.seconds = fn
	c.mu.Unlock()
}

// readMessage reads one line of at most limit bytes.
func readMessage(r *bufio.Reader, limit int) (message, error) {
	var m message
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return m, fmt.Errorf("a message of more than %d bytes", limit)
		}
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return m, err
		}
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("speaks no sense: %w", err)
	}
	return m, nil
}

func (c *control) read(r *bufio.Reader) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(quiet))
		m, err := readMessage(r, maxLine)
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		c.met = true
		c.mu.Unlock()
		switch m.Type {
		case msgBeat:
		case msgSecond:
			c.mu.Lock()
			fn := c.seconds
			c.mu.Unlock()
			if fn != nil {
				fn(m.At, m.Value)
			}
		case msgError:
			if m.Error == nil {
				m.Error = &failure{Text: "an error without a text"}
			}
			c.cancel(fault.New(m.Error.Kind, m.Error.Hint, "%s says: %s", c.peer, m.Error.Text))
		default:
			select {
			case c.in <- m:
			case <-c.over:
				return
			}
		}
	}
}

func (c *control) fail(err error) {
	c.mu.Lock()
	closing, met := c.closing, c.met
	c.mu.Unlock()
	if closing {
		return
	}
	hint := "is the host up, and does a firewall let TCP and UDP through between the hosts?"
	switch {
	case !met && !errors.Is(err, os.ErrDeadlineExceeded):
		err = fault.New(fault.Unreachable, "is another program at that port, or another run's cw?", "%s does not answer as this run's listening side would: %w", c.peer, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fault.New(fault.Unreachable, hint, "no word from %s for %s", c.peer, quiet)
	case errors.Is(err, io.EOF):
		err = fault.New(fault.Unreachable, hint, "%s ended the test", c.peer)
	default:
		err = fault.New(fault.Unreachable, hint, "the connection to %s was lost: %w", c.peer, err)
	}
	c.cancel(err)
}

func (c *control) beat(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if c.send(message{Type: msgBeat}) != nil {
				return // the reader notices, too
			}
		case <-ctx.Done():
			return
		case <-c.over:
			return
		}
	}
}

func (c *control) send(m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(quiet))
	return c.enc.Encode(m)
}

// sendOr is send for a message without which the test cannot go on.
func (c *control) sendOr(m message) error {
	if err := c.send(m); err != nil {
		return fault.New(fault.Unreachable, "", "tell %s: %w", c.peer, err)
	}
	return nil
}

// wait waits for a message of the type. The peer speaks in a fixed order:
// another type is an error.
func (c *control) wait(ctx context.Context, kind string) (message, error) {
	select {
	case m := <-c.in:
		if m.Type != kind {
			return m, fmt.Errorf("%s says %q in the place of %q: is it the same version of cw?", c.peer, m.Type, kind)
		}
		return m, nil
	case <-ctx.Done():
		return message{}, context.Cause(ctx)
	}
}

// close ends the conversation and waits for its goroutines.
func (c *control) close() {
	c.mu.Lock()
	already := c.closing
	c.closing = true
	c.mu.Unlock()
	if !already {
		close(c.over)
	}
	_ = c.conn.Close()
	c.all.Wait()
}

// bag closes everything in it when a test is over, and what is put into it
// afterwards at once.
type bag struct {
	mu    sync.Mutex
	items []io.Closer
	over  bool
}

func (b *bag) add(c io.Closer) {
	b.mu.Lock()
	over := b.over
	if !over {
		b.items = append(b.items, c)
	}
	b.mu.Unlock()
	if over {
		_ = c.Close()
	}
}

func (b *bag) close() {
	b.mu.Lock()
	items := b.items
	b.items, b.over = nil, true
	b.mu.Unlock()
	for _, c := range items {
		_ = c.Close()
	}
}
