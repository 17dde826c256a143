package manage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// fill makes a table; count says how many rows it has on a host.
func (l *lab) fill(host, rows int) {
	l.t.Helper()
	if out, err := l.psql(host, "create table if not exists t (n int); insert into t select generate_series(1, "+strconv.Itoa(rows)+")"); err != nil {
		l.t.Fatalf("filling: %s %v", out, err)
	}
}

func (l *lab) rows(host int, want string) {
	l.t.Helper()
	if out, err := l.psql(host, "select count(*) from t"); err != nil || out != want {
		l.t.Errorf("host %d has %s rows, want %s: %v", host+1, out, want, err)
	}
}

// caughtUp waits until a standby has replayed what the primary has.
func (l *lab) caughtUp(primary, standby int) {
	l.t.Helper()
	lsn, err := l.psql(primary, "select pg_current_wal_lsn()")
	if err != nil {
		l.t.Fatal(err)
	}
	for {
		out, err := l.psql(standby, "select pg_last_wal_replay_lsn() >= '"+lsn+"', pg_sleep(0.02)")
		if err != nil {
			l.t.Fatal(err)
		}
		if strings.HasPrefix(out, "t") {
			return
		}
	}
}

func (l *lab) dataDir(node string) string { return filepath.Join(l.data, "lab", node, "data") }

// inode tells a data directory that was copied anew from one that was not.
func (l *lab) inode(node string) uint64 {
	l.t.Helper()
	st, err := os.Stat(l.dataDir(node))
	if err != nil {
		l.t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Ino
}

// fell ends a node's server at once, as a crash does.
func (l *lab) fell(node string) {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dataDir(node), "postmaster.pid"))
	if err != nil {
		l.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(data), "\n", 2)[0])
	if err != nil {
		l.t.Fatal(err)
	}
	// SIGQUIT leaves no shared memory behind, and no shutdown checkpoint either.
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		l.t.Fatal(err)
	}
	for syscall.Kill(pid, 0) == nil {
	}
}

func (l *lab) recover(o cluster.RecoverOptions) Outcome {
	l.t.Helper()
	return l.run(l.m.Recover(l.t.Context(), "lab", o))
}

func TestRecoverDoesTheLeastThatHelps(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.create()
	l.fill(0, 1000)
	if op := l.must(l.m.Recover(t.Context(), "lab", cluster.RecoverOptions{})); !strings.Contains(op.Nothing, "nothing to recover") {
		t.Errorf("a cluster that is well: %q", op.Nothing)
	}
	_, err := l.m.Recover(t.Context(), "lab", cluster.RecoverOptions{Rebalance: true})
	wantFault(t, err, fault.Usage, "cw cluster promote lab")

	// Two standbys fall; one is asked for, then the other.
	before := l.inode("n2")
	l.fell("n2")
	l.fell("n3")
	l.want(cluster.Degraded)
	l.recover(cluster.RecoverOptions{Hosts: []string{"h2"}})
	if st := l.want(cluster.Degraded); st.Nodes[1].Mode != cluster.ModeStreaming || st.Nodes[2].State != cluster.NodeDown {
		t.Errorf("nodes = %+v", st.Nodes)
	}
	l.recover(cluster.RecoverOptions{})
	l.want(cluster.Up)
	if l.inode("n2") != before {
		t.Error("a standby that was only stopped was copied anew")
	}

	// The primary is down as well.
	l.fell("n1")
	l.fell("n2")
	l.recover(cluster.RecoverOptions{})
	l.want(cluster.Up)

	// A standby without its data, and one whose copy was interrupted.
	l.fell("n2")
	if err := os.RemoveAll(l.dataDir("n2")); err != nil {
		t.Fatal(err)
	}
	l.fell("n3")
	if err := os.WriteFile(filepath.Join(l.data, "lab", "n3", "unfinished"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	op := l.must(l.m.Start(t.Context(), "lab"))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Failed, "interrupted")
	was := l.inode("n3")
	l.recover(cluster.RecoverOptions{Rate: 100 << 20})
	l.want(cluster.Up)
	if l.inode("n3") == was {
		t.Error("an unfinished copy was used")
	}
	l.fill(0, 10)
	l.caughtUp(0, 1)
	l.caughtUp(0, 2)
	l.rows(1, "1010")
	l.rows(2, "1010")

	// A full copy of one that is well, on request: also to a machine that has
	// taken the place of another.
	was = l.inode("n3")
	rec, err := l.m.Store.Cluster(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	real := rec.Facts[factMachine+"h3"]
	if real != "" {
		rec.Facts[factMachine+"h3"] = "0123456789abcdef0123456789abcdef"
		if err := l.m.Store.PutCluster(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	l.recover(cluster.RecoverOptions{Hosts: []string{"h3"}, Full: true})
	if rec, err := l.m.Store.Cluster(t.Context(), "lab"); err != nil || rec.Facts[factMachine+"h3"] != real {
		t.Errorf("machine of h3 = %q %v", rec.Facts[factMachine+"h3"], err)
	}
	if l.inode("n3") == was {
		t.Error("--full of a named host copied nothing")
	}
	l.want(cluster.Up)
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}

func TestSwitchoverAndBack(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.create()
	l.fill(0, 1000)
	n1 := l.inode("n1")
	op := l.must(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Node: "n3"}))
	if n := op.Nodes(); len(n) != 1 || n[0].Name() != "n3" {
		t.Errorf("nodes = %v", n)
	}
	out := l.run(op, nil)
	if len(out.Left) > 0 {
		t.Errorf("left = %q", out.Left)
	}
	st := l.want(cluster.Up)
	if st.Endpoint.Host != l.top.Hosts[2].Address || st.Nodes[0].Role != cluster.NodeStandby || st.Nodes[2].Role != cluster.NodePrimary {
		t.Errorf("status = %+v", st)
	}
	l.rows(2, "1000")
	l.fill(2, 5)
	l.caughtUp(2, 0)
	l.rows(0, "1005")
	if l.inode("n1") != n1 {
		t.Error("a switchover copied the old primary anew")
	}
	if out, err := l.psql(0, "select count(*) from pg_replication_slots"); err != nil || out != "0" {
		t.Errorf("the old primary keeps WAL for %s standbys: %v", out, err)
	}
	if again := l.must(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Node: "n3"})); !strings.Contains(again.Nothing, "already") {
		t.Errorf("promoting the primary: %q", again.Nothing)
	}
	l.run(l.m.Stop(t.Context(), "lab", cluster.Fast))
	l.run(l.m.Start(t.Context(), "lab"))
	l.run(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Node: "n1"}))
	l.want(cluster.Up)
	l.rows(0, "1005")
	l.run(l.m.Restart(t.Context(), "lab", cluster.Fast))
	l.want(cluster.Up)
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}

// A standby that does not stream would lose what it has not received; a
// primary whose host does not answer may still take writes.
func TestPromoteIsGuarded(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.create()
	l.fill(0, 100)
	l.fell("n2")
	_, err := l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{})
	wantFault(t, err, fault.Check, "does not stream", "cw cluster recover lab --host h2", "--force")
	l.recover(cluster.RecoverOptions{})
	l.fell("n1")
	_, err = l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{})
	wantFault(t, err, fault.Check, "not shut down cleanly", "cw cluster start lab", "--force")
	l.down(0)
	_, err = l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{})
	wantFault(t, err, fault.Unreachable, "two primaries", "h1", "switched off", "cw cluster promote lab --node n2 --force")
	_, err = l.m.Recover(t.Context(), "lab", cluster.RecoverOptions{})
	wantFault(t, err, fault.Unreachable, "h1", "cw cluster promote lab --force")
	out := l.run(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Force: true}))
	if len(out.Left) != 1 || !strings.Contains(out.Left[0], "cw cluster recover lab --host h1") {
		t.Errorf("left = %q", out.Left)
	}
	l.rows(1, "100")
	l.up(0)

	// The old primary must not be started as a second one.
	op := l.must(l.m.Start(t.Context(), "lab"))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Check, "second primary", "cw cluster recover lab --host h1")
	l.recover(cluster.RecoverOptions{})
	st := l.want(cluster.Up)
	if st.Nodes[0].Role != cluster.NodeStandby {
		t.Errorf("nodes = %+v", st.Nodes)
	}
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}

// Interrupted at any step, a switchover is finished by resuming.
func TestInterruptedPromoteIsResumed(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.create()
	l.fill(0, 100)
	for i, at := range []string{"stop@h", "promote@h", "rejoin@h"} {
		to := (i + 1) % 2
		host := to
		if at != "promote@h" {
			host = 1 - to
		}
		id := at + strconv.Itoa(host+1)
		ctx, cancel := context.WithCancel(t.Context())
		op := l.must(l.m.Promote(ctx, "lab", cluster.PromoteOptions{}))
		_, err := op.Run(ctx, func(e step.Event) {
			if e.Step.ID == id && e.State == step.Running {
				cancel()
			}
		})
		wantFault(t, err, fault.Interrupted, "cw cluster "+map[bool]string{true: "recover", false: "resume"}[at == "rejoin@h"]+" lab")
		l.run(l.m.Resume(t.Context(), "lab"))
		st := l.want(cluster.Up)
		if st.Nodes[to].Role != cluster.NodePrimary {
			t.Errorf("%s: nodes = %+v", id, st.Nodes)
		}
		l.rows(to, "100")
		l.caughtUp(to, 1-to)
	}
	l.promotionOutlives(1, 0)
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}

// promotionOutlives an old primary that cannot follow: a node that has taken
// over is the primary, and nothing starts the old one as a second.
func (l *lab) promotionOutlives(from, to int) {
	t := l.t
	t.Helper()
	old, now := l.top.Hosts[from].Name, l.top.Hosts[to].Name
	dir := l.dataDir("n" + old[1:])
	mine := filepath.Join(dir, "conf.d", "mine.conf")
	if err := os.WriteFile(mine, []byte("enable_seqscan = plenty\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	before, err := l.m.Store.Cluster(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	op := l.must(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{}))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Failed, "enable_seqscan", "takes writes now", "cw cluster recover lab")
	if st := l.want(cluster.Degraded); st.Endpoint.Host != l.top.Hosts[to].Address {
		t.Errorf("endpoint = %+v", st.Endpoint)
	}
	l.rows(to, "100")
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}

	// As if cw had been killed right after the promotion: the layout is the old one.
	rec, err := l.m.Store.Cluster(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "standby.signal")); err != nil {
		t.Fatal(err)
	}
	rec.Layout = before.Layout
	if err := l.m.Store.PutCluster(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	start := l.must(l.m.Start(t.Context(), "lab"))
	_, err = start.Run(t.Context(), nil)
	wantFault(t, err, fault.Check, "on "+now+" has taken over", "cw cluster promote lab")
	_, err = l.m.Recover(t.Context(), "lab", cluster.RecoverOptions{})
	wantFault(t, err, fault.Check, "on "+now+" takes writes", "cw cluster promote lab --node n"+now[1:])
	l.run(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{}))
	l.want(cluster.Up)
	l.fill(to, 1)
	l.caughtUp(to, from)
	l.rows(from, "101")
}

// The old primary wrote what the new one never had: pg_rewind takes it back,
// and when that is interrupted, only a copy will do.
func TestADivergedPrimaryIsWoundBack(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.create()
	l.fill(0, 100)
	l.diverge(0, 1)
	before := l.inode("n1")
	op := l.must(l.m.Recover(t.Context(), "lab", cluster.RecoverOptions{}))
	view, err := op.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	destructive := false
	for _, s := range view.Steps {
		destructive = destructive || s.Destructive && strings.Contains(s.Title, "pg_rewind")
	}
	if !destructive {
		t.Errorf("the plan does not say that data is lost: %+v", view.Steps)
	}
	if out := l.run(op, nil); len(out.Left) > 0 {
		t.Errorf("left = %q", out.Left)
	}
	l.want(cluster.Up)
	if l.inode("n1") != before {
		t.Error("the old primary was copied anew")
	}
	l.caughtUp(1, 0)
	l.rows(0, "101")

	// The other way round, and interrupted in the middle.
	l.diverge(1, 0)
	before = l.inode("n2")
	note := filepath.Join(l.data, "lab", "n2", "unfinished")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop := make(chan struct{})
	go func() { // until pg_rewind works in the directory
		defer cancel()
		for {
			if _, err := os.Stat(note); err == nil {
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	_, err = l.must(l.m.Recover(t.Context(), "lab", cluster.RecoverOptions{})).Run(ctx, nil)
	close(stop)
	if err == nil {
		t.Skip("pg_rewind was faster than the test")
	}
	if _, err := os.Stat(note); err != nil {
		t.Errorf("there is no note: %v", err)
	}
	start := l.must(l.m.Start(t.Context(), "lab"))
	_, err = start.Run(t.Context(), nil)
	wantFault(t, err, fault.Check, "was interrupted", "cw cluster recover lab --host h2")
	l.recover(cluster.RecoverOptions{})
	l.want(cluster.Up)
	if l.inode("n2") == before {
		t.Error("what an interrupted pg_rewind has left was used")
	}
	l.caughtUp(0, 1)
	l.rows(1, "102")
	for _, f := range []string{"unfinished", "conf-kept", "data.cw-old", "data.cw-new"} {
		if _, err := os.Stat(filepath.Join(l.data, "lab", "n2", f)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", f, err)
		}
	}
	if name, err := l.psql(1, "show cluster_name"); err != nil || name != "lab-n2" {
		t.Errorf("the configuration is another node's: %s %v", name, err)
	}
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}

// diverge has the standby on host to take over while the primary on host from,
// which cw cannot reach, goes on.
func (l *lab) diverge(from, to int) {
	l.t.Helper()
	l.caughtUp(from, to)
	l.down(from)
	l.run(l.m.Promote(l.t.Context(), "lab", cluster.PromoteOptions{Force: true}))
	l.fill(from, 50)
	l.fill(to, 1)
	l.up(from)
	if text := strings.Join(l.want(cluster.Degraded).Problems, "\n"); !strings.Contains(text, "second primary") {
		l.t.Errorf("problems = %q", text)
	}
}
