package main_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type clusterStatus struct {
	Name     string
	State    string
	Endpoint struct {
		Host     string
		Port     int
		Database string
	}
	Nodes []struct {
		ID, Role, State, Mode string
	}
}

// A create that is killed at any moment is finished by resume, and a cluster
// that was created so is deleted without a trace.
func TestKillCreateThenResume(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	topology, dir := u.playground(3)
	name := clusterName(t, topology)

	// One whole create tells how long the window is.
	started := time.Now()
	u.must("cluster", "create", "-f", topology, "--yes")
	whole := time.Since(started)
	deleteCluster(t, u, name, dir)

	for round := range rounds(t, 3) {
		after := time.Duration(rand.Float64() * float64(whole)) //nolint:gosec // no secret
		killed := u.killAfter(after, "cluster", "create", "-f", topology, "--yes")
		t.Logf("round %d: killed=%v after %v of %v", round, killed, after.Round(time.Millisecond), whole.Round(time.Millisecond))
		if a := u.cw("cluster", "resume", name, "--yes"); a.code != 0 {
			// Killed before anything was recorded: there is nothing to resume.
			if !strings.Contains(a.errOut, "cw cluster list") {
				t.Fatalf("resume: exit code %d\n%s", a.code, a.errOut)
			}
			u.must("cluster", "create", "-f", topology, "--yes")
		}
		var s clusterStatus
		u.read(&s, "cluster", "status", name)
		if s.State != "up" || len(s.Nodes) != 3 {
			t.Fatalf("after resume: %+v", s)
		}
		for _, n := range s.Nodes {
			if n.State != "up" || n.Role == "standby" && n.Mode != "streaming" {
				t.Errorf("node %+v", n)
			}
		}
		if a := u.cw("cluster", "create", "-f", topology, "--yes"); a.code != 0 || !strings.Contains(a.errOut, "exists already") {
			t.Errorf("second create: exit code %d\n%s%s", a.code, a.out, a.errOut)
		}
		deleteCluster(t, u, name, dir)
	}
}

// A create that is killed can also be thrown away.
func TestKillCreateThenDelete(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	topology, dir := u.playground(2)
	name := clusterName(t, topology)
	for range rounds(t, 2) {
		u.killAfter(time.Duration(rand.Int64N(int64(4*time.Second))), "cluster", "create", "-f", topology, "--yes") //nolint:gosec // no secret
		if a := u.cw("cluster", "delete", name, "--confirm", name); a.code != 0 && !strings.Contains(a.errOut, "cw cluster list") {
			t.Fatalf("delete: exit code %d\n%s", a.code, a.errOut)
		}
		wantNothingLeft(t, dir)
	}
}

func clusterName(t *testing.T, topology string) string {
	t.Helper()
	data, err := os.ReadFile(topology)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if name, ok := strings.CutPrefix(line, "name:"); ok {
			name, _, _ = strings.Cut(name, "#")
			return strings.TrimSpace(name)
		}
	}
	t.Fatalf("no name in %s", topology)
	return ""
}

func deleteCluster(t *testing.T, u *user, name, dir string) {
	t.Helper()
	u.must("cluster", "delete", name, "--confirm", name)
	wantNothingLeft(t, dir)
}

// wantNothingLeft finds databases and their files below the hosts' folders.
func wantNothingLeft(t *testing.T, dir string) {
	t.Helper()
	wantProcesses(t, dir, 1) // the playground's own
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && (d.Name() == "PG_VERSION" || strings.Contains(d.Name(), ".cw-new") || d.Name() == "pg_wal") {
			t.Errorf("left behind: %s", path)
			return filepath.SkipDir
		}
		return nil
	})
}
