package memory

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	linux "cw/perfcheck/kernel"
)

// team is the threads of a measurement, each with its own part of the arrays,
// which it was the first to touch: on a machine with several memory nodes the
// pages then are near.
type team struct {
	parts    []*part
	elements int64         // of all parts
	stop     atomic.Bool   // passes end at the next chunk
	done     *atomic.Int64 // elements worked on
}

// part is the arrays of one thread.
type part struct {
	memory  []byte
	a, b, c []float64
	begin   chan func(a, b, c []float64)
	passed  chan struct{}
}

// touchStep is how many elements are touched before a look at how much memory
// is left: 16 MiB of each array.
const touchStep = 2 << 20

// skew is by how many bytes the arrays' beginnings differ within pages: equal
// ones share lines of the caches, and a load that follows a store to the same
// place in another page waits for it.
const skew = 4096 + 512

// Initial values of the arrays, as STREAM has them: after any number of
// passes of one kernel the results are known.
const initialA, initialB, initialC = 1.0, 2.0, 0.5

// newTeam starts the threads and gives each an equal share of the elements,
// or less when memory runs short: other machines of a laboratory, or other
// programs, must not die of a measurement.
func newTeam(ctx context.Context, threads int, elements int64) (*team, error) {
	t := &team{done: &atomic.Int64{}}
	keep := memoryToKeep()
	var short atomic.Bool
	var all sync.WaitGroup
	each := int(elements / int64(threads))
	errs := make([]error, threads)
	for i := range threads {
		p := &part{begin: make(chan func(a, b, c []float64)), passed: make(chan struct{})}
		t.parts = append(t.parts, p)
		all.Add(1)
		go p.work(t, func() {
			defer all.Done()
			errs[i] = p.allocate(ctx, each, keep, &short)
		}, i, threads)
	}
	all.Wait()
	for i, p := range t.parts {
		if errs[i] != nil {
			t.close()
			return nil, fmt.Errorf("memory: %w", errs[i])
		}
		t.elements += int64(len(p.a))
	}
	return t, nil
}

// allocate maps the arrays and touches them from the beginning.
func (p *part) allocate(ctx context.Context, elements int, keep int64, short *atomic.Bool) error {
	bytes := (elements*8 + hugePage - 1) / hugePage * hugePage
	var err error
	p.memory, err = unix.Mmap(-1, 0, 3*bytes+2*hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("get %d bytes: %w", 3*bytes, err)
	}
	// Without huge pages the translation of addresses is measured as well. A
	// kernel that has none is no error.
	_ = linux.HugePages(p.memory)
	base := (hugePage - int(uintptr(unsafe.Pointer(&p.memory[0]))%hugePage)) % hugePage
	array := func(i int) []float64 {
		return unsafe.Slice((*float64)(unsafe.Pointer(&p.memory[base+i*(bytes+skew)])), elements)
	}
	a, b, c := array(0), array(1), array(2)
	n := 0
	for n < elements {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n > 0 && memoryFree() < keep {
			short.Store(true)
		}
		if short.Load() && n > 0 {
			break
		}
		to := min(n+touchStep, elements)
		for i := n; i < to; i++ {
			a[i], b[i], c[i] = initialA, initialB, initialC
		}
		n = to
	}
	p.a, p.b, p.c = a[:n], b[:n], c[:n]
	return nil
}

// work is a thread: it allocates, then makes a pass each time it is told to.
func (p *part) work(t *team, allocate func(), index, of int) {
	bind(index, of) // the thread ends with its goroutine
	allocate()
	for run := range p.begin {
		for i := 0; i < len(p.a) && !t.stop.Load(); i += chunk {
			to := min(i+chunk, len(p.a))
			run(p.a[i:to:to], p.b[i:to:to], p.c[i:to:to])
			t.done.Add(int64(to - i))
		}
		p.passed <- struct{}{}
	}
}

// passes makes passes over the arrays for a time, but one at least, and
// returns how long each took. A pass begins when all threads have ended the
// one before. ended, if any, is called when the time is over.
func (t *team) passes(ctx context.Context, run func(a, b, c []float64), d time.Duration, ended func()) ([]time.Duration, error) {
	stopped := context.AfterFunc(ctx, func() { t.stop.Store(true) })
	defer stopped()
	var times []time.Duration
	for began := time.Now(); ; {
		pass := time.Now()
		for _, p := range t.parts {
			p.begin <- run
		}
		for _, p := range t.parts {
			<-p.passed
		}
		if ctx.Err() != nil {
			return times, fmt.Errorf("memory: %w", context.Cause(ctx))
		}
		now := time.Now()
		times = append(times, now.Sub(pass))
		if now.Sub(began) >= d {
			if ended != nil {
				ended()
			}
			return times, nil
		}
	}
}

// warmUp makes passes until a time is over, and breaks the last one off.
func (t *team) warmUp(ctx context.Context, run func(a, b, c []float64), d time.Duration) error {
	fired := make(chan struct{})
	over := time.AfterFunc(d, func() {
		t.stop.Store(true)
		close(fired)
	})
	_, err := t.passes(ctx, run, d, nil)
	if !over.Stop() {
		<-fired // else it might stop the measured phase
	}
	if ctx.Err() == nil {
		t.stop.Store(false)
	}
	return err
}

// verify checks a few elements of each array: a kernel that computed nothing
// has measured nothing.
func (t *team) verify(kernel string) error {
	a, b, c := initialA, initialB, initialC
	switch kernel {
	case Copy:
		c = a
	case Scale:
		b = scalar * c
	case Add:
		c = a + b
	case Triad:
		a = b + scalar*c
	}
	for _, p := range t.parts {
		for _, i := range []int{0, len(p.a) / 2, len(p.a) - 1} {
			if math.Abs(p.a[i]-a)+math.Abs(p.b[i]-b)+math.Abs(p.c[i]-c) > 1e-12 {
				return fmt.Errorf("memory: %s gave %v, %v, %v in place of %v, %v, %v: this machine computes wrong", kernel, p.a[i], p.b[i], p.c[i], a, b, c)
			}
		}
	}
	return nil
}

// close ends the threads and gives the memory back.
func (t *team) close() {
	for _, p := range t.parts {
		close(p.begin)
		if p.memory != nil {
			_ = unix.Munmap(p.memory)
			p.memory, p.a, p.b, p.c = nil, nil, nil, nil
		}
	}
}
