// Package step is how cw changes anything: a plan is a set of steps, each of
// which looks at the world (Check), changes it (Apply) and looks again
// (Verify). What is done is decided from the world alone; the journal only
// tells people what happened. That is why a run that was killed at any moment
// is resumed by running the same plan again.
package step

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Observed is what a Check saw.
type Observed struct {
	Done bool
	Note string // in a few words, for the plan and the journal
}

// Step is one idempotent change. Check must not change anything, must cope
// with predecessors that have not run, and says Done only for a state that
// Apply would leave. Verify defaults to Check. Undo, which is optional, takes
// back what a failed or interrupted Apply left half-done; it is not called
// for steps that succeeded.
type Step struct {
	ID    string // unique in the plan and stable between runs, as start@db1
	Host  string // host it works on; "" is this machine
	Title string // what it does, as an imperative: start node n1

	Needs []string // steps that must have succeeded
	After []string // steps that must have ended, however they did

	Destructive     bool // destroys data
	PointOfNoReturn bool // what is before it can be given up, what is after it cannot
	Check           func(context.Context) (Observed, error)
	Apply           func(context.Context) error
	Verify          func(context.Context) error
	Undo            func(context.Context) error
}

// Plan is an ordered set of steps.
type Plan struct {
	Cluster string
	Verb    string
	Steps   []Step
}

// Order sorts the steps so that each comes after what it waits for; among
// those that could come next the one declared first does, so that the same
// steps always give the same plan. A step that waits for a missing one or for
// itself is an error.
func Order(steps []Step) ([]Step, error) {
	index := make(map[string]int, len(steps))
	for i, s := range steps {
		if _, dup := index[s.ID]; dup {
			return nil, fmt.Errorf("step %s is in the plan twice", s.ID)
		}
		index[s.ID] = i
	}
	placed := make([]bool, len(steps))
	ready := func(s Step) (bool, error) {
		for _, id := range s.waits() {
			i, ok := index[id]
			if !ok {
				return false, fmt.Errorf("step %s waits for %s, which is not in the plan", s.ID, id)
			}
			if !placed[i] {
				return false, nil
			}
		}
		return true, nil
	}
	out := make([]Step, 0, len(steps))
	for len(out) < len(steps) {
		before := len(out)
		for i, s := range steps {
			if placed[i] {
				continue
			}
			ok, err := ready(s)
			if err != nil {
				return nil, err
			}
			if ok {
				placed[i] = true
				out = append(out, s)
				break
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("steps wait for each other: %s", strings.Join(unplaced(steps, placed), ", "))
		}
	}
	return out, nil
}

func (s Step) waits() []string {
	return append(append([]string(nil), s.Needs...), s.After...)
}

func unplaced(steps []Step, placed []bool) []string {
	var ids []string
	for i, s := range steps {
		if !placed[i] {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// errIncomplete makes a step without Check or Apply fail instead of crash.
var errIncomplete = errors.New("the step has no Check or no Apply")

// look runs the step's Check.
func (s Step) look(ctx context.Context) (Observed, error) {
	if s.Check == nil || s.Apply == nil {
		return Observed{}, errIncomplete
	}
	return s.Check(ctx)
}

// verify looks whether Apply achieved what it should.
func (s Step) verify(ctx context.Context) error {
	if s.Verify != nil {
		return s.Verify(ctx)
	}
	seen, err := s.look(ctx)
	if err != nil {
		return err
	}
	if !seen.Done {
		return fmt.Errorf("done, but then found: %s", seen.Note)
	}
	return nil
}
