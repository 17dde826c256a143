package run

import (
	"context"
	"slices"
	"time"

	"cw/perfcheck"
	"cw/perfcheck/cpu"
	"cw/perfcheck/disk"
	"cw/perfcheck/memory"
	"cw/perfcheck/net"
	"cw/perfcheck/replace"
	"cw/perfcheck/snapshot"
	"cw/perfcheck/vip"
)

// test is a test of any area.
type test struct {
	perfcheck.Definition
	MinDuration time.Duration
	everyPair   bool // see net.Test
	once        bool // a single long repetition, see sustained
	// unsupported says why an external engine cannot run the test; nil when
	// all can.
	unsupported func(engine string) error
	// derive makes the result of a host out of those that were measured
	// before, for a test that measures nothing itself.
	derive func(def perfcheck.Definition, before []perfcheck.Test, host string) perfcheck.Test
	// job makes the workload's job for one measurement at a seat.
	job func(ctx context.Context, r *runner, s seat, timing perfcheck.Timing) (any, error)
}

// Areas lists all areas.
func Areas() []perfcheck.Area {
	return []perfcheck.Area{
		perfcheck.CPU, perfcheck.Memory, perfcheck.Disk, perfcheck.Net, perfcheck.Object, perfcheck.DB, perfcheck.Snapshot, perfcheck.VIP, perfcheck.Replace,
	}
}

// Catalogue lists the tests of the areas, in the order in which they run.
func Catalogue(areas []perfcheck.Area) []perfcheck.Definition {
	var defs []perfcheck.Definition
	for _, t := range catalogue(areas) {
		defs = append(defs, t.Definition)
	}
	// What is no workload of a host has no job: its verb runs it.
	if slices.Contains(areas, perfcheck.Replace) {
		defs = append(defs, replace.Tests()...)
	}
	return defs
}

func catalogue(areas []perfcheck.Area) []test {
	var tests []test
	for _, area := range areas {
		switch area {
		case perfcheck.CPU:
			for _, t := range cpu.Tests() {
				tests = append(tests, test{Definition: t.Definition, MinDuration: t.MinDuration, job: func(_ context.Context, _ *runner, _ seat, timing perfcheck.Timing) (any, error) {
					j := t.Job
					j.Timing = timing
					return j, nil
				}})
			}
		case perfcheck.Memory:
			for _, t := range memory.Tests() {
				tests = append(tests, test{Definition: t.Definition, MinDuration: t.MinDuration, job: func(_ context.Context, _ *runner, _ seat, timing perfcheck.Timing) (any, error) {
					j := t.Job
					j.Timing = timing
					return j, nil
				}})
			}
		case perfcheck.Disk:
			for _, t := range disk.Tests() {
				supported := func(engine string) error {
					j := t.Job
					j.Engine = engine
					return j.Supported()
				}
				entry := test{Definition: t.Definition, MinDuration: t.MinDuration, unsupported: supported, job: func(_ context.Context, r *runner, _ seat, timing perfcheck.Timing) (any, error) {
					j := t.Job
					j.Timing, j.Engine = timing, r.o.Engine
					return j, nil
				}}
				tests = append(tests, entry)
				if sharedBackend(t.ID) {
					tests = append(tests, alone(entry))
				}
			}
		case perfcheck.DB:
			tests = append(tests, databaseTests()...)
		case perfcheck.Object:
			tests = append(tests, objectTests()...)
		case perfcheck.Net:
			for _, t := range net.Tests() {
				tests = append(tests, test{Definition: t.Definition, MinDuration: t.MinDuration, everyPair: t.EveryPair, unsupported: netSupported(t), job: netJob(t)})
			}
		case perfcheck.VIP: // by VIP
			for _, d := range vip.Tests() {
				tests = append(tests, test{Definition: d})
			}
		case perfcheck.Snapshot: // by Snapshots, in its own order
			for _, d := range snapshot.Tests() {
				tests = append(tests, test{Definition: d})
			}
		}
	}
	return qualified(tests)
}

// rounds are who takes part in a test, and what at the same time.
func (r *runner) rounds(t test) [][]seat {
	switch t.Scope {
	case perfcheck.Pair:
		return r.pairs(t)
	case perfcheck.Alone:
		var rounds [][]seat
		for _, m := range r.fleet.Members() {
			rounds = append(rounds, []seat{{from: m}})
		}
		return rounds
	}
	var all []seat
	for _, m := range r.fleet.Members() {
		all = append(all, seat{from: m})
	}
	return [][]seat{all}
}

// pairs are the rounds of a network test.
func (r *runner) pairs(t test) [][]seat {
	topology := r.o.Topology
	if topology == "" {
		topology = net.Tournament
		if !t.everyPair {
			topology = net.Pairs
		}
	}
	members := map[string]*Member{}
	var names []string
	for _, m := range r.fleet.Members() {
		members[m.Name] = m
		names = append(names, m.Name)
	}
	rounds, err := net.Rounds(topology, names)
	if err != nil {
		return nil // one machine: there is nobody to talk to
	}
	var out [][]seat
	for _, round := range rounds {
		var seats []seat
		for _, p := range round {
			seats = append(seats, seat{members[p.From], members[p.To]})
		}
		out = append(out, seats)
	}
	return out
}
