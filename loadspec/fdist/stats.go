package fdist

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// SessionInfo is one session at a moment: what a statement reads or writes.
type SessionInfo struct {
	ID       int64
	Write    bool
	Path     string
	XID      string
	CID      string
	SN       string
	Database string // of reads only
	User     string // of reads only
	Session  string // of reads only
	Segments int    // primaries in the cluster
	Attached int    // requests under way
	Bytes    int64  // of rows, uncompressed
	Blocks   int64  // of reads: blocks sent; of writes: bodies taken
	Rate     float64
	Started  time.Time
	Last     time.Time // of the last bytes
	Done     int64     // stored bytes read, of inputs that tell
	Total    int64     // stored bytes there are, of inputs that tell; 0 unknown
	Ended    bool
	Error    string
}

// Progress is implemented by Blocks that know how far they are, in bytes as
// stored. It is asked from any goroutine.
type Progress interface {
	Progress() (done, total int64)
}

// Sessions is a snapshot of all sessions that are not over, and of those over
// that are still remembered.
func (s *Server) Sessions() []SessionInfo {
	return append(s.reads.infos(), s.writes.infos()...)
}

// meter counts a session's bytes and knows their rate.
type meter struct {
	bytes  atomic.Int64
	blocks atomic.Int64
	last   atomic.Int64 // Unix nanoseconds

	mu     sync.Mutex
	rate   float64
	since  time.Time // of the first tick
	before int64
	at     time.Time
}

func (m *meter) add(bytes, blocks int64) {
	m.bytes.Add(bytes)
	m.blocks.Add(blocks)
}

// meterSpan is the time over which a rate is evened out.
const meterSpan = 3 * time.Second

// tick brings the rate up to date; it is called about every second.
func (m *meter) tick(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.bytes.Load()
	if n != m.before {
		m.last.Store(now.UnixNano())
	}
	if passed := now.Sub(m.at); !m.at.IsZero() && passed > 0 {
		keep := math.Exp(-passed.Seconds() / meterSpan.Seconds())
		m.rate = m.rate*keep + float64(n-m.before)/passed.Seconds()*(1-keep)
	}
	if m.since.IsZero() {
		m.since = now
	}
	m.before, m.at = n, now
}

func (m *meter) fill(i *SessionInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i.Bytes, i.Blocks, i.Rate = m.bytes.Load(), m.blocks.Load(), m.rate
	// In its first seconds the average is of a time that has not passed yet.
	if age := m.at.Sub(m.since); age > 0 {
		i.Rate /= 1 - math.Exp(-age.Seconds()/meterSpan.Seconds())
	}
	if last := m.last.Load(); last > 0 {
		i.Last = time.Unix(0, last)
	}
}

// info is what a request says about its session.
func (r *Request) info() SessionInfo {
	return SessionInfo{
		Write: r.Method == "POST", Path: r.Path, XID: r.XID, CID: r.CID, SN: r.SN,
		Database: r.Database, User: r.User, Session: r.Session, Segments: r.Segments,
	}
}
