package run

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cw/cluster/manage"
	"cw/monitor"
	"cw/monitor/metrics"
	"cw/remote"
	"cw/state"
)

func open(t *testing.T, file string) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%s: not in 30 s", what)
		}
	}
}

func events(t *testing.T, s *state.Store, kinds ...string) int {
	t.Helper()
	all, err := s.Events(t.Context(), state.EventFilter{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func noPool(string) (*remote.Pool, error) { return nil, fmt.Errorf("no connections in this test") }

// started runs a monitor; stop ends it and waits for that.
func started(t *testing.T, o Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Two monitors of one store: one acts on a job that fails, and when it is
// stopped the other one does, and says nothing twice.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	file := filepath.Join(t.TempDir(), "state.db")
	s := open(t, file)
	old, _, err := s.FireAlert(ctx, state.Alert{Mark: "node.down|gone|h|n1|", Rule: monitor.NodeDown, Severity: state.Warning, Cluster: "gone", Host: "h", Object: "n1", Message: "n1 is down"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var views []metrics.View
	notifying := 0
	options := func(s *state.Store) Options {
		return Options{
			Store: s, Manager: &manage.Manager{Store: s, Pool: noPool}, Pool: noPool, Config: monitor.Defaults(),
			Notify: func(ctx context.Context) {
				mu.Lock()
				notifying++
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				notifying--
				mu.Unlock()
			},
			OnView: func(v metrics.View) {
				mu.Lock()
				defer mu.Unlock()
				views = append(views, v)
			},
		}
	}
	stopFirst := started(t, options(open(t, file)))
	eventually(t, "a leader", func() bool { return events(t, s, state.EventMonitorActs) == 1 })
	stopSecond := started(t, options(open(t, file)))
	job, err := s.CreateJob(ctx, state.Job{Kind: "load", Target: "shop.orders"})
	if err == nil {
		err = s.FinishJob(ctx, job.ID, state.Failed, "no space", "")
	}
	if err != nil {
		t.Fatal(err)
	}
	firing := func() []state.Alert {
		all, err := s.Alerts(ctx, state.AlertFilter{Firing: true})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	eventually(t, "the alert of the job, and the end of that of a cluster that is not there", func() bool {
		all := firing()
		return len(all) == 1 && all[0].Job == job.ID
	})
	eventually(t, "its view", func() bool {
		mu.Lock()
		defer mu.Unlock()
		last := views[len(views)-1]
		return last.Leading && len(last.Alerts) == 1 && len(last.Jobs) == 1 && !last.LookedAt.IsZero()
	})
	if held, err := s.Holder(ctx, state.LeaseMonitor); err != nil || held.Purpose != "cw monitor" {
		t.Errorf("%v %v", held, err)
	}
	stopFirst()
	mu.Lock()
	views = nil
	mu.Unlock()
	eventually(t, "the other leader", func() bool { return events(t, s, state.EventMonitorActs) == 2 })
	mu.Lock()
	if notifying > 1 {
		t.Errorf("%d tell people", notifying)
	}
	mu.Unlock()
	eventually(t, "the second one's look at the jobs", func() bool {
		mu.Lock()
		defer mu.Unlock()
		seen := 0 // views after it looked, the first of which may be in the midst of it
		for _, v := range views {
			if v.Leading && len(v.Jobs) == 1 {
				seen++
			}
		}
		return seen > 1
	})
	if n := events(t, s, state.EventAlertResolved); n != 1 {
		t.Errorf("%d alerts ended by the takeover", n-1)
	}
	if err := s.StartJob(ctx, job.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the job's alert", func() bool { return len(firing()) == 0 })
	stopSecond()
	if n := events(t, s, state.EventAlert); n != 2 {
		t.Errorf("%d alerts, the first of which is %s", n, old.ID)
	}
	if n, ends := events(t, s, state.EventAlertResolved), events(t, s, state.EventMonitorStopped); n != 2 || ends != 2 {
		t.Errorf("%d ends of alerts, %d of monitors", n, ends)
	}
	if held, err := s.LeaseHeld(ctx, state.LeaseMonitor); held || err != nil {
		t.Errorf("the lease is held: %v", err)
	}
	if left, err := s.Members(ctx, state.MemberMonitor); err != nil || len(left) != 0 {
		t.Errorf("%+v are said to be there: %v", left, err)
	}
}

// While somebody changes a cluster nothing of it fires or ends, nor shortly
// after.
func TestMaintenance(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	file := filepath.Join(t.TempDir(), "state.db")
	s, operator := open(t, file), open(t, file)
	if err := s.PutCluster(ctx, state.Cluster{Name: "dw", Engine: "postgres", Topology: "{}", Layout: "{}", State: state.ClusterUp}); err != nil {
		t.Fatal(err)
	}
	l := newLeader(ctx, Options{Store: s, Manager: &manage.Manager{Store: s}, Log: slog.New(slog.DiscardHandler)}, "m")
	now := time.Unix(1_800_000_000, 0)
	l.now = func() time.Time { return now }
	w := &watched{name: "dw", ctx: ctx}
	down := monitor.Condition{Rule: monitor.NodeDown, Severity: state.Warning, Cluster: "dw", Host: "h", Object: "n2", Message: "n2 is down"}
	// look lets so many seconds pass, in each of which the node is down or not.
	look := func(seconds int, found ...monitor.Condition) int {
		t.Helper()
		for range seconds {
			now = now.Add(time.Second)
			l.observe(ctx, w, monitor.Look{Cluster: "dw", Rules: []string{monitor.NodeDown}, Every: time.Second, Found: found})
		}
		all, err := s.Alerts(ctx, state.AlertFilter{Firing: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	_, lease, err := operator.Acquire(ctx, "cluster dw", "restart")
	if err != nil {
		t.Fatal(err)
	}
	if n := look(60, down); n != 0 {
		t.Errorf("%d alerts while it is restarted", n)
	}
	if err := lease.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if n := look(5, down); n != 0 {
		t.Errorf("%d alerts just after", n)
	}
	if n := look(20, down); n != 1 {
		t.Errorf("%d alerts of what stays", n)
	}
	if _, lease, err = operator.Acquire(ctx, "cluster dw", "recover"); err != nil {
		t.Fatal(err)
	}
	if n := look(30); n != 1 {
		t.Errorf("%d alerts: it ended while it is recovered", n)
	}
	if err := lease.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if n := look(30); n != 0 {
		t.Errorf("%d alerts when all is well", n)
	}
	// A cluster that was stopped on purpose is silent.
	if err := s.PutCluster(ctx, state.Cluster{Name: "dw", Engine: "postgres", Topology: "{}", Layout: "{}", State: state.ClusterStopped}); err != nil {
		t.Fatal(err)
	}
	if n := look(60, down); n != 0 {
		t.Errorf("%d alerts of a cluster that is stopped", n)
	}
	// One that is gone from the store ends its alerts.
	if err := s.PutCluster(ctx, state.Cluster{Name: "dw", Engine: "postgres", Topology: "{}", Layout: "{}", State: state.ClusterUp}); err != nil {
		t.Fatal(err)
	}
	if n := look(60, down); n != 1 {
		t.Errorf("%d alerts", n)
	}
	if err := s.DeleteCluster(ctx, "dw"); err != nil {
		t.Fatal(err)
	}
	if err := l.clusters(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.readFiring(ctx); err != nil {
		t.Fatal(err)
	}
	if n := look(0); n != 0 {
		t.Errorf("%d alerts of a cluster that is gone", n)
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	l := &leader{}
	if !l.wanted("dw1") {
		t.Error("without patterns all are wanted")
	}
	l.o.Config.Clusters = []string{"dw*", "x"}
	for name, want := range map[string]bool{"dw1": true, "x": true, "x1": false, "": false} {
		if l.wanted(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
