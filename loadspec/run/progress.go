package run

import (
	"sync"
	"time"

	"cw/loadspec/ledger"
	"cw/loadspec/throttle"
)

// The phases of a job beside the steps truncate, before and after.
const (
	PhaseConnect = "connect"
	PhaseInfer   = "infer the table"
	PhasePlan    = "plan"
	PhaseLoad    = "load"
	PhaseWatch   = "watching" // for new objects
)

// Progress is how far a job is, all its runs together.
type Progress struct {
	Bytes, BytesTotal     int64 // of the objects as stored, committed
	Estimated             bool  // BytesTotal is a guess (unloads)
	Rows                  int64 // committed
	Rejected              int64 // rows that the database would not take, of what is committed
	Objects, ObjectsTotal int64
	LimitReason           string   // what Limit, or a pause, comes from when not from an operator
	Skipped, SkippedBytes int64    // objects that earlier jobs had loaded, not in the totals
	SkippedBy             []string // those jobs
	Rate                  int64    // bytes per second read from the source, over the last seconds
	Limit                 int64    // in force; 0 none
	Paused                bool
	ETASeconds            int64 // -1 unknown
	Phase                 string
	Resumed               bool  // an earlier run had committed something
	Waiting               error // the database is gone; nil when not
}

// Reporter is told how the job goes, several times a second and at each
// change. Calls do not overlap.
type Reporter interface {
	Progress(Progress)
}

type discard struct{}

func (discard) Progress(Progress) {}

// rateWindow is the time over which the rate is measured.
const rateWindow = 3 * time.Second

// tracker holds the job's numbers.
type tracker struct {
	mu      sync.Mutex
	out     Reporter
	limiter *throttle.Limiter
	p       Progress
	pending Progress // of the statement that runs: bytes, rows, objects
	taken   int64    // bytes read by other machines
	samples []sample // of the limiter's count, the oldest first
	peak    int64    // the highest rate so far
	course  course
	outMu   sync.Mutex
}

type sample struct {
	at    time.Time
	bytes int64
}

func newTracker(out Reporter, l *throttle.Limiter) *tracker {
	return &tracker{out: out, limiter: l, p: Progress{ETASeconds: -1, Limit: l.Rate()}}
}

func (t *tracker) update(f func(p *Progress)) {
	t.mu.Lock()
	f(&t.p)
	t.mu.Unlock()
}

func (t *tracker) phase(name string) {
	t.update(func(p *Progress) {
		p.Phase = name
		t.course.enter(name, time.Now())
	})
	t.report()
}

func (t *tracker) begin(base Progress) {
	t.update(func(p *Progress) {
		base.Phase, base.Paused, base.Limit, base.LimitReason, base.ETASeconds = p.Phase, p.Paused, p.Limit, p.LimitReason, -1
		t.pending = Progress{}
		*p = base
	})
	t.report()
}

func (t *tracker) waiting(err error) {
	t.update(func(p *Progress) { p.Waiting = err })
	t.report()
}

func (t *tracker) committed(r ledger.Range, rejected int64) {
	t.update(func(p *Progress) {
		p.Rejected += rejected
		p.Bytes += r.SourceBytes
		p.Rows += r.Rows
		if r.EOF {
			p.Objects++
		}
	})
}

// served counts what a running statement has been given.
func (t *tracker) served(r ledger.Range) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending.Bytes += r.SourceBytes
	t.pending.Rows += r.Rows
}

// elsewhere counts what a load machine has done.
func (t *tracker) elsewhere(r beatResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending.Bytes += r.Bytes
	t.pending.Rows += r.Rows
	t.taken += r.Taken
}

// guess corrects an estimated total: all is so many times what is done.
func (t *tracker) guess(times float64) {
	t.update(func(p *Progress) { p.BytesTotal = int64(float64(p.Bytes+t.pending.Bytes) * times) })
}

// settle replaces what was pending with what is committed.
func (t *tracker) settle(ranges []ledger.Range, rows, rejected int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = Progress{}
	t.p.Rows += rows
	t.p.Rejected += rejected
	for _, r := range ranges {
		t.p.Bytes += r.SourceBytes
		if r.EOF {
			t.p.Objects++
		}
	}
}

// committedBytes is the progress without what is pending.
func (t *tracker) committedBytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.p.Bytes
}

// rollback forgets what was pending.
func (t *tracker) rollback() {
	t.update(func(*Progress) { t.pending = Progress{} })
}

// moved is how many bytes have been read so far, here and elsewhere.
func (t *tracker) moved() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limiter.Taken() + t.taken
}

// measure takes a sample of the speed; it is called on a steady beat. reason
// is what limits it, when not an operator.
func (t *tracker) measure(now time.Time, paused bool, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples = append(t.samples, sample{now, t.limiter.Taken() + t.taken})
	for len(t.samples) > 2 && now.Sub(t.samples[1].at) >= rateWindow {
		t.samples = t.samples[1:]
	}
	first, last := t.samples[0], t.samples[len(t.samples)-1]
	t.p.Rate, t.p.ETASeconds = 0, -1
	if d := last.at.Sub(first.at).Seconds(); d > 0 {
		t.p.Rate = int64(float64(last.bytes-first.bytes) / d)
	}
	t.p.Limit, t.p.LimitReason, t.p.Paused = t.limiter.Rate(), reason, paused
	if last.at.Sub(first.at) >= rateWindow/2 {
		t.peak = max(t.peak, t.p.Rate)
	}
	if left := t.p.BytesTotal - t.p.Bytes - t.pending.Bytes; t.p.Rate > 0 && t.p.BytesTotal > 0 && !paused {
		t.p.ETASeconds = max(left, 0) / t.p.Rate
	}
}

func (t *tracker) progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.p
	p.Bytes += t.pending.Bytes
	if p.BytesTotal > 0 {
		if p.Estimated {
			p.BytesTotal = max(p.Bytes, p.BytesTotal)
		}
		p.Bytes = min(p.Bytes, p.BytesTotal)
	}
	p.Rows += t.pending.Rows
	if p.ObjectsTotal > 0 && p.Objects == p.ObjectsTotal {
		p.Bytes = p.BytesTotal
	}
	return p
}

func (t *tracker) report() {
	t.outMu.Lock()
	defer t.outMu.Unlock()
	t.out.Progress(t.progress())
}
