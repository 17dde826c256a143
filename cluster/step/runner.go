package step

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The states of a step in events and in the journal.
const (
	Running     = "running"
	Done        = "done"
	Skipped     = "skipped" // Check found it done
	Failed      = "failed"
	Interrupted = "interrupted"
	Blocked     = "blocked" // not started, since something it needs failed
)

// Record is one line of the journal.
type Record struct {
	Step     string
	Host     string
	State    string
	Observed string
	Err      error
	Started  time.Time
	Finished time.Time // zero while running
}

// Journal keeps records. Write returns when the record cannot be lost any
// more; a step whose record cannot be written is not begun.
type Journal interface {
	Write(ctx context.Context, r Record) error
}

// Event tells a reporter that a step changed its state.
type Event struct {
	Step     Step
	State    string
	Observed string
	Err      error
	Duration time.Duration // of steps that ended
	Undone   bool          // what Apply left was taken back
	Index    int           // place in the plan, from 0
	Total    int
}

// Runner executes a plan.
type Runner struct {
	Journal Journal
	Report  func(Event) // called from one goroutine at a time; may be nil
	Limit   int         // steps at once; 0 is 32
	PerHost int         // steps at once on one host; 0 is 4
	// UndoTimeout bounds the Undo of a step, which also runs after ctx ended; 0 is 30 s.
	UndoTimeout time.Duration
}

// Error is the failure of one step.
type Error struct {
	ID   string
	Host string
	Err  error
}

func (e *Error) Error() string { return e.ID + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// result is what a finished goroutine hands back.
type result struct {
	index  int
	state  string
	err    error
	undone bool
	note   string
	took   time.Duration
}

// Run executes the plan: every step whose predecessors are through, in
// parallel within the limits. After a failure running steps are waited for
// and steps that need the failed one are blocked, the others go on. When ctx
// ends nothing new is begun. The error is a *Failure.
func (r *Runner) Run(ctx context.Context, p Plan) (Summary, error) {
	steps, err := Order(p.Steps)
	if err != nil {
		return Summary{}, err
	}
	x := &execution{Runner: r, steps: steps, states: make(map[string]string, len(steps)), perHost: map[string]int{}, results: make(chan result)}
	return x.run(ctx)
}

// execution is the state of one Run; only its loop's goroutine touches it.
type execution struct {
	*Runner
	steps   []Step
	states  map[string]string // by step id; missing: not begun
	perHost map[string]int
	running int
	results chan result
	summary Summary
}

func (x *execution) run(ctx context.Context) (Summary, error) {
	for {
		if ctx.Err() == nil {
			x.begin(ctx)
		}
		if x.running == 0 {
			break
		}
		if res := <-x.results; res.state == Said {
			x.report(Event{Step: x.steps[res.index], State: Said, Observed: res.note, Index: res.index})
		} else {
			x.end(res)
		}
	}
	for _, s := range x.steps {
		if x.states[s.ID] == "" {
			x.summary.NotBegun = append(x.summary.NotBegun, s.ID)
		}
	}
	if len(x.summary.Errs) > 0 || len(x.summary.NotBegun) > 0 || ctx.Err() != nil {
		return x.summary, &Failure{Summary: x.summary, Cause: context.Cause(ctx)}
	}
	return x.summary, nil
}

// begin starts all steps that can be.
func (x *execution) begin(ctx context.Context) {
	for i, s := range x.steps {
		if x.states[s.ID] != "" {
			continue
		}
		ready, blocker := x.ready(s)
		switch {
		case blocker != "":
			x.states[s.ID] = Blocked
			x.summary.Blocked = append(x.summary.Blocked, s.ID)
			x.report(Event{Step: s, State: Blocked, Observed: blocker + " did not succeed", Index: i})
		case !ready || x.running >= orElse(x.Limit, 32) || s.Host != "" && x.perHost[s.Host] >= orElse(x.PerHost, 4):
		default:
			x.states[s.ID] = Running
			x.running++
			x.perHost[s.Host]++
			x.report(Event{Step: s, State: Running, Index: i})
			go func() {
				told, hush := x.saying(ctx, i)
				res := x.one(told, i, s)
				hush()
				x.results <- res
			}()
		}
	}
}

// ready says whether a step can begin, or what keeps it from ever beginning.
func (x *execution) ready(s Step) (bool, string) {
	ready := true
	for _, id := range s.Needs {
		switch x.states[id] {
		case Done, Skipped:
		case "", Running:
			ready = false
		default:
			return false, id
		}
	}
	for _, id := range s.After {
		if st := x.states[id]; st == "" || st == Running {
			ready = false
		}
	}
	return ready, ""
}

func (x *execution) end(res result) {
	s := x.steps[res.index]
	x.states[s.ID] = res.state
	x.running--
	x.perHost[s.Host]--
	switch res.state {
	case Done:
		x.summary.Done = append(x.summary.Done, s.ID)
	case Skipped:
		x.summary.Skipped = append(x.summary.Skipped, s.ID)
	default:
		x.summary.Errs = append(x.summary.Errs, &Error{ID: s.ID, Host: s.Host, Err: res.err})
	}
	if res.undone {
		x.summary.Undone = append(x.summary.Undone, s.ID)
	}
	x.report(Event{Step: s, State: res.state, Observed: res.note, Err: res.err, Duration: res.took, Undone: res.undone, Index: res.index})
}

func (x *execution) report(e Event) {
	e.Total = len(x.steps)
	if x.Report != nil {
		x.Report(e)
	}
}

// one takes a step from Check to Verify.
func (r *Runner) one(ctx context.Context, index int, s Step) result {
	started := time.Now()
	res := result{index: index}
	finish := func(state, note string, err error) result {
		res.state, res.note, res.err, res.took = state, note, err, time.Since(started)
		// The end is written even when ctx is over: it is what people look at.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		rec := Record{Step: s.ID, Host: s.Host, State: state, Observed: note, Err: err, Started: started, Finished: time.Now()}
		if jerr := r.Journal.Write(last, rec); jerr != nil && err == nil {
			res.state, res.err = Failed, fmt.Errorf("writing the journal: %w", jerr)
		}
		return res
	}
	seen, err := s.look(ctx)
	if err != nil {
		return finish(stateOf(ctx), "", fmt.Errorf("checking: %w", err))
	}
	if seen.Done {
		return finish(Skipped, seen.Note, nil)
	}
	if err := r.Journal.Write(ctx, Record{Step: s.ID, Host: s.Host, State: Running, Observed: seen.Note, Started: started}); err != nil {
		return finish(Failed, seen.Note, fmt.Errorf("writing the journal: %w", err))
	}
	if err = s.Apply(ctx); err == nil {
		if err = s.verify(ctx); err != nil {
			err = fmt.Errorf("verifying: %w", err)
		}
	}
	if err == nil {
		return finish(Done, seen.Note, nil)
	}
	state := stateOf(ctx)
	if s.Undo != nil {
		uctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), orElse(r.UndoTimeout, 30*time.Second))
		defer cancel()
		if uerr := s.Undo(uctx); uerr != nil {
			err = errors.Join(err, fmt.Errorf("undoing: %w", uerr))
		} else {
			res.undone = true
		}
	}
	return finish(state, seen.Note, err)
}

func stateOf(ctx context.Context) string {
	if ctx.Err() != nil {
		return Interrupted
	}
	return Failed
}

func orElse[T int | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
