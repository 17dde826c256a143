package source

import (
	"context"
	"slices"
	"time"

	"cw/state"
)

const (
	storeTick     = time.Second
	loadsKept     = 24 * time.Hour // how long a load that ended is shown
	eventsKept    = 1000
	eventsFirst   = 500
	eventsOverlap = 32 // ids that are read again: on a shared store one may become visible after a later one
	historyKept   = 3600
)

// storeView is what the store collector remembers between looks.
type storeView struct {
	rates  map[string][]float64 // of loads, by id
	events []Event              // of the store, oldest first
	seen   map[int64]bool       // ids among the newest events
	last   int64
}

// collectStore reads loads and events every second.
func (l *Live) collectStore(ctx context.Context) {
	v := &storeView{rates: map[string][]float64{}, seen: map[int64]bool{}}
	for first := true; ; first = false {
		l.readLoads(ctx, v)
		l.readEvents(ctx, v)
		if first {
			close(l.first)
		}
		if !l.store.wait(ctx, storeTick) {
			return
		}
	}
}

func (l *Live) readLoads(ctx context.Context, v *storeView) {
	now := time.Now()
	jobs, err := l.o.Store.RecentJobs(ctx, now.Add(-loadsKept))
	if err != nil {
		if !ended(ctx, err) {
			l.update(func(s *Snapshot) { s.Loads.Err = reason(err) })
		}
		return
	}
	items := make([]Load, 0, len(jobs))
	rates := make(map[string][]float64, len(jobs))
	for _, j := range jobs {
		h := v.rates[j.ID]
		if j.Active() {
			h = appendBounded(h, float64(j.Rate))
		}
		rates[j.ID] = h
		items = append(items, loadOf(j, h))
	}
	v.rates = rates
	l.update(func(s *Snapshot) { s.Loads = Loads{Section: Section{CollectedAt: now}, Items: items} })
}

// loadOf is a job as the dashboard shows it. Of one that runs the limit is the
// one it keeps, of others the one it would be given.
func loadOf(j state.Job, rates []float64) Load {
	l := Load{
		ID: j.ID, Kind: j.Kind, Spec: j.SpecFile, Target: j.Target, State: j.State, Phase: j.Phase,
		Bytes: j.Bytes, BytesTotal: j.BytesTotal, Rows: j.Rows, Rejected: j.Rejected, Rate: j.Rate, Limit: j.WantLimit, ETA: j.ETASeconds,
		StartedAt: j.StartedAt, FinishedAt: j.FinishedAt, Error: j.Error, RateHist: rates,
	}
	if j.State == state.Running || j.State == state.Paused || j.State == state.Watching {
		l.Limit = j.Limit
	}
	return l
}

func (l *Live) readEvents(ctx context.Context, v *storeView) {
	f := state.EventFilter{Limit: eventsFirst}
	if v.last > 0 {
		f = state.EventFilter{AfterID: max(v.last-eventsOverlap, 0)}
	}
	now := time.Now()
	read, err := l.o.Store.Events(ctx, f)
	if err != nil {
		if !ended(ctx, err) {
			l.update(func(s *Snapshot) { s.Events.Err = reason(err) })
		}
		return
	}
	fresh := false
	for _, e := range read {
		if v.seen[e.ID] {
			continue
		}
		v.seen[e.ID] = true
		v.last = max(v.last, e.ID)
		if e.Cluster == "" || l.o.Cluster == "" || e.Cluster == l.o.Cluster {
			v.events, fresh = append(v.events, eventOf(e)), true
		}
	}
	for id := range v.seen {
		if id < v.last-2*eventsOverlap {
			delete(v.seen, id)
		}
	}
	if len(v.events) > eventsKept {
		v.events = slices.Clone(v.events[len(v.events)-eventsKept:])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if fresh || l.draft.Events.CollectedAt.IsZero() || l.draft.Events.Err != "" {
		l.watch.events = slices.Clone(v.events)
		l.draft.Events.Items, l.dirty = mergeEvents(l.watch.events, l.watch.history), true
	}
	l.draft.Events.Section = Section{CollectedAt: now}
}

func eventOf(e state.Event) Event {
	return Event{ID: e.ID, At: e.At, Kind: e.Kind, Severity: e.Severity, Cluster: e.Cluster, Job: e.Job, Host: e.Host, Message: e.Message}
}

// mergeEvents puts the store's events and the database's own history into one
// order of time; those of one moment stay in theirs.
func mergeEvents(events, history []Event) []Event {
	all := append(slices.Clone(history), events...)
	slices.SortStableFunc(all, func(a, b Event) int { return a.At.Compare(b.At) })
	if len(all) > eventsKept {
		all = all[len(all)-eventsKept:]
	}
	return all
}

// appendBounded adds to a history that snapshots share: they see only what was
// there when they were made, so that nothing need be copied.
func appendBounded(h []float64, v float64) []float64 {
	if len(h) >= historyKept {
		h = h[len(h)-historyKept+1:]
	}
	return append(h, v)
}
