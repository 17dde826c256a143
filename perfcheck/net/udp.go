package net

import (
	"context"
	"errors"
	"fmt"
	gonet "net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// udpSend sends one stream: a warm-up and a measured phase, told apart by the
// packets themselves, so that the receiver counts exactly what the sender
// does.
type udpSend struct {
	conn    *gonet.UDPConn
	session uint64
	stream  int
	packet  int
	rate    float64 // packets per second; 0 is unpaced
	sent    int64   // in the measured phase
	took    time.Duration
}

func (u *udpSend) run(ctx context.Context, origin time.Time, t perfcheck.Timing) error {
	if err := mtuDiscovery(u.conn, mayFragment); err != nil {
		return err
	}
	b, err := newBatch(u.conn, u.packet, false)
	if err != nil {
		return err
	}
	for i := range b.buffers {
		fill(b.buffers[i])
	}
	measured, end := origin.Add(t.Warmup), origin.Add(t.Warmup+t.Duration)
	_ = u.conn.SetWriteDeadline(end.Add(time.Second))
	p := pacer{rate: u.rate, start: origin, last: origin}
	h := header{session: u.session, stream: uint16(u.stream)}
	for {
		now := time.Now()
		if !now.Before(end) {
			u.took = now.Sub(measured)
			return nil
		}
		if h.phase == 0 && !now.Before(measured) {
			h.phase, h.seq = 1, 0
			p = pacer{rate: u.rate, start: measured, last: now}
		}
		n := p.due(now, batchSize)
		if n == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			nap(p.wait(now))
			continue
		}
		h.stamp = now.UnixNano()
		for i := range n {
			h.encode(b.buffers[i])
			h.seq++
		}
		for done := 0; done < n; {
			k, err := b.send(done, n, u.packet)
			if errors.Is(err, errNoBuffers) || errors.Is(err, errNotPermitted) { // a full queue, a filter on this side
				k, err = 1, nil // lost like any other
			}
			if err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return fmt.Errorf("send datagrams of %d bytes: %w", u.packet, err)
			}
			done += k
		}
		if h.phase == 1 {
			u.sent += int64(n)
		}
	}
}

// udpReceive receives one stream.
type udpReceive struct {
	conn    *gonet.UDPConn
	session uint64
	packet  int
	onPhase func() // called at the first packet of the measured phase

	arrived  atomic.Int64 // payload bytes of all phases, for the series
	counted  atomic.Int64 // packets, to see when it gets quiet
	bytes    int64
	tracker  tracker
	jitter   jitter
	first    int64 // ns, of the measured phase
	last     int64
	dropped  int64 // before the measured phase
	hasDrops bool
	drops    int64
}

// run receives until the socket's read deadline or its end.
func (u *udpReceive) run() error {
	if err := kernelNotes(u.conn); err != nil {
		return err
	}
	b, err := newBatch(u.conn, u.packet+1, true) // one more would be cut off unseen
	if err != nil {
		return err
	}
	var h header
	for {
		n, err := b.receive()
		if err != nil {
			return err
		}
		now := time.Now()
		for i := range n {
			p := b.packet(i)
			if !h.decode(p) || h.session != u.session {
				continue // a hello that was said once more
			}
			u.arrived.Add(int64(len(p)))
			u.counted.Add(1)
			at, dropped := b.notes(i, now)
			if h.phase == 0 {
				if u.first == 0 {
					u.dropped = dropped // up to the last packet of the warm-up
				}
				continue
			}
			if u.first == 0 {
				u.first = at
				u.onPhase()
			}
			u.last = max(u.last, at)
			if u.tracker.add(h.seq) {
				u.bytes += int64(len(p))
			}
			u.jitter.add(h.stamp, at)
		}
	}
}

// udpEnd receives all streams of a test.
type udpEnd struct {
	streams []*udpReceive
	all     sync.WaitGroup
	once    sync.Once
	before  kernelCounters
}

func newUDPEnd(conns []*gonet.UDPConn, session uint64, packet int) *udpEnd {
	e := &udpEnd{}
	for _, c := range conns {
		e.streams = append(e.streams, &udpReceive{conn: c, session: session, packet: packet, onPhase: func() {
			e.once.Do(func() { e.before = readCounters() })
		}})
	}
	return e
}

func (e *udpEnd) start(fail func(error)) {
	for _, u := range e.streams {
		e.all.Go(func() {
			if err := u.run(); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, gonet.ErrClosed) {
				fail(fmt.Errorf("receive datagrams: %w", err))
			}
		})
	}
}

func (e *udpEnd) arrived() (n int64) {
	for _, u := range e.streams {
		n += u.arrived.Load()
	}
	return n
}

// How long the receiver waits for stragglers when all is sent.
const (
	settleStep = 100 * time.Millisecond
	settleMax  = 2 * time.Second
)

// settle waits until nothing more comes, stops receiving and adds up.
func (e *udpEnd) settle(ctx context.Context, duration time.Duration) (half, error) {
	count := func() (n int64) {
		for _, u := range e.streams {
			n += u.counted.Load()
		}
		return n
	}
	for end, still := time.Now().Add(settleMax), 0; time.Now().Before(end) && still < 3; {
		before := count()
		if err := perfcheck.WaitUntil(ctx, time.Now().Add(settleStep)); err != nil {
			return half{}, err
		}
		still++
		if count() != before {
			still = 0
		}
	}
	for _, u := range e.streams {
		u.drops, u.hasDrops = socketDrops(u.conn)
		_ = u.conn.SetReadDeadline(time.Unix(1, 0))
	}
	e.all.Wait()
	return e.sum(duration), nil
}

func (e *udpEnd) sum(duration time.Duration) half {
	after := readCounters()
	var h half
	var first, last int64
	known := true
	for _, u := range e.streams {
		h.Bytes += float64(u.bytes)
		h.Packets += u.tracker.received
		h.Reordered += u.tracker.reordered
		h.Duplicate += u.tracker.duplicate
		h.Jitter = max(h.Jitter, u.jitter.value/1e9)
		if u.first != 0 {
			known = known && u.hasDrops
			h.Drops += max(u.drops-u.dropped, 0)
			if first == 0 || u.first < first {
				first = u.first
			}
			last = max(last, u.last)
		}
	}
	if first != 0 {
		if !known {
			h.Drops = after.rcvbuf - e.before.rcvbuf
		}
		h.Reasm = after.reasm - e.before.reasm
		h.Softnet = after.softnet - e.before.softnet
	}
	// A queue on the way may go on delivering after the sender's end.
	h.Elapsed = max(duration, time.Duration(last-first)).Seconds()
	return h
}

// sendAll sends all streams of a job and tells what was sent.
func (j *Job) sendAll(ctx context.Context, conns []*gonet.UDPConn, session uint64, origin time.Time) (half, error) {
	streams := make([]*udpSend, len(conns))
	errs := make([]error, len(conns))
	var all sync.WaitGroup
	for i, c := range conns {
		streams[i] = &udpSend{conn: c, session: session, stream: i, packet: j.Packet, rate: j.Rate / float64(j.Packet) / float64(len(conns))}
		all.Go(func() { errs[i] = streams[i].run(ctx, origin, j.Timing) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return half{}, err
	}
	var h half
	for _, u := range streams {
		h.Sent += u.sent
		h.Elapsed = max(h.Elapsed, u.took.Seconds())
	}
	h.Bytes = float64(h.Sent) * float64(j.Packet)
	if j.Rate > 0 {
		h.Achieved = h.Bytes / h.Elapsed / j.Rate
	}
	return h, nil
}

func (sess *session) serveUDP(ctx context.Context) error {
	conns, err := sess.gather(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	udp := udpConns(conns)
	return sess.together(ctx, func() error {
		origin := time.Now()
		if sess.job.Reverse {
			h, err := sess.job.sendAll(ctx, udp, sess.id, origin)
			if err != nil {
				return err
			}
			return sess.ctl.sendOr(message{Type: msgSent, Half: &h})
		}
		h, err := sess.job.receiveAll(ctx, udp, sess.id, origin, cancel, func() error {
			_, err := sess.ctl.wait(ctx, msgSent)
			return err
		}, func(s perfcheck.Second) { _ = sess.ctl.send(message{Type: msgSecond, At: s.At, Value: s.Value}) })
		if err != nil {
			return err
		}
		return sess.ctl.sendOr(message{Type: msgResult, Half: &h})
	})
}

// receiveAll receives all streams of a job until sent returns.
func (j *Job) receiveAll(ctx context.Context, conns []*gonet.UDPConn, session uint64, origin time.Time, fail func(error), sent func() error, on func(perfcheck.Second)) (half, error) {
	e := newUDPEnd(conns, session, j.Packet)
	e.start(fail)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
		e.all.Wait()
	}()
	w, err := watch(ctx, origin, j.Timing, e.arrived, func() {}, on)
	if err != nil {
		return half{}, err
	}
	if err := sent(); err != nil {
		return half{}, err
	}
	h, err := e.settle(ctx, j.Duration)
	h.Series = w.Series
	return h, err
}

func (c *client) runUDP(ctx context.Context) (perfcheck.Measurement, error) {
	udp := udpConns(c.conns)
	origin := time.Now()
	var sent, got half
	var err error
	if c.job.Reverse {
		got, err = c.job.receiveAll(ctx, udp, c.session, origin, c.fail, func() error {
			m, err := c.ctl.wait(ctx, msgSent)
			if err == nil && m.Half != nil {
				sent = *m.Half
			}
			return err
		}, c.on)
	} else {
		c.showSeconds()
		if sent, err = c.job.sendAll(ctx, udp, c.session, origin); err != nil {
			return perfcheck.Measurement{}, err
		}
		if err = c.ctl.sendOr(message{Type: msgSent}); err == nil {
			got, err = c.result(ctx)
		}
	}
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	return c.job.udpMeasurement(sent, got, origin.Add(c.job.Warmup))
}

// The shares from which a flag is raised.
const (
	rateKept  = 0.97   // of the rate asked for
	dropsSeen = 0.0005 // of the datagrams sent
)

// udpMeasurement puts both sides together.
func (j *Job) udpMeasurement(sent, got half, began time.Time) (perfcheck.Measurement, error) {
	m := perfcheck.Measurement{Values: map[string]float64{}, Began: began}
	if sent.Sent == 0 || got.Packets == 0 {
		return m, fmt.Errorf("%d datagrams of %d bytes were sent and %d have arrived", sent.Sent, j.Packet, got.Packets)
	}
	all := float64(sent.Sent)
	lost := max(all-float64(got.Packets), 0)
	drops := min(float64(got.Drops), lost)
	m.Values["throughput"] = got.Bytes / got.Elapsed
	m.Values["loss"] = lost / all
	m.Values["lost"] = lost
	m.Values["receiver_drops"] = drops
	m.Values["network_loss"] = (lost - drops) / all
	m.Values["reordered"] = float64(got.Reordered)
	m.Values["duplicates"] = float64(got.Duplicate)
	m.Values["jitter"] = got.Jitter
	m.Values["reassembly_failures"] = float64(got.Reasm)
	m.Values["softnet_drops"] = float64(got.Softnet)
	m.Series = []perfcheck.Series{series("throughput", perfcheck.BytesPerSecond, got.Series)}
	if drops/all > dropsSeen {
		m.Flags = append(m.Flags, perfcheck.FlagReceiverDrops)
	}
	if j.Rate > 0 {
		m.Values["target"] = j.Rate
		m.Values["achieved"] = sent.Achieved
		if sent.Achieved < rateKept {
			m.Flags = append(m.Flags, perfcheck.FlagRateMissed)
		}
	}
	return m, nil
}
