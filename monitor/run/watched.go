package run

import (
	"context"
	"fmt"
	"path"
	"sync"
	"time"

	"cw/remote"
	"cw/state"
	"cw/tui/source"
)

// application is how the databases show who asks.
const application = "cw monitor"

// sampleEvery is how often a host tells of itself.
const sampleEvery = 2 * time.Second

// watched is a cluster that is looked at.
type watched struct {
	name   string
	engine string
	record string // topology and layout: when they change, it is looked at anew
	ctx    context.Context
	stop   context.CancelFunc

	holdUntil, holdAsk time.Time // guarded by leader.act

	// What the store was told of it and its hosts, and when all of that; beat's.
	told   map[string]string
	toldAt time.Time

	mu   sync.Mutex
	snap *source.Snapshot
}

func (w *watched) snapshot() *source.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.snap
}

func (w *watched) dropped() bool { return w.ctx.Err() != nil }

// clusters looks which clusters there are: new ones are watched, those that
// are gone, stopped or not complete are not.
func (l *leader) clusters(ctx context.Context) error {
	records, err := l.o.Store.Clusters(ctx)
	if err != nil {
		return err
	}
	states := make(map[string]string, len(records))
	want := map[string]state.Cluster{}
	for _, r := range records {
		if !l.wanted(r.Name) {
			continue
		}
		states[r.Name] = r.State
		if r.State == state.ClusterUp {
			want[r.Name] = r
		}
	}
	var gone []*watched
	l.mu.Lock()
	l.records = states
	for name, w := range l.watched {
		if r, ok := want[name]; !ok || r.Topology+r.Layout != w.record {
			gone = append(gone, w)
			delete(l.watched, name)
		}
	}
	l.mu.Unlock()
	for _, w := range gone {
		w.stop()
		if _, again := want[w.name]; !again {
			l.leave(ctx, w)
		}
	}
	for name, r := range want {
		l.mu.Lock()
		_, known := l.watched[name]
		l.mu.Unlock()
		if !known {
			l.watch(r)
		}
	}
	return nil
}

// wanted says whether the configuration has a cluster watched.
func (l *leader) wanted(name string) bool {
	for _, p := range l.o.Config.Clusters {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return len(l.o.Config.Clusters) == 0
}

// watch begins to look at a cluster. It ends with the leader's context.
func (l *leader) watch(r state.Cluster) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	w := &watched{name: r.Name, engine: r.Engine, record: r.Topology + r.Layout, told: map[string]string{}}
	w.ctx, w.stop = context.WithCancel(l.ctx)
	l.watched[r.Name] = w
	l.wg.Go(func() {
		for w.ctx.Err() == nil {
			if err := l.follow(w); err != nil && w.ctx.Err() == nil {
				l.o.Log.Warn("a cluster cannot be watched", "cluster", w.name, "error", err)
				sleep(w.ctx, 5*time.Second)
			}
		}
	})
}

// follow keeps the newest snapshot of a cluster, and asks what snapshots do
// not tell.
func (l *leader) follow(w *watched) error {
	pool, err := l.o.Pool(w.name)
	if err != nil {
		return fmt.Errorf("connections of cluster %s: %w", w.name, err)
	}
	defer pool.Close()
	one := func(string) (*remote.Pool, error) { return pool, nil }
	look := *l.o.Manager
	look.Pool = one
	live := source.NewLive(source.LiveOptions{
		Cluster: w.name, Manager: l.o.Manager, Pool: one, Store: l.o.Store, Interval: l.o.Config.Interval, SampleEvery: sampleEvery,
		ReadOnly: true, Lean: true, Application: application, Log: l.o.Log,
	})
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	shots, err := live.Start(ctx)
	if err != nil {
		return fmt.Errorf("look at cluster %s: %w", w.name, err)
	}
	var slow sync.WaitGroup
	slow.Go(func() { l.slowly(ctx, w, &look) })
	for s := range shots {
		w.mu.Lock()
		w.snap = s
		w.mu.Unlock()
	}
	cancel()
	slow.Wait()
	return nil
}
