package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"cw/remote"
	"cw/state"
)

const (
	staleLeast  = 2500 * time.Millisecond // without a sample a host is stale, and Err says why
	giveUpAfter = 15 * time.Second        // then the command is started anew
	maxBackoff  = 10 * time.Second
)

// collectHost watches one host for as long as ctx lives: one command that
// prints a sample a second, started again when it ends.
func (l *Live) collectHost(ctx context.Context, h *remote.Host) {
	dirs := l.dataDirs(h.Name())
	s := &sampling{live: l, host: h.Name(), last: time.Now(), staleAfter: max(staleLeast, time.Second+l.o.SampleEvery*3/2)}
	var guard sync.WaitGroup
	watched, stop := context.WithCancel(ctx)
	guard.Go(func() { s.guard(watched) })
	defer func() { stop(); guard.Wait() }()
	for wait := time.Second; ; wait = min(2*wait, maxBackoff) {
		began := time.Now()
		err := s.run(ctx, h, dirs)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the sampler ended")
		}
		s.failed(err)
		l.log.Debug("host is not watched", "host", h.Name(), "error", err)
		if time.Since(began) > maxBackoff {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// dataDirs are the folders of a host whose file systems matter.
func (l *Live) dataDirs(host string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var dirs []string
	if l.plan.lay != nil {
		for _, n := range l.plan.lay.On(host) {
			dirs = append(dirs, n.DataDir)
		}
	}
	if l.plan.top != nil { // those that are not there yet, and what stays when nodes go
		dirs = append(dirs, l.plan.top.Layout.DataDirs...)
	}
	return append(slices.Compact(dirs), "/")
}

// sampling is the state of one host's watching.
type sampling struct {
	live       *Live
	host       string
	staleAfter time.Duration

	mu      sync.Mutex
	before  sample
	far     farClock
	last    time.Time // of the last sample, at first of the beginning
	began   time.Time // of the command that runs
	why     error     // why the last command ended
	restart context.CancelCauseFunc
	stale   bool
	told    bool // the store has an event about it
}

var errSilent = errors.New("no sample")

func (s *sampling) run(ctx context.Context, h *remote.Host, dirs []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.restart, s.began = cancel, time.Now()
	s.mu.Unlock()
	r := &sampleReader{emit: s.take}
	_, err := h.Run(ctx, remote.Cmd{Args: append([]string{"/bin/sh", "-c", samplerScript, "cw", strconv.Itoa(int(s.live.o.SampleEvery / time.Second))}, dirs...), Dir: "/", Stdout: r})
	return err
}

// take is one sample that has come.
func (s *sampling) take(cpus int, b sample) {
	now := time.Now()
	s.mu.Lock()
	a := s.before
	s.before, s.last, s.why = b, now, nil
	s.far.take(b, s.began, now)
	offset, within := s.far.offset()
	back := s.stale && s.told
	s.stale, s.told = false, false
	s.mu.Unlock()
	s.live.setHost(s.host, func(h Host) Host {
		h = advance(h, cpus, a, b, now)
		if h.ClockOffset, h.ClockError = offset, within; s.live.o.Lean {
			h.CPUHist, h.MemHist, h.DiskHist, h.NetHist = nil, nil, nil, nil
		}
		return h
	})
	s.live.heard(s.host, b.listens)
	if back {
		s.live.note(state.Event{Kind: state.EventRecovered, Host: s.host, Data: about("host " + s.host), Message: fmt.Sprintf("host %s answers again", s.host)})
	}
}

// heard notes on which of their ports the nodes of a host do not listen. A
// Greenplum takes a minute to find that a segment is gone; this takes a moment,
// and then the hosts are asked what it is.
func (l *Live) heard(host string, listens map[int]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.plan.lay == nil || listens == nil {
		return
	}
	var deaf []int
	for _, n := range l.plan.lay.On(host) {
		if !listens[n.Port] {
			deaf = append(deaf, n.Port)
		}
	}
	if slices.Equal(deaf, l.seen.deaf[host]) {
		return
	}
	if l.seen.deaf == nil {
		l.seen.deaf = map[string][]int{}
	}
	l.seen.deaf[host] = deaf
	l.rejudge()
	l.judge.now()
}

func (s *sampling) failed(err error) {
	s.mu.Lock()
	s.why = err
	s.before = sample{}
	never := s.stale
	s.mu.Unlock()
	if never || fatal(err) {
		s.live.setHost(s.host, func(h Host) Host { h.Err = reason(err); return h })
	}
}

// fatal are errors that no waiting mends: they are shown at once.
func fatal(err error) bool {
	var auth *remote.AuthError
	var key *remote.HostKeyError
	return errors.As(err, &auth) || errors.As(err, &key)
}

// guard marks the host as stale in time, whatever the connection does.
func (s *sampling) guard(ctx context.Context) {
	tick := time.NewTicker(s.staleAfter / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.look(time.Now())
	}
}

func (s *sampling) look(now time.Time) {
	s.mu.Lock()
	silent := now.Sub(s.last)
	if silent < s.staleAfter {
		s.mu.Unlock()
		return
	}
	fresh := !s.stale
	tell := !s.told && silent > giveUpAfter/3
	s.stale, s.told = true, s.told || tell
	why, restart, ran := s.why, s.restart, now.Sub(s.began)
	s.mu.Unlock()
	if why == nil {
		why = fmt.Errorf("%w for %d s", errSilent, int(silent.Seconds()))
	}
	if fresh {
		s.live.setHost(s.host, func(h Host) Host { h.Err = reason(why); return h })
		s.live.judge.now()
	}
	if tell {
		s.live.note(state.Event{Kind: state.EventFault, Severity: state.Warning, Host: s.host, Data: about("host " + s.host), Message: fmt.Sprintf("host %s does not answer: %s", s.host, reason(why))})
	}
	if restart != nil && min(silent, ran) > giveUpAfter {
		restart(why)
	}
}

// setHost changes one host of the draft.
func (l *Live) setHost(name string, change func(Host) Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The hosts that were sent stay as they were. One copy a tick is enough,
	// however many hosts report in it.
	if !l.seen.hostsOwned {
		l.draft.Hosts.Items = slices.Clone(l.draft.Hosts.Items)
		l.seen.hostsOwned = true
	}
	for i, h := range l.draft.Hosts.Items {
		if h.Name == name {
			was := h.Err
			l.draft.Hosts.Items[i] = change(h)
			if was != l.draft.Hosts.Items[i].Err {
				l.rejudge()
			}
		}
	}
	l.draft.Hosts.CollectedAt = time.Now()
	l.dirty = true
}
