package commands

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cw/perfcheck"
	"cw/perfcheck/run"
	"cw/state"
)

// addProtocolFlags adds the flags of verbs that follow a protocol of their own
// and yield a report like all others.
func (o *perfOptions) addProtocolFlags(c *cobra.Command) {
	o.addHostFlags(c)
	f := c.Flags()
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the random data and offsets")
	f.StringSliceVar(&o.Baselines, "baseline", nil, "compare with this baseline: a name (cw perf baseline list) or a file")
	f.StringArrayVar(&o.Require, "require", nil, "require a number, as TEST.METRIC<=VALUE (repeat), or a file of them")
	f.StringVar(&o.FailOn, "fail-on", "fail", "the mildest verdict that ends with exit code 6: warn, inconclusive, fail")
	f.StringVar(&o.JUnit, "junit", "", "write the verdicts as JUnit XML to this file")
	f.StringVar(&o.HTML, "html", "", "write the report as one page for the browser to this file")
	f.StringVar(&o.Markdown, "markdown", "", "write a summary for a pull request to this file")
	f.StringVar(&o.Report, "report", "", "write the whole report as JSON to this file (it is kept in cw's state folder anyway)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and do nothing")
}

// protocol is what such a verb does.
type protocol struct {
	a          *App
	o          *perfOptions
	id         string
	machines   []run.Machine
	references []perfcheck.Reference
	ledger     *run.Ledger
	reporter   run.Reporter
}

// beginProtocol checks the flags that all such verbs have.
func (a *App) beginProtocol(ctx context.Context, o *perfOptions) (*protocol, error) {
	for _, path := range []string{o.JUnit, o.HTML, o.Markdown, o.Report} {
		if err := canWrite(path); err != nil {
			return nil, err
		}
	}
	switch perfcheck.FailOn(o.FailOn) {
	case perfcheck.FailOnWarn, perfcheck.FailOnInconclusive, perfcheck.FailOnFail:
	default:
		return nil, notKnown("--fail-on", o.FailOn, "warn", "inconclusive", "fail")
	}
	p := &protocol{a: a, o: o, id: state.NewID("p")}
	var err error
	if p.references, err = a.references(o); err != nil {
		return nil, err
	}
	p.machines, err = a.machines(ctx, o)
	return p, err
}

// runs is the folder of all runs.
func (p *protocol) runs() string { return filepath.Dir(p.a.perfDir(p.id)) }

// run does it, and prints and keeps its report.
func (p *protocol) run(ctx context.Context, do func() (*perfcheck.Report, error)) error {
	dir := p.a.perfDir(p.id)
	var err error
	if p.ledger, err = run.OpenLedger(dir); err != nil {
		return err
	}
	show := p.a.newProgress()
	events := &perfEvents{a: p.a, o: p.o, machine: p.machines, id: p.id}
	p.reporter = &perfProgress{show: show, warn: p.a.warnf, begun: func() { events.started(ctx) }}
	report, err := do()
	show.Close()
	err = errors.Join(err, p.ledger.Close())
	events.finished(ctx, report, err)
	if len(report.Tests) == 0 && err != nil {
		_ = os.Remove(dir) // unless the ledger in it has something to tell
		return err
	}
	if werr := run.WriteReport(dir, report); werr != nil {
		return errors.Join(err, werr)
	}
	if werr := p.a.perfFiles(p.o, report); werr != nil {
		return errors.Join(err, werr)
	}
	if perr := p.a.printReport(report); perr != nil {
		return errors.Join(err, perr)
	}
	p.a.infof("report: %s", filepath.Join(dir, run.ReportFile))
	if err != nil {
		return err
	}
	return report.Outcome(perfcheck.FailOn(p.o.FailOn))
}
