package net

import (
	"context"
	"errors"
	"fmt"
	gonet "net"
	"os"
	"strings"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// serveConnections is the listening side of tests whose connections come one
// by one (crr, http): they are served without the session, which only tells
// how many the kernel refused.
func (sess *session) serveConnections(ctx context.Context) error {
	if err := sess.ctl.sendOr(message{Type: msgReady, Session: sess.id}); err != nil {
		return err
	}
	before := readCounters()
	return sess.together(ctx, func() error {
		if _, err := sess.ctl.wait(ctx, msgSent); err != nil {
			return err
		}
		after := readCounters()
		return sess.ctl.sendOr(message{Type: msgResult, Half: &half{ListenDrops: after.listenDrops - before.listenDrops}})
	})
}

// runCRR makes connections one after the other, each for one request.
func (c *client) runCRR(ctx context.Context) (perfcheck.Measurement, error) {
	p := newPhases(c.job.Timing)
	hello := hello{what: forRequest}.encode(tokenHash(c.job.Token))
	d, err := c.job.dialer("tcp")
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	m, err := c.latencyTest(ctx, p, c.job.Streams, func(_ int, l *latencies) error {
		for {
			began := time.Now()
			if !began.Before(p.end) {
				return nil
			}
			if err := oneRequest(ctx, d, c.job.Target, hello[:]); err != nil {
				return c.noPorts(err)
			}
			done := time.Now()
			p.add(l.service, began, done)
			if !done.Before(p.measured) {
				p.done.Add(1)
			}
		}
	})
	if err != nil {
		return m, err
	}
	return m, c.addListenDrops(ctx, &m)
}

// addListenDrops asks the other side what its kernel refused meanwhile.
func (c *client) addListenDrops(ctx context.Context, m *perfcheck.Measurement) error {
	if err := c.ctl.sendOr(message{Type: msgSent}); err != nil {
		return err
	}
	h, err := c.result(ctx)
	m.Values["listen_drops"] = float64(h.ListenDrops)
	return err
}

// oneRequest connects, says hello, hears one byte and waits for the other
// side to close.
func oneRequest(ctx context.Context, d *gonet.Dialer, target string, hello []byte) error {
	conn, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(answerTime))
	if ctx.Err() != nil { // between the dial and the deadline
		return context.Cause(ctx)
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	var b [2]byte
	for got := 0; ; {
		n, err := conn.Read(b[:])
		if got += n; err != nil {
			if got == 1 { // and then the end
				return nil
			}
			return fmt.Errorf("%d bytes in the place of one: %w", got, err)
		}
	}
}

// noPorts turns the kernel's "cannot assign requested address" into what it
// means for this host.
func (c *client) noPorts(err error) error {
	if !errors.Is(err, errNoPorts) {
		return err
	}
	ports, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	waiting := "unknown"
	if stat, err := os.ReadFile("/proc/net/sockstat"); err == nil {
		if _, rest, ok := strings.Cut(string(stat), " tw "); ok {
			waiting, _, _ = strings.Cut(rest, " ")
		}
	}
	overflow := readCounters().timeWaitMax
	return fault.New(fault.Failed, "widen net.ipv4.ip_local_port_range on this host, or wait a minute until TIME_WAIT is over",
		"no local ports are left for connections to %s: range %s, %s connections in TIME_WAIT (TCPTimeWaitOverflow %d): %w",
		c.job.Target, strings.Join(strings.Fields(string(ports)), " to "), waiting, overflow, err)
}
