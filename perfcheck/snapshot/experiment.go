package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
)

// wish is what happens between before and after.
type wish struct {
	test    string // that durations are of; "" keeps none
	moment  string
	kind    cloud.Kind
	parent  string
	nothing time.Duration // of a control: how long nothing is done
}

// taken is a snapshot with what the probe saw of it.
type taken struct {
	cloud.Snapshot
	result ProbeResult
}

// experiment runs the probe before, during and after a wish, and keeps what it
// saw as the measurement of a test.
func (r *runner) experiment(ctx context.Context, args ProbeArgs, test string, w *wish) (*taken, bool) {
	h := r.o.Host
	var t taken
	err := h.Begin(ctx, args)
	begun := err == nil
	if err == nil {
		err = perfcheck.WaitUntil(ctx, time.Now().Add(r.o.Around))
	}
	if err == nil {
		err = h.Mark(ctx, Mark{Kind: MarkTrigger, Moment: w.moment})
	}
	if err == nil {
		least := time.Now().Add(r.o.Least)
		if w.nothing > 0 {
			err = perfcheck.WaitUntil(ctx, time.Now().Add(w.nothing))
		} else {
			t.Snapshot, err = r.take(ctx, w)
		}
		if err == nil {
			err = perfcheck.WaitUntil(ctx, least)
		}
	}
	if err == nil {
		err = h.Mark(ctx, Mark{Kind: MarkDone})
	}
	if err == nil {
		err = perfcheck.WaitUntil(ctx, time.Now().Add(r.o.Around))
	}
	if begun {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		result, eerr := h.End(end)
		cancel()
		if err == nil {
			err = eerr
		}
		t.result = result
	}
	if err != nil {
		r.fail(err, test)
		if w.test != "" {
			r.fail(err, w.test)
		}
		return &t, false
	}
	r.out.Measured[test], r.out.Impacts[test] = measurement(t.result)
	r.out.Health = worse(r.out.Health, t.result.Health)
	return &t, true
}

// endTimeout is how long the end of a probe may take: its last request may be
// one that hangs.
const endTimeout = time.Minute

// take asks for a snapshot and waits until it is complete.
func (r *runner) take(ctx context.Context, w *wish) (cloud.Snapshot, error) {
	r.serial++
	name := fmt.Sprintf("cw-perf-%s-%d", r.o.Name, r.serial)
	limit, cancel := context.WithTimeoutCause(ctx, r.o.Timeout, fault.New(fault.Unreachable, "--timeout gives it longer", "the driver has not finished a snapshot within %s", r.o.Timeout))
	defer cancel()
	kind, id := MadeNamed, name
	if p, ok := r.o.Driver.(namer); ok {
		kind, id = MadeSnapshot, p.SnapshotID(r.volume, name)
	}
	if err := r.keep(kind, id); err != nil {
		return cloud.Snapshot{}, err
	}
	began := time.Now()
	made, err := r.o.Driver.CreateSnapshots(limit, cloud.CreateOptions{Volumes: []string{r.volume}, Name: name, Kind: w.kind, Parent: w.parent})
	accepted := time.Since(began)
	for _, s := range made {
		err = errors.Join(err, r.keep(MadeSnapshot, s.ID))
	}
	if kind == MadeNamed && (err == nil || len(made) > 0) {
		r.forget(kind, id)
	}
	if err == nil && len(made) != 1 {
		err = fmt.Errorf("one snapshot was asked for, and %d were made", len(made))
	}
	if err != nil {
		return cloud.Snapshot{}, cause(limit, err)
	}
	s, captured, err := r.await(limit, made[0], w, began)
	if err != nil {
		return s, cause(limit, err)
	}
	if w.test != "" {
		r.out.Measured[w.test] = perfcheck.Measurement{Began: began, Values: map[string]float64{
			"accepted": accepted.Seconds(), "captured": captured.Seconds(), "complete": time.Since(began).Seconds(),
		}}
	}
	return s, nil
}

// namer is a driver whose snapshots' ids are known before they are made.
type namer interface {
	SnapshotID(volume, name string) string
}

// await asks until a snapshot is complete, and tells the probe when it is
// captured.
func (r *runner) await(ctx context.Context, s cloud.Snapshot, w *wish, began time.Time) (cloud.Snapshot, time.Duration, error) {
	var captured time.Duration
	for {
		if (s.Captured || s.State == cloud.Available) && captured == 0 {
			captured = time.Since(began)
			if err := r.o.Host.Mark(ctx, Mark{Kind: MarkCaptured, Moment: w.moment}); err != nil {
				return s, captured, err
			}
		}
		switch s.State {
		case cloud.Available:
			return s, captured, nil
		case cloud.Failed, cloud.Gone:
			return s, captured, fmt.Errorf("the snapshot %s is %s: %s", s.ID, s.State, orNothing(s.Problem))
		}
		next, err := r.o.Driver.Snapshot(ctx, s.ID)
		if err != nil {
			return s, captured, err
		}
		s = next
		if s.State == cloud.Pending {
			if err := perfcheck.WaitUntil(ctx, time.Now().Add(r.o.Poll)); err != nil {
				return s, captured, err
			}
		}
	}
}

func orNothing(text string) string {
	if text == "" {
		return "the driver does not say why"
	}
	return text
}

// cause prefers why a context ended to what came of that.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// Shares of the CPUs from which on a number is not the volume's.
const (
	ownLimit   = 0.85 // used by the probe itself
	stealLimit = 0.05 // taken away by the hypervisor
)

// measurement makes the values of an experiment.
func measurement(p ProbeResult) (perfcheck.Measurement, Impact) {
	i := ImpactOf(p)
	m := perfcheck.Measurement{
		Began: p.Began, Series: []perfcheck.Series{p.perSecond(), p.worst()}, Histograms: map[string]*perfcheck.Histogram{},
		Values: map[string]float64{
			"delta_p50": i.DeltaP50, "delta_p99": i.DeltaP99, "delta_max": i.DeltaMax, "stall": i.Stall, "gap": i.Gap, "recover": i.Recover, "loss": i.Loss,
			"before_p50": i.Before.P50, "before_p99": i.Before.P99, "during_p50": i.During.P50, "during_p99": i.During.P99, "during_max": i.During.Max,
			"service_p99": i.During.ServiceP99, "after_p99": i.After.P99, "during": p.Done - p.Trigger,
		},
	}
	for _, phase := range []string{Before, During, After} {
		if h := p.Response[phase]; h != nil {
			m.Histograms["response_"+phase] = h
		}
		if h := p.Service[phase]; h != nil {
			m.Histograms["service_"+phase] = h
		}
	}
	if i.Achieved < 0.95 {
		m.Flags = append(m.Flags, perfcheck.FlagRateMissed)
	}
	if p.Health.Own > ownLimit {
		m.Flags = append(m.Flags, perfcheck.FlagClientLimited)
	}
	if p.Health.Steal > stealLimit {
		m.Flags = append(m.Flags, perfcheck.FlagSteal)
	}
	m.Events = append(m.Events, perfcheck.Event{Kind: "trigger", At: p.Trigger, Length: p.Done - p.Trigger, Text: fmt.Sprintf("during is from %.1f s to %.1f s", p.Trigger, p.Done)})
	if i.Stall > 0 {
		m.Events = append(m.Events, perfcheck.Event{Kind: perfcheck.EventStall, At: p.Trigger, Length: i.Stall, Text: fmt.Sprintf("less than half of the requests were done for %.1f s meanwhile", i.Stall)})
	}
	for _, phase := range []Latency{i.Before, i.During, i.After} {
		if phase.Count == 0 {
			for name := range m.Values { // a phase without requests says nothing about the others
				delete(m.Values, name)
			}
		}
	}
	return m, i
}

func worse(a, b perfcheck.Health) perfcheck.Health {
	return perfcheck.Health{
		CPU: max(a.CPU, b.CPU), Own: max(a.Own, b.Own), Steal: max(a.Steal, b.Steal),
		StartSkew: max(a.StartSkew, b.StartSkew), Pressure: max(a.Pressure, b.Pressure),
	}
}
