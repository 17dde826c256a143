package disk

import (
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// clock gives nanoseconds since the warm-up of a run began.
type clock struct{ base time.Time }

func (c clock) now() int64 { return int64(time.Since(c.base)) }

// maxStalls is how many stalls a worker remembers; stallMax knows the longest
// whatever their number.
const maxStalls = 256

// stall is a time in which nothing completed although something was due.
type stall struct{ from, to int64 }

// tally counts what one worker did. Only its worker writes, without locks or
// allocation; the counters of intervals are read by others meanwhile.
type tally struct {
	ops, bytes []atomic.Int64 // per second of the measured phase
	service    *perfcheck.Histogram
	response   *perfcheck.Histogram // of an open loop
	late       *perfcheck.Histogram // of an open loop: how late the generator itself woke
	write      *perfcheck.Histogram // of Mixed: service of the writes, the reads are in service
	doneOps    int64                // within the measured phase
	doneBytes  int64
	stalls     []stall
	stallMax   int64
	unfinished int64 // due, but never issued
	err        error
}

func newTally(j Job) *tally {
	n := int(j.Duration/time.Second) + 1
	t := &tally{
		ops: make([]atomic.Int64, n), bytes: make([]atomic.Int64, n),
		service: perfcheck.NewHistogram(), stalls: make([]stall, 0, maxStalls),
	}
	if j.Rate > 0 {
		t.response, t.late = perfcheck.NewHistogram(), perfcheck.NewHistogram()
	}
	if j.Kind == Mixed {
		t.write = perfcheck.NewHistogram()
	}
	return t
}

// lane is what the workers of one directory share.
type lane struct {
	cursor atomic.Int64 // of sequential work: the next block
	due    atomic.Int64 // of an open loop: the next request
	last   atomic.Int64 // when something last completed
}

// note counts one request. due is when it should have begun, which in a
// closed loop is when it did. Requests that complete after the end count with
// their latency, not in the throughput: a stall at the end is no secret.
func (t *tally) note(p *phase, l *lane, due, issued, done int64, bytes int64, isWrite bool) {
	prev := l.last.Swap(done)
	if done <= p.begin {
		return
	}
	if gap := done - max(prev, due, p.begin); gap > t.stallMax {
		t.stallMax = gap
	}
	if from := max(prev, due, p.begin); done-from >= int64(StallAfter) && len(t.stalls) < cap(t.stalls) {
		t.stalls = append(t.stalls, stall{from, done})
	}
	hist := t.service
	if isWrite && t.write != nil {
		hist = t.write
	}
	if t.response == nil {
		hist.Record(time.Duration(done - issued))
	} else if due >= p.begin && due < p.end {
		hist.Record(time.Duration(done - issued))
		t.response.Record(time.Duration(done - due))
	}
	if done > p.end {
		return
	}
	t.doneOps++
	t.doneBytes += bytes
	if i := int((done - p.begin) / int64(time.Second)); i < len(t.ops) {
		t.ops[i].Add(1)
		t.bytes[i].Add(bytes)
	}
}

// interval is what all workers together did in a second of the phase.
func interval(workers []*worker, i int) (ops, bytes int64) {
	for _, w := range workers {
		ops += w.tally.ops[i].Load()
		bytes += w.tally.bytes[i].Load()
	}
	return ops, bytes
}
