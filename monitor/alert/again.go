package alert

import (
	"cmp"
	"slices"
	"time"

	"cw/monitor"
	"cw/state"
)

// again are the batches that were tried, or that somebody who is gone had
// begun with: what was one message is one again, under the same name.
func (s scene) again(r monitor.Receiver, byID map[string]state.Alert) []batch {
	type key struct {
		state, kind string
		at          int64
		tries       int
	}
	found := map[key][]state.Delivery{}
	for id, of := range s.told[r.Name] {
		if _, ok := byID[id]; !ok {
			continue
		}
		for _, d := range of {
			_, kind := class(d.Notice)
			wait := backoff(d.Tries)
			if d.State == state.Sending {
				wait = timeout(r) + spareTime
			}
			if (d.State == state.Sending || d.State == state.TryLater) && !s.now.Before(d.At.Add(wait)) {
				k := key{d.State, kind, d.At.UnixMicro(), d.Tries}
				found[k] = append(found[k], d)
			}
		}
	}
	var out []batch
	for k, list := range found {
		slices.SortFunc(list, func(a, b state.Delivery) int { return cmp.Compare(a.Notice, b.Notice) })
		b := batch{receiver: r, tries: k.tries, stale: k.state == state.Sending, problem: list[0].Error}
		quiet := true
		for _, d := range list {
			id, kind := class(d.Notice)
			a := byID[id]
			b.add(d.Notice, s.reasonOf(r, d.Notice, kind, a), a)
			if due := s.dueOf(r, d.Notice, kind, a); b.due.IsZero() || due.Before(b.due) {
				b.due = due
			}
			quiet = quiet && kind != nameEnd && a.ResolvedAt.IsZero() && Silenced(s.silences, a, s.now)
		}
		if quiet && s.now.Sub(b.due) < giveUp {
			continue
		}
		b.group = s.common(r, b.alerts)
		out = append(out, b)
	}
	return out
}

// reasonOf finds out again why something was told.
func (s scene) reasonOf(r monitor.Receiver, notice, kind string, a state.Alert) string {
	switch kind {
	case nameRepeat:
		return monitor.ReasonRepeat
	case nameEnd:
		return monitor.ReasonResolved
	}
	for other := range s.told[r.Name][a.ID] {
		// Of one length, since they are times of our days: in order of text.
		if _, k := class(other); k == nameState && other < notice {
			return monitor.ReasonChanged
		}
	}
	return monitor.ReasonFired
}

// dueOf is since when something should be told.
func (s scene) dueOf(r monitor.Receiver, notice, kind string, a state.Alert) time.Time {
	switch {
	case kind == nameEnd:
		return a.ResolvedAt
	case kind == nameRepeat:
		// The one before is the last that is over.
		h := s.told.history(r.Name, a.ID)
		if i, ok := s.route(r, a); ok && !h.last.IsZero() {
			return h.last.Add(s.config.Routes[i].Repeat)
		}
		return s.told[r.Name][a.ID][notice].At
	case s.reasonOf(r, notice, kind, a) == monitor.ReasonChanged:
		return a.UpdatedAt
	}
	return a.FiredAt
}

// common is what alerts of a message have in common, in the words of the route
// that brought them.
func (s scene) common(r monitor.Receiver, alerts []state.Alert) map[string]string {
	i, _ := s.route(r, alerts[0])
	out := map[string]string{}
	for _, by := range s.groupBy(i) {
		v := value(by, alerts[0])
		if !slices.ContainsFunc(alerts, func(a state.Alert) bool { return value(by, a) != v }) {
			out[by] = v
		}
	}
	return out
}
