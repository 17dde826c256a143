package sshtest

import (
	"net"
	"sync"
	"time"
)

// faults are the faults that are switched on; they may change at any time.
type faults struct {
	mu             sync.Mutex
	refuseAuth     bool
	startups       int // connections still to be turned away before the banner
	dropAfter      int // bytes that the next connection may send before it breaks, 0 is never
	dropAtCommand  int // the how manieth command from now breaks its connection
	noiseOut       string
	noiseErr       string
	latency        time.Duration
	stalled        chan struct{} // not nil while stalled, closed at the end of it
	noSFTP, noExec bool
}

// RefuseAuth makes the server refuse every key and password.
func (s *Server) RefuseAuth(on bool) { s.faults.with(func(f *faults) { f.refuseAuth = on }) }

// Busy turns the next n connections away before the banner, as sshd does
// above MaxStartups.
func (s *Server) Busy(n int) { s.faults.with(func(f *faults) { f.startups = n }) }

// DropAfter breaks the next connection after the server has sent n bytes.
func (s *Server) DropAfter(n int) { s.faults.with(func(f *faults) { f.dropAfter = n }) }

// DropAtCommand breaks the connection of the k-th command from now, 1 is the
// next one, right after the command was started.
func (s *Server) DropAtCommand(k int) { s.faults.with(func(f *faults) { f.dropAtCommand = k }) }

// Noise is what the login shell prints before every command.
func (s *Server) Noise(stdout, stderr string) {
	s.faults.with(func(f *faults) { f.noiseOut, f.noiseErr = stdout, stderr })
}

// Slow delays everything the server sends by d, packet by packet.
func (s *Server) Slow(d time.Duration) { s.faults.with(func(f *faults) { f.latency = d }) }

// NoSFTP makes the server refuse the SFTP subsystem.
func (s *Server) NoSFTP(on bool) { s.faults.with(func(f *faults) { f.noSFTP = on }) }

// NoExec makes the server refuse to run commands.
func (s *Server) NoExec(on bool) { s.faults.with(func(f *faults) { f.noExec = on }) }

// Stall makes the server send nothing more, on all its connections, until it
// is switched off.
func (s *Server) Stall(on bool) {
	s.faults.with(func(f *faults) {
		switch {
		case on && f.stalled == nil:
			f.stalled = make(chan struct{})
		case !on && f.stalled != nil:
			close(f.stalled)
			f.stalled = nil
		}
	})
}

func (f *faults) with(fn func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f)
}

func (f *faults) refusesAuth() (yes bool) {
	f.with(func(f *faults) { yes = f.refuseAuth })
	return yes
}

func (f *faults) busy() (yes bool) {
	f.with(func(f *faults) {
		if yes = f.startups > 0; yes {
			f.startups--
		}
	})
	return yes
}

// dropsNow counts a command and says whether it is the one to break.
func (f *faults) dropsNow() (yes bool) {
	f.with(func(f *faults) {
		if f.dropAtCommand > 0 {
			f.dropAtCommand--
			yes = f.dropAtCommand == 0
		}
	})
	return yes
}

// wrap gives a new connection the faults of its writes.
func (f *faults) wrap(c net.Conn) net.Conn {
	fc := &faultyConn{Conn: c, f: f, closed: make(chan struct{})}
	f.with(func(f *faults) { fc.left, f.dropAfter = f.dropAfter, 0 })
	fc.limited = fc.left > 0
	return fc
}

type faultyConn struct {
	net.Conn
	f       *faults
	limited bool
	left    int
	once    sync.Once
	closed  chan struct{}
}

func (c *faultyConn) Write(p []byte) (int, error) {
	var latency time.Duration
	var stalled chan struct{}
	c.f.with(func(f *faults) { latency, stalled = f.latency, f.stalled })
	if stalled != nil {
		select {
		case <-stalled:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	if !c.limited {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:min(len(p), c.left)])
	c.left -= n
	if err == nil && c.left == 0 {
		_ = c.Close()
		return n, net.ErrClosed
	}
	return n, err
}

func (c *faultyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
