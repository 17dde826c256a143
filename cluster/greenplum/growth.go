package greenplum

import (
	"context"
	"sync"
	"time"

	"cw/cluster"
	"cw/fault"
)

// growth is what a run knows while it adds or takes out segments. None of it
// outlives the run: what was copied from the coordinator is of use only as long
// as the lock that was held before the copy has not been let go.
type growth struct {
	mu     sync.Mutex
	hold   *hold
	dbids  map[int]int     // by node id, chosen under the lock
	done   map[string]bool // steps that were done under the lock
	at     time.Time       // of the last look at the catalogue
	joined bool            // the new segments are in the catalogue
}

// current is the session that holds the catalogue lock, nil when there is none.
func (g *growth) current() *hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold != nil && !g.hold.alive() {
		g.hold = nil
	}
	return g.hold
}

// take begins anew under a lock.
func (g *growth) take(h *hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold, g.done, g.dbids = h, map[string]bool{}, map[int]int{}
}

// letGo ends the session, and what is known of the catalogue with it.
func (g *growth) letGo(h *hold) {
	h.release()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold, g.at = nil, time.Time{}
}

func (g *growth) note(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done[id] = true
}

// noted says whether a step was done under the lock that is held.
func (g *growth) noted(id string) bool {
	if g.current() == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.done[id]
}

// dbid is the number that a new node will have in the catalogue.
func (g *growth) dbid(n cluster.Node) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dbids[n.ID]
}

// number chooses the dbids of new nodes: their own numbers where those are
// free, which they are unless the standby was made anew, else higher ones.
func (g *growth) number(c catalog, nodes []cluster.Node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken, last := map[int]bool{}, 0
	for _, r := range c {
		taken[r.DBID], last = true, max(last, r.DBID)
	}
	for _, n := range nodes {
		last = max(last, n.ID)
	}
	for _, n := range nodes {
		if isCoordinator(n) {
			continue // the standby's own function numbers it
		}
		id := n.ID
		if taken[id] {
			last++
			id = last
		}
		taken[id], g.dbids[n.ID] = true, id
	}
}

// joined says whether new segments are in the catalogue. They get there in one
// transaction, and while the lock is held only this run can enter them.
func (e *Engine) joined(ctx context.Context, nodes []cluster.Node) (bool, error) {
	g := &e.growth
	if g.current() != nil {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.joined || time.Since(g.at) < sightLifetime {
		return g.joined, nil
	}
	c, err := e.catalog(ctx)
	if err != nil {
		return false, err
	}
	count := 0
	for _, n := range nodes {
		if _, known := c.of(n); known {
			count++
		}
	}
	if count > 0 && count < len(nodes) { // what is in must never be made anew
		return false, fault.New(fault.Failed, "cw cluster recover "+e.top.Name, "%d of %d new segments are in the catalogue: somebody else has changed it", count, len(nodes))
	}
	g.joined, g.at = count == len(nodes), time.Now()
	return g.joined, nil
}
