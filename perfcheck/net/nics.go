package net

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"cw/perfcheck"
)

// togetherLead is the time in which the connections of all links are made
// before they begin together.
const togetherLead = 500 * time.Millisecond

// runNICs measures TCP by every link alone, one after the other, and then by
// all at once. 1.0 of the sum is independent links, 0.5 of two is a shared
// limit. The interfaces' own counters say whether the traffic went that way.
func runNICs(ctx context.Context, job Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	if err := perfcheck.WaitUntil(ctx, job.Start); err != nil {
		return perfcheck.Measurement{}, err
	}
	m := perfcheck.Measurement{Values: map[string]float64{}}
	var single float64
	for i, l := range job.Links {
		one, err := runOne(ctx, job.by(l), nil)
		if err != nil {
			return m, fmt.Errorf("%s alone: %w", l.name(), err)
		}
		single += one.Values["throughput"]
		m.Values["alone_"+strconv.Itoa(i+1)] = one.Values["throughput"]
		m.Flags = append(m.Flags, one.Flags...)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := make([]perfcheck.Measurement, len(job.Links))
	sum := &adder{n: len(job.Links), on: on}
	start := time.Now().Add(togetherLead)
	var running sync.WaitGroup
	for i, l := range job.Links {
		running.Go(func() {
			j := job.by(l)
			j.Start = start
			var err error
			if all[i], err = runOne(ctx, j, sum.add); err != nil {
				cancel(fmt.Errorf("%s with the others: %w", l.name(), err))
			}
		})
	}
	running.Wait()
	if ctx.Err() != nil {
		return m, context.Cause(ctx)
	}
	var total float64
	for i := range all {
		v := all[i].Values["throughput"]
		total += v
		m.Values["together_"+strconv.Itoa(i+1)] = v
		m.Values["retransmits"] += all[i].Values["retransmits"]
		m.Flags = append(m.Flags, all[i].Flags...)
	}
	m.Began = all[0].Began
	m.Values["throughput"] = total
	m.Values["alone_sum"] = single
	m.Values["independence"] = total / single
	m.Series = []perfcheck.Series{series("throughput", perfcheck.BytesPerSecond, addSeries(all))}
	slices.Sort(m.Flags)
	m.Flags = slices.Compact(m.Flags)
	return m, nil
}

func (j *Job) by(l Link) Job {
	one := *j
	one.Kind, one.Links, one.Start = TCP, nil, time.Time{}
	one.Source, one.Device, one.Target = l.Source, l.Device, l.Target
	return one
}

func (l *Link) name() string {
	name := "the way to " + l.Target
	if l.Device != "" {
		name += " by " + l.Device
	}
	if l.Source != "" {
		name += " from " + l.Source
	}
	return name
}

// addSeries adds the first series of all, as far as all go.
func addSeries(all []perfcheck.Measurement) []float64 {
	var sum []float64
	for i, m := range all {
		if len(m.Series) == 0 {
			return nil
		}
		v := m.Series[0].Values
		if i == 0 {
			sum = slices.Clone(v)
			continue
		}
		sum = sum[:min(len(sum), len(v))]
		for k := range sum {
			sum[k] += v[k]
		}
	}
	return sum
}

// adder adds up the live values of several tests: one value when all have
// said theirs.
type adder struct {
	mu     sync.Mutex
	n      int
	said   int
	value  float64
	latest float64
	on     func(perfcheck.Second)
}

func (a *adder) add(s perfcheck.Second) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said++
	a.value += s.Value
	a.latest = max(a.latest, s.At)
	if a.said == a.n {
		if a.on != nil {
			a.on(perfcheck.Second{At: a.latest, Value: a.value})
		}
		a.said, a.value = 0, 0
	}
}
