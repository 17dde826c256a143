package net

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	gonet "net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// getter is one client of the HTTP test.
type getter struct {
	dial    func() (gonet.Conn, error)
	request []byte
	keep    bool
	conn    gonet.Conn
	buffer  []byte

	mu    sync.Mutex // for conn being set, and abort
	ended bool
}

// set remembers the connection for abort.
func (g *getter) set(conn gonet.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = conn
	if g.ended && conn != nil {
		_ = conn.Close()
	}
}

// abort ends whatever get is waiting for, and all later ones.
func (g *getter) abort() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

// get asks once and reads the whole answer.
func (g *getter) get() error {
	if g.conn == nil {
		conn, err := g.dial()
		if err != nil {
			return err
		}
		g.set(conn)
	}
	err := g.ask()
	if err != nil || !g.keep {
		_ = g.conn.Close()
		g.set(nil)
	}
	return err
}

func (g *getter) ask() error {
	_ = g.conn.SetDeadline(time.Now().Add(answerTime))
	if _, err := g.conn.Write(g.request); err != nil {
		return err
	}
	got := 0
	for {
		n, err := g.conn.Read(g.buffer[got:])
		got += n
		if end := bytes.Index(g.buffer[:got], []byte("\r\n\r\n")); end >= 0 {
			size, e := parseResponse(g.buffer[:end])
			if e != nil {
				return e
			}
			if err := g.skip(size-(got-end-4), err); err != nil {
				return err
			}
			if g.keep {
				return nil
			}
			return g.atEnd()
		}
		if err != nil {
			return err
		}
		if got == len(g.buffer) {
			return errors.New("the head of an answer does not end")
		}
	}
}

// skip reads the rest of a body.
func (g *getter) skip(left int, err error) error {
	for left > 0 {
		if err != nil {
			return fmt.Errorf("an answer ends %d bytes early: %w", left, err)
		}
		var n int
		n, err = g.conn.Read(g.buffer[:min(left, len(g.buffer))])
		left -= n
	}
	if left < 0 {
		return fmt.Errorf("%d bytes more than the answer has", -left)
	}
	return nil
}

// atEnd waits for the other side to close first: TIME_WAIT is then there.
func (g *getter) atEnd() error {
	n, err := g.conn.Read(g.buffer[:1])
	if n == 0 && errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("after the answer: %d bytes, %w", n, err)
}

// parseResponse reads the head of an answer and returns the body's length.
func parseResponse(head []byte) (int, error) {
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return 0, fmt.Errorf("answer %q", line[:min(len(line), 80)])
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || n < 0 {
				return 0, fmt.Errorf("answer with Content-Length %q", value)
			}
			return n, nil
		}
	}
	return 0, errors.New("an answer without Content-Length")
}

// maxErrors is how many failed requests in a row end the test: it would
// measure how fast they fail.
const maxErrors = 100

// failures are the requests that went wrong.
type failures struct {
	count atomic.Int64 // in the measured phase
	last  atomic.Pointer[error]
}

// runHTTP runs Streams clients: in a closed loop, or each on its own share of
// the schedule.
func (c *client) runHTTP(ctx context.Context) (perfcheck.Measurement, error) {
	key := tokenHash(c.job.Token)
	ask := "GET /" + hex.EncodeToString(key[:]) + "/" + strconv.Itoa(c.job.Body) + " HTTP/1.1\r\nHost: " + c.job.Target + "\r\n"
	if !c.job.KeepAlive {
		ask += "Connection: close\r\n"
	}
	d, err := c.job.dialer("tcp")
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	var failed failures
	p := newPhases(c.job.Timing)
	m, err := c.latencyTest(ctx, p, c.job.Streams, func(i int, l *latencies) error {
		g := &getter{request: []byte(ask + "\r\n"), keep: c.job.KeepAlive, buffer: make([]byte, 64<<10)}
		g.dial = func() (gonet.Conn, error) {
			conn, err := d.DialContext(ctx, "tcp", c.job.Target)
			if err != nil {
				return nil, err
			}
			return conn, nil
		}
		stop := context.AfterFunc(ctx, g.abort)
		defer g.abort()
		defer stop()
		return c.requests(ctx, g, p, i, l, &failed)
	})
	if err != nil {
		if last := failed.last.Load(); last != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w; the last request: %w", err, *last)
		}
		return m, err
	}
	m.Values["errors"] = float64(failed.count.Load())
	m.Values["throughput"] = m.Values["rate"] * float64(c.job.Body)
	return m, c.addListenDrops(ctx, &m)
}

// requests is the loop of one client.
func (c *client) requests(ctx context.Context, g *getter, p *phases, worker int, l *latencies, failed *failures) error {
	interval := 0.0 // seconds between two of this client
	if c.job.Rate > 0 {
		interval = float64(c.job.Streams) / c.job.Rate
	}
	inARow := 0
	for i := 0; ; i++ {
		due := time.Now()
		if interval > 0 {
			due = p.origin.Add(time.Duration((float64(i) + float64(worker)/float64(c.job.Streams)) * interval * 1e9))
			for d := time.Until(due); d > 0 && due.Before(p.end); d = time.Until(due) {
				if d > longestNap {
					if err := perfcheck.WaitUntil(ctx, time.Now().Add(d-longestNap/2)); err != nil {
						return err
					}
					continue
				}
				nap(d)
			}
		}
		if !due.Before(p.end) {
			return nil
		}
		began := time.Now()
		err := g.get()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if inARow++; inARow >= maxErrors || errors.Is(err, errNoPorts) {
				return c.noPorts(err)
			}
			failed.last.Store(&err)
			if !due.Before(p.measured) {
				failed.count.Add(1)
			}
			continue
		}
		inARow = 0
		done := time.Now()
		p.add(l.response, due, done)
		if !due.Before(p.measured) {
			l.service.Record(done.Sub(began))
		}
		if !done.Before(p.measured) && done.Before(p.end) {
			p.done.Add(1)
		}
	}
}
