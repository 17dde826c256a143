package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/state"
)

// mostPoints is how much of a history a report carries.
const mostPoints = 240

// capacity puts together what is measured now and what was kept of before.
func (b *builder) capacity(ctx context.Context) {
	if !b.wants(SectionCapacity) {
		return
	}
	since := b.o.Now.Add(-historyDays * 24 * time.Hour)
	get := func(metric string) []state.Sample {
		s, err := b.o.Store.Samples(ctx, b.o.Cluster, metric, since)
		if err != nil {
			b.missing(SectionCapacity, "", err)
		}
		return s
	}
	used, sizes, dbs := get(state.MetricDiskUsed), get(state.MetricDiskSize), get(state.MetricDatabase)
	c := &Capacity{Hosts: []HostCapacity{}, Databases: []DatabaseSize{}}
	b.r.Capacity = c
	mounts := mountsOf(used, sizes)
	var hosts []cluster.HostStatus
	if b.r.Health != nil {
		hosts = b.r.Health.Hosts
	}
	for _, h := range hosts {
		if _, ok := mounts[h.Name]; !ok {
			mounts[h.Name] = nil
		}
		if h.Disk != nil {
			mounts[h.Name] = withDisk(mounts[h.Name], *h.Disk, b.o.Now)
		}
	}
	names := make([]string, 0, len(mounts))
	for n := range mounts {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		h := HostCapacity{Name: n, Mounts: []Mount{}}
		for _, m := range mounts[n] {
			m.Forecast = forecastOf(m.History, float64(m.Used+m.Free), b.o.Now)
			m.History = monitor.Thin(m.History, mostPoints)
			h.Mounts = append(h.Mounts, m)
		}
		c.Hosts = append(c.Hosts, h)
	}
	b.databaseSizes(ctx, dbs)
}

// forecastOf looks ahead from the last 30 days, so that what has changed since
// is not outweighed by what was long ago. It says nothing when nobody measures
// any more.
func forecastOf(history []Point, size float64, now time.Time) Forecast {
	recent := history
	for len(recent) > leastSamples && now.Sub(recent[0].At) > BackDays*24*time.Hour {
		recent = recent[1:]
	}
	f := NewForecast(recent, size)
	if n := len(recent); n > 0 && now.Sub(recent[n-1].At) > oldSample {
		f.FullAt, f.Confidence, f.WhyNot = nil, "", "the newest sample is of "+recent[n-1].At.UTC().Format(time.DateOnly)+": is cw monitor running?"
	}
	return f
}

// oldSample is from when on samples say nothing of today.
const oldSample = 3 * 24 * time.Hour

// mountsOf are the file systems that were sampled, by host.
func mountsOf(used, sizes []state.Sample) map[string][]Mount {
	out := map[string][]Mount{}
	for _, part := range series(used) {
		last := part[len(part)-1]
		m := Mount{Path: last.Object, Used: int64(last.Value), History: points(part)}
		for _, s := range sizes { // in order of time
			if s.Host == last.Host && s.Object == last.Object {
				m.Size = int64(s.Value)
			}
		}
		m.Free = max(0, m.Size-m.Used)
		out[last.Host] = append(out[last.Host], m)
	}
	return out
}

// withDisk adds what is measured now. The sampled mount point that the data
// folder is below is its file system, unless their sizes say otherwise.
func withDisk(mounts []Mount, d cluster.DiskStatus, now time.Time) []Mount {
	best := -1
	for i, m := range mounts {
		below := d.Path == m.Path || strings.HasPrefix(d.Path, strings.TrimSuffix(m.Path, "/")+"/")
		alike := m.Size == 0 || float64(m.Size) > 0.9*float64(d.Size) && float64(m.Size) < 1.1*float64(d.Size)
		if below && alike && (best < 0 || len(m.Path) > len(mounts[best].Path)) {
			best = i
		}
	}
	if best < 0 {
		return append(mounts, Mount{Path: d.Path, Size: d.Size, Free: d.Free, Used: d.Size - d.Free})
	}
	m := &mounts[best]
	m.Size, m.Free = d.Size, d.Free
	if len(m.History) == 0 || now.Sub(m.History[len(m.History)-1].At) > time.Hour {
		m.Used = d.Size - d.Free // the samples are old
	}
	return mounts
}

func (b *builder) databaseSizes(ctx context.Context, samples []state.Sample) {
	type row struct {
		Name string
		Size int64
	}
	sizes, err := []row(nil), b.noAnswer
	if err == nil {
		sizes, err = ask[row](ctx, b.ask, "", "select datname as name, pg_database_size(oid) as size from pg_database where datallowconn order by 2 desc, 1 limit 200")
	}
	if err != nil {
		b.missing(SectionCapacity, "", fmt.Errorf("sizes of databases: %w", err))
	}
	histories := map[string][]Point{}
	for _, part := range series(samples) {
		histories[part[0].Object] = points(part)
	}
	for _, s := range sizes {
		if s.Name == "template1" {
			continue
		}
		b.r.Capacity.Databases = append(b.r.Capacity.Databases, databaseSize(s.Name, s.Size, histories[s.Name], b.o.Now))
		delete(histories, s.Name)
	}
	if err == nil {
		return // what is not there any more is of no interest
	}
	for name, h := range histories {
		b.r.Capacity.Databases = append(b.r.Capacity.Databases, databaseSize(name, int64(h[len(h)-1].Value), h, b.o.Now))
	}
	slices.SortFunc(b.r.Capacity.Databases, func(x, y DatabaseSize) int {
		if x.Size != y.Size {
			return int(max(-1, min(1, y.Size-x.Size)))
		}
		return strings.Compare(x.Name, y.Name)
	})
}

func databaseSize(name string, size int64, history []Point, now time.Time) DatabaseSize {
	f := forecastOf(history, 1e18, now)
	d := DatabaseSize{Name: name, Size: size, GrowthPerDay: f.BytesPerDay, History: monitor.Thin(history, mostPoints)}
	if f.BytesPerDay == nil {
		d.WhyNot = f.WhyNot
	}
	return d
}

// series cuts samples at every change of host and object.
func series(samples []state.Sample) [][]state.Sample {
	var out [][]state.Sample
	for i, s := range samples {
		if i == 0 || s.Host != samples[i-1].Host || s.Object != samples[i-1].Object {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}

func points(samples []state.Sample) []Point {
	out := make([]Point, len(samples))
	for i, s := range samples {
		out[i] = Point{At: s.At, Value: s.Value}
	}
	return out
}
