package state_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cw/playground/pgtest"
	"cw/state"
)

// What a day of 50 clusters leaves in a store: an event of each every 20 s,
// samples of its hosts every 10 minutes, alerts and loads.
const (
	dayClusters = 50
	dayHosts    = 5
	dayEvents   = 24 * 3600 / 20 * dayClusters
	dayAlerts   = 40 // of a cluster
	dayJobs     = 20 // of a cluster
)

func fillDay(ctx context.Context, s *state.Store, scale int) error {
	begin := time.Now().Add(-24 * time.Hour)
	r := rand.New(rand.NewPCG(1, 2))
	name := func(i int) string { return fmt.Sprintf("dw%02d", i) }
	kinds := state.EventKinds()
	events := make([]state.Event, 0, dayEvents/scale)
	for i := range dayEvents / scale {
		k := kinds[r.IntN(len(kinds))]
		events = append(events, state.Event{
			At: begin.Add(time.Duration(i) * 24 * time.Hour / time.Duration(dayEvents/scale)), Kind: k.Kind, Severity: k.Severity, Cluster: name(r.IntN(dayClusters)),
			Host: fmt.Sprintf("sdw%d", r.IntN(dayHosts)), Message: "a message that says what happened to which node, why and since when", Data: map[string]any{"rule": "node.down", "object": "n7"},
		})
	}
	if err := s.ImportEvents(ctx, events); err != nil {
		return err
	}
	var samples []state.Sample
	for c := range dayClusters {
		for h := range dayHosts {
			for n := range 144 / scale {
				at := begin.Add(time.Duration(n*scale) * 10 * time.Minute)
				for _, metric := range []string{state.MetricDiskUsed, state.MetricDiskSize} {
					samples = append(samples, state.Sample{Cluster: name(c), Host: fmt.Sprintf("sdw%d", h), Object: "/data1", Metric: metric, At: at, Value: float64(n)})
				}
			}
		}
	}
	if err := s.AddSamples(ctx, samples...); err != nil {
		return err
	}
	for c := range dayClusters {
		for i := range dayAlerts / scale {
			a, _, err := s.FireAlert(ctx, state.Alert{Mark: fmt.Sprintf("%d/%d", c, i), Rule: "node.down", Severity: state.Warning, Cluster: name(c), Message: "mirror n7 on sdw3 is down"})
			if err != nil {
				return err
			}
			if i > 0 {
				if _, err := s.ResolveAlert(ctx, a.ID, "mirror n7 on sdw3 is up"); err != nil {
					return err
				}
			}
		}
		for range dayJobs / scale {
			j, err := s.CreateJob(ctx, state.Job{Kind: "load", Target: "public.lineitem"})
			if err != nil {
				return err
			}
			if err := s.FinishJob(ctx, j.ID, state.Done, "", ""); err != nil {
				return err
			}
		}
		if err := s.Heartbeat(ctx, time.Hour, state.Member{Kind: state.MemberCluster, Name: name(c), Cluster: name(c), State: "up"}); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkDay asks a store that holds a day of 50 clusters what the monitor,
// cw top, cw events and cw report ask, and tells the time that one in a
// hundred takes longer than, in milliseconds; then what is left of it, in
// MB, after all is past its retention.
func BenchmarkDay(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			ctx := b.Context()
			dsn := filepath.Join(b.TempDir(), "state.db")
			if kind == "postgres" {
				dsn = pgtest.Start(b).DSN("postgres")
			}
			s, err := state.Open(ctx, dsn)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			began := time.Now()
			if err := fillDay(ctx, s, 1); err != nil {
				b.Fatal(err)
			}
			b.Logf("filled in %s", time.Since(began).Round(time.Second))
			newest, err := s.Events(ctx, state.EventFilter{Limit: 1})
			if err != nil {
				b.Fatal(err)
			}
			hour := func() time.Time { return time.Now().Add(-time.Hour) }
			asks := []struct {
				name string
				do   func() (int, error)
			}{
				{"events-of-cluster", func() (int, error) {
					e, err := s.Events(ctx, state.EventFilter{Cluster: "dw07", Limit: 500})
					return len(e), err
				}},
				{"events-newest", func() (int, error) {
					e, err := s.Events(ctx, state.EventFilter{Limit: 500})
					return len(e), err
				}},
				{"events-follow", func() (int, error) {
					e, err := s.Events(ctx, state.EventFilter{AfterID: newest[0].ID - 32})
					return len(e), err
				}},
				{"events-critical", func() (int, error) {
					e, err := s.Events(ctx, state.EventFilter{Severities: []string{state.Critical}, Limit: 100})
					return len(e), err
				}},
				{"events-kind-of-cluster", func() (int, error) {
					e, err := s.Events(ctx, state.EventFilter{Cluster: "dw07", Kinds: []string{state.EventHealing}, Since: time.Now().Add(-24 * time.Hour)})
					return len(e), err
				}},
				{"events-last-hour-of-cluster", func() (int, error) {
					e, err := s.Events(ctx, state.EventFilter{Cluster: "dw07", Since: hour()})
					return len(e), err
				}},
				{"event-once", func() (int, error) {
					_, err := s.AddEventOnce(ctx, state.Event{Kind: state.EventFault, Cluster: "dw07", Message: "x"}, time.Minute)
					return 1, err
				}},
				{"alerts-firing", func() (int, error) {
					a, err := s.Alerts(ctx, state.AlertFilter{Firing: true})
					return len(a), err
				}},
				{"alerts-of-cluster", func() (int, error) {
					a, err := s.Alerts(ctx, state.AlertFilter{Cluster: "dw07", Since: hour()})
					return len(a), err
				}},
				{"samples", func() (int, error) {
					v, err := s.Samples(ctx, "dw07", state.MetricDiskUsed, time.Now().Add(-24*time.Hour))
					return len(v), err
				}},
				{"members", func() (int, error) {
					m, err := s.Members(ctx, state.MemberCluster)
					return len(m), err
				}},
				{"recent-jobs", func() (int, error) {
					j, err := s.RecentJobs(ctx, hour())
					return len(j), err
				}},
			}
			took := make([][]time.Duration, len(asks))
			for b.Loop() {
				for i, a := range asks {
					at := time.Now()
					n, err := a.do()
					took[i] = append(took[i], time.Since(at))
					if err != nil || n == 0 {
						b.Fatalf("%s: %d, %v", a.name, n, err)
					}
				}
			}
			for i, a := range asks {
				slices.Sort(took[i])
				b.ReportMetric(float64(took[i][len(took[i])*99/100].Microseconds())/1000, a.name+"-p99-ms")
			}
			if kind == "sqlite" {
				b.ReportMetric(megabytes(dsn), "MB")
			}
			at := time.Now()
			dropped, err := s.Prune(ctx, state.Retention{Events: time.Nanosecond, Alerts: time.Nanosecond, Samples: time.Nanosecond, Jobs: time.Nanosecond})
			if err != nil || dropped < dayEvents {
				b.Fatalf("%d dropped: %v", dropped, err)
			}
			b.ReportMetric(time.Since(at).Seconds(), "prune-s")
			if kind == "sqlite" {
				b.ReportMetric(megabytes(dsn), "MB-after")
			}
		})
	}
}

func megabytes(path string) float64 {
	sum := int64(0)
	for _, suffix := range []string{"", "-wal"} {
		if st, err := os.Stat(path + suffix); err == nil {
			sum += st.Size()
		}
	}
	return float64(sum) / 1e6
}
