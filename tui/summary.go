package tui

import (
	"slices"
	"time"

	"cw/tui/source"
)

// staleAfter is when a host's sample is too old to be believed.
const staleAfter = 3 * time.Second

// health is the state of a node as the screen tells it, the worst last.
type health uint8

const (
	healthOK health = iota
	healthResync
	healthSwitched
	healthUnknown
	healthDown
)

func nodeHealth(n *source.Node) health {
	switch {
	case n.State == "down", n.State == "absent", n.Mode == "detached":
		return healthDown
	case n.State != "up":
		return healthUnknown
	case n.PreferredRole != "" && n.Role != n.PreferredRole:
		return healthSwitched
	case n.Mode == "not-sync", n.Mode == "catchup":
		return healthResync
	}
	return healthOK
}

func (h health) glyph(g *glyphs) string {
	return [...]string{g.ok, g.resync, g.switched, g.unknown, g.down}[h]
}

func (h health) word() string {
	return [...]string{"up", "not in sync", "switched", "unknown", "down"}[h]
}

func (h health) style() style {
	return [...]style{stGood, stWarn, stWarn, stWarn, stBad}[h]
}

// summary is what the header and the overview say, worked out once for each
// snapshot.
type summary struct {
	up, all, down, unknown, resync, switched int
	running, paused                          int
	rate                                     int64
	waiting                                  int
	blocking                                 map[int]int // pid → how many wait for it
	segs                                     map[string]hostSegs
	matrix                                   []health // one a segment, or a node where there are no pairs
	pairs                                    bool
}

type hostSegs struct{ all, down int }

func summarise(s *source.Snapshot) *summary {
	m := &summary{segs: map[string]hostSegs{}, blocking: map[int]int{}}
	worst := map[int]health{}
	for i := range s.Nodes.Items {
		n := &s.Nodes.Items[i]
		h := nodeHealth(n)
		m.all++
		switch h {
		case healthDown:
			m.down++
		case healthUnknown:
			m.unknown++
		default:
			m.up++
		}
		if n.State == "up" && (n.Mode == "not-sync" || n.Mode == "catchup") {
			m.resync++
		}
		if n.PreferredRole != "" && n.Role != n.PreferredRole {
			m.switched++
		}
		hs := m.segs[n.Host]
		hs.all++
		if h == healthDown {
			hs.down++
		}
		m.segs[n.Host] = hs
		if n.Role == "primary" || n.Role == "mirror" {
			m.pairs = m.pairs || n.Content > 0 || n.Role == "mirror"
		}
		worst[n.Content] = max(worst[n.Content], h)
	}
	if m.pairs {
		contents := make([]int, 0, len(worst))
		for c := range worst {
			contents = append(contents, c)
		}
		slices.Sort(contents)
		for _, c := range contents {
			m.matrix = append(m.matrix, worst[c])
		}
	} else {
		for i := range s.Nodes.Items {
			m.matrix = append(m.matrix, nodeHealth(&s.Nodes.Items[i]))
		}
	}
	for i := range s.Loads.Items {
		switch l := &s.Loads.Items[i]; {
		case loadPaused(l):
			m.paused++
		case loadActive(l):
			m.running++
			m.rate += l.Rate
		}
	}
	for i := range s.Sessions.Items {
		x := &s.Sessions.Items[i]
		if len(x.BlockedBy) > 0 {
			m.waiting++
		}
		for _, p := range x.BlockedBy {
			m.blocking[p]++
		}
	}
	return m
}

func loadPaused(l *source.Load) bool { return l.State == "paused" }

// loadActive says whether there is still something to slow down or stop.
func loadActive(l *source.Load) bool {
	if !l.FinishedAt.IsZero() {
		return false
	}
	switch l.State {
	case "done", "partial", "failed", "cancelled", "interrupted":
		return false
	}
	return true
}

// stale says how old a host's sample is, when that is too old.
func stale(h *source.Host, now time.Time) (time.Duration, bool) {
	if h.SampledAt.IsZero() {
		return 0, h.Err != ""
	}
	age := now.Sub(h.SampledAt)
	return age, age > staleAfter
}
