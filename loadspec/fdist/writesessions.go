package fdist

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// writeSessions are the statements that write, by key, and what became of
// those that did: a segment may ask again because it has not heard the answer.
type writeSessions struct {
	mu    sync.Mutex
	byKey map[string]*writeSession
	dead  map[string]*tombstone
	order []*tombstone // in the order of their end
}

// tombstone is a session that is over.
type tombstone struct {
	key string
	at  time.Time
	err error // nil: it was published
}

// rememberer is implemented by Outputs that know what an earlier server, which
// was killed, has published.
type rememberer interface{ Published(key string) bool }

func (w *writeSessions) init() {
	w.byKey, w.dead = map[string]*writeSession{}, map[string]*tombstone{}
}

// join finds the request's session and counts the request in, or makes the
// session. A request that cannot begin one gets nil, and what is known of an
// earlier one.
func (w *writeSessions) join(ctx context.Context, s *Server, r *Request) (*writeSession, *tombstone) {
	key := r.key()
	if r.tid() == "" {
		key = "auto-tid." + strconv.FormatInt(s.nextAuto.Add(1), 10) + key
	}
	for {
		w.mu.Lock()
		ws := w.byKey[key]
		switch {
		case ws != nil && ws.enter(r):
			w.mu.Unlock()
			return ws, nil
		case ws != nil: // ending: its end decides
			w.mu.Unlock()
			select {
			case <-ws.ended:
			case <-ws.opened:
				if ws.openErr == nil {
					select {
					case <-ws.ended:
					case <-ctx.Done():
						return nil, nil
					}
				}
			case <-ctx.Done():
				return nil, nil
			}
			continue
		}
		gone := w.dead[key]
		// Only what a segment sends first may begin a session; a session that
		// failed has failed the statement.
		if r.Done || r.Seq > 1 || gone != nil && gone.err != nil {
			w.mu.Unlock()
			if p, ok := s.o.Outputs.(rememberer); ok && gone == nil && p.Published(key) {
				gone = &tombstone{key: key}
			}
			return nil, gone
		}
		ws = newWriteSession(s, key, r)
		ws.enter(r)
		w.byKey[key] = ws
		w.mu.Unlock()
		ws.open(ctx)
		return ws, nil
	}
}

func (w *writeSessions) remove(ws *writeSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey[ws.key] == ws {
		delete(w.byKey, ws.key)
	}
}

// bury notes what became of a session.
func (w *writeSessions) bury(ws *writeSession) {
	w.remove(ws)
	if ws.request.tid() == "" {
		return
	}
	w.entomb(ws.key, ws.failed())
}

func (w *writeSessions) entomb(key string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &tombstone{key: key, at: time.Now(), err: err}
	w.dead[key] = t
	w.order = append(w.order, t)
	for len(w.order) > maxTombstones {
		w.forgetOldest()
	}
}

func (w *writeSessions) forgetOldest() {
	if t := w.order[0]; w.dead[t.key] == t {
		delete(w.dead, t.key)
	}
	w.order[0] = nil
	w.order = w.order[1:]
}

func (w *writeSessions) all() []*writeSession {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*writeSession, 0, len(w.byKey))
	for _, ws := range w.byKey {
		all = append(all, ws)
	}
	return all
}

// sweep gives up sessions that nobody has come to for long, and forgets the
// oldest of those that are over.
func (w *writeSessions) sweep(ctx context.Context, now time.Time) {
	for _, ws := range w.all() {
		ws.meter.tick(now)
		if since, limit := ws.idle(), ws.s.o.SessionIdle; limit > 0 && !since.IsZero() && now.Sub(since) > limit {
			go ws.end(context.WithoutCancel(ctx), fmt.Errorf("no segment has come for %s", limit))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.order) > 0 && now.Sub(w.order[0].at) > defaultTombstone {
		w.forgetOldest()
	}
}

var errStopping = errors.New("the server was stopped")

// closeAll gives up what is not published.
func (w *writeSessions) closeAll(ctx context.Context) {
	for _, ws := range w.all() {
		<-ws.opened
		if ws.openErr == nil {
			ws.end(context.WithoutCancel(ctx), errStopping)
			<-ws.ended
		}
	}
}

// live tells whether the statement of a request writes the request's path at
// this moment.
func (w *writeSessions) live(r *Request) bool {
	if r.XID == "" {
		return false
	}
	for _, ws := range w.all() {
		if q := ws.request; q.XID == r.XID && q.CID == r.CID && q.Path == r.Path {
			return true
		}
	}
	return false
}

func (w *writeSessions) infos() []SessionInfo {
	var infos []SessionInfo
	for _, ws := range w.all() {
		infos = append(infos, ws.info())
	}
	return infos
}
