package net

import (
	"context"
	"errors"
	"fmt"
	gonet "net"
	"sync"
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// A write of 128 KiB costs one system call per hundred packets; larger ones
// win nothing and fall out of the cache.
const (
	writeSize = 128 << 10
	readSize  = 256 << 10
)

// tcpEnd is one side of a throughput test: it sends on some connections and
// receives on others until stop.
type tcpEnd struct {
	send, receive []*gonet.TCPConn
	fail          func(error)

	received atomic.Int64
	stopping atomic.Bool
	all      sync.WaitGroup
}

func (e *tcpEnd) start() {
	for _, c := range e.send {
		e.all.Go(func() { e.pump(c) })
	}
	for _, c := range e.receive {
		e.all.Go(func() { e.drain(c) })
	}
}

func (e *tcpEnd) pump(c *gonet.TCPConn) {
	b := make([]byte, writeSize)
	fill(b)
	for {
		if _, err := c.Write(b); err != nil {
			e.broken("send", err)
			return
		}
	}
}

func (e *tcpEnd) drain(c *gonet.TCPConn) {
	b := make([]byte, readSize)
	for {
		n, err := c.Read(b)
		e.received.Add(int64(n))
		if err != nil {
			e.broken("receive", err)
			return
		}
	}
}

func (e *tcpEnd) broken(what string, err error) {
	if !e.stopping.Load() && !errors.Is(err, gonet.ErrClosed) {
		e.fail(fmt.Errorf("%s: a stream broke: %w", what, err))
	}
}

// retransmits sums what the kernel has sent again, and all it has sent.
func (e *tcpEnd) retransmits() (again, segments int64) {
	for _, c := range e.send {
		if a, s, err := sent(c); err == nil {
			again += a
			segments += s
		}
	}
	return again, segments
}

// measure waits out the phases; the streams go on until stop.
func (e *tcpEnd) measure(ctx context.Context, origin time.Time, t perfcheck.Timing, on func(perfcheck.Second)) (half, error) {
	var again, segments int64
	var nic counted
	h, err := watch(ctx, origin, t, e.received.Load, func() {
		again, segments = e.retransmits()
		nic = countNIC(append(append([]*gonet.TCPConn{}, e.send...), e.receive...), len(e.send) > 0)
	}, on)
	if err != nil {
		return h, err
	}
	a, s := e.retransmits()
	h.Retransmits, h.Segments = a-again, s-segments
	h.NIC, h.NICBytes = nic.since()
	return h, nil
}

// stop closes all streams and waits for them.
func (e *tcpEnd) stop() {
	e.stopping.Store(true)
	for _, c := range append(e.send, e.receive...) {
		_ = c.SetLinger(0) // what is still queued is nobody's any more
		_ = c.Close()
	}
	e.all.Wait()
}

// sides deals the connections of a job out: the first Streams carry what the
// client sends, or with Reverse what the listening side sends; with Bidir the
// others carry the other direction.
func (j *Job) sides(conns []*gonet.TCPConn) (up, down []*gonet.TCPConn) {
	switch {
	case j.Bidir:
		return conns[:j.Streams], conns[j.Streams:]
	case j.Reverse:
		return nil, conns
	}
	return conns, nil
}

func (sess *session) serveTCP(ctx context.Context) error {
	conns, err := sess.gather(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	up, down := sess.job.sides(tcpConns(conns))
	e := &tcpEnd{send: down, receive: up, fail: cancel}
	defer e.stop()
	return sess.together(ctx, func() error {
		origin := time.Now()
		e.start()
		h, err := e.measure(ctx, origin, sess.job.Timing, func(s perfcheck.Second) {
			if len(up) > 0 {
				_ = sess.ctl.send(message{Type: msgSecond, At: s.At, Value: s.Value}) // the result has it, too
			}
		})
		if err != nil {
			return err
		}
		// From here on a stream that breaks is one that the client has closed.
		e.stopping.Store(true)
		return sess.ctl.sendOr(message{Type: msgResult, Half: &h})
	})
}

func (c *client) runTCP(ctx context.Context) (perfcheck.Measurement, error) {
	up, down := c.job.sides(tcpConns(c.conns))
	e := &tcpEnd{send: up, receive: down, fail: c.fail}
	defer e.stop()
	var on func(perfcheck.Second)
	if len(up) > 0 {
		c.showSeconds()
	} else {
		on = c.on
	}
	origin := time.Now()
	e.start()
	mine, err := e.measure(ctx, origin, c.job.Timing, on)
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	theirs, err := c.result(ctx)
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	return c.job.tcpMeasurement(mine, theirs, origin.Add(c.job.Warmup))
}

// tcpMeasurement puts both sides together.
func (j *Job) tcpMeasurement(mine, theirs half, began time.Time) (perfcheck.Measurement, error) {
	m := perfcheck.Measurement{Values: map[string]float64{}, Began: began}
	var total, silent float64
	add := func(h half, value string) {
		rate := h.Bytes / h.Elapsed
		total += rate
		if !(rate > 0) {
			silent++
		}
		m.Values[value] = rate
		m.Series = append(m.Series, series(value, perfcheck.BytesPerSecond, h.Series))
	}
	switch {
	case j.Bidir:
		add(theirs, "throughput_there")
		add(mine, "throughput_back")
		m.Values["throughput"] = total
	case j.Reverse:
		add(mine, "throughput")
	default:
		add(theirs, "throughput")
	}
	if silent > 0 {
		return m, errors.New("no bytes have arrived in the measured phase")
	}
	again, segments := mine.Retransmits+theirs.Retransmits, mine.Segments+theirs.Segments
	m.Values["retransmits"] = float64(again)
	if segments > 0 {
		m.Values["retransmit_share"] = float64(again) / float64(segments)
	}
	// Each side counted what left its interface, or came in where it only received.
	left, came := theirs.Bytes, theirs.Bytes
	if j.Reverse {
		left, came = mine.Bytes, mine.Bytes
	} else if j.Bidir {
		came = mine.Bytes
	}
	if wrongNIC(mine, left) || wrongNIC(theirs, came) {
		m.Flags = append(m.Flags, perfcheck.FlagWrongNIC)
	}
	return m, nil
}
