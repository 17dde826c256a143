package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
)

// Options say what is measured and how.
type Options struct {
	Dir    string // the directory on the volume
	Name   string // of the run: everything that is made is called by it
	Size   int64  // of the data set
	Change int64  // bytes that are overwritten before the incremental snapshot
	Seed   uint64
	Rate   float64 // of the probe's writes
	Warmup time.Duration
	// Around is how long the probe runs before and after; Least how long
	// during is at least.
	Around, Least time.Duration
	Poll          time.Duration // between questions to the driver
	Timeout       time.Duration // of one step of the driver
	NoReads       bool          // leave the reading probe out

	Driver cloud.Snapshotter
	Host   Host
	// Volume is the volume's id for the driver; "" is one that the driver
	// makes in the directory (Maker).
	Volume  string
	Machine string // that restored volumes are attached to
	// Mount makes the device of a restored volume visible as a directory,
	// and takes that back; nil where drivers give a directory.
	Mount   func(ctx context.Context, v cloud.Volume) (dir string, err error)
	Unmount func(ctx context.Context, dir string) error

	Ledger Ledger
	Phase  func(text string)
	Warn   func(text string)
}

// Maker is a driver that makes a volume in a directory: a subvolume, or just
// a directory.
type Maker interface {
	MakeVolume(ctx context.Context, at, owner string) (id string, err error)
}

// Ledger remembers what was made until it is gone, so that a later run can
// name what this one left when it was killed.
type Ledger interface {
	Made(kind, id string) error
	Gone(kind, id string) error
}

// Kinds of what the ledger remembers.
const (
	MadeSnapshot = "snapshot"
	MadeVolume   = "volume"
	MadeFolder   = "folder"
	// MadeMount is where a restored volume is mounted.
	MadeMount = "mount"
	// MadeNamed is a snapshot that was asked for by this name and whose id
	// is not known yet.
	MadeNamed = "snapshot-named"
)

// Outcome is what one run of the protocol yields.
type Outcome struct {
	Measured  map[string]perfcheck.Measurement // by test id
	Failed    map[string]error
	Problems  map[string]string // of content: by test id of the restore
	Untold    map[string]string // metrics that the driver does not tell: "test metric"
	Omitted   map[string]string // tests that were left out, and why
	Doubts    map[string]string // what is not as it was asked for, by test id
	Impacts   map[string]Impact
	Leftovers []string
	Health    perfcheck.Health
}

// Run does the whole protocol once. What could not be measured is in the
// outcome; an error is of what makes everything else pointless, or the
// context's. Whatever was made is gone afterwards, or named.
func Run(ctx context.Context, o Options) (out *Outcome, err error) {
	r := &runner{o: o, out: &Outcome{
		Measured: map[string]perfcheck.Measurement{}, Failed: map[string]error{}, Problems: map[string]string{}, Untold: map[string]string{}, Impacts: map[string]Impact{},
		Omitted: map[string]string{}, Doubts: map[string]string{},
	}}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		r.clean(clean)
	}()
	if err := r.prepare(ctx); err != nil {
		return r.out, err
	}
	return r.out, r.protocol(ctx)
}

// cleanTimeout is how long tidying up may take altogether.
const cleanTimeout = 5 * time.Minute

type runner struct {
	o      Options
	out    *Outcome
	opened Opened
	volume string
	made   []thing
	serial int
}

// prepare makes the volume and fills it.
func (r *runner) prepare(ctx context.Context) error {
	o := r.o
	opened, err := o.Host.Open(ctx, o.Dir, o.Name)
	if err != nil {
		return err
	}
	r.opened = opened
	if err := r.keep(MadeFolder, opened.Folder); err != nil {
		return err
	}
	for _, left := range opened.Leftovers {
		o.Warn(left + " is left of a run that was killed: remove the snapshots in it, then rm -r " + left)
	}
	r.volume = o.Volume
	if maker, ok := o.Driver.(Maker); ok && r.volume == "" {
		if err := r.keep(MadeVolume, opened.Volume); err != nil {
			return err
		}
		if r.volume, err = maker.MakeVolume(ctx, opened.Volume, opened.Owner); err != nil {
			return err
		}
	}
	if r.volume == "" {
		return fault.New(fault.Usage, "--volume ID names it as the driver does", "which volume %s is on was not said", o.Dir)
	}
	o.Phase("filling the data set")
	err = o.Host.Fill(ctx, FillArgs{Size: o.Size, Seed: o.Seed}, func(done, total int64) {
		o.Phase(fmt.Sprintf("filling the data set: %s of %s", perfcheck.FormatValue(float64(done), perfcheck.Bytes), perfcheck.FormatValue(float64(total), perfcheck.Bytes)))
	})
	if err != nil {
		return err
	}
	return perfcheck.WaitUntil(ctx, time.Now().Add(o.Warmup)) // what the filling stirred up settles
}

// protocol measures everything in order.
func (r *runner) protocol(ctx context.Context) error {
	o := r.o
	full := r.full(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var incremental *cloud.Snapshot
	if full == nil {
		err := fmt.Errorf("there is no full snapshot to go on from: %w", r.out.Failed[TestFull])
		r.fail(err, TestIncremental, TestIncrementalWrite, TestRestore, TestRestoreIncremental, TestFullRead)
	} else {
		incremental = r.incremental(ctx, full)
		if incremental == nil {
			r.fail(errors.New("there is no incremental snapshot"), TestRestoreIncremental)
		}
	}
	r.control(ctx, Write, TestControlWrite, r.longest(TestFullWrite, TestIncrementalWrite))
	switch {
	case o.NoReads:
		r.out.Omitted[TestFullRead], r.out.Omitted[TestControlRead] = "--no-read", "--no-read"
	case full == nil:
		r.fail(errors.New("there is no snapshot to compare it with"), TestControlRead)
	case ctx.Err() == nil:
		r.reads(ctx)
	}
	if ctx.Err() == nil && full != nil {
		r.restore(ctx, TestRestore, full, momentFull)
	}
	if ctx.Err() == nil && incremental != nil {
		r.restore(ctx, TestRestoreIncremental, incremental, momentIncremental)
	}
	r.compare()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (r *runner) fail(err error, ids ...string) {
	for _, id := range ids {
		if r.out.Failed[id] == nil {
			r.out.Failed[id] = err
		}
	}
}

// Names of the moments.
const (
	momentFull        = "full"
	momentIncremental = "incremental"
	momentRead        = "read"
)

// full takes a full snapshot while the probe writes.
func (r *runner) full(ctx context.Context) *cloud.Snapshot {
	r.o.Phase("full snapshot while the probe writes")
	s, ok := r.experiment(ctx, ProbeArgs{Mode: Write, Rate: r.o.Rate, Warmup: r.o.Warmup}, TestFullWrite,
		&wish{test: TestFull, moment: momentFull, kind: cloud.Full})
	if !ok {
		return nil
	}
	if s.Kind == cloud.Incremental {
		r.out.Doubts[TestFull] = "a full snapshot was asked for, and an incremental one was made: earlier snapshots of the volume are its base"
	}
	m := r.out.Measured[TestFull]
	if r.size(TestFull, s, float64(r.o.Size)) {
		m.Values["rate"] = m.Values["size"] / m.Values["complete"]
	} else {
		r.untold(TestFull, "size", "rate")
	}
	return &s.Snapshot
}

// incremental takes one of what was overwritten since the full one.
func (r *runner) incremental(ctx context.Context, full *cloud.Snapshot) *cloud.Snapshot {
	r.o.Phase("overwriting part of the data set")
	blocks := min(max(r.o.Change/Block, 1), r.o.Size/Block)
	if err := r.o.Host.Overwrite(ctx, blocks, r.o.Seed+1); err != nil {
		r.fail(err, TestIncremental, TestIncrementalWrite)
		return nil
	}
	r.o.Phase("incremental snapshot while the probe writes")
	s, ok := r.experiment(ctx, ProbeArgs{Mode: Write, Rate: r.o.Rate, Warmup: r.o.Warmup}, TestIncrementalWrite,
		&wish{test: TestIncremental, moment: momentIncremental, kind: cloud.Incremental, parent: full.ID})
	if !ok {
		return nil
	}
	switch {
	case s.Kind == cloud.Full:
		r.out.Doubts[TestIncremental] = "an incremental snapshot was asked for, and a full one was made"
	case s.Parent != "" && s.Parent != full.ID:
		r.out.Doubts[TestIncremental] = fmt.Sprintf("the snapshot is incremental to %s, and not to the full one before it, %s", s.Parent, full.ID)
	}
	if s.Size == cloud.Unknown {
		if n, err := r.o.Driver.ChangedBytes(ctx, s.ID, full.ID); err == nil {
			s.Size = n
		} else if !errors.Is(err, context.Canceled) {
			r.o.Warn("how much has changed is not known: " + err.Error())
		}
	}
	m := r.out.Measured[TestIncremental]
	probe := float64(s.result.Written)
	m.Values["written"], m.Values["written_probe"] = float64(blocks*Block), probe
	if r.size(TestIncremental, s, float64(blocks*Block)+probe) {
		m.Values["amplification"] = m.Values["size"] / (float64(blocks*Block) + probe)
	} else {
		r.untold(TestIncremental, "size", "amplification")
	}
	return &s.Snapshot
}

// honest is the share of what must be in a snapshot below which its size
// cannot be true; units of megabytes, and what the probe writes, are the rest.
const honest = 0.97

// size takes the size of a snapshot that must hold at least so much; false
// when the driver does not tell.
func (r *runner) size(test string, s *taken, least float64) bool {
	switch {
	case s.Size == cloud.Unknown:
		return false
	case s.Size == 0:
		r.fail(errors.New("the driver says that its size is 0, which is no result"), test)
	case float64(s.Size) < honest*least:
		r.fail(fmt.Errorf("the driver says that its size is %s, and %s of random data must be in it: it is not incremental to what it is said to be, or the size is not true",
			perfcheck.FormatValue(float64(s.Size), perfcheck.Bytes), perfcheck.FormatValue(least, perfcheck.Bytes)), test)
	}
	r.out.Measured[test].Values["size"] = float64(s.Size)
	return true
}

func (r *runner) untold(test string, metrics ...string) {
	for _, m := range metrics {
		r.out.Untold[test+" "+m] = "the driver does not tell"
	}
}

// reads measures what a full snapshot does to a scan.
func (r *runner) reads(ctx context.Context) {
	r.o.Phase("measuring how fast the data set can be read")
	capacity, err := r.o.Host.Capacity(ctx, max(r.o.Warmup, time.Second))
	if err != nil {
		r.fail(err, TestFullRead, TestControlRead)
		return
	}
	r.o.Phase("full snapshot while the probe reads")
	args := ProbeArgs{Mode: Read, Rate: max(capacity/2/ReadBlock, 1), Warmup: r.o.Warmup}
	s, ok := r.experiment(ctx, args, TestFullRead, &wish{moment: momentRead, kind: cloud.Full})
	if ok {
		_ = r.remove(ctx, MadeSnapshot, s.ID) // at the latest, the end does it
	}
	if ctx.Err() == nil {
		r.controlRate(ctx, args, TestControlRead, r.longest(TestFullRead))
	}
}

// control does the same around nothing.
func (r *runner) control(ctx context.Context, mode, test string, length time.Duration) {
	if ctx.Err() == nil {
		r.controlRate(ctx, ProbeArgs{Mode: mode, Rate: r.o.Rate, Warmup: r.o.Warmup}, test, length)
	}
}

func (r *runner) controlRate(ctx context.Context, args ProbeArgs, test string, length time.Duration) {
	r.o.Phase("the same around no snapshot (" + args.Mode + ")")
	_, _ = r.experiment(ctx, args, test, &wish{nothing: length})
}

// longest is the longest time between trigger and done of some experiments.
func (r *runner) longest(tests ...string) time.Duration {
	d := r.o.Least
	for _, t := range tests {
		d = max(d, time.Duration(r.out.Measured[t].Values["during"]*float64(time.Second)))
	}
	return d
}
