package commands

import (
	"context"
	"fmt"
	"strings"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/run"
	"cw/state"
)

// perfEvents writes the events of a performance check.
type perfEvents struct {
	a       *App
	o       *perfOptions
	machine []run.Machine
	id      string
	begun   bool
}

// started writes the first event, once: a check that is refused for how it was
// called has not begun.
func (p *perfEvents) started(ctx context.Context) {
	if p.begun {
		return
	}
	p.begun = true
	var areas, hosts []string
	for _, area := range p.o.Areas {
		areas = append(areas, string(area))
	}
	for _, m := range p.machine {
		hosts = append(hosts, m.Name)
	}
	what := "all"
	if len(areas) > 0 {
		what = strings.Join(areas, ", ")
	}
	p.event(ctx, state.Event{
		Kind:    state.EventPerfStarted,
		Message: fmt.Sprintf("performance check %s of %s began: %s, profile %s", p.id, p.where(), what, p.o.Profile),
		Data:    map[string]any{"run": p.id, "profile": p.o.Profile, "areas": areas, "hosts": hosts},
	})
}

// finished writes the last event, with the verdict.
func (p *perfEvents) finished(ctx context.Context, r *perfcheck.Report, err error) {
	if !p.begun {
		return
	}
	e := state.Event{Kind: state.EventPerfFinished, Data: map[string]any{"run": p.id, "verdict": string(r.Verdict), "tests": len(r.Tests), "complete": err == nil}}
	switch {
	case err != nil && (ctx.Err() != nil || fault.KindOf(err) == fault.Interrupted):
		e.Severity = state.Warning
		e.Message = fmt.Sprintf("performance check %s of %s was interrupted; cw perf resume %s goes on", p.id, p.where(), p.id)
	case err != nil:
		e.Severity = state.Warning
		e.Message = fmt.Sprintf("performance check %s of %s ended early: %s", p.id, p.where(), oneLine(err.Error()))
	default:
		e.Message = fmt.Sprintf("performance check %s of %s: %s", p.id, p.where(), r.Verdict)
		if r.Verdict != perfcheck.Pass {
			e.Severity = state.Warning
			if r.Reason != "" {
				e.Message += ": " + oneLine(r.Reason)
			}
		}
	}
	p.event(ctx, e)
}

func (p *perfEvents) where() string {
	switch n := len(p.machine); {
	case p.o.Cluster != "":
		return fmt.Sprintf("cluster %s (%s)", p.o.Cluster, countHosts(n))
	case n == 1 && p.machine[0].Host == nil:
		return "this machine"
	default:
		return countHosts(n)
	}
}

func (p *perfEvents) event(ctx context.Context, e state.Event) {
	if e.Cluster = p.o.Cluster; len(p.machine) == 1 && p.machine[0].Host != nil {
		e.Host = p.machine[0].Name
	}
	st, err := p.a.openStore(ctx)
	if err == nil {
		e.Data["by"] = st.Who()
	}
	p.a.event(ctx, e)
}

func countHosts(n int) string {
	if n == 1 {
		return "1 host"
	}
	return fmt.Sprintf("%d hosts", n)
}
