package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"cw/perfcheck"
	"cw/perfcheck/replace"
	"cw/perfcheck/run"
	"cw/state"
)

// plannedPhase is one line of a plan.
type plannedPhase struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Measured bool   `json:"measured"`
	Reason   string `json:"reason,omitempty"`
}

// replacePlanDoc is the plan in JSON.
type replacePlanDoc struct {
	Cloud  string         `json:"cloud"`
	Stop   string         `json:"stop,omitempty"`
	Repeat int            `json:"repeat"`
	Phases []plannedPhase `json:"phases"`
}

// replacePlan says what would be measured, and what not and why.
func replacePlan(ro run.ReplaceOptions) (document, table) {
	t := table{cols: cols("TEST", "MEASURED", "TITLE", "REASON")}
	plan := replacePlanDoc{Cloud: ro.Cloud, Stop: ro.Victim, Repeat: ro.Repeat}
	without := ro.Without()
	for _, d := range replace.Tests() {
		p := plannedPhase{ID: d.ID, Title: d.Title, Measured: without[d.ID] == "", Reason: without[d.ID]}
		plan.Phases = append(plan.Phases, p)
		t.add(p.ID, map[bool]string{true: "yes", false: "no"}[p.Measured], p.Title, p.Reason)
	}
	return object("ReplacePlan", plan), t
}

// runReplace runs it, keeps the report and prints it.
func (a *App) runReplace(ctx context.Context, o *perfReplaceOptions, ro run.ReplaceOptions) error {
	ro.ID = state.NewID("p")
	dir := a.perfDir(ro.ID)
	if err := makePrivateDir(dir); err != nil {
		return err
	}
	events := &perfEvents{a: a, o: &o.perfOptions, id: ro.ID}
	events.event(ctx, state.Event{
		Kind: state.EventPerfStarted, Message: fmt.Sprintf("performance check %s: replacing a node in %s, %d times", ro.ID, ro.Cloud, ro.Repeat),
		Data: map[string]any{"run": ro.ID, "cloud": ro.Cloud, "machine": ro.Victim},
	})
	show := a.newProgress()
	ro.Reporter = &perfProgress{show: show, warn: a.warnf}
	ro.On = func(text string, r replace.Result) {
		show.Event(text, map[string]any{"phase": r.Phase, "seconds": r.Seconds, "since_fault": r.Since})
	}
	report, err := run.Replace(ctx, ro)
	show.Close()
	e := state.Event{
		Kind: state.EventPerfFinished, Message: fmt.Sprintf("performance check %s: replacing a node in %s: %s", ro.ID, ro.Cloud, report.Verdict),
		Data: map[string]any{"run": ro.ID, "verdict": string(report.Verdict), "complete": err == nil},
	}
	if err != nil || report.Verdict != perfcheck.Pass {
		e.Severity = state.Warning
	}
	events.event(context.WithoutCancel(ctx), e)
	if len(report.Tests) == 0 {
		_ = os.RemoveAll(dir)
		return err
	}
	for _, write := range []func() error{
		func() error { return run.WriteReport(dir, report) },
		func() error { return a.perfFiles(&o.perfOptions, report) },
		func() error { return a.printReport(report) },
	} {
		if werr := write(); werr != nil {
			return errors.Join(err, werr)
		}
	}
	a.infof("report: %s", filepath.Join(dir, run.ReportFile))
	if err != nil {
		return err
	}
	return report.Outcome(perfcheck.FailOn(o.FailOn))
}
