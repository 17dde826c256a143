package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/replace"
	"cw/remote"
)

// ReplaceHooks are commands of the user. Each runs by /bin/sh -c.
type ReplaceHooks struct {
	Fault  string // here: makes the node fail; CW_MACHINE is its id
	Detect string // here, again and again: exit 0 once the failure is noticed
	Mount  string // on the new machine; CW_DEVICE is what it calls the volume
	Start  string // on the new machine: starts the database
	Up     string // on the new machine, again and again: exit 0 once it answers
}

// ReplaceOptions are what a check of replacements does.
type ReplaceOptions struct {
	ID      string
	Version string
	Argv    []string

	Cloud     string // the driver's name
	Machines  cloud.Machines
	Snapshots cloud.Snapshotter
	CanLaunch func() error // nil, or what LaunchMachine lacks

	Snapshot string
	Victim   string // the machine that is stopped first; "" stops none
	Name     string // of what is made
	Hooks    ReplaceHooks
	Device   string // what the guest calls the volume; "" finds out
	Read     string // what is read on the new machine; "" is the device
	Rate     float64
	ReadFor  time.Duration

	Target remote.Target // how to get in; its address is the new machine's
	// Pool makes the way to one new machine: each has host keys of its own.
	Pool func(dir string) *remote.Pool

	Repeat     int
	Poll       time.Duration
	Timeout    time.Duration
	Patience   time.Duration
	Keep       bool // the last machine and its volume
	References []perfcheck.Reference
	Seed       uint64
	Agent      FleetOptions
	Reporter   Reporter
	// On hears of each phase that is over, in one line.
	On  func(text string, r replace.Result)
	Log *slog.Logger
}

// Without says which phases are not measured, and why.
func (o ReplaceOptions) Without() map[string]string {
	w := map[string]string{}
	set := func(why string, ids ...string) {
		for _, id := range ids {
			if w[id] == "" {
				w[id] = why
			}
		}
	}
	if o.Hooks.Detect == "" {
		set("--detect does not say how the failure is noticed", replace.Detected)
	}
	if o.Snapshot == "" {
		set("no --snapshot to make a volume of", replace.VolumeAvailable, replace.Attached, replace.Visible)
	}
	if o.Hooks.Mount == "" {
		set("--mount does not say how the volume is mounted", replace.Mounted)
	}
	if o.Read == "" && o.Snapshot == "" {
		set("neither --read nor --snapshot says what to read", replace.FirstByte, replace.ColdReads, replace.Hydrated)
	}
	if o.Hooks.Start == "" && o.Hooks.Up == "" {
		set("neither --start nor --up says when the database is up", replace.DatabaseUp)
	}
	return w
}

// Check finds what cannot work before anything is begun.
func (o ReplaceOptions) Check() error {
	switch {
	case o.Machines == nil:
		return fault.New(fault.Usage, "cw perf replace --help lists the drivers", "cloud %s makes no machines", o.Cloud)
	case o.Snapshot != "" && o.Snapshots == nil:
		return fault.New(fault.Usage, "leave --snapshot out", "cloud %s makes no volumes of snapshots", o.Cloud)
	case o.Repeat < 1:
		return fault.New(fault.Usage, "--reps 3", "--reps %d replaces nothing", o.Repeat)
	case o.Poll <= 0 || o.Poll > time.Second:
		return fault.New(fault.Usage, "--poll 500ms", "--poll %s: between nothing and a second, the error of each phase is as large", o.Poll)
	case o.Rate <= 0 || o.ReadFor <= 0:
		return fault.New(fault.Usage, "--read-rate 50 --read-for 10s", "random reads need a rate and a time")
	}
	if o.CanLaunch != nil {
		return o.CanLaunch()
	}
	return nil
}

// look asks the cloud whether what is there already can be used, before
// anything is stopped or made.
func (o ReplaceOptions) look(ctx context.Context) error {
	if o.Snapshot != "" {
		s, err := o.Snapshots.Snapshot(ctx, o.Snapshot)
		if err != nil {
			return fmt.Errorf("look at snapshot %s: %w", o.Snapshot, err)
		}
		if s.State != cloud.Available {
			return fault.New(fault.Check, "choose one that is available", "snapshot %s in %s is %s: nothing was changed", o.Snapshot, o.Cloud, s.State)
		}
	}
	if o.Victim != "" {
		m, err := o.Machines.Machine(ctx, o.Victim)
		if err != nil {
			return fmt.Errorf("look at machine %s: %w", o.Victim, err)
		}
		if m.State != cloud.InUse {
			return fault.New(fault.Check, "start it first, or leave --machine out", "machine %s in %s does not run, it is %s: nothing was changed", o.Victim, o.Cloud, m.State)
		}
	}
	return nil
}

// replaced is what was measured of each phase.
type replaced struct {
	reps    map[string][]perfcheck.Measurement
	without map[string]string
	errs    map[string][]string
	last    map[string]any // inventory of the last machine
}

// Replace replaces a node again and again, and judges. The report holds
// what was measured even when an error is returned.
func Replace(ctx context.Context, o ReplaceOptions) (*perfcheck.Report, error) {
	report := &perfcheck.Report{
		APIVersion: "cw/v1", Kind: "PerfReport",
		Tool: perfcheck.Tool{Version: o.Version, Engine: perfcheck.EngineVersion},
		Run:  perfcheck.Run{ID: o.ID, Started: time.Now(), Profile: "replace", Argv: o.Argv, Seed: o.Seed},
	}
	if err := o.Check(); err != nil {
		return report, err
	}
	if err := o.look(ctx); err != nil {
		return report, err
	}
	got := &replaced{reps: map[string][]perfcheck.Measurement{}, without: o.Without(), errs: map[string][]string{}}
	err := o.repeat(ctx, got)
	report.Tests = o.tests(got)
	report.Hosts = []perfcheck.Host{{Name: o.Cloud, Inventory: got.last}}
	report.Run.Finished, report.Run.Complete = time.Now(), err == nil
	report.Conclude(o.References)
	for i := range report.Tests {
		o.Reporter.Finished(&report.Tests[i])
	}
	if ctx.Err() != nil {
		return report, errors.Join(context.Cause(ctx), leftOf(err))
	}
	return report, err
}

// leftError is what could not be tidied up.
type leftError struct{ err error }

func (e *leftError) Error() string { return e.err.Error() }

func (e *leftError) Unwrap() error { return e.err }

// FaultHint implements fault.Hinter.
func (e *leftError) FaultHint() string {
	return "delete what is named here in the cloud's console: it costs money"
}

// leftOf keeps only what is left behind of an error.
func leftOf(err error) error {
	var left *leftError
	if errors.As(err, &left) {
		return left
	}
	return nil
}

// tidyTime is how long tidying up may take after everything else has ended.
const tidyTime = 10 * time.Minute

// repeat replaces o.Repeat times. Where machines are stopped, each repetition
// stops the machine that the one before made: it is the node by then.
func (o ReplaceOptions) repeat(ctx context.Context, got *replaced) (err error) {
	var before *replacedOnce
	tidy := func(once *replacedOnce) {
		if once == nil {
			return
		}
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
		defer cancel()
		o.Reporter.Phase("removing " + once.name())
		if terr := replace.TidyUp(keep, once.options, once.made); terr != nil {
			err = errors.Join(err, &leftError{terr})
		}
		once.site.end()
	}
	defer func() { tidy(before) }()
	victim := o.Victim
	for rep := range o.Repeat {
		once := o.once(ctx, victim, rep)
		if once.site.err != nil {
			return once.site.err
		}
		var rerr error
		once.results, once.made, rerr = replace.Run(ctx, once.options)
		got.add(once, rep)
		// While the machine is still there: the next repetition may stop it.
		once.site.Close(ctx, once.made.Machine)
		tidy(before)
		before = once
		if rerr != nil {
			return rerr
		}
		if victim != "" {
			victim = once.made.Machine.ID
		} else {
			tidyNow := !o.Keep || rep+1 < o.Repeat
			if tidyNow {
				before = nil
				tidy(once)
			}
		}
	}
	if o.Keep && before != nil {
		o.Reporter.Warn("kept: " + before.name())
		before.site.end()
		before = nil
	}
	return err
}

// replacedOnce is one repetition.
type replacedOnce struct {
	options replace.Options
	site    *replaceSite
	results []replace.Result
	made    replace.Made
}

func (r *replacedOnce) name() string {
	text := "machine " + r.made.Machine.ID
	if r.made.Machine.ID == "" {
		text = "what was made"
	}
	if r.made.Volume.ID != "" {
		text += " and volume " + r.made.Volume.ID
	}
	return text
}

// once sets one repetition up.
func (o ReplaceOptions) once(ctx context.Context, victim string, rep int) *replacedOnce {
	site := newReplaceSite(ctx, o, victim)
	return &replacedOnce{site: site, options: replace.Options{
		Machines: o.Machines, Snapshots: o.Snapshots, Site: site, Name: fmt.Sprintf("%s-%d", o.Name, rep+1), Snapshot: o.Snapshot,
		Without: o.Without(), Poll: o.Poll, Timeout: o.Timeout, Patience: o.Patience,
		Read: replace.Job{Timing: perfcheck.Timing{Duration: o.ReadFor}, Path: o.Read, Rate: o.Rate, Seed: o.Seed + uint64(rep)},
		On: func(r replace.Result) {
			if r.Err != nil || r.Without != "" {
				return
			}
			text := fmt.Sprintf("%d of %d: %s took %.1f s, %.1f s after the fault", rep+1, o.Repeat, r.Phase, r.Seconds, r.Since)
			o.Reporter.Phase(text)
			if o.On != nil {
				o.On(text, r)
			}
		},
	}}
}
