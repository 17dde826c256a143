package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cw/monitor"
	"cw/monitor/metrics"
	"cw/monitor/probe"
	"cw/state"
	"cw/tui/source"
)

const (
	judgeEvery   = 500 * time.Millisecond
	clusterEvery = 3 * time.Second
	firingEvery  = 5 * time.Second
	jobEvery     = 5 * time.Second
	jobsKept     = 24 * time.Hour
	pruneEvery   = time.Hour
	pruneFirst   = time.Minute
	storeLimit   = 8 * time.Second // for one word with the store
)

// leader is the monitor that acts.
type leader struct {
	o    Options
	name string
	ctx  context.Context // of the lease; all that is begun ends with it
	wg   sync.WaitGroup
	ask  chan struct{} // places for inspections: not all clusters at once
	now  func() time.Time

	act     sync.Mutex // tracker and store go together
	tracker *monitor.Tracker

	mu       sync.Mutex
	watched  map[string]*watched
	records  map[string]string // the states of all clusters; nil before they are known
	firing   []state.Alert
	jobs     []state.Job
	lookedAt time.Time
	failing  map[string]string // what the store is asked for, and why it fails
}

func newLeader(ctx context.Context, o Options, name string) *leader {
	return &leader{ctx: ctx, o: o, name: name, ask: make(chan struct{}, 4), now: time.Now, tracker: monitor.NewTracker(o.Config.Rule), watched: map[string]*watched{}, failing: map[string]string{}}
}

// run leads until the lease ends, and leaves nothing running.
func (l *leader) run() {
	ctx := l.ctx
	defer l.wg.Wait()
	jobs, err := l.takeOver(ctx)
	for err != nil {
		l.o.Log.Warn("what fires is not known yet", "error", err)
		if !sleep(ctx, time.Second) {
			return
		}
		jobs, err = l.takeOver(ctx)
	}
	if l.o.Notify != nil {
		l.wg.Go(func() { l.o.Notify(ctx) })
	}
	l.every(ctx, "clusters", clusterEvery, l.clusters)
	l.every(ctx, "alerts", firingEvery, l.readFiring)
	l.every(ctx, "members", beatEvery, l.beat)
	l.every(ctx, "jobs", jobEvery, func(ctx context.Context) error { return l.readJobs(ctx, jobs) })
	l.wg.Go(func() { l.prune(ctx) })
	tick := time.NewTicker(judgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.judge(ctx)
		}
	}
}

// every does something now and then again. What fails is tried again the next
// time, and said once.
func (l *leader) every(ctx context.Context, what string, d time.Duration, do func(ctx context.Context) error) {
	l.wg.Go(func() {
		for {
			limited, cancel := context.WithTimeout(ctx, storeLimit)
			err := do(limited)
			cancel()
			if ctx.Err() != nil {
				return
			}
			l.note(what, err)
			if !sleep(ctx, d) {
				return
			}
		}
	})
}

// note keeps whether the store can be used for something, and says it when it
// cannot any more.
func (l *leader) note(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	l.mu.Lock()
	was := l.failing[what]
	if l.failing[what] = text; text == "" {
		delete(l.failing, what)
	}
	l.mu.Unlock()
	if text != "" && text != was {
		l.o.Log.Warn("the store does not work", "for", what, "error", err)
	}
}

// takeOver learns what fires already, and says that this monitor acts. Jobs
// that fail are news from when on the one before was seen last.
func (l *leader) takeOver(ctx context.Context) (*probe.Jobs, error) {
	limited, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	firing, err := l.o.Store.Alerts(limited, state.AlertFilter{Firing: true})
	if err != nil {
		return nil, err
	}
	since := time.Now()
	others, err := l.o.Store.Members(limited, state.MemberMonitor)
	if err != nil {
		return nil, err
	}
	for _, m := range others {
		if m.Name != l.name && m.State == Leading && m.SeenAt.Before(since) {
			since = m.SeenAt
		}
	}
	ends, err := l.o.Store.Events(limited, state.EventFilter{Kinds: []string{state.EventMonitorStopped}, Since: since.Add(-time.Hour), Limit: 1})
	if err != nil {
		return nil, err
	}
	for _, e := range ends {
		if e.At.Before(since) {
			since = e.At
		}
	}
	l.act.Lock()
	l.tracker.Load(firing)
	l.act.Unlock()
	l.mu.Lock()
	l.firing = firing
	l.mu.Unlock()
	known := map[string]bool{}
	for _, a := range firing {
		if a.Rule == monitor.LoadFailed {
			known[a.Job] = true
		}
	}
	return &probe.Jobs{Since: since, Known: known}, l.o.Store.AddEvent(limited, state.Event{
		Kind: state.EventMonitorActs, Message: fmt.Sprintf("monitor %s acts; %d alerts fire", l.name, len(firing)), Data: map[string]any{"by": l.o.Store.Who()},
	})
}

// judge decides about what was seen last of all clusters.
func (l *leader) judge(ctx context.Context) {
	now := l.now()
	for _, w := range l.all() {
		s := w.snapshot()
		found, blind := probe.Snapshot(s, l.o.Config.Rule, l.o.Config.Interval, now)
		l.observe(ctx, w, monitor.Look{Cluster: w.name, Rules: probe.SnapshotRules(), Every: 2 * time.Second, Found: found, Blind: blind})
		if s != nil {
			l.mu.Lock()
			l.lookedAt = now
			l.mu.Unlock()
		}
	}
}

// all are the watched clusters.
func (l *leader) all() []*watched {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*watched, 0, len(l.watched))
	for _, w := range l.watched {
		out = append(out, w)
	}
	return out
}

func (l *leader) readJobs(ctx context.Context, jobs *probe.Jobs) error {
	now := time.Now()
	all, err := l.o.Store.RecentJobs(ctx, now.Add(-jobsKept))
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.jobs = all
	l.mu.Unlock()
	found, blind := jobs.Look(all, l.o.Config.Rule, now)
	l.observe(ctx, nil, monitor.Look{Rules: probe.JobRules(), Every: 2 * jobEvery, Found: found, Blind: blind})
	return nil
}

// prune drops what is older than it has to be kept.
func (l *leader) prune(ctx context.Context) {
	k := l.o.Config.Keep
	for wait := pruneFirst; sleep(ctx, wait); wait = pruneEvery {
		n, err := l.o.Store.Prune(ctx, state.Retention{Events: k.Events, Alerts: k.Alerts, Samples: k.Samples, Jobs: k.Jobs, Audit: k.Audit})
		if err != nil && ctx.Err() == nil {
			l.o.Log.Warn("what is old was not dropped from the store", "error", err)
		} else if n > 0 {
			l.o.Log.Info("dropped what is old from the store", "rows", n)
		}
	}
}

// view fills in what is known.
func (l *leader) view(v *metrics.View) {
	var shots []*source.Snapshot
	for _, w := range l.all() {
		if s := w.snapshot(); s != nil {
			shots = append(shots, s)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v.LookedAt, v.Jobs, v.Alerts, v.Clusters = l.lookedAt, l.jobs, l.firing, shots
	for _, what := range slices.Sorted(maps.Keys(l.failing)) {
		if v.StoreErr == "" {
			v.StoreErr = l.failing[what]
		}
	}
	if len(l.watched) == 0 && l.records != nil {
		v.LookedAt = time.Now() // there is nothing to look at
	}
}

// sleep waits; false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
