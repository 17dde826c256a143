package source

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/fault"
	"cw/remote"
	"cw/state"
)

const (
	defaultInterval = 2 * time.Second
	minInterval     = 500 * time.Millisecond
	maxInterval     = time.Minute
	paintTick       = time.Second            // at most one snapshot in this time
	firstPatience   = 100 * time.Millisecond // how long the first snapshot waits for the store
	lastPatience    = 500 * time.Millisecond // what collectors have to end by themselves
)

// LiveOptions say what is looked at and through what.
type LiveOptions struct {
	// Cluster is its name in the store; "" shows loads and events only.
	Cluster string
	Manager *manage.Manager // for a cluster
	// Pool gives the connections to look through; nil is the manager's. Those
	// that soon notice that a host is gone are best.
	Pool  func(cluster string) (*remote.Pool, error)
	Store *state.Store
	// Interval is how often the database is asked; 0 is 2 s.
	Interval time.Duration
	// ReadOnly refuses every action that changes something, and writes no
	// events of what is seen.
	ReadOnly bool
	// SampleEvery is how often a host tells of itself, in whole seconds; 0 is
	// one.
	SampleEvery time.Duration
	// Lean leaves out what only a screen needs: the store's loads and events,
	// histories, the texts of queries; sessions are counted now and then.
	Lean bool
	// Application is how the database shows who asks; "" is cw top.
	Application string
	Log         *slog.Logger

	// Connect opens the one session with the database; nil goes to the
	// cluster's endpoint, or through its host where that cannot be reached.
	Connect func(ctx context.Context) (*pgx.Conn, error)
	// Hosts are the machines to look at; nil are the cluster's.
	Hosts []*remote.Host
}

// Live looks at a cluster, its hosts and the store's loads and events.
type Live struct {
	o    LiveOptions
	log  *slog.Logger
	look *manage.Manager // with one pool for everything that only looks
	db   *database

	wg    sync.WaitGroup
	first chan struct{} // closed when the store has answered
	store *poke
	ask   *poke // the database
	judge *poke // the cluster's state, by way of its hosts
	tick  *poke // tells the mixer of another interval

	mu       sync.Mutex
	interval time.Duration
	draft    Snapshot
	dirty    bool
	plan     clusterPlan
	seen     sight // what nodes and cluster are judged by
	watch    watcher
}

// clusterPlan is what the store knows of the cluster.
type clusterPlan struct {
	top *cluster.Topology
	lay *cluster.Layout
}

// NewLive makes a source; it contacts nobody.
func NewLive(o LiveOptions) *Live {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Live{o: o, log: o.Log, first: make(chan struct{}), store: newPoke(), ask: newPoke(), judge: newPoke(), tick: newPoke()}
	l.watch.wake = make(chan struct{}, 1)
	l.interval = clampInterval(o.Interval)
	l.o.SampleEvery = max(o.SampleEvery.Round(time.Second), time.Second)
	if o.Application == "" {
		l.o.Application = applicationName
	}
	l.draft.Degraded = map[string]string{}
	l.draft.Cluster.Name, l.draft.Cluster.State = o.Cluster, cluster.Unknown
	return l
}

func clampInterval(d time.Duration) time.Duration {
	if d == 0 {
		return defaultInterval
	}
	return min(max(d, minInterval), maxInterval)
}

// Start implements Source. Everything it starts ends with ctx.
func (l *Live) Start(ctx context.Context) (<-chan *Snapshot, error) {
	if l.o.Store == nil {
		return nil, fault.New(fault.Usage, "", "look at a cluster: there is no store")
	}
	var pool *remote.Pool
	if l.o.Cluster != "" && l.o.Manager != nil {
		var err error
		if pool, err = l.onePool(ctx); err != nil {
			return nil, err
		}
	}
	l.db = newDatabase(l.connector(), l.o.Application, l.log)
	out := make(chan *Snapshot, 1)
	if l.o.Lean {
		close(l.first)
	} else {
		l.wg.Go(func() { l.collectStore(ctx) })
	}
	l.wg.Go(func() { l.writeEvents(ctx) })
	if l.o.Cluster != "" {
		l.wg.Go(func() { l.collectDatabase(ctx) })
	}
	if l.look != nil {
		l.wg.Go(func() { l.collectStatus(ctx) })
	}
	for _, h := range l.machines(ctx) {
		l.wg.Go(func() { l.collectHost(ctx, h) })
	}
	go l.end(ctx, pool, out)
	return out, nil
}

// onePool gives everything that looks one pool of connections: the manager
// would make one for each look.
func (l *Live) onePool(ctx context.Context) (*remote.Pool, error) {
	top, lay, err := l.o.Manager.Topology(ctx, l.o.Cluster)
	if err != nil {
		return nil, err
	}
	open := l.o.Manager.Pool
	if l.o.Pool != nil {
		open = l.o.Pool
	}
	pool, err := open(l.o.Cluster)
	if err != nil {
		return nil, err
	}
	look := *l.o.Manager
	look.Pool = func(string) (*remote.Pool, error) { return pool, nil }
	l.look = &look
	l.setPlan(top, lay)
	return pool, nil
}

// machines are the hosts to watch.
func (l *Live) machines(ctx context.Context) []*remote.Host {
	hosts := l.o.Hosts
	if hosts == nil && l.look != nil {
		fleet, err := l.look.Fleet(ctx, l.o.Cluster)
		if err != nil {
			l.update(func(s *Snapshot) { s.Hosts.Err = err.Error() })
			return nil
		}
		hosts = fleet.Hosts()
	}
	l.update(func(s *Snapshot) {
		s.Hosts.Items = make([]Host, len(hosts))
		for i, h := range hosts {
			s.Hosts.Items[i] = Host{Name: h.Name(), Address: h.Target().Address}
		}
	})
	return hosts
}

// end runs the mixer and, after it, sees that nothing is left.
func (l *Live) end(ctx context.Context, pool *remote.Pool, out chan *Snapshot) {
	defer close(out)
	l.mix(ctx, out)
	all := make(chan struct{})
	go func() { l.wg.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(lastPatience):
	}
	// A command on a host that does not answer waits for its end to be
	// confirmed; without its connection it need not.
	if pool != nil {
		pool.Close()
	}
	<-all
	l.db.close(ctx)
}

// mix sends what has changed, at most once a tick; a reader that is slow gets
// the newest.
func (l *Live) mix(ctx context.Context, out chan *Snapshot) {
	select {
	case <-l.first:
	case <-time.After(firstPatience):
	case <-ctx.Done():
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.tick.c:
		case <-timer.C:
		}
		timer.Reset(min(paintTick, l.every()))
		s := l.take()
		if s == nil {
			continue
		}
		select {
		case <-out: // not taken yet, and old now
		default:
		}
		out <- s
	}
}

// take is the snapshot of now; nil when nothing has changed.
func (l *Live) take() *Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dirty {
		return nil
	}
	l.dirty, l.seen.hostsOwned = false, false
	s := l.draft
	s.At = time.Now()
	return &s
}

// update changes the draft. Whoever changes a slice or map replaces it, since
// snapshots that were sent share it.
func (l *Live) update(change func(*Snapshot)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.draft)
	l.dirty = true
}

// degrade notes why a column cannot be filled; "" when it can.
func (l *Live) degrade(reasons map[string]string) {
	l.update(func(s *Snapshot) {
		next := make(map[string]string, len(s.Degraded)+len(reasons))
		for k, v := range s.Degraded {
			next[k] = v
		}
		for k, v := range reasons {
			if v == "" {
				delete(next, k)
			} else {
				next[k] = v
			}
		}
		s.Degraded = next
	})
}

// hostSilent says whether a host of the cluster does not answer.
func (l *Live) hostSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.draft.Hosts.Items, func(h Host) bool { return h.Err != "" })
}

func (l *Live) every() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.interval
}

func (l *Live) setPlan(top *cluster.Topology, lay *cluster.Layout) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plan = clusterPlan{top: top, lay: lay}
	l.rejudge()
}

// poke wakes a collector before its time.
type poke struct{ c chan struct{} }

func newPoke() *poke { return &poke{c: make(chan struct{}, 1)} }

func (p *poke) now() {
	select {
	case p.c <- struct{}{}:
	default:
	}
}

// wait sleeps, or until it is poked; false when ctx has ended.
func (p *poke) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-p.c:
	case <-t.C:
	}
	return ctx.Err() == nil
}

// reason is an error as one line for a column.
func reason(err error) string {
	if err == nil {
		return ""
	}
	text := []rune(err.Error())
	for i, r := range text {
		if r == '\n' {
			text = text[:i]
			break
		}
	}
	if len(text) > 300 {
		text = append(text[:299], '…')
	}
	return string(text)
}

// ended says whether an error is only that we are told to stop.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}
