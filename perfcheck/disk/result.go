package disk

import (
	"fmt"
	"slices"
	"time"

	"cw/perfcheck"
)

// Thresholds of flags.
const (
	rateKept     = 0.95                   // an open loop that does less misses its rate
	lateLimit    = 5 * time.Millisecond   // p99 of the generator's own lateness
	ackedByCache = 50 * time.Microsecond  // a commit on a networked disk takes longer
	longRequest  = 100 * time.Millisecond // counted as over_100ms
	veryLong     = time.Second            // counted as over_1s
)

// measurement puts together what the workers counted.
func (r *rig) measurement() perfcheck.Measurement {
	j := r.job
	name, unit := j.primary()
	m := perfcheck.Measurement{
		Values: map[string]float64{}, Histograms: map[string]*perfcheck.Histogram{},
		Began: r.phase.base.Add(j.Warmup),
	}
	all := newTally(j)
	for i := range r.lanes {
		var ops, bytes, longest int64
		var stalls []stall
		for _, w := range r.workers[i*r.per : (i+1)*r.per] {
			ops += w.doneOps
			bytes += w.doneBytes
			longest = max(longest, w.stallMax)
			stalls = append(stalls, w.stalls...)
			all.merge(w.tally)
		}
		m.Values["throughput"] += perSecond(perfcheck.BytesPerSecond, ops, bytes, j.Duration)
		if name != "throughput" {
			m.Values[name] += perSecond(unit, ops, bytes, j.Duration)
		} else {
			m.Values["iops"] += perSecond(perfcheck.PerSecond, ops, bytes, j.Duration)
		}
		m.Values["stall_max"] = max(m.Values["stall_max"], time.Duration(longest).Seconds())
		if len(r.lanes) > 1 {
			m.Values[fmt.Sprintf("%s.%d", name, i)] = perSecond(unit, ops, bytes, j.Duration)
		}
		m.Events = append(m.Events, r.stallEvents(r.targets[i].facts.Dir, stalls)...)
	}
	slices.SortStableFunc(m.Events, func(a, b perfcheck.Event) int { return int(1e6 * (a.At - b.At)) })
	series := perfcheck.Series{Name: name, Unit: unit, Interval: 1}
	for i := range int(j.Duration / time.Second) {
		ops, bytes := interval(r.workers, i)
		series.Values = append(series.Values, perSecond(unit, ops, bytes, time.Second))
	}
	m.Series = []perfcheck.Series{series}
	all.values(j, len(r.lanes), &m)
	r.suspect(&m)
	return m
}

// merge adds what another worker counted, its intervals excepted.
func (t *tally) merge(o *tally) {
	t.doneOps += o.doneOps
	t.unfinished += o.unfinished
	t.service.Merge(o.service)
	if t.write != nil {
		t.write.Merge(o.write)
	}
	if t.response != nil {
		t.response.Merge(o.response)
		t.late.Merge(o.late)
	}
}

// values writes the latencies.
func (t *tally) values(j Job, lanes int, m *perfcheck.Measurement) {
	judged := t.service
	if t.write != nil {
		t.service.Values("read", m.Values)
		t.write.Values("write", m.Values)
		m.Histograms["read"], m.Histograms["write"] = t.service, t.write
		judged = perfcheck.NewHistogram()
		judged.Merge(t.service)
		judged.Merge(t.write)
	}
	m.Histograms["service"] = judged
	judged.Values("service", m.Values)
	if t.response != nil {
		m.Histograms["response"] = t.response
		t.response.Values("response", m.Values)
		m.Values["generator_late_p99"] = t.late.Quantile(0.99)
		m.Values["achieved"] = float64(t.doneOps) / (j.Rate * float64(lanes) * j.Duration.Seconds())
		m.Values["unfinished"] = float64(t.unfinished)
		if m.Values["achieved"] < rateKept {
			addFlag(m, perfcheck.FlagRateMissed)
		}
		if m.Values["generator_late_p99"] > lateLimit.Seconds() {
			addFlag(m, perfcheck.FlagClientLimited)
		}
		judged = t.response
	}
	m.Values["over_100ms"] = float64(judged.Above(longRequest))
	m.Values["over_1s"] = float64(judged.Above(veryLong))
}

// stallEvents words the stalls of one directory.
func (r *rig) stallEvents(dir string, stalls []stall) []perfcheck.Event {
	var out []perfcheck.Event
	for _, s := range stalls {
		length := time.Duration(s.to - s.from)
		out = append(out, perfcheck.Event{
			Kind: "stall", At: time.Duration(s.from - r.phase.begin).Seconds(), Length: length.Seconds(),
			Text: fmt.Sprintf("%s: nothing completed for %.2f s", dir, length.Seconds()),
		})
	}
	return out
}

// suspect flags commits that are done sooner than a disk behind a network
// can: a cache on the way acknowledges them.
func (r *rig) suspect(m *perfcheck.Measurement) {
	if r.job.Kind != Commit || m.Values["service_p50"] >= ackedByCache.Seconds() {
		return
	}
	for _, t := range r.targets {
		for _, b := range t.facts.Disks {
			if b.Attached == "virtio" || b.Attached == "scsi" || b.Attached == "xen" {
				addFlag(m, perfcheck.FlagCachedSuspect)
			}
		}
	}
}
