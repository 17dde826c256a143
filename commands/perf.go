package commands

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/disk"
	"cw/perfcheck/net"
	"cw/perfcheck/run"
	"cw/schema"
	"cw/state"
)

func newPerf(a *App) *cobra.Command {
	c := group("perf", "Qualify machines: CPU, memory, disks, network, snapshots, failover, object storage")
	c.AddCommand(
		newPerfDisk(a), newPerfNet(a), newPerfMemory(a), newPerfCPU(a), newPerfAll(a), newPerfResume(a), newPerfList(a),
		newPerfSnapshot(a), newPerfVIP(a),
		newPerfBaseline(a), newPerfCompare(a), newPerfReport(a), newPerfVerifyEngine(a),
	)
	c.AddCommand(newPerfReplace(a), newPerfObject(a), newPerfDB(a), newPerfSize(a))
	return c
}

// perf runs a performance check and prints its report.
func (a *App) perf(ctx context.Context, o *perfOptions) error {
	for _, path := range []*string{&o.HostFile, &o.IdentityFile, &o.AgentBinary, &o.JUnit, &o.HTML, &o.Markdown, &o.Report, &o.Object.CAFile, &o.DB.DSNFile, &o.DB.PasswordFile} {
		if *path == "" {
			continue
		}
		abs, err := filepath.Abs(*path) // cw perf resume may be typed elsewhere
		if err != nil {
			return err
		}
		*path = abs
	}
	for i, d := range o.Dirs {
		if filepath.IsAbs(d) {
			continue
		}
		if len(o.Hosts) > 0 || o.HostFile != "" || o.Cluster != "" {
			return usagef("write the whole path, as /data1", "--dir %s is relative: it has to be the same directory on every host", d)
		}
		abs, err := filepath.Abs(d)
		if err != nil {
			return err
		}
		o.Dirs[i] = abs
	}
	if o.Engine == "cw" {
		o.Engine = ""
	}
	switch {
	case o.Engine != "" && o.Engine != o.peer:
		return usagef("--engine "+o.peer+", or none for cw's own", "--engine %q is not known here", o.Engine)
	case o.Reps < 0, o.Duration < 0:
		return usagef("leave it out for the profile's", "--reps and --duration cannot be negative")
	}
	for _, path := range []string{o.JUnit, o.HTML, o.Markdown, o.Report} {
		if err := canWrite(path); err != nil {
			return err
		}
	}
	return a.perfRun(ctx, state.NewID("p"), o)
}

// perfRun runs or goes on with a run.
func (a *App) perfRun(ctx context.Context, id string, o *perfOptions) error {
	ro, err := a.perfRunOptions(ctx, o)
	if err != nil {
		return err
	}
	if o.dryRun {
		return a.perfPlan(ro)
	}
	if o.Profile == run.Qualify && len(ro.References) == 0 {
		a.warnf("nothing to hold the numbers against: add --baseline NAME, --vendor or --require; cw perf baseline save NAME %s records this run as one", id)
	}
	dir := a.perfDir(id)
	if ro.Journal, err = run.OpenJournal(dir); err != nil {
		return err
	}
	if err := saveOptions(dir, o); err != nil {
		return err
	}
	show := a.newProgress()
	events := &perfEvents{a: a, o: o, machine: ro.Machines, id: id}
	ro.ID, ro.Reporter = id, &perfProgress{show: show, warn: a.warnf, begun: func() { events.started(ctx) }}
	report, err := run.Run(ctx, ro)
	show.Close()
	events.finished(ctx, report, err)
	if len(report.Tests) == 0 && err != nil {
		_ = os.RemoveAll(dir) // there is nothing to go on with
		return err
	}
	if err != nil {
		err = withHint(err, "cw perf resume "+id+" goes on where it ended")
	}
	if werr := run.WriteReport(dir, report); werr != nil {
		return errors.Join(err, werr)
	}
	if werr := a.perfFiles(o, report); werr != nil {
		return errors.Join(err, werr)
	}
	if perr := a.printReport(report); perr != nil {
		return errors.Join(err, perr)
	}
	a.infof("report: %s", filepath.Join(dir, run.ReportFile))
	if err != nil {
		return err
	}
	return report.Outcome(perfcheck.FailOn(o.FailOn))
}

// withHint gives an error a hint unless it has one.
func withHint(err error, hint string) error {
	if fault.HintOf(err) != "" {
		return err
	}
	kind := fault.KindOf(err)
	if errors.Is(err, context.Canceled) {
		kind = fault.Interrupted
	}
	return fault.Wrap(kind, hint, err)
}

// perfDir is the folder of a run.
func (a *App) perfDir(id string) string { return filepath.Join(a.Paths.State, "perf", id) }

// optionsFile keeps the flags of a run.
const optionsFile = "options.json"

func saveOptions(dir string, o *perfOptions) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, optionsFile), data, 0o600)
}

// perfRunOptions turns the flags into a run.
func (a *App) perfRunOptions(ctx context.Context, o *perfOptions) (run.Options, error) {
	ro := run.Options{
		Version: readVersion().Version, Argv: a.argv, Areas: o.Areas, Only: o.Only, Skip: o.Skip, Dirs: o.Dirs, FindDirs: o.Profile == run.Qualify, Clean: o.Clean,
		Engine: o.Engine, Topology: net.Topology(o.Topology), Seed: o.Seed, Log: a.Log,
		Agent: run.FleetOptions{Binary: o.AgentBinary, Log: a.Log},
	}
	var err error
	if ro.Profile, err = run.ProfileOf(o.Profile); err != nil {
		return ro, err
	}
	if o.Duration > 0 {
		ro.Profile.Timing.Duration, ro.Profile.TimingGiven = o.Duration, true
	}
	if o.Warmup >= 0 {
		ro.Profile.Timing.Warmup = o.Warmup
	}
	if o.Reps > 0 {
		ro.Profile.Reps, ro.Profile.RepsGiven = o.Reps, true
	}
	if o.Topology != "" {
		if _, err := net.Rounds(net.Topology(o.Topology), []string{"a", "b"}); err != nil {
			return ro, err
		}
	}
	ro.Disk = disk.PrepareOptions{Size: disk.DefaultSize(o.Profile), AllowRootDisk: o.AllowRootDisk}
	if o.Size != "" {
		if ro.Disk.Size, err = schema.ParseSize(o.Size); err != nil {
			return ro, usagef("write it as 20GB or 20GiB", "--size: %w", err)
		}
	}
	switch perfcheck.FailOn(o.FailOn) {
	case perfcheck.FailOnWarn, perfcheck.FailOnInconclusive, perfcheck.FailOnFail:
	default:
		return ro, notKnown("--fail-on", o.FailOn, "warn", "inconclusive", "fail")
	}
	if ro.References, err = a.references(o); err != nil {
		return ro, err
	}
	if slices.Contains(o.Areas, perfcheck.DB) {
		if ro.Database, err = a.database(ctx, o); err != nil {
			return ro, err
		}
	}
	if ro.Object, err = o.Object.settings(ctx, o.Profile, o.dryRun); err != nil {
		return ro, err
	}
	ro.Machines, err = a.machines(ctx, o)
	return ro, err
}
