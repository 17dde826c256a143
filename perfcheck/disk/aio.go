package disk

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cw/perfcheck/kernel"
)

// The kernel's asynchronous I/O (io_submit(2)), by system calls: one thread
// keeps a whole queue busy, where one thread per request costs a switch each.
// With small blocks on few processors that decides over a fifth of the rate.

// aioDepth is how many requests one thread looks after at least: more threads
// are only started for deeper queues.
const aioDepth = 32

// From linux/aio_abi.h, on little-endian machines.
type iocb struct {
	data   uint64
	_      uint32 // key
	_      int32  // rw_flags
	opcode uint16
	_      int16 // priority
	fd     uint32
	buf    uint64
	nbytes uint64
	offset int64
	_      uint64
	_      uint32 // flags
	_      uint32 // resfd
}

type ioEvent struct {
	data, obj uint64
	res, res2 int64
}

const (
	iocbPread  = 0
	iocbPwrite = 1
)

// aio is the queue of one worker.
type aio struct {
	ctx    uintptr
	slots  []slot
	events []ioEvent
	ready  []*iocb // to be submitted next
	busy   int
}

// slot is one request of a queue.
type slot struct {
	cb     iocb
	buf    []byte
	issued int64
	write  bool
}

// asynchronous says whether requests of a job are handed to the kernel
// without waiting. Other filesystems take them, but some carry them out on
// the spot, one after another. Small random writes are a tenth slower that way
// than by threads (0.85 to 0.91 of fio against 0.95).
func asynchronous(j Job, f Facts) bool {
	switch j.Kind {
	case Read, Write, RandRead, Mixed:
		return j.Depth > 1 && j.Rate == 0 && slices.Contains([]string{"ext2", "ext3", "ext4", "xfs"}, f.Filesystem)
	}
	return false
}

// errNoQueue means that the kernel has no queue to give.
var errNoQueue = errors.New("no queue for asynchronous requests")

// newAio makes a queue.
func newAio(depth int, block int64) (*aio, error) {
	a := &aio{slots: make([]slot, depth), events: make([]ioEvent, depth), ready: make([]*iocb, 0, depth)}
	if errno := kernel.IOSetup(depth, &a.ctx); errno != 0 {
		return nil, fmt.Errorf("%w: io_setup: %w", errNoQueue, errno)
	}
	for i := range a.slots {
		var err error
		if a.slots[i].buf, err = newBuffer(block); err != nil {
			a.close()
			return nil, err
		}
	}
	return a, nil
}

// close waits for requests under way.
func (a *aio) close() {
	kernel.IODestroy(a.ctx)
	for _, s := range a.slots {
		freeBuffer(s.buf)
	}
	a.slots = nil
}

// queue is closed for a worker with a queue.
func (w *worker) queue(p *phase) {
	a := w.aio
	for i := range a.slots {
		w.arm(uint64(i))
	}
	for {
		if err := a.submit(p); err != nil {
			w.fail(p, err)
		}
		if a.busy == 0 {
			return
		}
		n, err := a.wait()
		if err != nil {
			w.fail(p, err)
			return
		}
		now := p.now()
		over := now >= p.end || p.stop.Load()
		for i := range a.events[:n] {
			e := &a.events[i]
			s := &a.slots[e.data]
			a.busy--
			if err := outcome(e.res, w.job.Block); err != nil {
				w.fail(p, err)
				over = true
				continue
			}
			w.note(p, w.lane, s.issued, s.issued, now, w.job.Block, s.write)
			if !over {
				w.arm(e.data)
			}
		}
	}
}

// fail keeps the first error and stops everybody.
func (w *worker) fail(p *phase, err error) {
	if w.err == nil {
		w.err = err
	}
	p.stop.Store(true)
}

// arm prepares the next request of a slot.
func (w *worker) arm(i uint64) {
	s := &w.aio.slots[i]
	off, isWrite := w.nextBlock()
	s.cb = iocb{data: i, opcode: iocbPread, fd: uint32(w.fd), buf: uint64(uintptr(unsafe.Pointer(&s.buf[0]))), nbytes: uint64(w.job.Block), offset: off}
	if s.write = isWrite; isWrite {
		s.cb.opcode = iocbPwrite
		w.rand.renew(s.buf)
	}
	w.aio.ready = append(w.aio.ready, &s.cb)
}

func outcome(res, block int64) error {
	switch {
	case res < 0:
		return unix.Errno(-res)
	case res != block:
		return io.ErrUnexpectedEOF
	}
	return nil
}

// submit hands over what is ready, one request at a time as fio does. In
// batches small reads are up to twice as fast where the processor is the
// limit, since the hypervisor is woken less often, but of large ones and of
// writes the disk waits for the whole batch and stands idle in between. What
// the kernel has no room for stays ready as long as something is under way.
func (a *aio) submit(p *phase) error {
	done := 0
	for done < len(a.ready) {
		cb := a.ready[done]
		a.slots[cb.data].issued = p.now()
		n, errno := kernel.IOSubmit(a.ctx, unsafe.Pointer(&a.ready[done]))
		runtime.KeepAlive(cb)
		if errno != 0 {
			if errors.Is(errno, unix.EINTR) {
				continue
			}
			if errors.Is(errno, unix.EAGAIN) && a.busy > 0 {
				break
			}
			a.ready = a.ready[:0]
			return fmt.Errorf("io_submit: %w", errno)
		}
		a.busy += n
		done += n
	}
	a.ready = a.ready[:copy(a.ready, a.ready[done:])]
	return nil
}

// wait returns how many requests are done. A disk that does not answer is
// waited for: the buffers are the kernel's until it does.
func (a *aio) wait() (int, error) {
	for {
		n, errno := kernel.IOGetevents(a.ctx, len(a.events), unsafe.Pointer(&a.events[0]), time.Second)
		if errno != 0 && !errors.Is(errno, unix.EINTR) {
			return 0, fmt.Errorf("io_getevents: %w", errno)
		}
		if errno == 0 && n > 0 {
			return n, nil
		}
	}
}
