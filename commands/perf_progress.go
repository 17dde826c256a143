package commands

import (
	"fmt"
	"time"

	"cw/perfcheck"
	"cw/perfcheck/run"
)

// perfProgress shows a run on standard error.
type perfProgress struct {
	show *progress
	warn func(format string, args ...any)
	// begun, when set, is called with each phase: something is really done.
	begun func()
}

// Phase implements run.Reporter.
func (p *perfProgress) Phase(text string) {
	if p.begun != nil {
		p.begun()
	}
	p.show.Status(text, map[string]string{"phase": text})
}

// Progress implements run.Reporter.
func (p *perfProgress) Progress(r run.Progress) {
	text := fmt.Sprintf("%d/%d %s", r.Done+1, r.Total, r.Test)
	if r.Reps > 1 {
		text += fmt.Sprintf(" (%d of %d)", r.Rep, r.Reps)
	}
	if r.Where != "" {
		text += fmt.Sprintf(" %s: %s", r.Where, perfcheck.FormatValue(r.Value, r.Unit))
	}
	p.show.Status(fmt.Sprintf("%s, %s left", text, time.Duration(r.ETASeconds)*time.Second), r)
}

// Finished implements run.Reporter.
func (p *perfProgress) Finished(t *perfcheck.Test) {
	p.show.Event(t.Line(), map[string]any{"test": t.ID, "where": t.Where(), "verdict": t.Verdict, "reason": t.Reason, "metrics": t.Metrics})
}

// Warn implements run.Reporter.
func (p *perfProgress) Warn(text string) { p.warn("%s", text) }
