// Package run is the monitor at work: of all that share a store one leads. It
// looks at every registered cluster, decides with monitor/probe and the
// tracker what is wrong, and writes alerts into the store; the others stand by
// and take its place when it is gone. All that must outlive a monitor is in
// the store.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"cw/cluster/manage"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/monitor/metrics"
	"cw/remote"
	"cw/state"
)

const (
	// leaseFor and tryEvery make that a standby leads eleven seconds after its
	// leader died with its machine, at the latest, and acts within fifteen.
	leaseFor = 9 * time.Second
	tryEvery = 1500 * time.Millisecond

	memberEvery = 5 * time.Second
	memberFor   = 20 * time.Second
	viewEvery   = time.Second
)

// The states of a monitor, as its member has them.
const (
	Leading = "leading"
	Standby = "standby"
)

// Options of a monitor.
type Options struct {
	Store   *state.Store
	Manager *manage.Manager
	// Pool gives the connections to look through: such as soon notice that a
	// host is gone.
	Pool   func(cluster string) (*remote.Pool, error)
	Config monitor.Config
	// Inspect are the rules of the database's inspection; nil are those of cw.
	Inspect []inspect.Rule
	Log     *slog.Logger
	// Heal is told what fires in a cluster, every few seconds while something
	// does. It returns at once.
	Heal func(ctx context.Context, cluster string, firing []state.Alert)
	// Notify tells people; it runs while this monitor leads.
	Notify func(ctx context.Context)
	// OnView is given what the monitor knows, every second.
	OnView func(metrics.View)
}

// Run watches until ctx ends. It returns an error only when it cannot begin.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Config.Interval == 0 {
		o.Config.Interval = monitor.DefaultInterval
	}
	if o.Inspect == nil {
		var err error
		if o.Inspect, err = inspect.Builtin(); err != nil {
			return err
		}
	}
	m := &member{o: o, name: fmt.Sprintf("%s:%d", o.Store.Who(), os.Getpid()), poke: make(chan struct{}, 1), role: Standby, since: time.Now()}
	var wg sync.WaitGroup
	wg.Go(func() { m.beat(ctx) })
	wg.Go(func() { m.show(ctx) })
	m.serve(ctx)
	wg.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := o.Store.Leave(last, state.MemberMonitor, m.name); err != nil {
		o.Log.Warn("the store still lists this monitor", "error", err)
	}
	return nil
}

// member is this process among those that share the store.
type member struct {
	o    Options
	name string
	poke chan struct{} // tells beat of a change

	mu       sync.Mutex
	role     string
	since    time.Time
	storeErr string
	lead     *leader // while it leads
}

// serve leads when nobody else does.
func (m *member) serve(ctx context.Context) {
	for {
		if err := m.try(ctx); err != nil && ctx.Err() == nil {
			m.fail(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tryEvery):
		}
	}
}

// try leads until the lease is lost, if it can be had.
func (m *member) try(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, 2*leaseFor)
	_, err := m.o.Store.Holder(asked, state.LeaseMonitor) // which locks nothing
	cancel()
	if err == nil {
		m.fail(nil)
		return nil
	}
	if !errors.Is(err, state.ErrNotFound) {
		return err
	}
	held, lease, err := m.o.Store.AcquireFor(ctx, state.LeaseMonitor, "cw monitor", leaseFor)
	var taken *state.LockedError
	if errors.As(err, &taken) {
		return nil
	}
	if err != nil {
		return err
	}
	m.fail(nil)
	began := time.Now()
	l := newLeader(held, m.o, m.name)
	m.become(Leading, l)
	m.o.Log.Info("this monitor leads")
	l.run()
	if ctx.Err() != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		err = m.o.Store.AddEvent(last, state.Event{Kind: state.EventMonitorStopped, Message: fmt.Sprintf("monitor %s was stopped", m.name), Data: map[string]any{"by": m.o.Store.Who()}})
		cancel()
	} else {
		err = fmt.Errorf("the lead was lost after %s: %w", time.Since(began).Round(time.Second), context.Cause(held))
	}
	m.become(Standby, nil)
	return errors.Join(err, lease.Release(ctx))
}

func (m *member) become(role string, l *leader) {
	m.mu.Lock()
	m.role, m.since, m.lead = role, time.Now(), l
	m.mu.Unlock()
	select {
	case m.poke <- struct{}{}:
	default:
	}
}

// fail notes that the store cannot be used, or that it can.
func (m *member) fail(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	m.mu.Lock()
	was := m.storeErr
	m.storeErr = text
	m.mu.Unlock()
	if text != "" && text != was {
		m.o.Log.Warn("it cannot lead", "error", err)
	}
}

// beat says again and again that this monitor is there.
func (m *member) beat(ctx context.Context) {
	for {
		m.mu.Lock()
		role := m.role
		m.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, memberEvery)
		err := m.o.Store.Heartbeat(limited, memberFor, state.Member{Kind: state.MemberMonitor, Name: m.name, State: role})
		cancel()
		if err != nil && ctx.Err() == nil {
			m.o.Log.Warn("the store was not told that this monitor is there", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.poke:
		case <-time.After(memberEvery):
		}
	}
}

// show hands out what is known.
func (m *member) show(ctx context.Context) {
	if m.o.OnView == nil {
		return
	}
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		m.o.OnView(m.view())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (m *member) view() metrics.View {
	m.mu.Lock()
	v := metrics.View{Leading: m.role == Leading, Since: m.since, StoreErr: m.storeErr}
	lead := m.lead
	m.mu.Unlock()
	if lead != nil {
		lead.view(&v)
	}
	return v
}
