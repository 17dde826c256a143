package disk

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cw/perfcheck/kernel"
)

// phase is when things are measured, in nanoseconds of the clock.
type phase struct {
	clock
	begin, end int64
	stop       atomic.Bool
}

// worker is one slot of a queue: it has one request under way at most.
type worker struct {
	*tally
	job    Job
	lane   *lane
	fd     int
	buf    []byte
	aio    *aio // of several requests at once; nil for one at a time
	rand   random
	from   int64 // the region of the file that this worker works in
	blocks int64
	own    int64 // the next block of a region of its own
	offset int64 // of an open loop: when its first request is due
}

// nextBlock decides where the next request goes; -1 is nowhere any more.
func (w *worker) nextBlock() (off int64, isWrite bool) {
	switch w.job.Kind {
	case RandRead:
		return w.from + w.rand.below(w.blocks)*w.job.Block, false
	case RandWrite:
		return w.from + w.rand.below(w.blocks)*w.job.Block, true
	case Mixed:
		isWrite = float64(w.rand.next()>>11)/(1<<53) >= w.job.ReadShare
		return w.from + w.rand.below(w.blocks)*w.job.Block, isWrite
	case Commit, Scan:
		off = w.from + w.own%w.blocks*w.job.Block
		w.own++
		return off, w.job.Kind == Commit
	}
	n := w.lane.cursor.Add(1) - 1
	if w.job.Kind == FirstWrite && n >= w.blocks {
		return -1, true
	}
	return w.from + n%w.blocks*w.job.Block, w.job.Kind == Write || w.job.Kind == FirstWrite
}

// do carries out one request.
func (w *worker) do(off int64, isWrite bool) error {
	if !isWrite {
		return readAt(w.fd, w.buf, off)
	}
	if err := writeAt(w.fd, w.buf, off); err != nil {
		return err
	}
	switch w.job.Sync {
	case Fsync:
		return again(unix.Fsync, w.fd)
	case Fdatasync:
		return again(kernel.Fdatasync, w.fd)
	}
	return nil
}

func again(fn func(int) error, fd int) error {
	for {
		if err := fn(fd); err != unix.EINTR { //nolint:errorlint // an errno, in a hot loop
			return err
		}
	}
}

// closed begins the next request when one is done.
func (w *worker) closed(p *phase) {
	for {
		off, isWrite := w.nextBlock()
		if isWrite {
			w.rand.renew(w.buf)
		}
		issued := p.now()
		if issued >= p.end || off < 0 || p.stop.Load() {
			return
		}
		if err := w.do(off, isWrite); err != nil {
			w.err = err
			p.stop.Store(true)
			return
		}
		w.note(p, w.lane, issued, issued, p.now(), w.job.Block, isWrite)
	}
}

const (
	// napLongest is how long a worker sleeps at most before it looks whether
	// the run was stopped.
	napLongest = 50 * time.Millisecond
	// backlogLimit is how long after the end requests are still issued that
	// were due before it.
	backlogLimit = 2 * time.Second
	// timerSlack of the thread: the kernel's default adds 50 µs to each sleep.
	timerSlack = time.Microsecond
)

// open begins each request when it is due. A worker that comes late takes
// the oldest that waits, so that what a stall held up shows in the response
// times of all that it held up.
func (w *worker) open(p *phase) {
	runtime.LockOSThread() // never unlocked: the thread, and its timer slack, end with the goroutine
	kernel.TimerSlack(timerSlack)
	step := float64(time.Second) / w.job.Rate
	for !p.stop.Load() {
		due := w.offset + int64(float64(w.lane.due.Add(1)-1)*step)
		if due >= p.end {
			return
		}
		off, isWrite := w.nextBlock()
		if isWrite {
			w.rand.renew(w.buf)
		}
		slept := w.sleepUntil(p, due)
		issued := p.now()
		if slept && due >= p.begin {
			w.late.Record(time.Duration(issued - due))
		}
		if issued > p.end+int64(backlogLimit) || p.stop.Load() {
			// Never issued: it waited at least this long.
			if due >= p.begin {
				w.unfinished++
				w.response.Record(time.Duration(issued - due))
			}
			continue
		}
		if err := w.do(off, isWrite); err != nil {
			w.err = err
			p.stop.Store(true)
			return
		}
		w.note(p, w.lane, due, issued, p.now(), w.job.Block, isWrite)
	}
}

// sleepUntil sleeps in the kernel: the runtime's timers are a millisecond
// late, which is several times what a good disk takes. It says whether there
// was anything to wait for.
func (w *worker) sleepUntil(p *phase, due int64) bool {
	slept := false
	for !p.stop.Load() {
		left := due - p.now()
		if left <= 0 {
			break
		}
		slept = true
		kernel.Nap(time.Duration(min(left, int64(napLongest))))
	}
	return slept
}
