package replace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
)

// Site is what the engine needs of the failed node and of the new machine.
// The methods that return a bool are asked again until they say yes.
type Site interface {
	Fault(ctx context.Context) error
	Detected(ctx context.Context) (bool, error)
	// Open dials the machine's SSH port; an error is not yet.
	Open(ctx context.Context, m cloud.Machine) error
	// Command runs the first command; an error is not yet, unless it is one
	// of authentication.
	Command(ctx context.Context, m cloud.Machine) error
	// Ready makes the machine ready to measure.
	Ready(ctx context.Context, m cloud.Machine) error
	// Device is what the guest calls the volume, "" while it does not see it.
	Device(ctx context.Context, m cloud.Machine, v cloud.Volume) (string, error)
	Mount(ctx context.Context, m cloud.Machine, device string) error
	Measure(ctx context.Context, m cloud.Machine, j Job) (perfcheck.Measurement, error)
	// Start starts the database, Up asks whether it answers.
	Start(ctx context.Context, m cloud.Machine) error
	Up(ctx context.Context, m cloud.Machine) (bool, error)
	// Close ends what runs on the machine, before it is deleted.
	Close(ctx context.Context, m cloud.Machine)
}

// Options are one replacement.
type Options struct {
	Machines  cloud.Machines
	Snapshots cloud.Snapshotter // nil without a volume
	Site      Site
	Name      string // of what is made
	Snapshot  string
	// Without says why a phase is not measured.
	Without map[string]string
	Read    Job           // what is read: Path, Rate, Timing of the random reads
	Poll    time.Duration // between two questions, a second at most
	// Patience is how long a new machine may refuse to let us in: its SSH
	// server is often there before it knows whose key to take.
	Patience time.Duration
	Timeout  time.Duration // of one phase, but for reading everything
	// On hears of each phase that is over, of one at a time.
	On func(Result)
}

// Result is one phase of one replacement.
type Result struct {
	Phase       string
	Seconds     float64 // its own time
	Since       float64 // the time from the fault along the longest way
	Without     string  // why it was not measured
	Err         error
	Measurement *perfcheck.Measurement
}

// Made is what a replacement left in the cloud; empty fields are nothing.
type Made struct {
	Machine cloud.Machine
	Volume  cloud.Volume
}

// errSkipped marks a phase that another's failure kept from running.
var errSkipped = errors.New("an earlier phase failed")

// replacement is one under way.
type replacement struct {
	o Options

	mu      sync.Mutex
	results map[string]Result
	over    map[string]chan struct{}
	machine cloud.Machine
	volume  cloud.Volume
	device  string

	telling sync.Mutex
}

// Run replaces a node once. What it made is told even when it fails: it is the
// caller's to tidy up.
func Run(ctx context.Context, o Options) ([]Result, Made, error) {
	r := &replacement{o: o, results: map[string]Result{}, over: map[string]chan struct{}{}}
	table := phases()
	for _, p := range table {
		r.over[p.id] = make(chan struct{})
	}
	var all sync.WaitGroup
	for _, p := range table {
		all.Go(func() { r.run(ctx, p) })
	}
	all.Wait()
	var out []Result
	var err error
	for _, p := range table {
		res := r.results[p.id]
		if res.Err != nil && err == nil && !errors.Is(res.Err, errSkipped) {
			err = fmt.Errorf("%s: %w", p.id, res.Err)
		}
		if !p.hidden {
			out = append(out, res)
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out, Made{r.machine, r.volume}, err
}

// run waits for what a phase needs, and runs it.
func (r *replacement) run(ctx context.Context, p phase) {
	res := Result{Phase: p.id, Without: r.o.Without[p.id]}
	for _, id := range p.after {
		<-r.over[id]
		r.mu.Lock()
		earlier := r.results[id]
		r.mu.Unlock()
		res.Since = max(res.Since, earlier.Since)
		if earlier.Err != nil && res.Err == nil {
			res.Err = fmt.Errorf("%w: %s", errSkipped, id)
		}
	}
	if res.Err == nil && ctx.Err() != nil {
		res.Err = context.Cause(ctx)
	}
	if res.Err == nil && res.Without == "" {
		limited := ctx
		if p.id != Hydrated {
			var cancel context.CancelFunc
			limited, cancel = context.WithTimeoutCause(ctx, r.o.Timeout, fault.New(fault.Unreachable, "give it longer with --timeout", "not within %s", r.o.Timeout))
			defer cancel()
		}
		began := time.Now()
		res.Measurement, res.Err = r.do(limited, p.id)
		res.Seconds = time.Since(began).Seconds()
		if p.id == Fault {
			res.Seconds = 0 // the clock begins when it is there
		}
		if !p.aside {
			res.Since += res.Seconds
		}
	}
	r.mu.Lock()
	r.results[p.id] = res
	r.mu.Unlock()
	close(r.over[p.id])
	if r.o.On != nil && !p.hidden {
		r.telling.Lock()
		defer r.telling.Unlock()
		r.o.On(res)
	}
}

// do carries out a phase.
func (r *replacement) do(ctx context.Context, id string) (*perfcheck.Measurement, error) {
	s, o := r.o.Site, r.o
	switch id {
	case Fault:
		if o.Without[Detected] != "" {
			return nil, s.Fault(ctx)
		}
		return nil, nil //nolint:nilnil // it is made while somebody looks for it
	case Detected:
		return nil, r.detect(ctx)
	case Requested:
		return nil, r.launch(ctx)
	case Running:
		return nil, r.poll(ctx, r.running)
	case SSHOpen:
		return nil, r.poll(ctx, func(ctx context.Context) (bool, error) { return s.Open(ctx, r.machine) == nil, nil })
	case FirstCommand:
		return nil, r.poll(ctx, r.command(time.Now()))
	case agentReady:
		return nil, s.Ready(ctx, r.machine)
	case VolumeAvailable:
		return nil, r.restore(ctx)
	case Attached:
		return nil, r.attach(ctx)
	case Visible:
		return nil, r.poll(ctx, func(ctx context.Context) (ok bool, err error) {
			r.device, err = s.Device(ctx, r.machine, r.volume)
			return r.device != "", err
		})
	case Mounted:
		return nil, s.Mount(ctx, r.machine, r.device)
	case FirstByte, ColdReads, Hydrated:
		j := o.Read
		j.Kind = map[string]Kind{FirstByte: ReadFirst, ColdReads: ReadRandom, Hydrated: ReadAll}[id]
		if j.Path == "" {
			j.Path = r.device
		}
		m, err := s.Measure(ctx, r.machine, j)
		return &m, err
	case DatabaseUp:
		if err := s.Start(ctx, r.machine); err != nil {
			return nil, err
		}
		return nil, r.poll(ctx, func(ctx context.Context) (bool, error) { return s.Up(ctx, r.machine) })
	}
	return nil, fmt.Errorf("phase %s is not known", id)
}

// detect makes the fault and waits until it is noticed. What makes it may take
// its time, and the node is gone from some moment of it on: noticing runs
// beside it, and the clock from its beginning.
func (r *replacement) detect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	failed := make(chan error, 1)
	go func() {
		err := r.o.Site.Fault(ctx)
		if err != nil {
			cancel(err)
		}
		failed <- err
	}()
	err := r.poll(ctx, r.o.Site.Detected)
	if ferr := <-failed; ferr != nil {
		return ferr
	}
	return err
}

// poll asks until the answer is yes.
func (r *replacement) poll(ctx context.Context, ask func(context.Context) (bool, error)) error {
	tick := time.NewTicker(min(r.o.Poll, time.Second))
	defer tick.Stop()
	for {
		ok, err := ask(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
