package net

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	gonet "net"
	"slices"
	"sync"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// Run measures once, from this side. It calls on, from one goroutine at a
// time, with every value of the series as it comes; on may be nil. The end of
// ctx ends it and everything of it within a second, with the context's cause.
func Run(ctx context.Context, job Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	job = job.defaults()
	if err := job.check(); err != nil {
		return perfcheck.Measurement{}, err
	}
	if job.Kind == NICs {
		return runNICs(ctx, job, on)
	}
	if job.Share > 0 && job.Rate == 0 {
		most, err := calibrate(ctx, job)
		if err != nil {
			return perfcheck.Measurement{}, fmt.Errorf("measure the maximum first: %w", err)
		}
		job.Rate = job.Share * most
	}
	if job.Kind == PPS && job.Rate > 0 {
		return holdPPS(ctx, job, on)
	}
	return runOne(ctx, job, on)
}

// calibrationTime is how long the maximum is measured of which a job wants a
// share.
const calibrationTime = 1500 * time.Millisecond

func calibrate(ctx context.Context, job Job) (float64, error) {
	most, metric := job, "rate"
	most.Share, most.Rate = 0, 0
	most.Timing = perfcheck.Timing{Warmup: calibrationTime / 3, Duration: calibrationTime}
	if job.Kind == UDP {
		most.Kind, most.Streams, metric = TCP, 4, "throughput"
	}
	m, err := runOne(ctx, most, nil)
	return m.Values[metric], err
}

// client is this side of one test.
type client struct {
	job     Job
	ctl     *control
	bag     bag
	session uint64
	conns   []gonet.Conn
	all     sync.WaitGroup
	cancel  context.CancelCauseFunc
	on      func(perfcheck.Second)
	// iperf3Port is where iperf3's own server listens.
	iperf3Port int
}

func runOne(parent context.Context, job Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	c := &client{job: job, cancel: cancel, on: on}
	release := context.AfterFunc(ctx, c.bag.close)
	m, err := c.run(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // what came first; err may be its consequence
	}
	if err == nil && c.ctl != nil {
		_ = c.ctl.send(message{Type: msgStop})
	}
	if c.ctl != nil {
		c.ctl.close()
	}
	release()
	c.bag.close()
	cancel(errors.New("the test is over"))
	c.all.Wait()
	if err != nil {
		return m, fmt.Errorf("%s to %s: %w", job.Kind, job.Target, err)
	}
	return m, nil
}

func (c *client) run(ctx context.Context) (perfcheck.Measurement, error) {
	if err := c.open(ctx); err != nil {
		return perfcheck.Measurement{}, err
	}
	if err := perfcheck.WaitUntil(ctx, c.job.Start); err != nil {
		return perfcheck.Measurement{}, err
	}
	if c.job.Engine == EngineIperf3 {
		return c.runIperf3(ctx)
	}
	if err := c.ctl.sendOr(message{Type: msgGo}); err != nil {
		return perfcheck.Measurement{}, err
	}
	switch c.job.Kind {
	case TCP:
		return c.runTCP(ctx)
	case UDP:
		return c.runUDP(ctx)
	case RR:
		return c.runRR(ctx)
	case CRR:
		return c.runCRR(ctx)
	case PPS:
		return c.runPPS(ctx)
	case HTTP:
		return c.runHTTP(ctx)
	}
	return c.runPMTU(ctx)
}

// open makes the control connection and all others that the job needs.
func (c *client) open(ctx context.Context) error {
	conn, err := c.job.dialTCP(ctx, hello{what: forControl})
	if err != nil {
		return err
	}
	c.bag.add(conn)
	c.ctl = newControl(ctx, conn, bufio.NewReader(conn), c.job.Target, c.cancel)
	request := c.job
	request.Target, request.Token, request.Links, request.Start = "", "", nil, time.Time{}
	request.Source, request.Device = "", ""
	if err := c.ctl.sendOr(message{Type: msgRequest, Request: &request}); err != nil {
		return err
	}
	m, err := c.ctl.wait(ctx, msgReady)
	if err != nil {
		return err
	}
	c.session = m.Session
	c.iperf3Port = m.Port
	for i := range c.job.connections() {
		h := hello{what: forData, session: c.session, stream: uint32(i)}
		if c.job.datagrams() {
			u, err := c.dialUDP(ctx, h)
			if err != nil {
				return err
			}
			c.conns = append(c.conns, u)
			continue
		}
		t, err := c.job.dialTCP(ctx, h)
		if err != nil {
			return err
		}
		c.bag.add(t)
		c.conns = append(c.conns, t)
	}
	if len(c.conns) == 0 {
		return nil
	}
	if err := c.ctl.sendOr(message{Type: msgHeard}); err != nil {
		return err
	}
	_, err = c.ctl.wait(ctx, msgJoined)
	return err
}

// helloAgain is how long a socket waits for the answer to its hello before it
// says it again.
const helloAgain = 100 * time.Millisecond

// dialUDP opens a socket that the other side has answered.
func (c *client) dialUDP(ctx context.Context, h hello) (*gonet.UDPConn, error) {
	d, err := c.job.dialer("udp")
	if err != nil {
		return nil, err
	}
	conn, err := d.DialContext(ctx, "udp", c.job.Target)
	if err != nil {
		return nil, c.job.unreachable(ctx, err)
	}
	u := conn.(*gonet.UDPConn)
	c.bag.add(u)
	if err := receiveBuffer(u, c.job.ReceiveBuffer); err != nil {
		return nil, fmt.Errorf("set the receive buffer to %d bytes: %w", c.job.ReceiveBuffer, err)
	}
	h.what = forUDP
	said := h.encode(tokenHash(c.job.Token))
	var heard [helloSize + 1]byte
	for end := time.Now().Add(dialTime); time.Now().Before(end); {
		_, _ = u.Write(said[:])
		_ = u.SetReadDeadline(time.Now().Add(helloAgain))
		n, err := u.Read(heard[:])
		if err == nil && slices.Equal(heard[:n], said[:]) {
			_ = u.SetReadDeadline(time.Time{})
			return u, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil && errors.Is(err, errNobodyThere) { // ICMP comes at once
			if err := perfcheck.WaitUntil(ctx, time.Now().Add(helloAgain)); err != nil {
				return nil, err
			}
		}
	}
	_, port, _ := gonet.SplitHostPort(c.job.Target)
	return nil, fault.New(fault.Unreachable, "let UDP through to port "+port+" of that host", "TCP reaches %s, UDP does not", c.job.Target)
}

// fail ends the test with its first error.
func (c *client) fail(err error) {
	if err != nil {
		c.cancel(err)
	}
}

// result waits for what the other side saw.
func (c *client) result(ctx context.Context) (half, error) {
	m, err := c.ctl.wait(ctx, msgResult)
	if err != nil {
		return half{}, err
	}
	if m.Half == nil {
		return half{}, fmt.Errorf("%s sent a result with nothing in it", c.job.Target)
	}
	return *m.Half, nil
}

// showSeconds passes the other side's series on.
func (c *client) showSeconds() {
	if on := c.on; on != nil {
		c.ctl.onSecond(func(at, value float64) { on(perfcheck.Second{At: at, Value: value}) })
	}
}
