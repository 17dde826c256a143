package state_test

import (
	"testing"
	"time"

	"cw/state"
)

func TestRecentJobs(t *testing.T) {
	t.Parallel()
	stores(t, func(t *testing.T, s *state.Store, _ string) {
		ctx := t.Context()
		create := func(spec string) state.Job {
			j, err := s.CreateJob(ctx, state.Job{Kind: "load", SpecFile: "a.yaml", Spec: spec, Target: "t"})
			if err != nil {
				t.Fatal(err)
			}
			return j
		}
		old := create("old")
		if err := s.FinishJob(ctx, old.ID, state.Done, "", ""); err != nil {
			t.Fatal(err)
		}
		gone := create("gone") // says it runs, and nobody holds its lease
		if err := s.StartJob(ctx, gone.ID); err != nil {
			t.Fatal(err)
		}
		runs := create("runs")
		_, lease, err := s.Acquire(ctx, state.JobLease(runs.ID), "load")
		if err == nil {
			defer func() { _ = lease.Release(ctx) }()
			err = s.StartJob(ctx, runs.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			since time.Time
			want  []string
		}{
			{time.Now().Add(-time.Hour), []string{runs.ID, gone.ID, old.ID}},
			{time.Now().Add(time.Hour), []string{runs.ID}},
		} {
			jobs, err := s.RecentJobs(ctx, c.since)
			if err != nil || len(jobs) != len(c.want) {
				t.Fatalf("%d jobs, not %d: %v", len(jobs), len(c.want), err)
			}
			for i, j := range jobs {
				if j.ID != c.want[i] || j.Spec != "" || j.SpecFile != "a.yaml" || j.Target != "t" {
					t.Errorf("job %d: %+v", i, j)
				}
			}
			if jobs[0].State != state.Running || len(jobs) > 1 && jobs[1].State != state.Interrupted {
				t.Errorf("states %s …", jobs[0].State)
			}
		}
	})
}
