package state_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cw/fault"
	"cw/state"
)

func TestPeekReadsAndNothingElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a folder?", "state.db")
	if _, err := state.Peek(t.Context(), path); err == nil {
		t.Error("a store that is not there was opened")
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Error("peeking made a folder")
	}
	s, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutCluster(t.Context(), state.Cluster{Name: "dw1", State: state.ClusterUp}); err != nil {
		t.Fatal(err)
	}
	// Once while it is open elsewhere, with what only its log has, once after.
	for range 2 {
		p, err := state.Peek(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := p.Clusters(t.Context()); err != nil || len(all) != 1 || all[0].Name != "dw1" {
			t.Errorf("peeking saw %v, %v", all, err)
		}
		if err := p.PutCluster(t.Context(), state.Cluster{Name: "dw2"}); err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Errorf("peeking could write: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("peeking left files behind: %v, %v", files, err)
	}
	if _, err := state.Peek(t.Context(), "postgres://nobody@127.0.0.1:1/x"); err == nil {
		t.Error("a shared store was opened")
	}
}

func TestNamesThatAreNotThereHaveNeighbours(t *testing.T) {
	t.Parallel()
	s, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.PutCluster(t.Context(), state.Cluster{Name: "warehouse", State: state.ClusterUp}); err != nil {
		t.Fatal(err)
	}
	job, err := s.CreateJob(t.Context(), state.Job{Kind: "load"})
	if err != nil {
		t.Fatal(err)
	}
	_, clusterErr := s.Cluster(t.Context(), "warehose")
	_, jobErr := s.Job(t.Context(), job.ID[:len(job.ID)-1])
	_, farErr := s.Cluster(t.Context(), "zzz")
	for _, c := range []struct {
		err  error
		want string
	}{
		{clusterErr, "did you mean warehouse? see the names with: cw cluster list"},
		{jobErr, "did you mean " + job.ID + "? see the jobs with: cw load list"},
		{farErr, "see the names with: cw cluster list"},
	} {
		if got := fault.HintOf(c.err); got != c.want {
			t.Errorf("%v: hint %q, want %q", c.err, got, c.want)
		}
	}
}
