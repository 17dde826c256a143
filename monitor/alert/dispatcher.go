package alert

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"cw/monitor"
	"cw/state"
)

const (
	beat = time.Second
	// lastTry is how long what is on its way may take when the monitor stops.
	lastTry = 5 * time.Second
)

// Options say who is told and of what.
type Options struct {
	Store  *state.Store
	Config monitor.Config
	Log    *slog.Logger
	// Redact takes secrets out of what alerts say; nil leaves it.
	Redact func(string) string
	// OnTold is called for every try that ended, for the progress of the
	// command; nil is silent.
	OnTold func(r monitor.Receiver, n monitor.Notice, result string, err error)

	// Every is how often the store is looked at; 0 is a second.
	Every time.Duration
	// Send tells a receiver; nil is Send of this package.
	Send func(ctx context.Context, r monitor.Receiver, n monitor.Notice) error
}

// Dispatcher tells receivers what the store's alerts are. Several may run at
// once, here or elsewhere.
type Dispatcher struct {
	o    Options
	poke chan struct{}

	mu     sync.Mutex
	counts map[monitor.NoticeCount]int64 // with N 0
}

// New makes a dispatcher; it does nothing before Run.
func New(o Options) *Dispatcher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	if o.Send == nil {
		o.Send = Send
	}
	if o.OnTold == nil {
		o.OnTold = func(monitor.Receiver, monitor.Notice, string, error) {}
	}
	if o.Every <= 0 {
		o.Every = beat
	}
	return &Dispatcher{o: o, poke: make(chan struct{}, 1), counts: map[monitor.NoticeCount]int64{}}
}

// Poke has the store looked at now, and not only at the next beat.
func (d *Dispatcher) Poke() {
	select {
	case d.poke <- struct{}{}:
	default:
	}
}

// Counts say how many tries ended how, since the process began.
func (d *Dispatcher) Counts() []monitor.NoticeCount {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []monitor.NoticeCount{}
	for k, n := range d.counts {
		k.N = n
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b monitor.NoticeCount) int {
		if a.Receiver != b.Receiver {
			return compare(a.Receiver, b.Receiver)
		}
		return compare(a.Result, b.Result)
	})
	return out
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (d *Dispatcher) count(receiver, result string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[monitor.NoticeCount{Receiver: receiver, Result: result}]++
}

// Run tells until the context ends. What is on its way then has some seconds
// to arrive.
func (d *Dispatcher) Run(ctx context.Context) error {
	// Sending outlives ctx a little, so that it has not to be said of it that
	// nobody knows whether it arrived.
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	workers := map[string]chan []batch{}
	var wg sync.WaitGroup
	for _, r := range d.o.Config.Receivers {
		in := make(chan []batch, 1)
		workers[r.Name] = in
		wg.Go(func() { d.work(ctx, sending, in) })
	}
	l := &looker{d: d}
	tick := time.NewTicker(d.o.Every)
	defer tick.Stop()
	failing := false
	for ctx.Err() == nil {
		plan, err := l.look(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			d.o.Log.Warn("what is to be told cannot be read: asking again", "error", err)
		}
		failing = err != nil
		for name, list := range plan {
			select { // the newest plan counts
			case <-workers[name]:
			default:
			}
			workers[name] <- list // nobody else writes
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-d.poke:
		}
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	last := time.NewTimer(lastTry)
	defer last.Stop()
	select {
	case <-done:
	case <-last.C:
		cut()
		<-done
	}
	return nil
}
