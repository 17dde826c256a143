package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/redistribute"
	"cw/cluster/step"
	"cw/fault"
	"cw/state"
)

// Operation is a change of a cluster that is planned but not made. It is
// looked at any number of times and run once.
type Operation struct {
	Cluster string
	Verb    string
	// Nothing says why there is nothing to do; "" when there is something.
	Nothing string
	// Report holds the checks that were made before planning, if any were.
	Report hostprep.Report
	// Forget makes a delete drop the cluster from the store, and the taking back
	// of an expand its nodes, even when a host could not be cleaned: it will never
	// come back.
	Forget bool
	// Found is what an adoption will take over.
	Found *cluster.Found

	m      *Manager
	k      *known
	fresh  bool // the cluster is not in the store yet
	fleet  *hostprep.Fleet
	eng    Engine
	params params
	plan   step.Plan
	resume string // the run that is resumed
}

// params is what a run must remember to be resumed, kept with its plan.
type params struct {
	Mode    cluster.StopMode        `json:"mode,omitempty"`
	Token   string                  `json:"token"`          // the same for a run and its resumption
	Back    string                  `json:"back,omitempty"` // the run that a rollback takes back
	Recover *cluster.RecoverOptions `json:"recover,omitempty"`
	Promote *cluster.PromoteOptions `json:"promote,omitempty"`
	Nodes   []int                   `json:"nodes,omitempty"` // of expand and shrink
	// Moves are how an expand's tables are moved when its segments are there.
	Moves *redistribute.Options `json:"moves,omitempty"`
	// TakeBack makes an expand remove what it has begun to make.
	TakeBack bool                  `json:"take_back,omitempty"`
	Config   *cluster.ConfigChange `json:"config,omitempty"`
	Undo     *cluster.ConfigChange `json:"undo,omitempty"` // what takes Config back
}

// plannedRun is what state.Run.Plan holds.
type plannedRun struct {
	Params params   `json:"params"`
	Steps  []string `json:"steps"`
}

// Outcome is what a run achieved.
type Outcome struct {
	Run     string
	Summary step.Summary
	Left    []string // what was found and not touched, one sentence each
	Took    time.Duration
}

// operation plans a verb.
func (m *Manager) operation(ctx context.Context, k *known, verb string, p params) (*Operation, error) {
	if p.Token == "" {
		p.Token = state.NewID("t")
	}
	if verb == VerbRecover && p.Recover.Full {
		k.newMachines(p.Recover.Hosts)
	}
	fleet, err := m.fleet(k)
	if err != nil {
		return nil, err
	}
	eng, err := m.engine(fleet, k.uid(), p.Token)
	if err != nil {
		return nil, err
	}
	op := &Operation{Cluster: k.top.Name, Verb: verb, m: m, k: k, fleet: fleet, eng: eng, params: p}
	var steps []step.Step
	switch verb {
	case VerbCreate:
		steps, err = eng.Create()
	case VerbStart:
		steps, err = eng.Start()
	case VerbStop:
		steps, err = eng.Stop(p.Mode)
	case VerbRestart:
		steps, err = eng.Restart(p.Mode)
	case VerbReload:
		steps, err = eng.Reload()
	case VerbDelete:
		steps, err = eng.Delete()
	case VerbRecover:
		steps, err = eng.Recover(ctx, *p.Recover)
	case VerbPromote:
		var to cluster.Node
		if to, steps, err = eng.Promote(ctx, *p.Promote); err == nil {
			op.params.Promote = &cluster.PromoteOptions{Node: to.Name(), Force: p.Promote.Force}
		}
	case VerbExpand:
		steps, err = op.grow(ctx)
	case VerbShrink:
		steps, err = eng.Shrink(k.nodes(p.Nodes))
	case VerbConfig:
		var undo cluster.ConfigChange
		if steps, undo, err = eng.Configure(ctx, *p.Config); err == nil && p.Undo == nil {
			op.params.Undo = &undo // of the first attempt: a resumed one sees its own changes
		}
	case VerbAdopt:
		a, ok := eng.(adopter)
		if !ok {
			return nil, fmt.Errorf("engine %s cannot adopt", k.top.Engine.Kind)
		}
		steps, err = a.Adopt()
	default:
		err = fmt.Errorf("run of verb %q cannot be planned by this version of cw", verb)
	}
	if err == nil && len(steps) == 0 {
		op.Nothing = op.nothing()
	}
	op.plan = step.Plan{Cluster: op.Cluster, Verb: verb, Steps: steps}
	return op, err
}

// Look checks every step against the hosts and changes nothing.
func (op *Operation) Look(ctx context.Context) (step.View, error) {
	return step.Look(ctx, op.plan, 0)
}

// Run makes the change: it takes the cluster's lease, journals every step and
// records how the run ended.
func (op *Operation) Run(ctx context.Context, report func(step.Event)) (Outcome, error) {
	started := time.Now()
	held, lease, err := op.m.Store.Acquire(ctx, leaseName(op.Cluster), op.Verb)
	if err != nil {
		return Outcome{}, locked(op.Cluster, err)
	}
	defer func() { _ = lease.Release(ctx) }()
	if err := op.unchanged(held); err != nil {
		return Outcome{}, err
	}
	if op.Verb != VerbDelete && op.Verb != VerbShrink && !op.params.TakeBack { // which leave out wrong hosts one by one
		if err := guard(held, op.fleet); err != nil {
			return Outcome{}, err
		}
	}
	run, err := op.begin(held)
	if err != nil {
		return Outcome{}, err
	}
	runner := step.Runner{Journal: journal{op.m.Store, run.ID}, Report: report}
	out := Outcome{Run: run.ID}
	out.Summary, err = runner.Run(held, op.plan)
	out.Left, out.Took = op.eng.Left(), time.Since(started)
	if err != nil {
		if op.Forget && op.forgettable(err) && ctx.Err() == nil {
			return out, op.forget(context.WithoutCancel(ctx), run, err)
		}
		return out, op.failed(ctx, run, err)
	}
	return out, op.finish(context.WithoutCancel(ctx), run)
}

// unchanged makes sure that no other run changed the cluster between planning
// and taking the lease.
func (op *Operation) unchanged(ctx context.Context) error {
	now, err := op.m.Store.Cluster(ctx, op.Cluster)
	switch {
	case op.fresh && errors.Is(err, state.ErrNotFound):
		return nil
	case op.fresh && err == nil, errors.Is(err, state.ErrNotFound), err == nil && !now.UpdatedAt.Equal(op.k.record.UpdatedAt):
		return fault.New(fault.Locked, "run the command again", "cluster %s was changed by another run meanwhile", op.Cluster)
	}
	return err
}

// begin records that the change has begun, before anything is changed.
func (op *Operation) begin(ctx context.Context) (state.Run, error) {
	switch op.Verb {
	case VerbCreate:
		op.k.record.State = state.ClusterCreating
	case VerbDelete:
		op.k.record.State = state.ClusterDeleting
	}
	if op.Verb == VerbCreate || op.Verb == VerbExpand || op.Verb == VerbRecover || op.Verb == VerbAdopt {
		op.k.noteMachines(ctx, op.fleet)
	}
	if err := op.k.encode(); err != nil {
		return state.Run{}, err
	}
	if err := op.m.Store.PutCluster(ctx, op.k.record); err != nil {
		return state.Run{}, err
	}
	if op.fresh {
		op.event(ctx, state.Event{Kind: state.EventRegistered, Message: fmt.Sprintf("cluster %s (%s, %d nodes on %d hosts) is known to cw: %s begins", op.Cluster, op.k.top.Engine.Kind, len(op.k.lay.Nodes), len(op.k.top.Hosts), op.Verb)})
	}
	if op.resume != "" {
		if err := op.m.Store.FinishRun(ctx, op.resume, state.Interrupted, "resumed by a later run"); err != nil {
			return state.Run{}, err
		}
	}
	planned := plannedRun{Params: op.params}
	for _, s := range op.plan.Steps {
		planned.Steps = append(planned.Steps, s.ID)
	}
	text, err := json.Marshal(planned)
	if err != nil {
		return state.Run{}, err
	}
	return op.m.Store.StartRun(ctx, op.Cluster, op.Verb, string(text))
}

// failed records a run that did not get through and says how to go on.
func (op *Operation) failed(ctx context.Context, run state.Run, err error) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	kind := fault.KindOf(err)
	st := state.Failed
	if kind == fault.Interrupted || ctx.Err() != nil {
		st = state.Interrupted
	}
	took := op.tookOver(err)
	if took {
		op.settle()
		err = errors.Join(err, op.k.encode(), op.m.Store.PutCluster(last, op.k.record))
	}
	err = errors.Join(err, op.m.Store.FinishRun(last, run.ID, st, err.Error()))
	op.event(last, state.Event{
		Kind: state.EventFault, Severity: choose(st == state.Interrupted, state.Warning, state.Critical), Data: map[string]any{"run": run.ID, "verb": op.Verb},
		Message: fmt.Sprintf("%s of cluster %s did not finish: %s", op.Verb, op.Cluster, firstLine(err.Error())),
	})
	hint := "cw cluster resume " + op.Cluster
	if took {
		hint = fmt.Sprintf("%s takes writes now; to bring the others back: cw cluster recover %s", op.params.Promote.Node, op.Cluster)
	}
	if op.Verb == VerbCreate {
		hint += fmt.Sprintf(", or give it up: cw cluster delete %s --confirm %s", op.Cluster, op.Cluster)
	}
	if op.Verb == VerbDelete && kind != fault.Interrupted {
		// What can be cleaned is clean; the rest is named, and kept in the store.
		hint += fmt.Sprintf(" when the hosts are back; if they never will be: cw cluster delete %s --confirm %s --forget", op.Cluster, op.Cluster)
		return fault.New(fault.Partial, hint, "%s", op.notCleaned(err))
	}
	if op.params.TakeBack {
		return fault.Wrap(kind, fmt.Sprintf("%s when the hosts are back; if they never will be: cw cluster expand %s --undo --forget", hint, op.Cluster), err)
	}
	if op.Verb == VerbExpand {
		hint += fmt.Sprintf(", or take it back: cw cluster expand %s --undo", op.Cluster)
	}
	if h := fault.HintOf(err); h != "" {
		hint = h + "; then: " + hint
	}
	return fault.Wrap(kind, hint, err)
}

// forgettable says whether what failed was only the cleaning of hosts.
func (op *Operation) forgettable(err error) bool {
	var f *step.Failure
	switch {
	case op.Verb == VerbDelete:
		return true
	case !op.params.TakeBack || !errors.As(err, &f):
		return false
	}
	return !slices.ContainsFunc(f.Errs, func(e *step.Error) bool { return strings.HasPrefix(e.ID, "outside@") })
}

// forget ends a delete that could not clean everything, on the user's word.
func (op *Operation) forget(ctx context.Context, run state.Run, err error) error {
	text := op.notCleaned(err)
	if ferr := op.finish(ctx, run); ferr != nil {
		return errors.Join(err, ferr)
	}
	if op.params.TakeBack {
		return fault.New(fault.Partial, "", "%s\nthey are forgotten all the same", text)
	}
	return fault.New(fault.Partial, "", "%s\ncluster %s is forgotten all the same", text, op.Cluster)
}

// notCleaned says what a delete could not remove.
func (op *Operation) notCleaned(err error) string {
	text := fmt.Sprintf("%s could not be removed completely; not cleaned:", choose(op.params.TakeBack, "new nodes of cluster "+op.Cluster, "cluster "+op.Cluster))
	var f *step.Failure
	if !errors.As(err, &f) {
		return text + " " + err.Error()
	}
	named := map[string]bool{}
	for _, e := range f.Errs {
		if named[e.Host] {
			continue
		}
		named[e.Host] = true
		for _, n := range op.k.lay.On(e.Host) {
			if op.params.TakeBack && !slices.Contains(op.params.Nodes, n.ID) {
				continue
			}
			text += fmt.Sprintf("\n  %s on host %s: %s", n.Dir, e.Host, firstLine(e.Err.Error()))
		}
	}
	return text
}

// event is written as well as it can be: the change itself is done.
func (op *Operation) event(ctx context.Context, e state.Event) {
	e.Cluster = op.Cluster
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	e.Data["by"] = op.m.Store.Who()
	_ = op.m.Store.AddEvent(ctx, e)
}

// journal writes the steps of a run into the store.
type journal struct {
	store *state.Store
	run   string
}

// Write makes it a step.Journal.
func (j journal) Write(ctx context.Context, r step.Record) error {
	text := ""
	if r.Err != nil {
		text = r.Err.Error()
	}
	return j.store.RecordStep(ctx, state.StepRecord{
		Run: j.run, Step: r.Step, Host: r.Host, State: r.State, Observed: r.Observed, Error: text, StartedAt: r.Started, FinishedAt: r.Finished,
	})
}

func firstLine(s string) string {
	for i := range s {
		if s[i] == '\n' {
			return s[:i]
		}
	}
	return s
}
