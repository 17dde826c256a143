package alert

import (
	"context"
	"maps"
	"slices"
	"time"

	"cw/state"
)

const (
	// overlap is how much of what was read before is read again: on a shared
	// store a change may become visible after a later one.
	overlap = time.Minute
	// fullEvery is when everything is read again.
	fullEvery = 10 * time.Minute
)

// looker reads the store, and remembers what it need not read again: a look is
// made every second, and a day may hold thousands of alerts.
type looker struct {
	d      *Dispatcher
	alerts map[string]state.Alert
	told   ledger
	read   time.Time // until when; zero: nothing yet
	full   time.Time // when everything was read
}

// look says what is to be told.
func (l *looker) look(ctx context.Context) (map[string][]batch, error) {
	st := l.d.o.Store
	if len(l.d.o.Config.Receivers) == 0 {
		return nil, nil
	}
	now, err := st.Now(ctx)
	if err != nil {
		return nil, err
	}
	full := now.Sub(l.full) >= fullEvery || now.Before(l.read)
	since := l.read.Add(-overlap)
	if full {
		since = now.Add(-horizon)
	}
	found, err := st.Alerts(ctx, state.AlertFilter{Since: since}) // all that fire are among them
	if err != nil {
		return nil, err
	}
	silences, err := st.Silences(ctx)
	if err != nil {
		return nil, err
	}
	if full {
		since = now
		for _, a := range found { // what is told of an alert is never older than it
			if a.FiredAt.Before(since) {
				since = a.FiredAt
			}
		}
	}
	deliveries, err := st.Deliveries(ctx, since) // after the alerts
	if err != nil {
		return nil, err
	}
	if full {
		l.alerts, l.told, l.full = map[string]state.Alert{}, ledger{}, now
	}
	l.read = now
	l.merge(found, now)
	l.told.add(deliveries)
	maps.DeleteFunc(l.alerts, func(_ string, a state.Alert) bool { return l.settled(a, now) })
	l.told.keep(l.alerts)
	return scene{now: now, config: l.d.o.Config, alerts: slices.Collect(maps.Values(l.alerts)), silences: silences, told: l.told}.plan(), nil
}

// merge takes up the alerts that were read.
func (l *looker) merge(found []state.Alert, now time.Time) {
	firing := map[string]bool{}
	for _, a := range found {
		if a.ResolvedAt.IsZero() {
			firing[a.ID] = true
		}
		if old, known := l.alerts[a.ID]; known && old.UpdatedAt.Equal(a.UpdatedAt) && old.ResolvedAt.Equal(a.ResolvedAt) && old.Message == a.Message {
			continue // and need not be redacted again
		}
		a.Message, a.Remedy = l.d.o.Redact(a.Message), l.d.o.Redact(a.Remedy)
		l.alerts[a.ID] = a
	}
	maps.DeleteFunc(l.alerts, func(id string, a state.Alert) bool { // those that the store dropped, too
		return a.ResolvedAt.IsZero() && !firing[id] || !a.ResolvedAt.IsZero() && now.Sub(a.ResolvedAt) > horizon
	})
}

// settled tells whether nothing is to be told of an alert any more.
func (l *looker) settled(a state.Alert, now time.Time) bool {
	if a.ResolvedAt.IsZero() || now.Sub(a.ResolvedAt) < 2*overlap {
		return false
	}
	for _, r := range l.d.o.Config.Receivers {
		if h := l.told.history(r.Name, a.ID); h.pending || r.Resolved && h.told && !h.ended {
			return false
		}
	}
	return true
}
