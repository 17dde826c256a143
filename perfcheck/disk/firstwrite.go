package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/kernel"
	"cw/schema"
)

// freshLeast is the least that a first write is measured on.
const freshLeast = 32 * mib

// runFirstWrite writes a new file for at most the job's duration, then the
// same bytes again. A disk that finds its blocks only when they are first
// written is slow the first time; the database's files are new every day.
// The warm-up is on the prefilled file: it must not use up the new one.
func (s *Set) runFirstWrite(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	var m perfcheck.Measurement
	if err := j.Await(ctx); err != nil {
		return m, err
	}
	j.Start = time.Time{}
	if j.Warmup > 0 {
		warm := j
		warm.Kind, warm.Warmup, warm.Duration = Write, 0, j.Warmup
		if _, err := s.runNative(ctx, warm, nil); err != nil {
			return m, err
		}
		j.Warmup = 0
	}
	defer func() {
		for _, t := range s.targets {
			_ = unix.Unlink(t.fresh()) // what this cannot take away, Close names
		}
	}()
	for _, t := range s.targets {
		if err := t.makeFresh(s.targets); err != nil {
			return m, err
		}
	}
	first, err := s.newRig(j)
	if err != nil {
		return m, err
	}
	if err := first.drive(ctx, on); err != nil {
		return m, err
	}
	second, err := s.newRig(j)
	if err != nil {
		return m, err
	}
	for i, w := range second.workers {
		l := first.lanes[i/first.per]
		w.blocks = min(l.cursor.Load(), first.workers[i].blocks)
	}
	// The overwrite takes the time that the same bytes need, which on a disk
	// that is slower now is more than the duration.
	second.job.Duration *= 4
	if err := second.drive(ctx, nil); err != nil {
		return m, err
	}
	return firstAgainst(j, first, second), nil
}

// makeFresh reserves a new file as large as the prefilled one, or as there
// is room for.
func (t *target) makeFresh(all []*target) error {
	vfs, err := kernel.Statfs(t.folder)
	if err != nil {
		return fmt.Errorf("%s: ask for free space: %w", t.facts.Dir, err)
	}
	waiting := int64(0) // how many have to share what is free
	for _, u := range all {
		if u.facts.dev == t.facts.dev && u.freshSize == 0 {
			waiting++
		}
	}
	room := (vfs.Free - t.sizes.keep) / max(waiting, 1)
	size := min(t.sizes.data, room) / mib * mib
	if size < freshLeast {
		return fault.New(fault.Check, "free some space, or leave the test out: --skip disk.firstwrite.1m", "%s: %s is free beside what stays free: too little for a new file", t.facts.Dir, schema.FormatSize(max(room, 0)))
	}
	if err := unix.Unlink(t.fresh()); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", t.fresh(), err)
	}
	fd, err := allocate(t.fresh(), size)
	if err != nil {
		return writeFailed(t.facts.Dir, err)
	}
	t.freshSize = size
	return unix.Close(fd)
}

// speed is what a directory's workers wrote per second, from the first
// request to the last or to the end of the phase.
func (r *rig) speed(lane int) (rate float64, bytes int64) {
	for _, w := range r.workers[lane*r.per : (lane+1)*r.per] {
		bytes += w.doneBytes
	}
	took := time.Duration(min(r.lanes[lane].last.Load(), r.phase.end) - r.phase.begin)
	if took <= 0 {
		return 0, bytes
	}
	return float64(bytes) / took.Seconds(), bytes
}

func firstAgainst(j Job, first, second *rig) perfcheck.Measurement {
	m := perfcheck.Measurement{
		Values:     map[string]float64{},
		Histograms: map[string]*perfcheck.Histogram{"first": perfcheck.NewHistogram(), "overwrite": perfcheck.NewHistogram()},
		Began:      first.phase.base,
	}
	shortest := j.Duration
	for i, l := range first.lanes {
		rate, bytes := first.speed(i)
		again, _ := second.speed(i)
		m.Values["throughput"] += rate
		m.Values["overwrite"] += again
		m.Values["bytes"] += float64(bytes)
		if len(first.lanes) > 1 {
			m.Values[fmt.Sprintf("throughput.%d", i)] = rate
		}
		shortest = min(shortest, time.Duration(l.last.Load()))
	}
	if m.Values["overwrite"] > 0 {
		m.Values["first_ratio"] = m.Values["throughput"] / m.Values["overwrite"]
	}
	for i, w := range first.workers {
		m.Histograms["first"].Merge(w.service)
		m.Histograms["overwrite"].Merge(second.workers[i].service)
	}
	series := perfcheck.Series{Name: "throughput", Unit: perfcheck.BytesPerSecond, Interval: 1}
	for i := range int(shortest / time.Second) {
		_, bytes := interval(first.workers, i)
		series.Values = append(series.Values, float64(bytes))
	}
	m.Series = []perfcheck.Series{series}
	return m
}
