package commands

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/cloud"
	"cw/cloud/drivers"
	"cw/perfcheck"
	"cw/perfcheck/run"
	"cw/perfcheck/snapshot"
	"cw/schema"
)

// snapshotOptions are the flags of cw perf snapshot.
type snapshotOptions struct {
	perf perfOptions

	Driver       string
	CloudOptions []string
	Volume       string
	Machine      string
	Dir          string
	Size         string
	Change       string
	Rate         float64
	Around       time.Duration
	Timeout      time.Duration
	NoRead       bool
	Reps         int
}

func newPerfSnapshot(a *App) *cobra.Command {
	o := snapshotOptions{perf: perfOptions{Areas: []perfcheck.Area{perfcheck.Snapshot}}}
	c := &cobra.Command{
		Use: "snapshot --driver DRIVER --dir DIR", Short: "Measure snapshots, and what they do to the running system", Args: noArgs,
		Long: `Measure what a full and an incremental snapshot of a volume take, what they do to
those who use it meanwhile, and how long it takes until what is restored can be
read. A probe writes 8 KiB and syncs, ` + "`--rate`" + ` times a second whatever became of
the write before, before, during and after each snapshot; another one reads. The
same is done around no snapshot at all: an impact counts only beyond what that
moved. What is restored is compared with what was there at the moment of the
snapshot, byte for byte. Everything that is made is removed afterwards.

Drivers: btrfs (a subvolume; size of the send stream), xfs-reflink (clones of the
files), lvm (thick and thin), which need root or sudo on the host; and those of
clouds, which work from here and want --volume and --machine: ebs, qingcloud, exec
(a program of yours).` + exitHelp(3, 4, 5, 6),
		Example: `  cw perf snapshot --driver btrfs --dir /data1
  cw perf snapshot --driver ebs --dir /data1 --volume vol-0a1b --machine i-0c2d --host dw1
  cw perf snapshot --driver lvm --dir /data1 -f hosts --profile standard --baseline c4.xlarge
  cw perf snapshot --driver btrfs --dir /data1 --require 'snapshot.full.write.stall<=1s' --junit out.xml`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perfSnapshot(cmd.Context(), &o) },
	}
	f := c.Flags()
	f.StringVar(&o.Driver, "driver", "", "what makes the snapshots: "+snapshotDrivers())
	f.StringArrayVar(&o.CloudOptions, "driver-option", nil, "a setting of the driver, as zone=pek3a (repeat)")
	f.StringVarP(&o.Dir, "dir", "d", "", "directory on the volume")
	f.StringVar(&o.Volume, "volume", "", "the volume that the directory is on, as the driver calls it (local drivers find it)")
	f.StringVar(&o.Machine, "machine", "", "the machine that restored volumes are attached to, as the driver calls it")
	f.StringVar(&o.Size, "size", "", "size of the data set, as 20GB (default: the profile's)")
	f.StringVar(&o.Change, "change", "", "how much of it is overwritten before the incremental snapshot (default: a tenth)")
	f.Float64Var(&o.Rate, "rate", 200, "synced writes per second of the probe")
	f.DurationVar(&o.Around, "around", 0, "how long the probe runs before and after a snapshot (default: the profile's)")
	f.DurationVar(&o.Timeout, "timeout", 0, "how long one snapshot or restore may take (default 1h, soak 12h)")
	f.BoolVar(&o.NoRead, "no-read", false, "leave the reading probe out")
	f.StringVar(&o.perf.Profile, "profile", "quick", "how thorough: quick (1 GiB, 5 s around), standard (4 GiB, 60 s), soak (16 GiB, 300 s)")
	f.IntVar(&o.Reps, "reps", 1, "repetitions of the whole")
	o.perf.addProtocolFlags(c)
	return c
}

func (a *App) perfSnapshot(ctx context.Context, o *snapshotOptions) error {
	so, err := o.protocol()
	if err != nil {
		return err
	}
	p, err := a.beginProtocol(ctx, &o.perf)
	if err != nil {
		return err
	}
	if o.perf.dryRun {
		return a.snapshotPlan(p, so)
	}
	return p.run(ctx, func() (*perfcheck.Report, error) {
		return run.Snapshots(ctx, run.SnapshotOptions{
			ID: p.id, Version: readVersion().Version, Argv: a.argv, Profile: o.perf.Profile, Machines: p.machines,
			Agent:  run.FleetOptions{Binary: o.perf.AgentBinary, Log: a.Log},
			Driver: o.Driver, New: snapshotDriver(ctx, o), Protocol: so, Reps: o.Reps, Clean: o.perf.Clean,
			Runs: p.runs(), Ledger: p.ledger, References: p.references, Reporter: p.reporter, Log: a.Log,
		})
	})
}

// snapshotDriver makes the driver for a machine. Drivers that speak with a
// cloud work from here, whatever the machine.
func snapshotDriver(ctx context.Context, o *snapshotOptions) func(run.Machine, cloud.Runner) (cloud.Snapshotter, error) {
	return func(_ run.Machine, runner cloud.Runner) (cloud.Snapshotter, error) {
		if d := run.LocalDriver(o.Driver, runner); d != nil {
			return d, nil
		}
		options, err := drivers.ParseOptions(o.CloudOptions)
		if err != nil {
			return nil, err
		}
		d, err := drivers.Open(ctx, drivers.Spec{Driver: o.Driver, Options: options, Run: runner})
		if err != nil {
			return nil, err
		}
		if d.Snapshots == nil {
			return nil, usagef("one of: "+snapshotDrivers(), "driver %s makes no snapshots", o.Driver)
		}
		return d.Snapshots, nil
	}
}

// snapshotDrivers names the drivers.
func snapshotDrivers() string {
	return strings.Join(append(run.LocalDrivers(), drivers.Names()...), ", ")
}

// protocol turns the flags into what is done on each machine.
func (o *snapshotOptions) protocol() (snapshot.Options, error) {
	so := snapshot.Options{
		Dir: o.Dir, Seed: o.perf.Seed, Rate: o.Rate, Volume: o.Volume, Machine: o.Machine, NoReads: o.NoRead,
		Warmup: time.Second, Least: 2 * time.Second, Poll: 200 * time.Millisecond, Timeout: time.Hour,
	}
	switch o.perf.Profile {
	case "quick":
		so.Size, so.Around = 1<<30, 5*time.Second
	case "standard":
		so.Size, so.Around, so.Warmup = 4<<30, time.Minute, 3*time.Second
	case "soak":
		so.Size, so.Around, so.Warmup, so.Timeout = 16<<30, 5*time.Minute, 10*time.Second, 12*time.Hour
	default:
		return so, notKnown("--profile", o.perf.Profile, "quick", "standard", "soak")
	}
	switch {
	case o.Driver == "":
		return so, usagef("add --driver, one of: "+snapshotDrivers(), "what makes the snapshots was not said")
	case o.Dir == "":
		return so, usagef("add --dir DIR, a directory on the volume", "which volume to test was not said")
	case !slices.Contains(append(run.LocalDrivers(), drivers.Names()...), o.Driver):
		return so, notKnown("--driver", o.Driver, strings.Split(snapshotDrivers(), ", ")...)
	case !slices.Contains(run.LocalDrivers(), o.Driver) && (o.Volume == "" || o.Machine == ""):
		return so, usagef("add --volume ID and --machine ID, as "+o.Driver+" calls them", "driver %s needs to know the volume that --dir is on, and the machine", o.Driver)
	case !filepath.IsAbs(o.Dir):
		return so, usagef("write the whole path, as /data1", "--dir %s is relative", o.Dir)
	case o.Rate <= 0, o.Around < 0, o.Timeout < 0, o.Reps < 1:
		return so, usagef("leave them out for the defaults", "--rate, --around, --timeout and --reps must be positive")
	}
	if !slices.Contains(run.LocalDrivers(), o.Driver) {
		so.Poll = time.Second // of a request that others have to answer as well
	}
	if o.Around > 0 {
		so.Around = o.Around
	}
	if o.Timeout > 0 {
		so.Timeout = o.Timeout
	}
	var err error
	if o.Size != "" {
		if so.Size, err = schema.ParseSize(o.Size); err != nil {
			return so, usagef("write it as 20GB or 20GiB", "--size: %w", err)
		}
	}
	so.Size = max(so.Size/snapshot.ReadBlock*snapshot.ReadBlock, 16*snapshot.ReadBlock)
	so.Change = so.Size / 10 / snapshot.Block * snapshot.Block
	if o.Change != "" {
		if so.Change, err = schema.ParseSize(o.Change); err != nil {
			return so, usagef("write it as 100MB or 100MiB", "--change: %w", err)
		}
	}
	if so.Change < snapshot.Block || so.Change > so.Size {
		return so, usagef("between 32KiB and --size", "--change of %s cannot be overwritten", schema.FormatSize(so.Change))
	}
	so.Change = so.Change / snapshot.Block * snapshot.Block
	return so, nil
}

// snapshotStepDoc is a step of the plan in JSON.
type snapshotStepDoc struct {
	Host    string  `json:"host"`
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds,omitempty"`
}

// snapshotPlan tells what would be done.
func (a *App) snapshotPlan(p *protocol, so snapshot.Options) error {
	t := table{cols: cols("HOST", "STEP", "ABOUT")}
	var steps []snapshotStepDoc
	around := (so.Warmup + 2*so.Around + so.Least).Seconds()
	for _, m := range p.machines {
		add := func(text string, seconds float64) {
			steps = append(steps, snapshotStepDoc{m.Name, text, seconds})
			about := "-"
			if seconds > 0 {
				about = perfcheck.FormatValue(seconds, perfcheck.Seconds)
			}
			t.add(m.Name, text, about)
		}
		add("make a volume in "+so.Dir+" and write "+schema.FormatSize(so.Size+snapshot.ProbeFile), 0)
		add("full snapshot while the probe writes", around)
		add("overwrite "+schema.FormatSize(so.Change)+", incremental snapshot while the probe writes", around)
		add("the probe around no snapshot", around)
		if !so.NoReads {
			add("full snapshot while the probe reads", around)
			add("the reading probe around no snapshot", around)
		}
		add("restore both, read and compare them", 0)
		add("remove the snapshots, the volumes and the files", 0)
	}
	a.infof("and as long as the driver takes")
	return a.print(list("PerfSnapshotPlan", steps), t)
}
