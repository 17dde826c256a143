// Package run brings performance checks to hosts: it starts cw there as an
// agent, lets the workloads begin on a barrier, repeats, judges, re-runs what
// looks bad, and keeps a journal from which an interrupted run goes on.
package run

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"cw/perfcheck"
	"cw/perfcheck/disk"
	"cw/perfcheck/net"
	"cw/remote"
	"cw/remote/agent"
)

// AgentRole is what the agent of a performance check is called.
const AgentRole = "perf"

// Machine is one host to be measured.
type Machine struct {
	Name string
	// Host is the way there over SSH; nil is this machine.
	Host *remote.Host
	// Address is where the other machines reach it in network tests; "" is
	// the one that SSH uses.
	Address string
}

// FleetOptions say how agents are started.
type FleetOptions struct {
	Binary string // see agent.Options
	As     string // see agent.Options
	Log    *slog.Logger
}

// Fleet is the agents of a run.
type Fleet struct{ members []*Member }

// Member is the agent on one machine.
type Member struct {
	Machine
	Hello Hello

	a     *agent.Agent
	ahead time.Duration // its clock before ours
	trip  time.Duration // of a question and its answer

	noDisk    error // why its directories are not tested
	noObjects error // why it is not tested against object storage

	mu  sync.Mutex
	err error
}

// Hello is what a machine says first.
type Hello struct {
	Hostname  string // its own name, whatever it was called by
	Inventory map[string]any
	NICs      []net.NIC
	Leftovers []string // folders of earlier agents that were killed
}

// StartFleet starts an agent on every machine, all at once. A machine where
// that fails is a member with an error; only a context that is over is an
// error of StartFleet itself.
func StartFleet(ctx context.Context, machines []Machine, o FleetOptions) (*Fleet, error) {
	f := &Fleet{}
	var all sync.WaitGroup
	for _, m := range machines {
		member := &Member{Machine: m}
		f.members = append(f.members, member)
		all.Go(func() { member.fail(member.start(ctx, o)) })
	}
	all.Wait()
	if ctx.Err() != nil {
		f.Close(ctx)
		return nil, context.Cause(ctx)
	}
	return f, nil
}

func (m *Member) start(ctx context.Context, o FleetOptions) error {
	ao := agent.Options{Binary: o.Binary, As: o.As, Role: []string{AgentRole}, OnLog: func(line string) {
		if o.Log != nil {
			o.Log.Warn("agent", "host", m.Name, "text", line)
		}
	}}
	var err error
	if m.Host == nil {
		ao.Binary = "" // this machine's kind is known
		m.a, err = agent.StartHere(ctx, m.Name, ao)
	} else {
		m.a, err = agent.Start(ctx, m.Host, ao)
	}
	if err != nil {
		return err
	}
	if err := m.a.Call(ctx, opHello, nil, &m.Hello); err != nil {
		return err
	}
	m.ahead, m.trip, err = m.a.Clock(ctx)
	return err
}

// Members are all machines, in the order they were given.
func (f *Fleet) Members() []*Member { return f.members }

// Up are the members that answer.
func (f *Fleet) Up() []*Member {
	var up []*Member
	for _, m := range f.members {
		if m.Err() == nil {
			up = append(up, m)
		}
	}
	return up
}

// Each runs fn for the members at the same time and waits.
func Each(members []*Member, fn func(m *Member) error) []error {
	errs := make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { errs[i] = fn(m) })
	}
	all.Wait()
	return errs
}

// Close ends all agents and what they left.
func (f *Fleet) Close(ctx context.Context) {
	_ = Each(f.members, func(m *Member) error {
		if m.a != nil {
			m.a.Close(ctx)
		}
		return nil
	})
}

// Err is why the machine takes no part any more; nil while it does.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && m.a != nil {
		select {
		case <-m.a.Ended():
			m.err = m.a.Err()
		default:
		}
	}
	return m.err
}

func (m *Member) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

// There tells what the machine's clock shows at a moment of ours.
func (m *Member) There(t time.Time) time.Time { return t.Add(m.ahead) }

// Here is the reverse of There.
func (m *Member) Here(t time.Time) time.Time { return t.Add(-m.ahead) }

// Prepare makes the files that the disk tests work on; on hears how far it is
// in bytes.
func (m *Member) Prepare(ctx context.Context, args PrepareArgs, on func(done, total int64)) (Prepared, error) {
	var p Prepared
	err := m.a.Watch(ctx, opPrepare, args, func(data json.RawMessage) {
		var n prepareNote
		if json.Unmarshal(data, &n) == nil && on != nil {
			on(n.Done, n.Total)
		}
	}, &p)
	return p, err
}

// Release removes the files of Prepare.
func (m *Member) Release(ctx context.Context) error { return m.a.Call(ctx, opRelease, nil, nil) }

// Listen opens the machine for network tests of the others and returns the
// port.
func (m *Member) Listen(ctx context.Context, o net.ListenOptions) (port int, err error) {
	err = m.a.Call(ctx, opListen, o, &port)
	return port, err
}

// Measured is one repetition with the state of the machine meanwhile.
type Measured struct {
	perfcheck.Measurement
	Health perfcheck.Health
}

// Measure runs a job of an area there.
func (m *Member) Measure(ctx context.Context, area perfcheck.Area, job any, on func(perfcheck.Second)) (Measured, error) {
	var got Measured
	if m.a == nil {
		return got, fmt.Errorf("%s: %w", m.Name, m.Err())
	}
	err := m.a.Watch(ctx, opMeasure+string(area), job, func(data json.RawMessage) {
		var s perfcheck.Second
		if json.Unmarshal(data, &s) == nil && on != nil {
			on(s)
		}
	}, &got)
	return got, err
}

// CopyPrepare makes ready for moving bytes the way gpcheckperf does.
func (m *Member) CopyPrepare(ctx context.Context, o disk.CopyOptions) error {
	return m.a.Call(ctx, opCopy+"prepare", o, nil)
}

// CopyWrite writes the files of CopyPrepare.
func (m *Member) CopyWrite(ctx context.Context) (r disk.CopyResult, err error) {
	return r, m.a.Call(ctx, opCopy+"write", nil, &r)
}

// CopyRead reads the files that CopyWrite wrote.
func (m *Member) CopyRead(ctx context.Context) (r disk.CopyResult, err error) {
	return r, m.a.Call(ctx, opCopy+"read", nil, &r)
}

// CopyClose removes the files of CopyPrepare.
func (m *Member) CopyClose(ctx context.Context) error {
	return m.a.Call(ctx, opCopy+"close", nil, nil)
}
