package fdist

import (
	"context"
	"strconv"
	"sync"
	"time"
)

// maxTombstones bounds how many ended sessions are remembered, whatever their
// age: a key is at most 1 KiB, mostly 100 bytes.
const maxTombstones = 16 << 10

// readSessions are the read sessions by key. An ended one stays as a
// tombstone: a segment that comes late must not begin from the start.
type readSessions struct {
	mu    sync.Mutex
	byKey map[string]*readSession
	ended []*readSession // in the order of their end
}

func (t *readSessions) init() { t.byKey = map[string]*readSession{} }

// join finds the request's session, or makes one. Whoever made it has to open
// it.
func (t *readSessions) join(s *Server, r *Request) (rs *readSession, mine bool) {
	key := r.key()
	if r.tid() == "" {
		key = "auto-tid." + strconv.FormatInt(s.nextAuto.Add(1), 10) + key
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if rs := t.byKey[key]; rs != nil {
		return rs, false
	}
	rs = newReadSession(s, key, r)
	t.byKey[key] = rs
	return rs, true
}

func (t *readSessions) remove(rs *readSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[rs.key] == rs {
		delete(t.byKey, rs.key)
	}
}

// bury notes that a session is over. One that nobody can join any more is
// forgotten.
func (t *readSessions) bury(rs *readSession) {
	if rs.request.tid() == "" {
		t.remove(rs)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = append(t.ended, rs)
	for len(t.ended) > maxTombstones {
		t.forgetOldest()
	}
}

func (t *readSessions) forgetOldest() {
	delete(t.byKey, t.ended[0].key)
	t.ended[0] = nil
	t.ended = t.ended[1:]
}

func (t *readSessions) sweep(now time.Time, keep time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.ended) > 0 && now.Sub(t.ended[0].endedAt()) > keep {
		t.forgetOldest()
	}
	for _, rs := range t.byKey {
		rs.meter.tick(now)
	}
}

// live tells whether the statement of a request reads the request's path at
// this moment.
func (t *readSessions) live(r *Request) bool {
	if r.XID == "" {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, rs := range t.byKey {
		q := rs.request
		if q.XID == r.XID && q.CID == r.CID && q.Path == r.Path && rs.endedAt().IsZero() {
			return true
		}
	}
	return false
}

func (t *readSessions) infos() []SessionInfo {
	t.mu.Lock()
	all := make([]*readSession, 0, len(t.byKey))
	for _, rs := range t.byKey {
		all = append(all, rs)
	}
	t.mu.Unlock()
	infos := make([]SessionInfo, 0, len(all))
	for _, rs := range all {
		infos = append(infos, rs.info())
	}
	return infos
}

func (t *readSessions) closeAll() {
	t.mu.Lock()
	var all []*readSession
	for _, rs := range t.byKey {
		all = append(all, rs)
	}
	t.mu.Unlock()
	for _, rs := range all {
		rs.end(context.Canceled)
	}
}
