package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"cw/monitor"
	"cw/state"
)

const (
	// giveUp is how old a notice becomes that cannot be delivered.
	giveUp = 24 * time.Hour
	// horizon is how long ago an alert may have ended of which something is
	// still to be told.
	horizon = 2 * giveUp
	// lateFrom is from when on a notice says how late it is.
	lateFrom = time.Minute
	// batchMost is how many alerts one message tells.
	batchMost = 200
	never     = 100 * 365 * 24 * time.Hour
)

// batch is alerts that a receiver is told in one message.
type batch struct {
	receiver monitor.Receiver
	reason   string
	group    map[string]string
	notices  []string // one of each alert
	alerts   []state.Alert
	due      time.Time // since when it should be told
	tries    int       // that were made; 0 nobody was at it yet
	stale    bool      // somebody was at it and did not finish
	problem  string    // of the last try
}

// scene is everything that what is to be told depends on.
type scene struct {
	now      time.Time
	config   monitor.Config
	alerts   []state.Alert
	silences []state.Silence
	told     ledger
}

// plan says what is to be told now, by receiver, the oldest first.
func (s scene) plan() map[string][]batch {
	byID := map[string]state.Alert{}
	for _, a := range s.alerts {
		byID[a.ID] = a
	}
	out := map[string][]batch{}
	for _, r := range s.config.Receivers {
		list := append(s.again(r, byID), s.fresh(r)...)
		slices.SortStableFunc(list, func(a, b batch) int { return a.due.Compare(b.due) })
		if len(list) > 0 {
			out[r.Name] = list
		}
	}
	return out
}

// route is the first route that brings an alert to a receiver.
func (s scene) route(r monitor.Receiver, a state.Alert) (int, bool) {
	for i, rt := range s.config.Routes {
		if slices.Contains(rt.Receivers, r.Name) && (len(rt.Severities) == 0 || slices.Contains(rt.Severities, a.Severity)) &&
			fits(rt.Clusters, a.Cluster) && fits(rt.Rules, a.Rule) {
			return i, true
		}
	}
	return -1, false
}

// fits tells whether one of the patterns matches; none are all.
func fits(patterns []string, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}

// Silenced tells whether one of the silences is about an alert.
func Silenced(silences []state.Silence, a state.Alert, now time.Time) bool {
	one := func(pattern, name string) bool { return pattern == "" || fits([]string{pattern}, name) }
	return slices.ContainsFunc(silences, func(q state.Silence) bool {
		return q.Until.After(now) && one(q.Cluster, a.Cluster) && one(q.Host, a.Host) && one(q.Rule, a.Rule)
	})
}

// item is one thing to tell of one alert.
type item struct {
	notice, reason string
	alert          state.Alert
	due            time.Time
	wait           time.Duration
	route          int
}

// item says what a receiver is to be told of an alert that nobody was at yet.
// The end is told to those who know of the beginning, also while it is
// silenced: what was opened is to be closed. An alert that is over before it
// was told is not told at all.
func (s scene) item(r monitor.Receiver, a state.Alert) (item, bool) {
	h := s.told.history(r.Name, a.ID)
	if h.pending {
		return item{}, false // one after the other
	}
	i, routed := s.route(r, a)
	it := item{alert: a, route: i}
	repeat := time.Duration(0)
	if routed {
		it.wait, repeat = s.config.Routes[i].GroupWait, s.config.Routes[i].Repeat
	}
	if !a.ResolvedAt.IsZero() {
		it.notice, it.reason, it.due = endName(a), monitor.ReasonResolved, a.ResolvedAt
		return it, r.Resolved && h.told && !h.ended && s.now.Sub(a.ResolvedAt) < giveUp
	}
	if !routed && !h.told || Silenced(s.silences, a, s.now) {
		return item{}, false
	}
	if _, known := s.told[r.Name][a.ID][stateName(a)]; !known {
		it.notice, it.reason, it.due = stateName(a), monitor.ReasonFired, a.FiredAt
		if h.states > 0 {
			it.reason, it.due = monitor.ReasonChanged, a.UpdatedAt
		}
		return it, true
	}
	it.notice, it.reason, it.due, it.wait = repeatName(a, h.repeats+1), monitor.ReasonRepeat, h.last.Add(repeat), 0
	return it, routed && repeat > 0 && !s.now.Before(it.due)
}

// fresh are the batches that nobody was at yet.
func (s scene) fresh(r monitor.Receiver) []batch {
	groups := map[string][]item{}
	for _, a := range s.alerts {
		it, ok := s.item(r, a)
		if !ok {
			continue
		}
		// What fires and what becomes worse is one message; repeats and ends
		// are others.
		_, kind := class(it.notice)
		key := fmt.Sprintf("%d\x00%s", it.route, kind)
		for _, by := range s.groupBy(it.route) {
			key += "\x00" + value(by, a)
		}
		groups[key] = append(groups[key], it)
	}
	var out []batch
	for _, items := range groups {
		slices.SortFunc(items, func(a, b item) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.notice, b.notice)) })
		if s.now.Before(items[0].due.Add(items[0].wait)) {
			continue // for others of its group
		}
		for part := range slices.Chunk(items, batchMost) {
			b := batch{receiver: r, due: part[0].due, group: map[string]string{}}
			for _, it := range part {
				b.add(it.notice, it.reason, it.alert)
			}
			for _, by := range s.groupBy(part[0].route) {
				b.group[by] = value(by, part[0].alert)
			}
			out = append(out, b)
		}
	}
	return out
}

func (b *batch) add(notice, reason string, a state.Alert) {
	b.notices, b.alerts = append(b.notices, notice), append(b.alerts, a)
	if b.reason == "" || reason == monitor.ReasonFired {
		b.reason = reason
	}
}

func (s scene) groupBy(route int) []string {
	if route < 0 {
		return []string{"cluster"}
	}
	return s.config.Routes[route].GroupBy
}

func value(by string, a state.Alert) string {
	switch by {
	case "cluster":
		return a.Cluster
	case "rule":
		return a.Rule
	case "host":
		return a.Host
	case "severity":
		return a.Severity
	}
	return a.ID
}

// backoff is how long after the nth failed try the next is made.
func backoff(tries int) time.Duration {
	return min(time.Minute, time.Second<<min(max(tries, 1), 10))
}

// messageID is the name of a message to a receiver: the same whoever sends it.
func messageID(receiver string, notices []string) string {
	sum := sha256.Sum256([]byte(receiver + "\x00" + strings.Join(slices.Sorted(slices.Values(notices)), "\x00")))
	return "cw-" + hex.EncodeToString(sum[:16])
}
