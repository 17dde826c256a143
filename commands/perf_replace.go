package commands

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/cloud/drivers"
	"cw/cloud/exec"
	"cw/perfcheck"
	"cw/perfcheck/run"
	"cw/remote"
)

// perfReplaceOptions are the flags of cw perf replace.
type perfReplaceOptions struct {
	perfOptions

	cloud   string
	options []string
	port    int
	confirm string
	yes     bool
	run     run.ReplaceOptions
}

func newPerfReplace(a *App) *cobra.Command {
	o := perfReplaceOptions{perfOptions: perfOptions{Areas: []perfcheck.Area{perfcheck.Replace}, Profile: "replace"}}
	c := &cobra.Command{
		Use: "replace --driver DRIVER --snapshot ID", Short: "Measure how long it takes to replace a failed node", Args: noArgs,
		Long: `Measure the replacement of a failed node phase by phase: noticed, requested, running,
SSH open, first command, volume of the snapshot available, attached, visible, mounted,
first byte, database up, everything read once; and how slow random reads are before
that. One clock on this machine; questions every half second, see --poll: that is the
error of each phase. The time since the fault is that of the longest way, without what
only measures.

The new machine is made by the cloud's driver, and removed afterwards with its volume,
also after Ctrl-C (--keep keeps the last). With --machine, that machine is stopped hard
first, and each repetition stops the machine that the one before made; it stays stopped.
Hooks: --fault and --detect run here, with CW_MACHINE; --mount, --start and --up run on
the new machine as the SSH user, --mount with CW_DEVICE. What is not given is not
measured, and the report says why.

` + driversHelp() + exitHelp(3, 4, 5, 6),
		Example: `  cw perf replace --driver qingcloud --driver-option zone=pek3a --driver-option image=img-1 \
    --driver-option instance_type=c4m8 --driver-option keypair=kp-1 --driver-option vxnets=vxnet-1 \
    --snapshot ss-z9y03ggk --ssh-user root --mount 'mount "$CW_DEVICE" /data' \
    --start 'su postgres -c "pg_ctl -D /data/pg -w start"' --read /data
  cw perf replace --driver exec --driver-option program=./cloud.sh --snapshot s1 --dry-run
  cw perf replace --driver ebs --machine i-0bb --confirm i-0bb --detect '! cw cluster status dw1 --exit-code' --require 'replace.database_up.since_fault<=300s'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perfReplace(cmd.Context(), &o) },
	}
	f := c.Flags()
	f.StringVar(&o.cloud, "driver", "", "what makes the new machine: "+strings.Join(drivers.Names(), ", "))
	f.StringArrayVar(&o.options, "driver-option", nil, "option of the driver, as zone=pek3a (repeat)")
	f.StringVar(&o.run.Snapshot, "snapshot", "", "make the volume of this snapshot")
	f.StringVar(&o.run.Victim, "machine", "", "stop this machine first, hard, as a failure would")
	f.StringVar(&o.confirm, "confirm", "", "the id of --machine once more: it is stopped without a question")
	f.StringVar(&o.run.Name, "name", "cw-replace", "name of what is made")
	f.StringVar(&o.run.Hooks.Fault, "fault", "", "command here that makes the node fail, in place of stopping --machine")
	f.StringVar(&o.run.Hooks.Detect, "detect", "", "command here that ends with 0 once the failure is noticed")
	f.StringVar(&o.run.Hooks.Mount, "mount", "", "command on the new machine that mounts $CW_DEVICE")
	f.StringVar(&o.run.Hooks.Start, "start", "", "command on the new machine that starts the database")
	f.StringVar(&o.run.Hooks.Up, "up", "", "command on the new machine that ends with 0 once the database answers (default: --start says it)")
	f.StringVar(&o.run.Device, "device", "", "what the new machine calls the volume (default: found by its serial number, or as the cloud says)")
	f.StringVar(&o.run.Read, "read", "", "what is read on the new machine: a directory, a file or a device (default: the device)")
	f.Float64Var(&o.run.Rate, "read-rate", 50, "random reads per second before everything is there")
	f.DurationVar(&o.run.ReadFor, "read-for", 10*time.Second, "how long random reads are measured")
	f.StringVar(&o.SSHUser, "ssh-user", "", "SSH user of the new machine")
	f.IntVar(&o.port, "ssh-port", 0, "SSH port of the new machine (default: 22, or what the driver tells)")
	f.StringVar(&o.IdentityFile, "identity-file", "", "SSH key (default: as ssh itself finds it)")
	f.StringVar(&o.AgentBinary, "agent-binary", "", "cw for a machine of another architecture: a binary or a release archive")
	f.IntVar(&o.run.Repeat, "reps", 3, "how often the node is replaced")
	f.DurationVar(&o.run.Poll, "poll", 500*time.Millisecond, "between two questions, a second at most")
	f.DurationVar(&o.run.Timeout, "timeout", 30*time.Minute, "of one phase, but for reading everything")
	f.DurationVar(&o.run.Patience, "auth-patience", 2*time.Minute, "how long a new machine may refuse the SSH key")
	f.BoolVar(&o.run.Keep, "keep", false, "keep the last machine and its volume")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the places of random reads")
	f.BoolVar(&o.yes, "yes", false, "make machines without a question")
	f.BoolVar(&o.dryRun, "dry-run", false, "show which phases would be measured, and make nothing")
	f.StringSliceVar(&o.Baselines, "baseline", nil, "compare with this baseline: a name (cw perf baseline list) or a file")
	f.StringArrayVar(&o.Require, "require", nil, "require a number, as 'replace.database_up.since_fault<=300s' (repeat), or a file of them")
	f.StringVar(&o.FailOn, "fail-on", "fail", "the mildest verdict that ends with exit code 6: warn, inconclusive, fail")
	f.StringVar(&o.JUnit, "junit", "", "write the verdicts as JUnit XML to this file")
	f.StringVar(&o.Markdown, "markdown", "", "write a summary for a pull request to this file")
	f.StringVar(&o.HTML, "html", "", "write the report as one HTML page to this file")
	f.StringVar(&o.Report, "report", "", "write the whole report as JSON to this file (it is kept in cw's state folder anyway)")
	return c
}

// driversHelp lists the drivers that make machines, with their options.
func driversHelp() string {
	var b strings.Builder
	b.WriteString("Drivers and their options:")
	for _, d := range drivers.List() {
		fmt.Fprintf(&b, "\n  %-18s %s", d.Name, d.Summary)
		for _, o := range d.Options {
			fmt.Fprintf(&b, "\n    %-16s %s", o.Key, o.Help)
		}
	}
	b.WriteString("\n\n" + exec.Contract)
	return b.String()
}

// perfReplace measures replacements and prints their report.
func (a *App) perfReplace(ctx context.Context, o *perfReplaceOptions) error {
	if o.cloud == "" {
		return usagef("--driver "+strings.Join(drivers.Names(), "|"), "which cloud to make the new machine in was not said")
	}
	for _, path := range []string{o.JUnit, o.HTML, o.Markdown, o.Report} {
		if err := canWrite(path); err != nil {
			return err
		}
	}
	options, err := drivers.ParseOptions(o.options)
	if err != nil {
		return err
	}
	refs, err := a.references(&o.perfOptions)
	if err != nil {
		return err
	}
	driver, err := drivers.Open(ctx, drivers.Spec{Driver: o.cloud, Options: options})
	if err != nil {
		return err
	}
	ro := o.run
	ro.Version, ro.Argv, ro.References, ro.Seed, ro.Log = readVersion().Version, a.argv, refs, o.Seed, a.Log
	ro.Cloud, ro.Machines, ro.Snapshots, ro.CanLaunch = driver.Name, driver.Machines, driver.Snapshots, driver.CanLaunch
	ro.Target = remote.Target{User: o.SSHUser, IdentityFile: o.IdentityFile, Port: o.port}
	ro.Agent = run.FleetOptions{Binary: o.AgentBinary, Log: a.Log}
	if err := ro.Check(); err != nil {
		return err
	}
	pool, err := a.poolOptions(perfMachines)
	if err != nil {
		return err
	}
	ro.Pool = func(dir string) *remote.Pool {
		// A new machine has a new key, and maybe the address of one before.
		p := pool
		p.KnownHosts, p.UserKnownHosts = filepath.Join(dir, "known_hosts"), nil
		return a.newPool(p)
	}
	if o.dryRun {
		return a.print(replacePlan(ro))
	}
	if err := a.confirmReplace(ctx, o); err != nil {
		return err
	}
	return a.runReplace(ctx, o, ro)
}

// confirmReplace asks before machines are stopped and made.
func (a *App) confirmReplace(ctx context.Context, o *perfReplaceOptions) error {
	if o.run.Victim != "" && o.confirm != o.run.Victim {
		if o.confirm != "" {
			return usagef("add --confirm "+o.run.Victim, "%q is not the id of --machine (%s): nothing was changed", o.confirm, o.run.Victim)
		}
		answer, err := a.ask(ctx, fmt.Sprintf("Machine %s will be stopped as a failure would stop it, and stay so. Type its id to go on: ", o.run.Victim), "add --confirm "+o.run.Victim)
		if err != nil {
			return err
		}
		if strings.TrimSpace(answer) != o.run.Victim {
			return errDeclined
		}
	}
	return a.confirm(ctx, fmt.Sprintf("%d machines will be made in %s one after another, and removed: they cost money. Go on?", o.run.Repeat, o.cloud), o.yes)
}
