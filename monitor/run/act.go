package run

import (
	"context"
	"fmt"
	"time"

	"cw/monitor"
	"cw/state"
)

const (
	// holdAfter is how long a cluster is left alone after a change of it was seen
	// to go on: what was seen of it before may be old.
	holdAfter = 10 * time.Second
	holdLook  = 2 * time.Second // how often it is asked whether that still goes on
)

// observe shows the tracker a look and carries out what follows. w is nil for
// what belongs to no cluster.
func (l *leader) observe(ctx context.Context, w *watched, look monitor.Look) {
	l.act.Lock()
	defer l.act.Unlock()
	if ctx.Err() != nil || w != nil && w.dropped() {
		return
	}
	now := l.now()
	if w != nil && l.held(ctx, w, now) {
		look.Found, look.Blind = nil, []monitor.Blind{{}}
	}
	decisions := l.tracker.Observe(now, look)
	if w != nil && changes(decisions) && l.busy(ctx, w, now) {
		return
	}
	for _, d := range decisions {
		limited, cancel := context.WithTimeout(ctx, storeLimit)
		err := l.carryOut(limited, now, d)
		cancel()
		if err != nil && ctx.Err() == nil {
			l.note("alerts", err) // and it is decided again
		}
	}
	if len(decisions) > 0 {
		l.refresh(ctx)
	}
}

func changes(all []monitor.Decision) bool {
	for _, d := range all {
		if d.Kind != monitor.Update {
			return true
		}
	}
	return false
}

// carryOut tells the store.
func (l *leader) carryOut(ctx context.Context, now time.Time, d monitor.Decision) error {
	c := d.Condition
	if d.Kind == monitor.Resolve {
		if _, err := l.o.Store.ResolveAlert(ctx, d.Alert, over(c.Message)); err != nil {
			return err
		}
		l.tracker.Done(now, d, "")
		l.o.Log.Info("alert is over", "rule", c.Rule, "cluster", c.Cluster, "message", c.Message)
		return nil
	}
	a, fired, err := l.o.Store.FireAlert(ctx, alertOf(c, d.Began))
	if err != nil {
		return err
	}
	l.tracker.Done(now, d, a.ID)
	if fired {
		l.o.Log.Info("alert", "rule", c.Rule, "severity", c.Severity, "cluster", c.Cluster, "message", c.Message)
	}
	return nil
}

func alertOf(c monitor.Condition, began time.Time) state.Alert {
	return state.Alert{
		Mark: c.Mark(), Rule: c.Rule, Severity: c.Severity, Cluster: c.Cluster, Host: c.Host, Object: c.Object, Job: c.Job, Message: c.Message, Remedy: c.Remedy, BeganAt: began,
	}
}

func over(message string) string { return "it is over: " + message }

// held says whether a cluster is being changed, as far as that is known.
func (l *leader) held(ctx context.Context, w *watched, now time.Time) bool {
	if now.After(w.holdUntil) {
		return false
	}
	if now.After(w.holdAsk) {
		l.busy(ctx, w, now)
	}
	return true
}

// busy asks whether somebody changes a cluster, or has it stopped or dropped:
// then what is seen is meant to be. It is asked before anything fires or ends,
// and while it goes on.
func (l *leader) busy(ctx context.Context, w *watched, now time.Time) bool {
	limited, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	w.holdAsk = now.Add(holdLook)
	by, err := l.o.Manager.Changing(limited, w.name)
	if err != nil {
		l.note("alerts", err)
		return true // nothing could be written either
	}
	record, err := l.o.Store.Cluster(limited, w.name)
	if err != nil || record.State != state.ClusterUp {
		w.holdUntil = now.Add(holdAfter)
		return true
	}
	if by == nil {
		return false
	}
	if now.After(w.holdUntil) {
		l.o.Log.Info("a change goes on: no alerts", "cluster", w.name, "what", by.Purpose, "by", by.Owner)
	}
	w.holdUntil = now.Add(holdAfter)
	return true
}

// readFiring keeps what fires, ends what concerns a cluster that is not
// watched any more, and has the healer think about the rest.
func (l *leader) readFiring(ctx context.Context) error {
	if err := l.refreshErr(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	firing, records := l.firing, l.records
	by := map[string][]state.Alert{}
	for _, a := range firing {
		by[a.Cluster] = append(by[a.Cluster], a)
	}
	watching := make(map[string]*watched, len(l.watched))
	for name, w := range l.watched {
		watching[name] = w
	}
	l.mu.Unlock()
	if records == nil {
		return nil
	}
	for name, alerts := range by {
		switch {
		case name == "":
		case watching[name] == nil:
			if err := l.endAll(ctx, name, alerts, records[name]); err != nil {
				return err
			}
		case l.o.Heal != nil:
			l.o.Heal(l.ctx, name, alerts)
		}
	}
	return nil
}

// endAll ends the alerts of a cluster that is not watched.
func (l *leader) endAll(ctx context.Context, name string, alerts []state.Alert, record string) error {
	why := fmt.Sprintf("cluster %s is not watched any more", name)
	if record != "" {
		why = fmt.Sprintf("cluster %s is %s", name, record)
	}
	l.act.Lock()
	defer l.act.Unlock()
	for _, a := range alerts {
		if _, err := l.o.Store.ResolveAlert(ctx, a.ID, why+": "+a.Message); err != nil {
			return err
		}
	}
	l.tracker.Forget(name)
	return nil
}

func (l *leader) refresh(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if err := l.refreshErr(limited); err != nil && ctx.Err() == nil {
		l.note("alerts", err)
	}
}

// refreshErr reads what fires.
func (l *leader) refreshErr(ctx context.Context) error {
	firing, err := l.o.Store.Alerts(ctx, state.AlertFilter{Firing: true})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.firing = firing
	l.mu.Unlock()
	return nil
}
