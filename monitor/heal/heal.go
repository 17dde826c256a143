// Package heal recovers failed mirrors and replicas by itself, as an operator
// would with cw cluster recover, and stops when that does not last: the same
// nodes are recovered only so often within a time.
package heal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/fault"
	"cw/monitor"
	"cw/schema"
	"cw/state"
)

// Clusters is what recovers nodes; *manage.Manager is one.
type Clusters interface {
	Status(ctx context.Context, name string) (cluster.Status, error)
	Recover(ctx context.Context, name string, o cluster.RecoverOptions) (*manage.Operation, error)
	Holder(ctx context.Context, name string) (*state.LockedError, error)
}

// Healer recovers nodes. Everything it has to remember is in the store: the
// monitor that takes over goes on where this one was.
type Healer struct {
	Clusters Clusters
	Store    *state.Store
	Config   monitor.Heal
	Log      *slog.Logger
	Now      func() time.Time // nil is time.Now

	mu     sync.Mutex
	busy   map[string]bool // clusters that are worked on
	looked map[string]time.Time
	wg     sync.WaitGroup
}

// pause is how long a cluster is left alone after a look at it: its hosts have
// better things to do.
const pause = 10 * time.Second

// dataNodes is the key of an event's data that lists nodes.
const dataNodes = "nodes"

// Consider looks at the firing alerts of a cluster and begins, in the
// background, to recover what can be recovered. It is called again and again;
// ctx ends with this monitor's lead, and what is being done with it.
func (h *Healer) Consider(ctx context.Context, name string, firing []state.Alert) {
	var stopped *state.Alert
	due := false
	for _, a := range firing {
		switch a.Rule {
		case monitor.HealingStopped:
			stopped = &a
		case monitor.NodeDown, monitor.NodeSync:
			due = due || h.now().Sub(a.FiredAt) >= h.Config.Wait
		}
	}
	nodes := slices.ContainsFunc(firing, func(a state.Alert) bool {
		return a.Rule == monitor.NodeDown || a.Rule == monitor.NodeSync || a.Rule == monitor.HostSilent
	})
	switch {
	case stopped != nil && !nodes:
		h.background(ctx, name, func(ctx context.Context) error {
			_, err := h.Store.ResolveAlert(ctx, stopped.ID, "the nodes of cluster "+name+" are well: they will be recovered again when they fail")
			return err
		})
	case due && h.Config.On:
		h.background(ctx, name, func(ctx context.Context) error { return h.heal(ctx, name) })
	}
}

func (h *Healer) now() time.Time {
	if h.Now == nil {
		return time.Now()
	}
	return h.Now()
}

// Wait waits for what was begun; the context of Consider ends it.
func (h *Healer) Wait() { h.wg.Wait() }

// background runs one thing at a time for a cluster.
func (h *Healer) background(ctx context.Context, name string, do func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[name] || h.now().Sub(h.looked[name]) < min(pause, h.Config.Wait) {
		return
	}
	if h.busy == nil {
		h.busy, h.looked = map[string]bool{}, map[string]time.Time{}
	}
	h.busy[name] = true
	h.wg.Go(func() {
		defer func() {
			h.mu.Lock()
			delete(h.busy, name)
			h.looked[name] = h.now()
			h.mu.Unlock()
		}()
		if err := do(ctx); err != nil && ctx.Err() == nil {
			h.Log.Warn("auto-recovery", "cluster", name, "error", err)
		}
	})
}

// heal recovers the failed nodes of a cluster whose primary works.
func (h *Healer) heal(ctx context.Context, name string) error {
	if held, err := h.Clusters.Holder(ctx, name); err != nil || held != nil {
		return err // somebody is at it
	}
	st, err := h.Clusters.Status(ctx, name)
	if err != nil {
		return err
	}
	failed := recoverable(st)
	if len(failed) == 0 {
		return nil
	}
	names := make([]string, len(failed))
	hosts := []string{}
	for i, n := range failed {
		names[i] = n.ID
		if !slices.Contains(hosts, n.Host) {
			hosts = append(hosts, n.Host)
		}
	}
	attempts, last, err := h.attempts(ctx, name, names)
	if err != nil {
		return err
	}
	if attempts >= h.Config.Attempts {
		return h.stop(ctx, name, failed, attempts)
	}
	// A second attempt right after the first one would meet the same cause.
	if attempts > 0 && h.now().Sub(last) < h.Config.Wait<<min(attempts-1, 6) {
		return nil
	}
	return h.attempt(ctx, name, attempts+1, failed, names, hosts)
}

func (h *Healer) attempt(ctx context.Context, name string, attempt int, failed []cluster.NodeStatus, names, hosts []string) error {
	op, err := h.Clusters.Recover(ctx, name, cluster.RecoverOptions{Hosts: hosts})
	if err != nil {
		return err
	}
	if op.Nothing != "" {
		return nil
	}
	data := map[string]any{"attempt": attempt, "of": h.Config.Attempts, dataNodes: names}
	// Before it begins: a monitor that dies in the middle has tried.
	if err := h.Store.AddEvent(ctx, state.Event{
		Kind: state.EventHealing, Cluster: name, Host: one(hosts), Data: data,
		Message: fmt.Sprintf("recovering %s of cluster %s by itself (attempt %d of %d)", describe(failed), name, attempt, h.Config.Attempts),
	}); err != nil {
		return err
	}
	_, err = op.Run(ctx, nil)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if fault.KindOf(err) == fault.Locked {
		return nil // an operator was faster
	}
	return errors.Join(err, h.Store.AddEvent(ctx, state.Event{
		Kind: state.EventHealingFailed, Cluster: name, Host: one(hosts), Data: data,
		Message: fmt.Sprintf("%s of cluster %s could not be recovered (attempt %d of %d): %s", describe(failed), name, attempt, h.Config.Attempts, firstLine(err)),
	}))
}

// stop says, once, that no more is tried.
func (h *Healer) stop(ctx context.Context, name string, failed []cluster.NodeStatus, attempts int) error {
	a := monitor.Condition{Rule: monitor.HealingStopped, Cluster: name}
	_, _, err := h.Store.FireAlert(ctx, state.Alert{
		Mark: a.Mark(), Rule: a.Rule, Severity: state.Critical, Cluster: name,
		Message: fmt.Sprintf("%s of cluster %s failed again after %s within %s: no more is tried", describe(failed), name, times(attempts), schema.FormatSpan(h.Config.Window)),
		Remedy:  "cw cluster logs " + name + ", then: cw cluster recover " + name,
	})
	return err
}

// attempts counts the recoveries of any of these nodes within the window.
func (h *Healer) attempts(ctx context.Context, name string, nodes []string) (n int, last time.Time, err error) {
	events, err := h.Store.Events(ctx, state.EventFilter{Cluster: name, Kinds: []string{state.EventHealing}, Since: h.now().Add(-h.Config.Window)})
	for _, e := range events {
		list, _ := e.Data[dataNodes].([]any)
		if slices.ContainsFunc(list, func(v any) bool { s, _ := v.(string); return slices.Contains(nodes, s) }) {
			n, last = n+1, e.At
		}
	}
	return n, last, err
}

// recoverable are the mirrors and replicas that failed, on hosts that answer,
// of a cluster whose primaries all work: what else is wrong is for a person to
// decide.
func recoverable(st cluster.Status) []cluster.NodeStatus {
	if st.State != cluster.Degraded {
		return nil
	}
	answers := map[string]bool{}
	for _, h := range st.Hosts {
		answers[h.Name] = h.Reachable
	}
	var failed []cluster.NodeStatus
	for _, n := range st.Nodes {
		leads := n.Role == cluster.NodePrimary || n.Role == cluster.NodeCoordinator
		broken := n.State != cluster.NodeUp || n.Mode == cluster.ModeDetached || n.Mode == cluster.ModeNotSync
		switch {
		case leads && n.State != cluster.NodeUp:
			return nil
		case !leads && broken && answers[n.Host]:
			failed = append(failed, n)
		}
	}
	return failed
}

func describe(nodes []cluster.NodeStatus) string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = fmt.Sprintf("%s %s on %s", n.Role, n.ID, n.Host)
	}
	if len(all) > 4 {
		return strings.Join(all[:3], ", ") + fmt.Sprintf(" and %d more", len(all)-3)
	}
	return strings.Join(all, ", ")
}

func times(n int) string {
	if n == 1 {
		return "1 recovery"
	}
	return fmt.Sprintf("%d recoveries", n)
}

// one is the only element, or "".
func one(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return ""
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
