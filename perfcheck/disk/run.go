package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/kernel"
)

// Run measures one job on all directories together. on, which may be nil, is
// told each second's value of the primary metric. The set's runs follow each
// other; no other run may go on in the process, because the number of
// processors that Go uses is raised meanwhile: with fewer than requests under
// way, goroutines that wait in a system call hold each other up, which halves
// the rate and makes the 99th percentile ten times as long.
func (s *Set) Run(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	if err := j.Validate(); err != nil {
		return perfcheck.Measurement{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return perfcheck.Measurement{}, errors.New("disk: the set of test files is closed")
	}
	s.runs++
	var m perfcheck.Measurement
	var err error
	switch {
	case j.Engine == EngineFio:
		m, err = s.runFio(ctx, j, on)
	case j.Kind == FirstWrite:
		m, err = s.runFirstWrite(ctx, j, on)
	default:
		m, err = s.runNative(ctx, j, on)
	}
	if err != nil {
		return m, err
	}
	for _, f := range s.flags {
		addFlag(&m, f)
	}
	if name, unit := j.primary(); m.Values[name] == 0 {
		return m, fault.New(fault.Failed, "measure longer", "disk: nothing completed in %s: no %s in %s", j.Duration, name, unit)
	}
	return m, nil
}

// runNative is Run with cw's own engine.
func (s *Set) runNative(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	r, err := s.newRig(j)
	if err != nil {
		return perfcheck.Measurement{}, err
	}
	if err := j.Await(ctx); err != nil {
		r.release()
		return perfcheck.Measurement{}, err
	}
	if err := r.drive(ctx, on); err != nil {
		return perfcheck.Measurement{}, err
	}
	return r.measurement(), nil
}

// rig is the workers of one run and what they work on.
type rig struct {
	job     Job
	targets []*target
	lanes   []*lane
	workers []*worker // per of each directory, one directory after another
	per     int
	phase   *phase
	fds     []int
	procs   int // to be restored; 0 when it was not raised
}

// newRig opens the files and makes the workers. The kernel's queues are
// counted for the whole machine, and databases take many: without one, each
// request has a thread of its own.
func (s *Set) newRig(j Job) (*rig, error) {
	queues := true
	for _, t := range s.targets {
		queues = queues && asynchronous(j, t.facts)
	}
	for {
		r := &rig{job: j, targets: s.targets, per: j.Depth}
		if queues {
			r.per = min((j.Depth+aioDepth-1)/aioDepth, runtime.NumCPU())
		}
		err := s.fillRig(r, queues)
		if err == nil {
			return r, nil
		}
		r.release()
		if !queues || !errors.Is(err, errNoQueue) {
			return nil, err
		}
		queues = false
	}
}

func (s *Set) fillRig(r *rig, queues bool) error {
	j := r.job
	for i, t := range s.targets {
		path, size, flags := t.place(j)
		fd, err := openFile(path, flags)
		if err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		r.fds = append(r.fds, fd)
		l := &lane{}
		r.lanes = append(r.lanes, l)
		seed := mix(s.seed, s.runs, uint64(i))
		for k := range r.per {
			w := &worker{tally: newTally(j), job: j, lane: l, fd: fd, blocks: size / j.Block, rand: random(mix(seed, uint64(k)))}
			r.workers = append(r.workers, w)
			if j.Kind == Commit || j.Kind == Scan {
				region := size / int64(j.Depth) / pageSize * pageSize
				w.from, w.blocks = int64(k)*region, region/j.Block
			}
			if w.blocks < 1 || j.Block%t.facts.sectorOf() != 0 {
				return fault.New(fault.Usage, "larger test files: --size 1GiB", "%s: no room for %d requests of %d bytes in %d", t.facts.Dir, j.Depth, j.Block, size)
			}
			if err := w.equip(queues, k, r.per); err != nil {
				return err
			}
		}
		// Each repetition begins elsewhere: what the last one read may be in
		// a cache behind the disk.
		if start := random(seed); j.Kind != FirstWrite {
			l.cursor.Store(start.below(size / j.Block))
		}
	}
	return nil
}

// equip gives the kth of a directory's workers its buffers: those of its
// share of the queue, or one.
func (w *worker) equip(queue bool, k, per int) (err error) {
	if !queue {
		if w.buf, err = newBuffer(w.job.Block); err == nil {
			w.rand.fill(w.buf)
		}
		return err
	}
	mine := w.job.Depth / per
	if k < w.job.Depth%per {
		mine++
	}
	if w.aio, err = newAio(mine, w.job.Block); err != nil {
		return err
	}
	for _, s := range w.aio.slots {
		w.rand.fill(s.buf)
	}
	return nil
}

// place is the file that a job works on, how much of it, and how it is opened.
func (t *target) place(j Job) (path string, size int64, flags int) {
	switch {
	case j.Kind == FirstWrite:
		return t.fresh(), t.freshSize, os.O_RDWR | kernel.Direct
	case j.Kind != Commit:
		return t.data(), t.sizes.data, os.O_RDWR | kernel.Direct
	}
	flags = os.O_RDWR
	switch j.Sync {
	case Dsync:
		flags |= unix.O_DSYNC
	case DirectDsync:
		flags |= unix.O_DSYNC | kernel.Direct
	}
	return t.wal(), t.sizes.wal, flags
}

// release gives back what the rig took.
func (r *rig) release() {
	for _, w := range r.workers {
		freeBuffer(w.buf)
		if w.aio != nil {
			w.aio.close()
		}
	}
	for _, fd := range r.fds {
		_ = unix.Close(fd)
	}
	if r.procs > 0 {
		runtime.GOMAXPROCS(r.procs)
	}
}

// drive runs the workers through warm-up and measured phase.
func (r *rig) drive(ctx context.Context, on func(perfcheck.Second)) error {
	if want := len(r.workers) + 2; runtime.GOMAXPROCS(0) < want {
		r.procs = runtime.GOMAXPROCS(want)
	}
	p := &phase{clock: clock{time.Now()}, begin: int64(r.job.Warmup), end: int64(r.job.Warmup + r.job.Duration)}
	r.phase = p
	var all sync.WaitGroup
	for _, w := range r.workers {
		all.Go(func() {
			switch {
			case r.job.Rate > 0:
				w.open(p)
			case w.aio != nil:
				w.queue(p)
			default:
				w.closed(p)
			}
		})
	}
	ended := make(chan struct{})
	// The workers' buffers are theirs until the kernel is done with them,
	// even when the run is given up on a disk that does not answer.
	go func() { all.Wait(); r.release(); close(ended) }()
	if err := r.watch(ctx, ended, on); err != nil {
		return err
	}
	for i, w := range r.workers {
		if w.err != nil {
			dir := r.targets[i/r.per].facts.Dir
			return ioFailed(dir, r.job.Kind, w.err)
		}
	}
	return nil
}

// watch tells the seconds and waits for the end.
func (r *rig) watch(ctx context.Context, ended <-chan struct{}, on func(perfcheck.Second)) error {
	p := r.phase
	_, unit := r.job.primary()
	tell := func(i int) {
		if on != nil {
			ops, bytes := interval(r.workers, i)
			on(perfcheck.Second{At: float64(i), Value: perSecond(unit, ops, bytes, time.Second)})
		}
	}
	whole := int(r.job.Duration / time.Second)
	next := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for next < whole && p.now() >= p.begin+int64(next+1)*int64(time.Second) {
			tell(next)
			next++
		}
		at := p.end + int64(drainLimit)
		if next < whole {
			at = p.begin + int64(next+1)*int64(time.Second)
		}
		timer.Reset(time.Duration(max(at-p.now(), 0)))
		select {
		case <-ended:
			for ; next < whole && p.now() >= p.end; next++ {
				tell(next)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		case <-ctx.Done():
			p.stop.Store(true)
			select {
			case <-ended:
			case <-time.After(cancelGrace):
			}
			return context.Cause(ctx)
		case <-timer.C:
			if next >= whole && p.now() >= p.end+int64(drainLimit) {
				p.stop.Store(true)
				return fault.New(fault.Failed, "look at dmesg, and whether the filesystem is frozen", "%s: the disk has not answered for %s", r.targets[0].facts.Dir, drainLimit)
			}
		}
	}
}

// ioFailed words the error of a request.
func ioFailed(dir string, k Kind, err error) error {
	switch {
	case errors.Is(err, unix.EIO):
		return fault.New(fault.Failed, "look at dmesg and at the volume's state", "%s: %s: %w", dir, k, err)
	case errors.Is(err, unix.EROFS):
		return fault.New(fault.Failed, "the filesystem went read-only after an error: look at dmesg", "%s: %s: %w", dir, k, err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return writeFailed(dir, err)
	}
	return fmt.Errorf("%s: %s: %w", dir, k, err)
}
