package net

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	gonet "net"
	"net/netip"
	"sync"
	"time"

	"cw/fault"
)

// session is the listening side of one test.
type session struct {
	id            uint64
	job           Job
	local, remote gonet.Addr // of the control connection
	ctl           *control
	bag           bag // of its connections and sockets
	joined        chan joined

	mu      sync.Mutex
	sockets map[int]*gonet.UDPConn
	over    bool
	echoes  sync.WaitGroup
}

// joined is a data connection, or a socket, that has said hello.
type joined struct {
	conn   gonet.Conn
	stream int
}

func newSession(id uint64, job Job, local, remote gonet.Addr) *session {
	return &session{
		id: id, job: job, local: local, remote: remote,
		joined: make(chan joined, job.connections()), sockets: map[int]*gonet.UDPConn{},
	}
}

// connections is how many connections or sockets a job has.
func (j *Job) connections() int {
	switch {
	case j.Kind == PMTU:
		return 1
	case j.Kind == CRR, j.Kind == HTTP, j.Engine == EngineIperf3:
		return 0
	case j.Bidir:
		return 2 * j.Streams
	}
	return j.Streams
}

// converse serves a control connection from its request to its end.
func (s *Server) converse(parent context.Context, conn *gonet.TCPConn) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	// A server that is closed does not wait for those who say nothing.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	r := bufio.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(helloTime))
	m, err := readMessage(r, 64<<10)
	stop()
	if err != nil || m.Type != msgRequest || m.Request == nil || ctx.Err() != nil {
		_ = conn.Close()
		return
	}
	job := m.Request.defaults()
	err = job.check()
	var sess *session
	if err == nil && job.Kind == NICs {
		err = fault.New(fault.Usage, "", "a nics job is not for the listening side")
	}
	if err == nil {
		sess, err = s.newSession(job, conn.LocalAddr(), conn.RemoteAddr())
	}
	if err != nil {
		_ = conn.SetWriteDeadline(time.Now().Add(quiet))
		_ = json.NewEncoder(conn).Encode(message{Type: msgError, Error: failureOf(err)})
		_ = conn.Close()
		return
	}
	defer s.forget(sess)
	sess.ctl = newControl(ctx, conn, r, conn.RemoteAddr().String(), cancel)
	release := context.AfterFunc(ctx, sess.bag.close)
	err = sess.serve(ctx, s)
	if err != nil {
		// Whoever is still there learns why; who has gone does not hear it.
		_ = sess.ctl.send(message{Type: msgError, Error: failureOf(err)})
	}
	sess.ctl.close()
	cancel(errors.New("the test is over"))
	release()
	sess.bag.close()
	sess.mu.Lock()
	sess.over = true
	sess.mu.Unlock()
	sess.echoes.Wait()
}

func (sess *session) serve(ctx context.Context, s *Server) error {
	switch {
	case sess.job.Engine == EngineIperf3:
		return sess.serveIperf3(ctx, s)
	case sess.job.Kind == TCP:
		return sess.serveTCP(ctx)
	case sess.job.Kind == UDP:
		return sess.serveUDP(ctx)
	case sess.job.Kind == PPS:
		return sess.servePPS(ctx)
	case sess.job.Kind == PMTU:
		return sess.servePMTU(ctx)
	case sess.job.Kind == RR:
		return sess.serveRR(ctx)
	}
	return sess.serveConnections(ctx)
}

// gather tells the client its session and waits until all its connections
// are here, in their order.
func (sess *session) gather(ctx context.Context) ([]gonet.Conn, error) {
	if err := sess.ctl.sendOr(message{Type: msgReady, Session: sess.id}); err != nil {
		return nil, err
	}
	conns := make([]gonet.Conn, cap(sess.joined))
	late := time.NewTimer(2 * dialTime)
	defer late.Stop()
	for n := 0; n < len(conns); {
		select {
		case j := <-sess.joined:
			if conns[j.stream] == nil {
				n++
			}
			conns[j.stream] = j.conn
		case <-late.C:
			return nil, fault.New(fault.Unreachable, "", "only %d of %d streams have arrived within %s", n, len(conns), 2*dialTime)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if _, err := sess.ctl.wait(ctx, msgHeard); err != nil {
		return nil, err
	}
	// From here on the sockets belong to the test.
	for _, u := range udpConns(conns) {
		_ = u.SetReadDeadline(time.Unix(1, 0))
	}
	sess.echoes.Wait()
	for _, u := range udpConns(conns) {
		_ = u.SetReadDeadline(time.Time{})
	}
	return conns, sess.ctl.sendOr(message{Type: msgJoined})
}

func tcpConns(conns []gonet.Conn) []*gonet.TCPConn {
	out := make([]*gonet.TCPConn, 0, len(conns))
	for _, c := range conns {
		if t, ok := c.(*gonet.TCPConn); ok {
			out = append(out, t)
		}
	}
	return out
}

func udpConns(conns []gonet.Conn) []*gonet.UDPConn {
	out := make([]*gonet.UDPConn, 0, len(conns))
	for _, c := range conns {
		if u, ok := c.(*gonet.UDPConn); ok {
			out = append(out, u)
		}
	}
	return out
}

// meetUDP gives a peer's socket a socket of its own here and answers from
// that. Where the answer is lost the peer says hello again, and the new socket
// hears it in the door's place: it sends back what comes until the test begins.
func (sess *session) meetUDP(s *Server, stream int, from netip.AddrPort, said []byte) {
	if stream >= cap(sess.joined) || !sess.job.datagrams() {
		return
	}
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if sess.over {
		return
	}
	conn := sess.sockets[stream]
	if conn == nil {
		local, ok := sess.local.(*gonet.TCPAddr)
		if !ok {
			return
		}
		// From the address that the client has for us, whatever others we have.
		d := gonet.Dialer{
			LocalAddr: &gonet.UDPAddr{IP: local.IP, Port: local.Port, Zone: local.Zone},
			Control:   socketOptions{device: s.options.Device, shared: true}.control,
		}
		c, err := d.Dial("udp", netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String())
		if err != nil {
			return
		}
		conn = c.(*gonet.UDPConn)
		if err := receiveBuffer(conn, sess.job.ReceiveBuffer); err != nil {
			_ = conn.Close()
			return
		}
		sess.sockets[stream] = conn
		sess.bag.add(conn)
		sess.echoes.Go(func() { echo(conn) })
		select {
		case sess.joined <- joined{conn, stream}:
		default:
		}
	} else if conn.RemoteAddr().String() != netip.AddrPortFrom(from.Addr().Unmap(), from.Port()).String() {
		return // the stream has its peer
	}
	_, _ = conn.Write(said)
}

func (j *Job) datagrams() bool { return j.Kind == UDP || j.Kind == PPS || j.Kind == PMTU }

// together runs fn with the frame of every test: the client says go, and at
// the end stop.
func (sess *session) together(ctx context.Context, fn func() error) error {
	if _, err := sess.ctl.wait(ctx, msgGo); err != nil {
		return err
	}
	if err := fn(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", sess.job.Kind, err)
	}
	_, err := sess.ctl.wait(ctx, msgStop)
	return err
}
