package state_test

import (
	"path/filepath"
	"testing"

	"cw/state"
)

func TestNewestJobs(t *testing.T) {
	t.Parallel()
	s, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, id := range []string{"la1", "lb1", "la2", "la3", "lé4"} {
		if _, err := s.CreateJob(t.Context(), state.Job{ID: id, Kind: "load", Spec: "long"}); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string][]string{"la": {"la3", "la2"}, "lb": {"lb1"}, "": {"lé4", "la3"}, "lé": {"lé4"}, "%": nil} {
		jobs, err := s.NewestJobs(t.Context(), prefix, 2)
		if err != nil || len(jobs) != len(want) {
			t.Fatalf("%q: %v, %v", prefix, jobs, err)
		}
		for i, j := range jobs {
			if j.ID != want[i] || j.Spec != "" {
				t.Errorf("%q: %v", prefix, j)
			}
		}
	}
}
