package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/object"
	"cw/schema"
)

// The calls of object storage tests.
const (
	opObjectPrepare   = "object.prepare"
	opObjectLeftovers = "object.leftovers"
	opObjectClose     = "object.close"
	opObjectSweep     = "object.sweep"
)

// objectTests are the tests of object storage.
func objectTests() []test {
	var tests []test
	for _, t := range object.Tests() {
		if t.Knee {
			tests = append(tests, test{Definition: t.Definition, derive: kneeOf(t.Sweep, perfcheck.PerDoubling(kneeShare))})
			continue
		}
		entry := test{Definition: t.Definition, MinDuration: t.MinDuration, job: func(_ context.Context, _ *runner, _ seat, timing perfcheck.Timing) (any, error) {
			j := t.Job
			j.Timing = timing
			return j, nil
		}}
		tests = append(tests, entry)
		if sharedBackend(t.ID) {
			tests = append(tests, alone(entry))
		}
	}
	return tests
}

// kneeShare is what doubling the streams must add at least to be worth it.
const kneeShare = 0.05

// kneeOf makes a result of those of a sweep, by their number of streams.
func kneeOf(sweep map[string]float64, worth func(from, to float64) float64) func(perfcheck.Definition, []perfcheck.Test, string) perfcheck.Test {
	return func(def perfcheck.Definition, before []perfcheck.Test, host string) perfcheck.Test {
		var points []perfcheck.SweepPoint
		for i := range before {
			streams, in := sweep[before[i].ID]
			if !in || before[i].Host != host {
				continue
			}
			// Of its latencies every request of a closed loop has its share:
			// what is doubled waits twice as long. The throughput decides.
			if p, ok := perfcheck.SweepPointOf(&before[i], streams, "throughput", ""); ok {
				points = append(points, p)
			}
		}
		k, ok := perfcheck.FindKnee(points, worth)
		if !ok {
			return perfcheck.Omitted(def, fmt.Sprintf("a knee takes two results of the sweep, there are %d", len(points)))
		}
		t := perfcheck.Combine(def, []perfcheck.Measurement{{
			Values: map[string]float64{"streams": k.Streams, "throughput": k.Value},
			Events: []perfcheck.Event{{Kind: "knee", Before: k.Value, Text: k.Reason}},
		}})
		return t
	}
}

// prepareObjects puts what the hosts will read into the store.
func (r *runner) prepareObjects(ctx context.Context) error {
	var parts []int64
	for _, t := range object.Tests() {
		if t.Job.Kind == object.Put && !slices.Contains(parts, t.Job.Part) && slices.ContainsFunc(r.tests, func(x test) bool { return x.ID == t.ID }) {
			parts = append(parts, t.Job.Part)
		}
	}
	var mu sync.Mutex
	done, total := map[string]int64{}, map[string]int64{}
	up := r.fleet.Up()
	errs := Each(up, func(m *Member) error {
		o := *r.o.Object
		o.Run, o.Host, o.Seed, o.Parts = r.o.ID, m.Name, r.o.Seed, parts
		return m.a.Watch(ctx, opObjectPrepare, o, func(data json.RawMessage) {
			var n prepareNote
			if json.Unmarshal(data, &n) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			done[m.Name], total[m.Name] = n.Done, n.Total
			var d, t int64
			for name := range total {
				d, t = d+done[name], t+total[name]
			}
			r.o.Reporter.Phase(fmt.Sprintf("putting what is to be read: %s of %s", schema.FormatSize(d), schema.FormatSize(t)))
		}, nil)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	bad := 0
	for i, m := range up {
		if errs[i] != nil {
			m.noObjects = errs[i]
			bad++
		}
	}
	if bad == len(up) {
		return errors.Join(errs...)
	}
	for i, m := range up {
		if errs[i] != nil {
			r.o.Reporter.Warn(errs[i].Error())
			continue
		}
		if bad >= 0 { // one of them looks for all
			bad = -1
			r.objectLeftovers(ctx, m)
		}
	}
	return nil
}

// objectLeftovers names what earlier runs left in the store, or removes it.
func (r *runner) objectLeftovers(ctx context.Context, m *Member) {
	var left []object.Leftover
	if err := m.a.Call(ctx, opObjectLeftovers, r.o.Clean, &left); err != nil {
		r.o.Reporter.Warn("look for what earlier runs left: " + err.Error())
	}
	for _, l := range left {
		r.leftover(m, l.String(), "an earlier run, or is of one under way")
	}
}

// sweepTime is how long removing what is in the store may take.
const sweepTime = time.Minute

// releaseObjects removes what all hosts have put, also when the run was
// interrupted, and by another host what one that is lost has put.
func (r *runner) releaseObjects(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	var last *Member
	up := r.fleet.Up()
	_ = Each(up, func(m *Member) error { return m.a.Call(ctx, opObjectSweep, false, nil) })
	for _, m := range up {
		if m.noObjects != nil || m.Err() != nil {
			continue
		}
		last = m
		if m.a.Call(ctx, opObjectSweep, true, nil) == nil {
			break
		}
		last = nil
	}
	for _, err := range Each(up, func(m *Member) error { return m.a.Call(ctx, opObjectClose, nil, nil) }) {
		if err != nil {
			r.o.Reporter.Warn(err.Error())
		}
	}
	put := slices.ContainsFunc(r.fleet.Members(), func(m *Member) bool { return m.noObjects == nil })
	if last == nil && put {
		r.o.Reporter.Warn(fmt.Sprintf("what was put below %s may still be there: cw perf object --url %s --clean removes it", r.o.Object.URL, r.o.Object.URL))
	}
}

func (f *farSide) objectPrepare(ctx context.Context, data json.RawMessage) (any, error) {
	return handler(func(ctx context.Context, o object.Settings) (any, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.objects != nil {
			return nil, fault.New(fault.Usage, "", "its objects are prepared already")
		}
		set, err := object.Prepare(ctx, o, func(done, total int64) { noteTo(ctx, prepareNote{done, total}) })
		if err == nil {
			f.objects = set
		}
		return nil, err
	})(ctx, data)
}

// objectSet is the set that was prepared.
func (f *farSide) objectSet() (*object.Set, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.objects == nil {
		return nil, fault.New(fault.Usage, "", "no objects are prepared")
	}
	return f.objects, nil
}

func (f *farSide) object(ctx context.Context, data json.RawMessage) (any, error) {
	set, err := f.objectSet()
	if err != nil {
		return nil, err
	}
	return measured(set.Run)(ctx, data)
}

func (f *farSide) objectLeftovers(ctx context.Context, data json.RawMessage) (any, error) {
	set, err := f.objectSet()
	if err != nil {
		return nil, err
	}
	return handler(set.Leftovers)(ctx, data)
}

// objectSweep removes the folder of the host, or with all that of the run.
func (f *farSide) objectSweep(ctx context.Context, data json.RawMessage) (any, error) {
	set, err := f.objectSet()
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // there is nothing to remove
	}
	return handler(func(ctx context.Context, all bool) (any, error) {
		if all {
			return nil, set.Sweep(ctx)
		}
		return nil, set.Clear(ctx)
	})(ctx, data)
}

func (f *farSide) objectClose(ctx context.Context, _ json.RawMessage) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return nil, f.closeObjects(ctx)
}

// closeObjects removes what was put. f.mu is held.
func (f *farSide) closeObjects(ctx context.Context) error {
	if f.objects == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	err := f.objects.Close(ctx)
	f.objects = nil
	return err
}

// withParam gives a test a setting that makes its numbers comparable.
func withParam(t test, name string, value any) test {
	t.Params = maps.Clone(t.Params)
	if t.Params == nil {
		t.Params = map[string]any{}
	}
	t.Params[name] = value
	return t
}
