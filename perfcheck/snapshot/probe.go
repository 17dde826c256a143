package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/kernel"
)

// probe sends requests at fixed times, whatever became of those before: one
// at a time, as the writer of a log does.
type probe struct {
	args   ProbeArgs
	token  uint64
	start  time.Time // of the recording
	window time.Duration
	every  time.Duration

	issued atomic.Int64 // of the Set's count of writes
	acked  atomic.Int64

	quit  chan struct{}
	ended chan struct{}

	mu       sync.Mutex
	trigger  time.Duration // since start, 0 while it has not come
	done     time.Duration
	response map[string]*perfcheck.Histogram
	service  map[string]*perfcheck.Histogram
	windows  [][]float64
	lastDone time.Duration
	gap      time.Duration
	err      error

	written int64
	health  func() perfcheck.Health
}

// fewest is how many requests a window has at least, so that half of them is
// a number.
const fewest = 10

// newProbe makes a probe that goes on counting writes after first.
func newProbe(a ProbeArgs, token uint64, first int64) *probe {
	p := &probe{
		args: a, token: token, every: time.Duration(float64(time.Second) / a.Rate),
		quit: make(chan struct{}), ended: make(chan struct{}),
		response: map[string]*perfcheck.Histogram{}, service: map[string]*perfcheck.Histogram{},
	}
	p.window = min(max(100*time.Millisecond, fewest*p.every), time.Second)
	for _, phase := range []string{Before, During, After} {
		p.response[phase], p.service[phase] = perfcheck.NewHistogram(), perfcheck.NewHistogram()
	}
	p.issued.Store(first)
	p.acked.Store(first)
	return p
}

// loop sends requests until quit.
func (p *probe) loop(request func() error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	begin := p.start.Add(-p.args.Warmup)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := int64(0); ; n++ {
		due := begin.Add(time.Duration(n) * p.every)
		if d := time.Until(due); d > 0 {
			timer.Reset(d)
			select {
			case <-p.quit:
				return
			case <-timer.C:
			}
		}
		select {
		case <-p.quit:
			p.pending(due)
			return
		default:
		}
		issued := time.Now()
		if err := request(); err != nil {
			p.mu.Lock()
			p.err = err
			p.mu.Unlock()
			return
		}
		p.record(due, issued, time.Now())
	}
}

// record counts a finished request. It belongs to before when it was finished
// before the trigger, to after when it should have begun after the end, and
// else to what was in between: a request that waits because of the snapshot
// is the snapshot's, whenever it was due.
func (p *probe) record(due, issued, done time.Time) {
	if due.Before(p.start) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := done.Sub(p.start)
	phase := During
	switch {
	case p.trigger == 0 || at <= p.trigger:
		phase = Before
	case p.done != 0 && due.Sub(p.start) >= p.done:
		phase = After
	}
	p.response[phase].Record(done.Sub(due))
	p.service[phase].Record(done.Sub(issued))
	if p.trigger != 0 {
		p.gap = max(p.gap, at-max(p.lastDone, p.trigger))
	}
	p.lastDone = at
	i := int(at / p.window)
	for len(p.windows) <= i {
		p.windows = append(p.windows, nil)
	}
	p.windows[i] = append(p.windows[i], done.Sub(due).Seconds())
}

// pending counts the requests that were due and never began: they waited at
// least until now.
func (p *probe) pending(due time.Time) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	phase := After
	switch {
	case p.trigger == 0:
		phase = Before
	case p.done == 0:
		phase = During
	}
	for ; due.Before(now); due = due.Add(p.every) {
		if !due.Before(p.start) {
			p.response[phase].Record(now.Sub(due))
		}
	}
}

// Begin implements Host.
func (s *Set) Begin(ctx context.Context, a ProbeArgs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe != nil {
		return fault.New(fault.Usage, "", "a probe runs already")
	}
	if a.Rate <= 0 || a.Rate > 100_000 {
		return fault.New(fault.Usage, "--rate 200", "a probe cannot send %g requests per second", a.Rate)
	}
	p := newProbe(a, s.token, s.written)
	request, free, err := s.request(p)
	if err != nil {
		return err
	}
	p.start = time.Now().Add(a.Warmup)
	if s.Health != nil {
		p.health = s.Health(ctx, perfcheck.Timing{Warmup: a.Warmup})
	}
	s.probe = p
	go func() {
		defer free()
		p.loop(request)
	}()
	return perfcheck.WaitUntil(ctx, p.start)
}

// request makes what the probe does again and again.
func (s *Set) request(p *probe) (do func() error, free func(), err error) {
	name, flags, size := probeName, os.O_WRONLY, ProbeBlock
	if p.args.Mode == Read {
		name, flags, size = dataName, os.O_RDONLY|kernel.Direct, ReadBlock
	}
	f, err := os.OpenFile(filepath.Join(s.opened.Volume, name), flags|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open the probe's file: %w", err)
	}
	b, unmap, err := newBuffer(size)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	free = func() { unmap(); _ = f.Close() }
	if p.args.Mode == Read {
		var off int64
		end := s.blocks * Block
		return func() error {
			if off >= end {
				off = 0
			}
			_, err := f.ReadAt(b, off)
			off += ReadBlock
			return err
		}, free, nil
	}
	fd := int(f.Fd())
	return func() error {
		n := p.issued.Add(1)
		place := (n - 1) % (ProbeFile / ProbeBlock)
		probeBlock(b, s.token, place, n)
		if _, err := f.WriteAt(b, place*ProbeBlock); err != nil {
			return err
		}
		for {
			err := kernel.Fdatasync(fd)
			if err == nil {
				p.acked.Store(n)
			}
			if !errors.Is(err, unix.EINTR) {
				return err
			}
		}
	}, free, nil
}

// running is the probe, or why there is none. s.mu is held.
func (s *Set) running() (*probe, error) {
	if s.probe == nil {
		return nil, fault.New(fault.Usage, "", "no probe runs")
	}
	s.probe.mu.Lock()
	defer s.probe.mu.Unlock()
	if err := s.probe.err; err != nil {
		return nil, fmt.Errorf("the probe cannot go on: %w", err)
	}
	return s.probe, nil
}

// Mark implements Host.
func (s *Set) Mark(_ context.Context, m Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.running()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.start)
	switch m.Kind {
	case MarkTrigger:
		acked := p.acked.Load()
		p.trigger, p.written = now, min(acked-s.last, ProbeFile/ProbeBlock)*ProbeBlock
		if m.Moment != "" {
			s.keepMoment(m.Moment, acked)
			s.last = acked
		}
	case MarkCaptured:
		if kept := s.moments[m.Moment]; kept != nil && kept.issued < 0 {
			kept.issued = p.issued.Load()
		}
	case MarkDone:
		p.done = now
	default:
		return fault.New(fault.Usage, "", "mark %q is not known", m.Kind)
	}
	return nil
}

// End implements Host.
func (s *Set) End(context.Context) (ProbeResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.running()
	if p == nil && s.probe != nil {
		p = s.probe
	}
	if p == nil {
		return ProbeResult{}, err
	}
	length := time.Since(p.start)
	close(p.quit)
	<-p.ended
	s.written, s.probe = p.issued.Load(), nil
	if err != nil {
		return ProbeResult{}, err
	}
	return p.result(length)
}

func (p *probe) result(length time.Duration) (ProbeResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := ProbeResult{
		Mode: p.args.Mode, Rate: p.args.Rate, Window: p.window.Seconds(), Trigger: p.trigger.Seconds(), Done: p.done.Seconds(),
		Length: length.Seconds(), Response: p.response, Service: p.service, Gap: p.gap.Seconds(), Written: p.written, Began: p.start,
	}
	if p.health != nil {
		r.Health = p.health()
	}
	if p.trigger != 0 {
		r.Gap = max(p.gap, length-max(p.lastDone, p.trigger)).Seconds()
	}
	if p.err != nil {
		return r, fmt.Errorf("the probe cannot go on: %w", p.err)
	}
	whole := int(length / p.window) // the last one is not complete
	for i := range whole {
		var w Window
		if i < len(p.windows) && len(p.windows[i]) > 0 {
			w.Done, w.P50 = len(p.windows[i]), perfcheck.Median(p.windows[i])
			for _, v := range p.windows[i] {
				w.Max = max(w.Max, v)
			}
		}
		r.Windows = append(r.Windows, w)
	}
	return r, nil
}
