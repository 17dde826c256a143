package fdist

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves read and write sessions on any number of listeners.
type Server struct {
	o       Options
	reads   readSessions
	writes  writeSessions
	stats   Stats
	started time.Time

	closing sync.WaitGroup // of inputs

	nextRequest atomic.Int64
	nextSession atomic.Int64
	nextAuto    atomic.Int64
}

// Stats are counts since the server's start. They may be read at any time.
type Stats struct {
	Connections atomic.Int64 // accepted
	Open        atomic.Int64 // at present
	Requests    atomic.Int64 // with a whole header
	Refused     atomic.Int64 // requests answered with an error status
	Sessions    atomic.Int64 // begun, reads and writes
	Failed      atomic.Int64 // sessions ended by an error
	SentBytes   atomic.Int64 // of rows, uncompressed
	Received    atomic.Int64 // bytes of rows written by segments
	ReadBytes   atomic.Int64 // as stored, read from Inputs that tell (see Progress); of ended sessions
	TotalBytes  atomic.Int64 // as stored, of all that was opened
	Heartbeats  atomic.Int64
}

// New makes a server; nothing happens before Serve.
func New(o Options) *Server {
	s := &Server{o: o.withDefaults(), started: time.Now()}
	s.reads.init()
	s.writes.init()
	return s
}

// Stats are the server's counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Serve accepts connections until the context ends or a listener fails. It
// returns when all connections are gone: what is under way is then cut off, and
// sessions are closed. The listeners are closed.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var conns, accepting sync.WaitGroup
	var failed atomic.Pointer[error]
	for _, l := range listeners {
		stop := context.AfterFunc(ctx, func() { _ = l.Close() })
		defer stop()
		accepting.Go(func() {
			if err := s.accept(ctx, l, &conns); err != nil {
				failed.Store(&err)
				cancel(err)
			}
		})
	}
	s.housekeeping(ctx)
	accepting.Wait()
	conns.Wait()
	s.reads.closeAll()
	s.closing.Wait()
	s.writes.closeAll(ctx)
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// accept serves one listener's connections. Running out of descriptors is no
// reason to end: it waits for some to come free.
func (s *Server) accept(ctx context.Context, l net.Listener, conns *sync.WaitGroup) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.o.Log(LevelWarn, Where{}, "accept failed: "+err.Error())
			if !sleep(ctx, 50*time.Millisecond) {
				return nil
			}
			continue
		}
		s.stats.Connections.Add(1)
		conns.Go(func() {
			s.stats.Open.Add(1)
			defer s.stats.Open.Add(-1)
			s.serveConn(ctx, nc)
		})
	}
}

// housekeeping forgets sessions that are over, now and then, until the end.
// A server that has become idle gives its memory back.
func (s *Server) housekeeping(ctx context.Context) {
	tick := time.NewTicker(housekeepingEvery)
	defer tick.Stop()
	idle, freed := 0, int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.reads.sweep(now, s.o.Tombstone)
			s.writes.sweep(ctx, now)
		}
		if idle++; s.stats.Open.Load() > 0 {
			idle = 0
		}
		if n := s.stats.Requests.Load(); idle == idleTicks && n != freed {
			debug.FreeOSMemory()
			freed = n
		}
	}
}

// idleTicks is after how many rounds without a connection a server is idle.
const idleTicks = 5

const housekeepingEvery = time.Second

// sleep tells whether the time passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
