package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cw/cluster"
	"cw/state"
)

// dataAbout is the key of an event's data that names what it is about.
const dataAbout = "about"

func about(thing string) map[string]any { return map[string]any{dataAbout: thing} }

// repeatWindow is how long another dashboard's event about the same is taken
// for this one.
const repeatWindow = time.Minute

// watcher turns changes of state into events. It is guarded by Live.mu.
type watcher struct {
	events, history []Event         // the store's, and the database's own
	known           map[string]Node // as they were last told about
	state           string          // of the cluster, as it was last told about
	queue           []state.Event
	wake            chan struct{}
}

// since keeps when each node came into its state.
func (w *watcher) since(nodes, before []Node, now time.Time) {
	old := make(map[string]Node, len(before))
	for _, n := range before {
		old[n.ID] = n
	}
	for i := range nodes {
		n := &nodes[i]
		was, known := old[n.ID]
		switch {
		case !n.Since.IsZero():
		case known && was.State == n.State && was.Role == n.Role && was.Mode == n.Mode:
			n.Since = was.Since
		case known && was.State != cluster.NodeUnknown:
			n.Since = now
		case known && n.State == cluster.NodeDown:
			n.Since = was.Since // since it left; what became of it is known only now
		}
	}
}

// compare queues an event for everything that is not as it was.
func (w *watcher) compare(draft *Snapshot, info ClusterInfo, nodes []Node) {
	if w.known == nil {
		w.known = map[string]Node{}
	}
	for _, n := range nodes {
		if n.State == cluster.NodeUnknown {
			continue // of the host there is an event, of the node nothing is known
		}
		was, known := w.known[n.ID]
		w.known[n.ID] = n
		if known {
			w.node(was, n)
		}
	}
	if w.state != "" && info.State != cluster.Unknown && info.State != w.state {
		severity := state.Info
		switch info.State {
		case cluster.Down:
			severity = state.Critical
		case cluster.Degraded:
			severity = state.Warning
		}
		w.add(state.Event{Kind: state.EventStateChanged, Severity: severity, Data: about("cluster"), Message: fmt.Sprintf("cluster %s is %s, was %s", draft.Cluster.Name, info.State, w.state)})
	}
	if info.State != cluster.Unknown {
		w.state = info.State
	}
}

func (w *watcher) node(was, n Node) {
	what := fmt.Sprintf("%s %s on %s", n.Role, n.ID, n.Host)
	switch {
	case was.State == cluster.NodeUp && n.State != cluster.NodeUp:
		text := fmt.Sprintf("%s is %s", what, n.State)
		if n.Detail != "" {
			text += ": " + n.Detail
		}
		w.add(state.Event{Kind: state.EventFault, Severity: state.Critical, Host: n.Host, Data: about(n.ID), Message: text})
	case was.State != cluster.NodeUp && n.State == cluster.NodeUp:
		w.add(state.Event{Kind: state.EventRecovered, Host: n.Host, Data: about(n.ID), Message: fmt.Sprintf("%s is up, was %s", what, was.State)})
	case was.Role != n.Role:
		w.add(state.Event{Kind: state.EventStateChanged, Severity: state.Warning, Host: n.Host, Data: about(n.ID), Message: fmt.Sprintf("%s on %s is %s, was %s", n.ID, n.Host, n.Role, was.Role)})
	case was.Mode != n.Mode && n.Mode != "" && was.Mode != "":
		severity := state.Info
		if n.Mode == cluster.ModeDetached || n.Mode == cluster.ModeNotSync {
			severity = state.Warning
		}
		w.add(state.Event{Kind: state.EventStateChanged, Severity: severity, Host: n.Host, Data: about(n.ID), Message: fmt.Sprintf("%s is %s, was %s", what, n.Mode, was.Mode)})
	}
}

func (w *watcher) add(e state.Event) {
	w.queue = append(w.queue, e)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// note queues an event.
func (l *Live) note(e state.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch.add(e)
}

// writeEvents writes what was seen into the store, unless somebody else who
// sees the same has done so.
func (l *Live) writeEvents(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.watch.wake:
		}
		l.mu.Lock()
		queue := l.watch.queue
		l.watch.queue = nil
		l.mu.Unlock()
		if l.o.ReadOnly || l.monitored(ctx) {
			continue
		}
		for _, e := range queue {
			e.Cluster = l.o.Cluster
			if err := l.writeOnce(ctx, e); err != nil {
				l.log.Warn("event not written", "type", e.Kind, "message", e.Message, "error", err)
			}
		}
		l.store.now()
	}
}

// monitored says whether a monitor acts: it tells what it sees, and one thing
// is to be one event. It is asked when there is something to tell, which is
// seldom.
func (l *Live) monitored(ctx context.Context) bool {
	held, err := l.o.Store.LeaseHeld(ctx, state.LeaseMonitor)
	return err == nil && held
}

// writeOnce leaves an event out when the last one about the same thing says
// the same.
func (l *Live) writeOnce(ctx context.Context, e state.Event) error {
	recent, err := l.o.Store.Events(ctx, state.EventFilter{Cluster: e.Cluster, Since: time.Now().Add(-repeatWindow)})
	if err != nil {
		return err
	}
	for _, old := range slices.Backward(recent) {
		if about, ok := old.Data[dataAbout]; !ok || about != e.Data[dataAbout] {
			continue
		}
		if old.Message == e.Message {
			return nil
		}
		break
	}
	_, err = l.o.Store.AddEventOnce(ctx, e, 5*time.Second) // another one may be writing it just now
	return err
}
