package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

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
	c := group("perf", "Measure machines: disks, network, memory and CPU, with a verdict")
	c.AddCommand(
		newPerfDisk(a), newPerfNet(a), newPerfMemory(a), newPerfCPU(a), newPerfAll(a), newPerfResume(a), newPerfList(a),
		newPerfBaseline(a), newPerfCompare(a), newPerfVerifyEngine(a),
	)
	return c
}

// perfOptions are the flags of every verb that measures. They are kept with
// the run, so that cw perf resume needs none.
type perfOptions struct {
	Areas []perfcheck.Area

	Hosts        []string
	HostFile     string
	Cluster      string
	SSHUser      string
	IdentityFile string
	AgentBinary  string

	Profile  string
	Only     []string
	Skip     []string
	Duration time.Duration
	Warmup   time.Duration
	Reps     int
	Seed     uint64
	Engine   string

	Dirs          []string
	Size          string
	AllowRootDisk bool
	Topology      string

	Baselines []string
	Vendor    string
	Require   []string
	FailOn    string
	JUnit     string
	Markdown  string
	Report    string
	Clean     bool

	dryRun bool
}

func (o *perfOptions) addHostFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&o.Hosts, "host", nil, "measure this host: [user@]name[:port] (repeat, or separate by commas; default: this machine)")
	f.StringVarP(&o.HostFile, "hosts-file", "f", "", "measure the hosts of this file, one per line, or of a topology file (.yaml)")
	f.StringVar(&o.Cluster, "cluster", "", "measure the hosts of this cluster")
	f.StringVar(&o.SSHUser, "ssh-user", "", "SSH user of the hosts that name none")
	f.StringVar(&o.IdentityFile, "identity-file", "", "SSH key (default: as ssh itself finds it)")
	f.StringVar(&o.AgentBinary, "agent-binary", "", "cw for hosts of another architecture: a binary or a release archive")
	f.BoolVar(&o.Clean, "clean", false, "remove what earlier runs that were killed left on the hosts")
}

func (o *perfOptions) addFlags(c *cobra.Command) {
	o.addHostFlags(c)
	f := c.Flags()
	f.StringVar(&o.Profile, "profile", "quick", "how thorough: "+strings.Join(run.Profiles(), ", "))
	f.StringSliceVar(&o.Only, "only", nil, "only these tests: an id, the beginning of one, or a pattern with * (cw perf list)")
	f.StringSliceVar(&o.Skip, "skip", nil, "not these tests")
	f.DurationVar(&o.Duration, "duration", 0, "measured phase of each test (default: the profile's)")
	f.DurationVar(&o.Warmup, "warmup", -1, "warm-up before it (default: the profile's)")
	f.Lookup("warmup").DefValue = "0s" // not -1ns in the help
	f.IntVar(&o.Reps, "reps", 0, "repetitions of each test (default: the profile's)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the random data and offsets")
	f.StringSliceVar(&o.Baselines, "baseline", nil, "compare with this baseline: a name (cw perf baseline list) or a file")
	f.StringVar(&o.Vendor, "vendor", "", "compare with a vendor's promise: TYPE:SIZE, as qingcloud.general-ssd:500GB, or FILE#TYPE:SIZE")
	f.StringArrayVar(&o.Require, "require", nil, "require a number, as 'disk.randread.8k.qd32.iops>=5000' (repeat), or a file of them")
	f.StringVar(&o.FailOn, "fail-on", "fail", "the mildest verdict that ends with exit code 6: warn, inconclusive, fail")
	f.StringVar(&o.JUnit, "junit", "", "write the verdicts as JUnit XML to this file")
	f.StringVar(&o.Markdown, "markdown", "", "write a summary for a pull request to this file")
	f.StringVar(&o.Report, "report", "", "write the whole report as JSON to this file (it is kept in cw's state folder anyway)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be measured and how long it takes, and measure nothing")
}

func (o *perfOptions) addDiskFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&o.Dirs, "dir", "d", nil, "directory on the disk to test (repeat for each disk; it must exist on every host)")
	f.StringVar(&o.Size, "size", "", "size of the test file in each directory, as 20GB (default: the profile's)")
	f.BoolVar(&o.AllowRootDisk, "allow-root-disk", false, "test directories on the disk of / as well")
}

func (o *perfOptions) addNetFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.Topology, "topology", "", "which pairs: serial, pairs (neighbours at once), tournament (every pair), matrix (all at once)\n(default: tournament for throughput, latency and MTU, pairs for the rest)")
}

func (o *perfOptions) addEngineFlag(c *cobra.Command, peer string) {
	c.Flags().StringVar(&o.Engine, "engine", "", "measure with "+peer+" instead of cw's own engine, where it is installed")
}

// perf runs a performance check and prints its report.
func (a *App) perf(ctx context.Context, o *perfOptions) error {
	for _, path := range []*string{&o.HostFile, &o.IdentityFile, &o.AgentBinary, &o.JUnit, &o.Markdown, &o.Report} {
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
		Version: readVersion().Version, Argv: a.argv, Areas: o.Areas, Only: o.Only, Skip: o.Skip, Dirs: o.Dirs, Clean: o.Clean,
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
		return ro, usagef("one of: warn, inconclusive, fail", "--fail-on %q is not known", o.FailOn)
	}
	if ro.References, err = a.references(o); err != nil {
		return ro, err
	}
	ro.Machines, err = a.machines(ctx, o)
	return ro, err
}

// perfFiles writes the report in the other forms that were asked for.
func (a *App) perfFiles(o *perfOptions, r *perfcheck.Report) error {
	for _, f := range []struct {
		path  string
		write func(*os.File) error
	}{
		{o.JUnit, func(f *os.File) error { return perfcheck.WriteJUnit(f, r) }},
		{o.Markdown, func(f *os.File) error { return perfcheck.WriteMarkdown(f, r) }},
		{o.Report, func(f *os.File) error { return printJSON(f, r) }},
	} {
		if f.path == "" {
			continue
		}
		file, err := os.Create(f.path)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := errors.Join(f.write(file), file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	return nil
}

// printReport prints a report in the format the user chose.
func (a *App) printReport(r *perfcheck.Report) error {
	switch a.flags.output {
	case "json":
		return printJSON(a.IO.Out, r)
	case "yaml":
		return printYAML(a.IO.Out, r)
	case "csv":
		return printCSV(a.IO.Out, perfTable(r))
	}
	return perfcheck.WriteTable(a.IO.Out, r)
}

// perfTable has a line for each metric.
func perfTable(r *perfcheck.Report) table {
	t := table{cols: cols("TEST", "WHERE", "METRIC", "VALUE", "UNIT", "MAD", "CV", "N", "VERDICT", "REASON")}
	for i := range r.Tests {
		test := &r.Tests[i]
		for _, name := range test.MetricNames() {
			m := test.Metrics[name]
			t.add(test.ID, test.Where(), name, fmt.Sprint(m.Value), m.Unit, fmt.Sprint(m.MAD), fmt.Sprint(m.CV), fmt.Sprint(m.N), string(test.Verdict), test.Reason)
		}
		if len(test.Metrics) == 0 {
			t.add(test.ID, test.Where(), "", "", "", "", "", "", string(test.Verdict), test.Reason)
		}
	}
	return t
}
