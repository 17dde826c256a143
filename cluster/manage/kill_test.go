package manage

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/cluster"
	"cw/remote"
	"cw/state"
)

// TestMain lets the test binary stand in for a cw that can be killed.
func TestMain(m *testing.M) {
	if verb := os.Getenv("CW_TEST_VERB"); verb != "" {
		if err := asProcess(verb, os.Getenv("CW_TEST_DIR"), os.Getenv("CW_TEST_TOPOLOGY")); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// asProcess is one run of cw.
func asProcess(verb, dir, topology string) error {
	ctx := context.Background()
	store, err := state.Open(ctx, filepath.Join(dir, "state.db"))
	if err != nil {
		return err
	}
	pool := remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts"), ConnectTimeout: 10 * time.Second})
	defer pool.Close()
	m := &Manager{
		Store: store, Pool: func(string) (*remote.Pool, error) { return pool, nil },
		Dir: func(name string) string { return filepath.Join(dir, "clusters", name) },
	}
	var top cluster.Topology
	if err := json.Unmarshal([]byte(topology), &top); err != nil {
		return err
	}
	var op *Operation
	switch verb {
	case VerbCreate:
		op, err = m.Create(ctx, &top)
	case VerbDelete:
		op, err = m.Delete(ctx, top.Name)
	case VerbPromote:
		op, err = m.Promote(ctx, top.Name, cluster.PromoteOptions{})
	case VerbRecover:
		op, err = m.Recover(ctx, top.Name, cluster.RecoverOptions{})
	default:
		op, err = m.Resume(ctx, top.Name)
	}
	if err != nil || op.Nothing != "" {
		return err
	}
	_, err = op.Run(ctx, nil)
	return err
}

// process starts a cw of its own.
func (l *lab) process(verb string) *exec.Cmd {
	l.t.Helper()
	top, err := json.Marshal(l.top)
	if err != nil {
		l.t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "CW_TEST_VERB="+verb, "CW_TEST_DIR="+l.dir, "CW_TEST_TOPOLOGY="+string(top))
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	return c
}

// TestKilledAtAnyMoment kills cw with signal 9 at random moments of create and
// of delete and lets another one go on. CW_TEST_KILLS sets how often.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	kills := 3
	if n, err := strconv.Atoi(os.Getenv("CW_TEST_KILLS")); err == nil {
		kills = n
	}
	l := newLab(t, 3)
	began := time.Now()
	l.create()
	whole := time.Since(began)
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
	for i := range kills {
		// Spread over the whole of create, each somewhere in its own part.
		after := time.Duration((float64(i) + rand.Float64()) / float64(kills) * float64(whole))
		killed := l.killAfter(VerbCreate, after)
		if _, err := l.m.Store.Cluster(t.Context(), "lab"); err == nil {
			if err := l.process("resume").Wait(); err != nil {
				t.Fatalf("kill %d after %s: resume: %v", i, after, err)
			}
		} else { // killed before anything was changed
			l.create()
		}
		st := l.want(cluster.Up)
		if len(st.Nodes) != 3 || st.Nodes[1].Mode != cluster.ModeStreaming || st.Nodes[2].Mode != cluster.ModeStreaming {
			t.Errorf("kill %d after %s: nodes = %+v", i, after, st.Nodes)
		}
		if out, err := l.psql(0, "create table t as select 1; select count(*) from t"); err != nil || out != "1" {
			t.Errorf("kill %d after %s: writing: %s %v", i, after, out, err)
		}
		if left, _ := filepath.Glob(filepath.Join(l.data, "lab", "*", "*.cw-new")); len(left) > 0 {
			t.Errorf("kill %d after %s: left %v", i, after, left)
		}
		for _, pid := range l.processes() {
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if strings.Contains(string(args), "cw-new") {
				t.Errorf("kill %d after %s: %q runs on", i, after, strings.ReplaceAll(string(args), "\x00", " "))
			}
		}
		afterDelete := time.Duration(rand.Float64() * float64(whole) / 3)
		killedDelete := l.killAfter(VerbDelete, afterDelete)
		if _, err := l.m.Store.Cluster(t.Context(), "lab"); err == nil {
			l.run(l.m.Delete(t.Context(), "lab"))
		}
		l.empty()
		t.Logf("kill %d: create after %s (%v), delete after %s (%v)", i, after.Round(time.Millisecond), killed, afterDelete.Round(time.Millisecond), killedDelete)
	}
}

// killAfter runs a verb and kills it; false when it was done before.
func (l *lab) killAfter(verb string, after time.Duration) bool {
	c := l.process(verb)
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			l.t.Fatalf("%s: %v", verb, err)
		}
		return false
	case <-time.After(after):
		_ = c.Process.Signal(syscall.SIGKILL)
		return <-done != nil // nil: it was done a moment before
	}
}

// TestKilledWhilePromotingAndRecovering kills cw with signal 9 at random
// moments of a switchover, and of winding back a primary that diverged.
func TestKilledWhilePromotingAndRecovering(t *testing.T) {
	t.Parallel()
	kills := 2
	if n, err := strconv.Atoi(os.Getenv("CW_TEST_KILLS")); err == nil {
		kills = n
	}
	l := newLab(t, 2)
	l.create()
	l.fill(0, 1000)
	began := time.Now()
	l.run(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{}))
	whole := time.Since(began)
	rows := 1000
	finish := func(what string) (primary int) {
		t.Helper()
		if err := l.process("resume").Wait(); err != nil {
			t.Fatalf("%s: resume: %v", what, err)
		}
		st := l.want(cluster.Up)
		writers := 0
		for i, n := range st.Nodes {
			if n.Role == cluster.NodePrimary {
				writers, primary = writers+1, i
			}
		}
		if writers != 1 {
			t.Fatalf("%s: %d primaries", what, writers)
		}
		rows++
		l.fill(primary, 1)
		l.caughtUp(primary, 1-primary)
		l.rows(1-primary, strconv.Itoa(rows))
		return primary
	}
	for i := range kills {
		after := time.Duration((float64(i) + rand.Float64()) / float64(kills) * float64(whole))
		killed := l.killAfter(VerbPromote, after)
		p := finish(fmt.Sprintf("promote killed after %s", after))

		l.down(p) // cw cannot see it, but it goes on
		l.run(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Force: true}))
		l.fill(p, 77)
		l.up(p)
		afterRecover := time.Duration((float64(i) + rand.Float64()) / float64(kills) * float64(whole))
		killedRecover := l.killAfter(VerbRecover, afterRecover)
		if last, err := l.m.Store.LastRun(t.Context(), "lab"); err != nil || last.Verb != VerbRecover { // killed before anything was changed
			l.recover(cluster.RecoverOptions{})
		}
		finish(fmt.Sprintf("recover killed after %s", afterRecover))
		t.Logf("kill %d: promote after %s (%v), recover after %s (%v)", i, after.Round(time.Millisecond), killed, afterRecover.Round(time.Millisecond), killedRecover)
	}
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}
