package step

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cw/fault"
)

// Summary says what became of the steps of a plan, by id.
type Summary struct {
	Done     []string
	Skipped  []string
	Blocked  []string
	NotBegun []string // the run was stopped before
	Undone   []string
	Errs     []*Error // in the order they happened
}

// Changed says whether the run changed anything or tried to.
func (s Summary) Changed() bool { return len(s.Done)+len(s.Errs) > 0 }

// Failure is the error of a run that did not get through.
type Failure struct {
	Summary
	Cause error // why the run was stopped; nil when steps failed by themselves
}

func (f *Failure) Error() string {
	var lines []string
	shown := f.shown()
	switch {
	case len(shown) == 1 && !f.stopped():
		lines = append(lines, shown[0].Error())
	case len(shown) > 0:
		lines = append(lines, fmt.Sprintf("%d steps failed", len(shown)))
		if len(shown) == 1 {
			lines[0] = "1 step failed"
		}
		for i, e := range shown {
			if i == 10 {
				lines = append(lines, fmt.Sprintf("  … and %d more", len(shown)-i))
				break
			}
			lines = append(lines, "  "+strings.ReplaceAll(e.Error(), "\n", "\n  "))
		}
	}
	if f.stopped() {
		line := fmt.Sprintf("stopped after %d of %d steps", len(f.Done)+len(f.Skipped), f.total())
		if f.Cause != nil && !errors.Is(f.Cause, context.Canceled) {
			line += ": " + f.Cause.Error()
		}
		if len(f.Undone) > 0 {
			line += "; undone: " + strings.Join(f.Undone, ", ")
		}
		lines = append([]string{line}, lines...)
	} else if n := len(f.Blocked); n > 0 {
		lines = append(lines, fmt.Sprintf("%d steps that need it were not begun", n))
		if n == 1 {
			lines[len(lines)-1] = "1 step that needs it was not begun"
		}
	}
	return strings.Join(lines, "\n")
}

func (f *Failure) stopped() bool { return f.Cause != nil }

// shown are the errors worth showing: those of a stopped run that only say
// that it was stopped are not.
func (f *Failure) shown() []*Error {
	var out []*Error
	for _, e := range f.Errs {
		if f.stopped() && errors.Is(e.Err, context.Canceled) {
			continue
		}
		out = append(out, e)
	}
	return out
}

func (f *Failure) total() int {
	return len(f.Done) + len(f.Skipped) + len(f.Blocked) + len(f.NotBegun) + len(f.Errs)
}

// Unwrap gives the failures of the steps and what stopped the run.
func (f *Failure) Unwrap() []error {
	var errs []error
	if f.Cause != nil {
		errs = append(errs, f.Cause)
	}
	for _, e := range f.Errs {
		errs = append(errs, e)
	}
	return errs
}

// FaultKind is Interrupted when the user stopped the run, the cause's kind
// when something else did, else the kind that all failures share.
func (f *Failure) FaultKind() fault.Kind {
	if errors.Is(f.Cause, context.Canceled) {
		return fault.Interrupted
	}
	if f.Cause != nil {
		return fault.KindOf(f.Cause)
	}
	if len(f.Errs) == 0 {
		return fault.Failed
	}
	kind := fault.KindOf(f.Errs[0].Err)
	for _, e := range f.Errs[1:] {
		if fault.KindOf(e.Err) != kind {
			return fault.Failed
		}
	}
	return kind
}
