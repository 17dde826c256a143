package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cw/fault"
	"cw/playground/pgtest"
	"cw/state"
)

// stores runs a test on both kinds of store.
func stores(t *testing.T, test func(t *testing.T, s *state.Store, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dsn := filepath.Join(t.TempDir(), "sub", "with space?%", "state.db")
		test(t, open(t, dsn), dsn)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.Start(t).DSN("postgres")
		test(t, open(t, dsn), dsn)
	})
}

func open(t *testing.T, dsn string) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestClusters(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		if _, err := s.Cluster(ctx, "dw"); !errors.Is(err, state.ErrNotFound) || fault.HintOf(err) == "" {
			t.Fatalf("missing cluster: %v, hint %q", err, fault.HintOf(err))
		}
		c := state.Cluster{Name: "dw", Engine: "postgres", Topology: "name: dw\n", Layout: "{}", State: state.ClusterCreating, Facts: map[string]string{"machine-id/db1": "abc"}}
		for _, want := range []string{state.ClusterCreating, state.ClusterUp} {
			c.State = want
			if err := s.PutCluster(ctx, c); err != nil {
				t.Fatal(err)
			}
			// A second open must find what the first wrote, and not migrate again.
			got, err := open(t, dsn).Cluster(ctx, "dw")
			if err != nil || got.State != want || got.Facts["machine-id/db1"] != "abc" || got.CreatedAt.IsZero() {
				t.Fatalf("got %+v, %v", got, err)
			}
		}
		if err := s.DeleteCluster(ctx, "dw"); err != nil {
			t.Fatal(err)
		}
		if all, err := s.Clusters(ctx); err != nil || len(all) != 0 {
			t.Fatalf("after delete: %v, %v", all, err)
		}
	})
}

func TestRunsAndSteps(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		r, err := s.StartRun(ctx, "dw", "create", `{"steps":[]}`)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		for _, st := range []string{state.Running, state.Done} {
			if err := s.RecordStep(ctx, state.StepRecord{Run: r.ID, Step: "initdb/pg-1", Host: "db1", State: st, StartedAt: at}); err != nil {
				t.Fatal(err)
			}
		}
		steps, err := s.Steps(ctx, r.ID)
		if err != nil || len(steps) != 1 || steps[0].State != state.Done {
			t.Fatalf("steps %+v, %v", steps, err)
		}
		if err := s.FinishRun(ctx, r.ID, state.Failed, "disk full"); err != nil {
			t.Fatal(err)
		}
		if err := s.FinishRun(ctx, "nonesuch", state.Done, ""); !errors.Is(err, state.ErrNotFound) {
			t.Fatalf("finishing an unknown run: %v", err)
		}
		last, err := s.LastRun(ctx, "dw")
		if err != nil || last.State != state.Failed || last.Error != "disk full" || last.FinishedAt.IsZero() {
			t.Fatalf("last run %+v, %v", last, err)
		}
	})
}

func TestJobs(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		j, err := s.CreateJob(ctx, state.Job{Kind: "load", SpecFile: "l.yaml", Target: "dw public.t", Control: state.Control{WantLimit: 5e6}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.StartJob(ctx, j.ID); err != nil {
			t.Fatal(err)
		}
		// Running without a lease is what kill -9 leaves.
		if got, err := s.Job(ctx, j.ID); err != nil || got.State != state.Interrupted {
			t.Fatalf("without lease: %q, %v", got.State, err)
		}
		_, lease, err := s.Acquire(ctx, state.JobLease(j.ID), "load")
		if err != nil {
			t.Fatal(err)
		}
		want := state.Progress{Bytes: 10, BytesTotal: 100, Rows: 3, Rate: 7, Limit: 5e6, ETASeconds: 12, Objects: 1, ObjectsTotal: 2}
		if err := s.SetJobProgress(ctx, j.ID, want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Job(ctx, j.ID); err != nil || got.State != state.Running || got.Progress != want {
			t.Fatalf("with lease: %+v, %v", got, err)
		}
		if err := errors.Join(s.SetJobLimit(ctx, j.ID, 50e6), s.SetJobWant(ctx, j.ID, state.WantPause)); err != nil {
			t.Fatal(err)
		}
		if c, err := s.JobControl(ctx, j.ID); err != nil || c != (state.Control{WantLimit: 50e6, Want: state.WantPause}) {
			t.Fatalf("control %+v, %v", c, err)
		}
		if err := errors.Join(s.FinishJob(ctx, j.ID, state.Done, "", ""), lease.Release(ctx)); err != nil {
			t.Fatal(err)
		}
		if jobs, err := s.Jobs(ctx); err != nil || len(jobs) != 1 || jobs[0].State != state.Done || jobs[0].FinishedAt.IsZero() {
			t.Fatalf("jobs %+v, %v", jobs, err)
		}
		if err := s.SetJobLimit(ctx, "lnone", 1); !errors.Is(err, state.ErrNotFound) {
			t.Fatalf("limit of an unknown job: %v", err)
		}
	})
}

func TestLeases(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, dsn string) {
		ctx := t.Context()
		held, lease, err := s.Acquire(ctx, "cluster/dw", "create")
		if err != nil {
			t.Fatal(err)
		}
		var locked *state.LockedError
		if _, _, err := open(t, dsn).Acquire(ctx, "cluster/dw", "stop"); !errors.As(err, &locked) || locked.Purpose != "create" || fault.KindOf(err) != fault.Locked {
			t.Fatalf("second holder: %v", err)
		}
		if err := s.BreakLease(ctx, "cluster/dw"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-held.Done():
		case <-time.After(20 * time.Second):
			t.Fatal("the holder did not notice that its lease was broken")
		}
		if err := lease.Release(ctx); err != nil {
			t.Fatal(err)
		}
		_, again, err := s.Acquire(ctx, "cluster/dw", "resume")
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if ok, err := s.LeaseHeld(ctx, "cluster/dw"); err != nil || ok {
			t.Fatalf("held after release: %v, %v", ok, err)
		}
	})
}

// Two processes that open a new store at the same moment must both succeed.
func TestConcurrentOpenAndAcquire(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, dsn string) {
		t.Helper()
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				s, err := state.Open(t.Context(), dsn)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = s.Close() }()
				_, l, err := s.Acquire(t.Context(), "one", "race")
				var locked *state.LockedError
				if err != nil && !errors.As(err, &locked) {
					t.Error(err)
				}
				if l != nil {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d holders of one lease", won)
		}
	}
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); run(t, filepath.Join(t.TempDir(), "s.db")) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); run(t, pgtest.Start(t).DSN("postgres")) })
}

func TestEventsAndAudit(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		for _, k := range []string{"created", "stopped", "started"} {
			if err := s.AddEvent(ctx, state.Event{Kind: k, Cluster: "dw", Message: k, Data: map[string]any{"n": 1.0}}); err != nil {
				t.Fatal(err)
			}
		}
		newest, err := s.Events(ctx, state.EventFilter{Cluster: "dw", Limit: 2})
		if err != nil || len(newest) != 2 || newest[0].Kind != "stopped" || newest[1].Data["n"] != 1.0 {
			t.Fatalf("newest two: %+v, %v", newest, err)
		}
		after, err := s.Events(ctx, state.EventFilter{AfterID: newest[0].ID})
		if err != nil || len(after) != 1 || after[0].Kind != "started" {
			t.Fatalf("after: %+v, %v", after, err)
		}
		if err := s.AddAudit(ctx, state.AuditRecord{Argv: "cw cluster stop dw", ExitCode: 7, Duration: time.Second}); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Audit(ctx, 5); err != nil || len(a) != 1 || a[0].ExitCode != 7 || a[0].Operator == "" {
			t.Fatalf("audit %+v, %v", a, err)
		}
	})
}

func TestSQLiteFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cw", "state.db")
	open(t, path)
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		st, err := os.Stat(p)
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", p, st.Mode().Perm(), want, err)
		}
	}
}

func TestUnreachableStore(t *testing.T) {
	t.Parallel()
	_, err := state.Open(t.Context(), "postgres://u:geheim@127.0.0.1:1/db?connect_timeout=2")
	if err == nil || fault.KindOf(err) != fault.Unreachable || fault.HintOf(err) == "" {
		t.Fatalf("got %v (kind %d)", err, fault.KindOf(err))
	}
}
