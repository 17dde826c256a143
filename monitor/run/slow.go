package run

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/monitor/probe"
	"cw/state"
)

const (
	inspectEvery  = time.Minute
	inspectLimit  = 50 * time.Second
	sampleKeep    = 10 * time.Minute
	sizesKeep     = time.Hour // of the databases of a Greenplum, which asks all its segments
	forecastEvery = 30 * time.Minute
	certEvery     = time.Hour
	certAgain     = 5 * time.Minute // after one that could not be had
	certLimit     = 10 * time.Second
	firstLook     = 15 * time.Second // until a cluster has been seen
)

// slowly asks what need not be known every second.
func (l *leader) slowly(ctx context.Context, w *watched, look *manage.Manager) {
	rules := probe.Inspections(l.o.Inspect, l.o.Config.Rule)
	due := map[string]time.Time{}
	at := func(what string, every time.Duration, do func(ctx context.Context) time.Duration) {
		if time.Now().Before(due[what]) || ctx.Err() != nil {
			return
		}
		if sooner := do(ctx); sooner > 0 {
			every = sooner
		}
		due[what] = time.Now().Add(every)
	}
	sizes := sampleKeep
	if w.engine != cluster.Postgres {
		sizes = sizesKeep
	}
	for wait := firstLook; sleep(ctx, wait); wait = 5 * time.Second {
		select {
		case l.ask <- struct{}{}:
		case <-ctx.Done():
			return
		}
		server := l.server(w, look)
		at("inspect", inspectEvery, func(ctx context.Context) time.Duration { l.inspect(ctx, w, server, rules); return 0 })
		at("disks", sampleKeep, func(ctx context.Context) time.Duration { return l.keepDisks(ctx, w) })
		at("databases", sizes, func(ctx context.Context) time.Duration { return l.keepSizes(ctx, w, server, sizes) })
		at("forecast", forecastEvery, func(ctx context.Context) time.Duration { l.forecast(ctx, w); return 0 })
		at("certificate", certEvery, func(ctx context.Context) time.Duration { return l.certificate(ctx, w, look) })
		server.Close(ctx)
		<-l.ask
	}
}

// server is the cluster's database.
func (l *leader) server(w *watched, look *manage.Manager) *inspect.Postgres {
	return &inspect.Postgres{Connect: func(ctx context.Context, database string) (*pgx.Conn, error) {
		return look.Connect(ctx, w.name, manage.ConnectOptions{Application: application, Database: database, Silent: w.silent, Log: l.o.Log})
	}}
}

func (w *watched) silent(host string) bool {
	s := w.snapshot()
	if s == nil {
		return false
	}
	for _, h := range s.Hosts.Items {
		if h.Name == host {
			return h.Err != ""
		}
	}
	return false
}

// answers says whether the database did, as it was seen last.
func (w *watched) answers() bool {
	s := w.snapshot()
	return s != nil && s.Cluster.Err == "" && !s.Cluster.CollectedAt.IsZero()
}

func (l *leader) inspect(ctx context.Context, w *watched, server *inspect.Postgres, rules []inspect.Rule) {
	seen := monitor.Look{Cluster: w.name, Rules: []string{monitor.InspectPrefix}, Every: inspectEvery, Blind: []monitor.Blind{{}}}
	if w.answers() {
		limited, cancel := context.WithTimeout(ctx, inspectLimit)
		r, err := inspect.Questions(limited, server, w.engine, rules)
		cancel()
		if err == nil {
			seen.Found, seen.Blind = probe.Findings(w.name, r)
		} else if ctx.Err() == nil {
			l.o.Log.Debug("no inspection", "cluster", w.name, "error", err)
		}
	}
	l.observe(ctx, w, seen)
}

// keepDisks keeps how full the disks are, unless another monitor did so just
// now.
func (l *leader) keepDisks(ctx context.Context, w *watched) time.Duration {
	s := w.snapshot()
	if s == nil {
		return time.Minute
	}
	limited, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if left := l.sinceSample(limited, w, state.MetricDiskUsed, sampleKeep); left > 0 {
		return left
	}
	var all []state.Sample
	for _, h := range s.Hosts.Items {
		if h.Err != "" {
			continue
		}
		for _, m := range h.Mounts {
			all = append(all, state.Sample{Cluster: w.name, Host: h.Name, Object: m.Path, Metric: state.MetricDiskUsed, Value: float64(m.Used)},
				state.Sample{Cluster: w.name, Host: h.Name, Object: m.Path, Metric: state.MetricDiskSize, Value: float64(m.Size)})
		}
	}
	err := l.o.Store.AddSamples(limited, all...)
	if l.note("samples", err); err != nil {
		return time.Minute
	}
	return 0
}

// sinceSample is how long it is until the next sample of a metric is due.
func (l *leader) sinceSample(ctx context.Context, w *watched, metric string, every time.Duration) time.Duration {
	now := time.Now()
	recent, err := l.o.Store.Samples(ctx, w.name, metric, now.Add(-every))
	if err != nil {
		l.note("samples", err)
		return time.Minute
	}
	var last time.Time
	for _, s := range recent {
		if s.At.After(last) {
			last = s.At
		}
	}
	if last.IsZero() {
		return 0
	}
	const slack = 15 * time.Second // rhythms drift, and a sample must not be left out for that
	return max(last.Add(every-slack).Sub(now), 0)
}

func (l *leader) keepSizes(ctx context.Context, w *watched, server *inspect.Postgres, every time.Duration) time.Duration {
	if !w.answers() {
		return time.Minute
	}
	limited, cancel := context.WithTimeout(ctx, inspectLimit)
	defer cancel()
	if left := l.sinceSample(limited, w, state.MetricDatabase, every); left > 0 {
		return left
	}
	rows, err := server.Ask(limited, "", "select datname as object, pg_database_size(oid)::float8 as value from pg_database where datallowconn", inspectLimit/2)
	if err != nil {
		l.o.Log.Debug("sizes of databases", "cluster", w.name, "error", err)
		return every
	}
	var all []state.Sample
	for _, r := range rows {
		if r.Value != nil {
			all = append(all, state.Sample{Cluster: w.name, Object: r.Object, Metric: state.MetricDatabase, Value: *r.Value})
		}
	}
	if err := l.o.Store.AddSamples(limited, all...); err != nil {
		l.note("samples", err)
	}
	return 0
}

func (l *leader) forecast(ctx context.Context, w *watched) {
	limited, cancel := context.WithTimeout(ctx, 2*storeLimit)
	defer cancel()
	now := time.Now()
	used, err := l.o.Store.Samples(limited, w.name, state.MetricDiskUsed, now.Add(-probe.ForecastHistory))
	if err != nil {
		l.note("samples", err)
		return
	}
	sizes, err := l.o.Store.Samples(limited, w.name, state.MetricDiskSize, now.Add(-time.Hour))
	if err != nil {
		l.note("samples", err)
		return
	}
	found, blind := probe.Forecast(w.name, used, sizes, l.o.Config.Rule, now)
	l.observe(ctx, w, monitor.Look{Cluster: w.name, Rules: []string{monitor.DiskForecast}, Every: forecastEvery, Found: found, Blind: blind})
}

// certificate looks at what the endpoint shows of itself.
func (l *leader) certificate(ctx context.Context, w *watched, look *manage.Manager) time.Duration {
	limited, cancel := context.WithTimeout(ctx, certLimit)
	defer cancel()
	_, tls, err := look.Endpoint(limited, w.name)
	seen := monitor.Look{Cluster: w.name, Rules: []string{monitor.CertExpiry}, Every: certEvery, Blind: []monitor.Blind{{}}}
	again := certAgain
	if err == nil && (tls == nil || tls.Mode == "off" || tls.Mode == "") {
		return 0 // there is none
	}
	var chain []*x509.Certificate
	var where string
	if err == nil && w.answers() {
		if chain, where, err = certificates(limited, w.name, look); err == nil {
			seen.Found, seen.Blind, again = probe.Expiry(w.name, where, chain, l.o.Config.Rule, time.Now()), nil, 0
		}
	}
	if err != nil && ctx.Err() == nil {
		l.o.Log.Debug("no certificate", "cluster", w.name, "error", err)
	}
	l.observe(ctx, w, seen)
	return again
}

func certificates(ctx context.Context, name string, look *manage.Manager) ([]*x509.Certificate, string, error) {
	c, to, err := look.Dial(ctx, name)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = c.Close() }()
	chain, err := probe.Certificates(ctx, c)
	return chain, fmt.Sprintf("%s:%d", to.Host, to.Port), err
}
