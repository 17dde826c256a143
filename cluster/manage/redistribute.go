package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cw/cluster/redistribute"
	"cw/fault"
	"cw/state"
)

// VerbRedistribute is the verb of runs that move tables to another number of
// segments. They go on for days, have a lease of their own, and leave every
// other verb possible meanwhile.
const VerbRedistribute = "redistribute"

// redistributer is an engine with segments.
type redistributer interface {
	Redistribution() redistribute.Cluster
}

func redistributeLease(cluster string) string { return "redistribute " + cluster }

// movedRun is what state.Run.Plan holds for VerbRedistribute.
type movedRun struct {
	Redistribute redistribute.Options `json:"redistribute"`
}

// Redistribution is the database side of a cluster with segments.
func (m *Manager) Redistribution(ctx context.Context, name string) (redistribute.Cluster, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	fleet, err := m.fleet(k)
	if err != nil {
		return nil, err
	}
	eng, err := m.engine(fleet, k.uid(), "")
	if err != nil {
		return nil, err
	}
	r, ok := eng.(redistributer)
	if !ok {
		return nil, fault.New(fault.Usage, "cw cluster status "+name, "cluster %s (%s) has no segments that its tables could be moved between", name, k.top.Engine.Kind)
	}
	if err := guard(ctx, fleet); err != nil {
		return nil, err
	}
	return r.Redistribution(), nil
}

// PlanRedistribution lists all tables in the order in which they would be
// moved, and changes nothing.
func (m *Manager) PlanRedistribution(ctx context.Context, name string, o redistribute.Options) ([]redistribute.Table, error) {
	c, err := m.Redistribution(ctx, name)
	if err != nil {
		return nil, err
	}
	return redistribute.Plan(ctx, c, o)
}

// Redistribute moves the tables of a cluster. It is recorded as a run, so that
// it can be resumed with the same options; a target of 0 is all segments.
func (m *Manager) Redistribute(ctx context.Context, name string, o redistribute.Options, report func(redistribute.Progress)) (redistribute.Progress, error) {
	c, err := m.Redistribution(ctx, name)
	if err != nil {
		return redistribute.Progress{}, err
	}
	if o.Target == 0 {
		if o.Target, err = redistribute.Segments(ctx, c); err != nil {
			return redistribute.Progress{}, err
		}
	}
	if err := o.Check(); err != nil {
		return redistribute.Progress{}, err
	}
	o.By = m.Store.Who()
	held, lease, err := m.Store.Acquire(ctx, redistributeLease(name), VerbRedistribute)
	if err != nil {
		var other *state.LockedError
		if errors.As(err, &other) {
			err = fault.New(fault.Locked, fmt.Sprintf("cw cluster expand status %s shows how far it is; if it is dead: cw cluster unlock %s", name, name), "%w", err)
		}
		return redistribute.Progress{}, err
	}
	defer func() { _ = lease.Release(ctx) }()
	run, err := m.beginMoves(held, name, o)
	if err != nil {
		return redistribute.Progress{}, err
	}
	w := watch{m: m, cluster: name, run: run.ID, ctx: ctx, report: report, given: map[string]bool{}}
	started := time.Now()
	p, err := redistribute.Run(held, c, o, w.progress)
	return p, m.endMoves(ctx, name, run, p, time.Since(started), err)
}

// ThenMove has an expand that adds segments leave behind that tables are to be
// moved onto them: resume, or Redistribute, does it.
func (op *Operation) ThenMove(o redistribute.Options) {
	if before, after := op.Segments(); op.Nothing == "" && op.Verb == VerbExpand && before < after {
		o.Target = after
		op.params.Moves = &o
	}
}

// Moves are the options with which tables are moved after an expand; nil when
// none are to be.
func (op *Operation) Moves() *redistribute.Options { return op.params.Moves }

// owesMoves records that tables are to be moved, unless it is recorded.
func (m *Manager) owesMoves(ctx context.Context, name string, o redistribute.Options) error {
	last, err := m.lastMoves(ctx, name)
	if err != nil || last.State == state.Running {
		return err
	}
	plan, err := json.Marshal(movedRun{o})
	if err != nil {
		return err
	}
	_, err = m.Store.StartRun(ctx, name, VerbRedistribute, string(plan))
	return err
}

// beginMoves records the run, and that an earlier one did not end.
func (m *Manager) beginMoves(ctx context.Context, name string, o redistribute.Options) (state.Run, error) {
	last, err := m.lastMoves(ctx, name)
	if err != nil {
		return state.Run{}, err
	}
	if last.State == state.Running {
		if err := m.Store.FinishRun(ctx, last.ID, state.Interrupted, "resumed by a later run"); err != nil {
			return state.Run{}, err
		}
	}
	plan, err := json.Marshal(movedRun{o})
	if err != nil {
		return state.Run{}, err
	}
	run, err := m.Store.StartRun(ctx, name, VerbRedistribute, string(plan))
	if err != nil {
		return run, err
	}
	m.moveEvent(ctx, name, state.Event{
		Kind: state.EventMovesStarted, Data: map[string]any{"run": run.ID, "target": o.Target},
		Message: fmt.Sprintf("the tables of cluster %s are being moved to %d segments", name, o.Target),
	})
	return run, nil
}

// endMoves records how a run ended and says how to go on.
func (m *Manager) endMoves(ctx context.Context, name string, run state.Run, p redistribute.Progress, took time.Duration, err error) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	data := map[string]any{"run": run.ID, "tables": p.Tables, "moved": p.Moved, "quarantined": len(p.Quarantined), "refused": len(p.Refused)}
	if err == nil {
		m.moveEvent(last, name, state.Event{
			Kind: state.EventMovesFinished, Data: data,
			Message: fmt.Sprintf("all %d tables of cluster %s are on %d segments, after %s", p.Tables, name, p.Target, took.Round(time.Second)),
		})
		return m.Store.FinishRun(last, run.ID, state.Done, "")
	}
	st, severity := state.Failed, state.Critical
	if fault.KindOf(err) == fault.Interrupted || ctx.Err() != nil {
		st, severity = state.Interrupted, state.Warning
	}
	m.moveEvent(last, name, state.Event{
		Kind: state.EventFault, Severity: severity, Data: data,
		Message: fmt.Sprintf("moving the tables of cluster %s did not finish: %s", name, firstLine(err.Error())),
	})
	hint := "cw cluster expand continue " + name
	switch fault.KindOf(err) {
	case fault.Partial, fault.Check:
		hint = fmt.Sprintf("cw cluster expand status %s --tables shows why; when that is put right: %s", name, hint)
	case fault.Locked:
		hint = "cw cluster expand status " + name
	}
	if h := fault.HintOf(err); h != "" {
		hint = h + "; then: " + hint
	}
	return fault.Wrap(fault.KindOf(err), hint, errors.Join(err, m.Store.FinishRun(last, run.ID, st, err.Error())))
}

func (m *Manager) moveEvent(ctx context.Context, name string, e state.Event) {
	e.Cluster = name
	e.Data["by"] = m.Store.Who()
	_ = m.Store.AddEvent(ctx, e)
}

// watch turns what changes into events.
type watch struct {
	m       *Manager
	cluster string
	run     string
	ctx     context.Context // of the call that it watches
	report  func(redistribute.Progress)
	given   map[string]bool // tables that were given up
	paused  bool
}

func (w *watch) progress(p redistribute.Progress) {
	if w.report != nil {
		w.report(p)
	}
	if p.Paused != w.paused {
		w.paused = p.Paused
		w.m.moveEvent(w.ctx, w.cluster, state.Event{
			Kind: choose(p.Paused, state.EventMovesPaused, state.EventMovesContinued), Data: map[string]any{"run": w.run},
			Message: fmt.Sprintf("moving the tables of cluster %s %s", w.cluster, choose(p.Paused, "is paused", "goes on")),
		})
	}
	for _, t := range p.Quarantined {
		if id := t.Database + "." + t.Name; !w.given[id] {
			w.given[id] = true
			w.m.moveEvent(w.ctx, w.cluster, state.Event{
				Kind: state.EventTableGivenUp, Data: map[string]any{"run": w.run, "database": t.Database, "table": t.Name, "attempts": t.Attempts},
				Message: fmt.Sprintf("table %s of cluster %s could not be moved to %d segments: %s", id, w.cluster, p.Target, firstLine(t.Error)),
			})
		}
	}
}

// lastMoves is the newest run that moved tables; an empty one when there was
// none.
func (m *Manager) lastMoves(ctx context.Context, name string) (state.Run, error) {
	return m.newest(ctx, name, func(verb string) bool { return verb == VerbRedistribute })
}

// lastChange is the newest run that did something else; an empty one when there
// was none.
func (m *Manager) lastChange(ctx context.Context, name string) (state.Run, error) {
	return m.newest(ctx, name, func(verb string) bool { return verb != VerbRedistribute })
}

func (m *Manager) newest(ctx context.Context, name string, which func(verb string) bool) (state.Run, error) {
	runs, err := m.Store.Runs(ctx, name)
	if err != nil {
		return state.Run{}, err
	}
	for _, r := range runs {
		if which(r.Verb) {
			return r, nil
		}
	}
	return state.Run{}, nil
}

// UnfinishedRedistribution are the options of the last redistribution of a
// cluster when it did not end well. Whether it still runs is for the lease to
// say.
func (m *Manager) UnfinishedRedistribution(ctx context.Context, name string) (redistribute.Options, bool, error) {
	last, err := m.lastMoves(ctx, name)
	if err != nil || last.ID == "" || last.State == state.Done {
		return redistribute.Options{}, false, err
	}
	var planned movedRun
	if err := json.Unmarshal([]byte(last.Plan), &planned); err != nil {
		return redistribute.Options{}, false, fmt.Errorf("reading the plan of run %s: %w", last.ID, err)
	}
	return planned.Redistribute, true, nil
}

// RedistributionStatus is how far the redistribution of a cluster is, wherever
// it runs, and all tables.
func (m *Manager) RedistributionStatus(ctx context.Context, name string) (redistribute.Progress, []redistribute.Table, error) {
	c, err := m.Redistribution(ctx, name)
	if err != nil {
		return redistribute.Progress{}, nil, err
	}
	return redistribute.Status(ctx, c)
}

// PauseRedistribution makes the controller of a cluster, wherever it runs,
// begin no further table; with now those that are being moved are given back as
// they were.
func (m *Manager) PauseRedistribution(ctx context.Context, name string, now bool) error {
	c, err := m.Redistribution(ctx, name)
	if err != nil {
		return err
	}
	if err := redistribute.Pause(ctx, c, m.Store.Who(), now); err != nil {
		return err
	}
	m.moveEvent(ctx, name, state.Event{Kind: state.EventAction, Data: map[string]any{"action": "pause", "now": now}, Message: fmt.Sprintf("%s asked that no further table of cluster %s is moved", m.Store.Who(), name)})
	return nil
}

// ContinueRedistribution takes a pause back. It says whether a controller is
// there to go on.
func (m *Manager) ContinueRedistribution(ctx context.Context, name string) (active bool, err error) {
	c, err := m.Redistribution(ctx, name)
	if err != nil {
		return false, err
	}
	return redistribute.Continue(ctx, c, m.Store.Who())
}
