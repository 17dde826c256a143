package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/snapshot"
)

// SnapshotOptions say what a run of cw perf snapshot does.
type SnapshotOptions struct {
	ID       string
	Version  string
	Argv     []string
	Profile  string
	Machines []Machine
	Agent    FleetOptions

	Driver string
	// New makes the driver for a machine; run runs commands there as root.
	New func(m Machine, run cloud.Runner) (cloud.Snapshotter, error)
	// Protocol is what is done on each machine. Its Driver, Host, Ledger,
	// Phase, Warn and Name are set here.
	Protocol snapshot.Options
	Reps     int
	Clean    bool

	Runs       string // the folder of all runs, where leftovers are looked for
	Ledger     *Ledger
	References []perfcheck.Reference
	Reporter   Reporter
	Log        *slog.Logger
}

// Snapshots measures snapshots on machines, one after another. The report
// holds what was measured even when an error is returned.
func Snapshots(ctx context.Context, o SnapshotOptions) (*perfcheck.Report, error) {
	report := newReport(o.ID, o.Version, o.Profile, o.Argv, o.Protocol.Seed)
	o.Reporter.Phase("starting cw on " + countOf(len(o.Machines), "machine"))
	fleet, end, err := startPatient(ctx, o.Machines, o.Agent)
	if err != nil {
		return report, err
	}
	defer end()
	r := &snapshotRun{o: o, report: report}
	for _, m := range fleet.Members() {
		if err == nil {
			err = r.machine(ctx, m)
		}
		r.host(m)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	conclude(report, o.References, err)
	return report, err
}

// startPatient starts agents that do not end with the context but when end is
// called: what they hold has to be given back by them.
func startPatient(ctx context.Context, machines []Machine, o FleetOptions) (fleet *Fleet, end func(), err error) {
	life, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { kill(context.Cause(ctx)) }) // while they start
	fleet, err = StartFleet(life, machines, o)
	if !stop() && err == nil {
		fleet.Close(life)
		err = context.Cause(ctx)
	}
	if err != nil {
		kill(nil)
		return nil, nil, err
	}
	return fleet, func() { fleet.Close(life); kill(nil) }, nil
}

// newReport begins the document of a run.
func newReport(id, version, profile string, argv []string, seed uint64) *perfcheck.Report {
	return &perfcheck.Report{
		APIVersion: "cw/v1", Kind: "PerfReport",
		Tool: perfcheck.Tool{Version: version, Engine: perfcheck.EngineVersion},
		Run:  perfcheck.Run{ID: id, Started: time.Now(), Profile: profile, Argv: argv, Seed: seed},
	}
}

// conclude ends the document of a run that ended with err.
func conclude(report *perfcheck.Report, refs []perfcheck.Reference, err error) {
	report.Run.Finished = time.Now()
	report.Run.Complete = err == nil
	report.Conclude(refs)
	if err != nil && report.Verdict != perfcheck.Fail && report.Verdict != perfcheck.Error {
		report.Verdict = perfcheck.Inconclusive
		report.Reason = strings.TrimSuffix(fmt.Sprintf("the run was cut off; %s", report.Reason), "; ")
	}
}

type snapshotRun struct {
	o      SnapshotOptions
	report *perfcheck.Report
	health perfcheck.Health
}

// host puts a machine into the report.
func (r *snapshotRun) host(m *Member) {
	h := perfcheck.Host{Name: m.Name, Inventory: m.Hello.Inventory, Health: r.health}
	if err := m.Err(); err != nil {
		h.Error = err.Error()
	}
	r.health = perfcheck.Health{}
	r.report.Hosts = append(r.report.Hosts, h)
}

// machine measures on one machine.
func (r *snapshotRun) machine(ctx context.Context, m *Member) error {
	o := r.o
	if err := m.Err(); err != nil {
		o.Reporter.Warn(err.Error())
		return fault.Wrap(fault.KindOf(err), fault.HintOf(err), err)
	}
	driver, err := o.New(m.Machine, RootRunner(m.Machine))
	if err != nil {
		return err
	}
	if err := r.leftovers(ctx, m, driver); err != nil {
		return err
	}
	p := o.Protocol
	p.Driver, p.Host, p.Ledger, p.Warn = driver, farVolume{m.a}, o.Ledger.For(m.Name, o.Driver), o.Reporter.Warn
	p.Phase = func(text string) { o.Reporter.Phase(m.Name + ": " + text) }
	if locate, ok := driver.(interface {
		VolumeAt(ctx context.Context, dir string) (string, error)
	}); ok && p.Volume == "" {
		if p.Volume, err = locate.VolumeAt(ctx, p.Dir); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	mounts := &mounter{run: RootRunner(m.Machine), at: "/tmp/cw-snap." + o.ID + ".restored", made: o.Ledger.For(m.Name, o.Driver)}
	p.Mount, p.Unmount = mounts.mount, mounts.unmount
	var outs []*snapshot.Outcome
	for rep := range max(o.Reps, 1) {
		p.Name = fmt.Sprintf("%s-%d", o.ID, rep+1)
		out, err := snapshot.Run(ctx, p)
		r.health = worse(r.health, out.Health)
		if err != nil && len(out.Measured) == 0 {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if ctx.Err() == nil || len(outs) == 0 {
			outs = append(outs, out)
		}
		if err != nil {
			r.tests(outs, m)
			return err
		}
	}
	r.tests(outs, m)
	return nil
}

// tests makes the results of a machine.
func (r *snapshotRun) tests(outs []*snapshot.Outcome, m *Member) {
	p := r.o.Protocol
	params := map[string]any{
		// Words, since a large number does not look the same when it has been
		// written to a file and read again.
		"driver": r.o.Driver, "data": fmt.Sprintf("%d B", p.Size), "change": fmt.Sprintf("%d B", p.Change), "rate": p.Rate, "around": p.Around.Seconds(),
	}
	for _, t := range snapshot.Results(outs, m.Name, params) {
		health := r.health
		t.Health = &health
		perfcheck.Judge(&t, snapshot.Find(t.ID), r.o.References)
		r.report.Tests = append(r.report.Tests, t)
		r.o.Reporter.Finished(&t)
	}
}

// leftovers names what earlier runs left on this machine with this driver, or
// removes it.
func (r *snapshotRun) leftovers(ctx context.Context, m *Member, driver cloud.Snapshotter) error {
	if r.o.Runs == "" {
		return nil
	}
	left, err := MadeByOthers(r.o.Runs)
	if err != nil {
		return err
	}
	for i := len(left) - 1; i >= 0; i-- {
		l := left[i]
		if l.Host != m.Name || l.Driver != r.o.Driver {
			continue
		}
		if !r.o.Clean {
			r.o.Reporter.Warn(fmt.Sprintf("%s: the %s %s may be left of run %s, which was killed; --clean removes it, or: %s", m.Name, l.Kind, l.ID, l.Run, snapshot.DeleteCommand(driver, l.Kind, l.ID)))
			continue
		}
		if err := r.remove(ctx, m, driver, l); err != nil {
			return fmt.Errorf("%s: remove what run %s left: %w", m.Name, l.Run, err)
		}
	}
	return nil
}

// remove takes away what an earlier run left, and writes that down there.
func (r *snapshotRun) remove(ctx context.Context, m *Member, driver cloud.Snapshotter, l Made) (err error) {
	ledger, err := OpenLedger(r.o.Runs + "/" + l.Run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	switch l.Kind {
	case snapshot.MadeSnapshot:
		err = driver.DeleteSnapshot(ctx, l.ID)
	case snapshot.MadeVolume:
		err = errors.Join(driver.DetachVolume(ctx, l.ID), driver.DeleteVolume(ctx, l.ID))
	case snapshot.MadeMount:
		err = unmount(ctx, RootRunner(m.Machine), l.ID)
	case snapshot.MadeNamed:
		r.o.Reporter.Warn(fmt.Sprintf("%s: run %s may have left a snapshot called %s, whose id it never got: look for it as the cloud does", m.Name, l.Run, l.ID))
		return ledger.For(l.Host, l.Driver).Gone(l.Kind, l.ID) // it is not said again
	case snapshot.MadeFolder:
		if !strings.Contains(l.ID, "/"+snapshot.FolderPrefix) {
			return fault.New(fault.Usage, "", "%s is no folder of cw perf snapshot", l.ID)
		}
		_, err = RootRunner(m.Machine)(ctx, []string{"rm", "-rf", "--", l.ID}, nil)
	}
	if err != nil {
		return err
	}
	r.o.Reporter.Warn(fmt.Sprintf("%s: removed the %s %s, which run %s had left", m.Name, l.Kind, l.ID, l.Run))
	return ledger.For(l.Host, l.Driver).Gone(l.Kind, l.ID)
}
