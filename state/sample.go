package state

import (
	"context"
	"time"
)

// The metrics of a Sample.
const (
	MetricDiskUsed = "disk.used" // bytes; Object is the mount point
	MetricDiskSize = "disk.size" // bytes; Object is the mount point
	MetricDatabase = "db.size"   // bytes; Object is the database
)

// Sample is a measured value that is kept for forecasts.
type Sample struct {
	Cluster string
	Host    string
	Object  string
	Metric  string
	At      time.Time
	Value   float64
}

// AddSamples keeps samples; a zero At is now.
func (s *Store) AddSamples(ctx context.Context, samples ...Sample) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, v := range samples {
		if v.At.IsZero() {
			v.At = now
		}
		if _, err := tx.ExecContext(ctx, s.rebind("insert into samples (cluster, host, object, metric, at, value) values (?,?,?,?,?,?)"),
			v.Cluster, v.Host, v.Object, v.Metric, micros(v.At), v.Value); err != nil {
			return s.failed(err)
		}
	}
	return s.failed(tx.Commit())
}

// Samples lists what is kept of a metric of a cluster since then, by host and
// object, each in order of time.
func (s *Store) Samples(ctx context.Context, cluster, metric string, since time.Time) ([]Sample, error) {
	return collect(ctx, s, func(scan func(...any) error) (Sample, error) {
		var v Sample
		var at int64
		err := scan(&v.Cluster, &v.Host, &v.Object, &v.Metric, &at, &v.Value)
		v.At = fromMicros(at)
		return v, err
	}, "select cluster, host, object, metric, at, value from samples where cluster=? and metric=? and at>=? order by host, object, at", cluster, metric, micros(since))
}
