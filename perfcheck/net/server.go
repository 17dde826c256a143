package net

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	gonet "net"
	"strconv"
	"sync"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// ListenOptions say where the listening side waits.
type ListenOptions struct {
	Address string `json:"address,omitempty"` // of this host; "" is all addresses
	Device  string `json:"device,omitempty"`  // interface; "" is any
	Port    int    `json:"port,omitempty"`    // TCP and UDP; 0 is a free one
	Token   string `json:"token"`             // who does not know it is refused
}

// Limits of the listening side.
const (
	maxSessions  = 256
	maxStrangers = 256             // connections that have not said hello yet
	helloTime    = 5 * time.Second // to say it
)

// Server is the listening side of all tests of a run. It has one TCP port and
// the UDP port of the same number.
type Server struct {
	options ListenOptions
	key     [32]byte
	tcp     *gonet.TCPListener
	door    *gonet.UDPConn // first datagrams of every socket
	lobby   lobby
	pages   pages

	cancel context.CancelCauseFunc
	all    sync.WaitGroup
	open   bag

	mu       sync.Mutex
	sessions map[uint64]*session
	next     uint64
}

// portTries is how often a TCP port is given back because the UDP port of the
// same number is taken.
const portTries = 20

// Listen starts the listening side. The context, or Close, ends it.
func Listen(ctx context.Context, o ListenOptions) (*Server, error) {
	if o.Token == "" {
		return nil, fault.New(fault.Usage, "", "listen for network tests: a token is needed")
	}
	s := &Server{options: o, key: tokenHash(o.Token), sessions: map[uint64]*session{}}
	if err := s.bind(ctx); err != nil {
		return nil, fmt.Errorf("listen for network tests: %w", err)
	}
	ctx, s.cancel = context.WithCancelCause(ctx)
	s.open.add(s.tcp)
	s.open.add(s.door)
	stop := context.AfterFunc(ctx, s.open.close)
	s.all.Go(func() { s.accept(ctx); stop() })
	s.all.Go(func() { s.watchDoor() })
	return s, nil
}

func (s *Server) bind(ctx context.Context) error {
	config := gonet.ListenConfig{Control: socketOptions{device: s.options.Device}.control, KeepAlive: -1}
	shared := gonet.ListenConfig{Control: socketOptions{device: s.options.Device, shared: true}.control}
	for try := 1; ; try++ {
		l, err := config.Listen(ctx, "tcp", gonet.JoinHostPort(s.options.Address, strconv.Itoa(s.options.Port)))
		if err != nil {
			return err
		}
		port := l.Addr().(*gonet.TCPAddr).Port
		p, err := shared.ListenPacket(ctx, "udp", gonet.JoinHostPort(s.options.Address, strconv.Itoa(port)))
		if err == nil {
			s.tcp, s.door = l.(*gonet.TCPListener), p.(*gonet.UDPConn)
			return nil
		}
		_ = l.Close()
		if !errors.Is(err, errPortTaken) || s.options.Port != 0 || try == portTries {
			return err
		}
	}
}

// Port is the TCP and UDP port.
func (s *Server) Port() int { return s.tcp.Addr().(*gonet.TCPAddr).Port }

// Close ends all tests and waits until nothing of them is left.
func (s *Server) Close() error {
	s.cancel(errors.New("the listening side was closed"))
	s.open.close()
	s.lobby.close()
	s.all.Wait()
	return nil
}

func (s *Server) accept(ctx context.Context) {
	for {
		conn, err := s.tcp.AcceptTCP()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, gonet.ErrClosed) {
				return
			}
			if perfcheck.WaitUntil(ctx, time.Now().Add(20*time.Millisecond)) != nil { // out of file descriptors, say
				return
			}
			continue
		}
		s.lobby.enter(conn)
		s.all.Go(func() { s.meet(ctx, conn) })
	}
}

// meet finds out what a connection is for. Until it has proved that it
// belongs to the run it costs its stack and nothing else.
func (s *Server) meet(ctx context.Context, conn *gonet.TCPConn) {
	var first [helloSize]byte
	_ = conn.SetDeadline(time.Now().Add(helloTime))
	if _, err := io.ReadFull(conn, first[:4]); err != nil {
		s.refuse(conn)
		return
	}
	if string(first[:4]) == "GET " {
		s.serveHTTP(ctx, conn)
		return
	}
	_, err := io.ReadFull(conn, first[4:])
	h, ok := decodeHello(first[:], s.key)
	if err != nil || !ok {
		s.refuse(conn)
		return
	}
	s.lobby.leave(conn)
	_ = conn.SetDeadline(time.Time{})
	switch h.what {
	case forControl:
		s.converse(ctx, conn)
	case forData:
		s.join(conn, h)
	case forRequest:
		// The answer comes from whoever closes first: the ports in TIME_WAIT
		// are then this side's, where they are in nobody's way.
		_, _ = conn.Write(first[:1])
		_ = conn.Close()
	default:
		_ = conn.Close()
	}
}

func (s *Server) refuse(conn *gonet.TCPConn) {
	s.lobby.leave(conn)
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// join hands a data connection to its session.
func (s *Server) join(conn *gonet.TCPConn, h hello) {
	if sess := s.session(h.session); sess != nil && int64(h.stream) < int64(cap(sess.joined)) {
		sess.bag.add(conn)
		select {
		case sess.joined <- joined{conn, int(h.stream)}:
			return
		default: // more than were asked for
		}
	}
	_ = conn.Close()
}

func (s *Server) session(id uint64) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// watchDoor answers the first datagram of every socket from a socket of its
// own, connected to that peer, so that streams do not share a queue.
func (s *Server) watchDoor() {
	var b [helloSize + 1]byte
	for {
		n, from, err := s.door.ReadFromUDPAddrPort(b[:])
		if err != nil {
			if errors.Is(err, gonet.ErrClosed) {
				return
			}
			continue
		}
		h, ok := decodeHello(b[:n], s.key)
		if !ok || h.what != forUDP {
			continue
		}
		if sess := s.session(h.session); sess != nil {
			sess.meetUDP(s, int(h.stream), from, b[:n])
		}
	}
}

// serverSession makes a session for a request.
func (s *Server) newSession(job Job, local, remote gonet.Addr) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= maxSessions {
		return nil, fault.New(fault.Locked, "", "%d network tests are running already", maxSessions)
	}
	// Ids are not guessed from one another by who reads along on another test.
	s.next++
	sum := tokenHash(s.options.Token + strconv.FormatUint(s.next, 10))
	sess := newSession(binary.BigEndian.Uint64(sum[:]), job, local, remote)
	s.sessions[sess.id] = sess
	return sess, nil
}

func (s *Server) forget(sess *session) {
	s.mu.Lock()
	delete(s.sessions, sess.id)
	s.mu.Unlock()
}

// lobby holds the connections of strangers. When there are too many the one
// that has waited longest goes: who knows the token says so at once.
type lobby struct {
	mu      sync.Mutex
	waiting []*gonet.TCPConn
	closed  bool
}

func (l *lobby) enter(conn *gonet.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close()
		return
	}
	if len(l.waiting) >= maxStrangers {
		_ = l.waiting[0].SetLinger(0)
		_ = l.waiting[0].Close()
		l.waiting = l.waiting[1:]
	}
	l.waiting = append(l.waiting, conn)
}

func (l *lobby) leave(conn *gonet.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range l.waiting {
		if c == conn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return
		}
	}
}

func (l *lobby) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, c := range l.waiting {
		_ = c.Close()
	}
	l.waiting = nil
}
