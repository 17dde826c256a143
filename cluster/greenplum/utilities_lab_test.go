package greenplum_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/redistribute"
	"cw/cluster/step"
	"cw/playground/lab"
)

// A whole life by the engine's own utilities: create, stop, start, restart,
// recover, expand, delete.
func TestUtilities(t *testing.T) {
	w := newWorldVia(t, 4, true, "segments_per_host: 1, mirrors: group, data_dirs: [/data]", lab.Config{}, cluster.ViaUtilities)
	w.create()
	w.status(cluster.Up)
	if again := w.do(w.m.Create(t.Context(), w.top)); again.Run != "" {
		t.Error("created twice")
	}
	w.sql(1, fill)
	want := w.sql(1, sums)
	if got := w.sql(1, "select count(*) from pg_authid where rolname = 'gpadmin' and rolpassword is not null"); got != "0" {
		t.Error("the well-known password of gpinitsystem is left")
	}

	t.Log("stop, start, restart, reload")
	w.do(w.m.Stop(t.Context(), "gp", cluster.Fast))
	w.status(cluster.Down)
	w.do(w.m.Start(t.Context(), "gp"))
	w.status(cluster.Up)
	w.do(w.m.Restart(t.Context(), "gp", cluster.Fast))
	w.do(w.m.Reload(t.Context(), "gp"))
	w.status(cluster.Up)

	t.Log("recover")
	p := w.node(cluster.NodePrimary)
	w.lab.Run(w.index(p.Host), "sh", "-c", "kill -9 $(head -n 1 "+p.DataDir+"/postmaster.pid)")
	w.awaitDown(1)
	w.status(cluster.Degraded)
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Rebalance: true}))
	w.status(cluster.Up)
	if got := w.sql(1, sums); got != want {
		t.Errorf("after the recovery %s, not %s", got, want)
	}

	t.Log("delete")
	out := w.do(w.m.Delete(t.Context(), "gp"))
	if len(out.Left) > 0 {
		t.Errorf("left: %v", out.Left)
	}
	for i := range w.lab.Hosts {
		if left := w.left(i + 1); left != "" {
			t.Errorf("host %d: %s", i+1, left)
		}
		if keys, _ := w.lab.Try(i+1, "sh", "-c", "cat ~gpadmin/.ssh/* 2>/dev/null"); strings.Contains(keys, "cw-") {
			t.Errorf("host %d: %s", i+1, keys)
		}
	}
}

// The utilities make a cluster grow: mirrors, a standby, segments, also when
// gpexpand was interrupted; and the standby takes over.
func TestUtilitiesGrow(t *testing.T) {
	w := newWorldVia(t, 6, true, "segments_per_host: 1, mirrors: none, data_dirs: [/data]", lab.Config{}, cluster.ViaUtilities)
	hosts, all := w.top.Hosts, *w.top
	w.top.Hosts = []cluster.Host{hosts[0], hosts[2], hosts[3]}
	w.create()
	w.sql(1, fill)
	want := w.sql(1, sums)

	t.Log("mirrors and standby")
	second := all
	second.Layout.Mirrors, second.Hosts = "group", hosts[:4]
	w.do(w.m.Expand(t.Context(), &second))
	w.status(cluster.Up)

	t.Log("segments, after an interrupted gpexpand")
	third := second
	third.Hosts = hosts
	interrupted := func() {
		t.Helper()
		op, err := w.m.Expand(t.Context(), &third)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := op.Run(ctx, func(e step.Event) {
			if e.State == step.Said && strings.Contains(e.Observed, "Creating segment template") {
				cancel()
			}
		}); err == nil {
			t.Error("it was not interrupted")
		}
	}
	interrupted()
	w.do(w.m.UndoExpand(t.Context(), "gp"))
	w.status(cluster.Up)
	for host := 5; host <= 6; host++ {
		w.bare(host)
	}
	interrupted()
	w.do(w.m.Resume(t.Context(), "gp"))
	st := w.status(cluster.Up)
	if len(st.Nodes) != 10 {
		t.Errorf("%d nodes", len(st.Nodes))
	}
	if got := w.sql(1, "select count(distinct content) from gp_segment_configuration where content >= 0 and status = 'u' and mode = 's'"); got != "4" {
		t.Errorf("%s segments in sync", got)
	}
	if got := w.sql(1, sums); got != want {
		t.Errorf("after the expansion %s, not %s", got, want)
	}
	if _, err := w.m.Redistribute(t.Context(), "gp", redistribute.Options{Target: 4}, nil); err != nil {
		t.Error(err)
	}
	if got := w.sql(1, "select count(*) from gp_distribution_policy where numsegments <> 4"); got != "0" {
		t.Errorf("%s tables were not moved", got)
	}
	if got := w.sql(1, sums); got != want {
		t.Errorf("after the move %s, not %s", got, want)
	}
	w.sql(1, "create table wide (a int) distributed by (a); insert into wide select generate_series(1, 1000)")
	if got := w.sql(1, "select count(distinct gp_segment_id) from wide"); got != "4" {
		t.Errorf("a new table is on %s segments", got)
	}

	t.Log("promote")
	w.do(w.m.Promote(t.Context(), "gp", cluster.PromoteOptions{}))
	w.status(cluster.Up)
	if got := w.sql(2, sums); got != want {
		t.Errorf("after the promotion %s, not %s", got, want)
	}
}

// A create by the utilities that is killed at any moment is finished by
// resume: what gpinitsystem had begun is thrown away and made anew. CW_KILLS is
// how many kills, 1 unless it is set.
func TestKillUtilitiesCreate(t *testing.T) {
	w := newWorldVia(t, 4, true, "segments_per_host: 1, mirrors: group, data_dirs: [/data]", lab.Config{}, cluster.ViaUtilities)
	u := newCLI(t)
	kills := 1
	if n, err := strconv.Atoi(os.Getenv("CW_KILLS")); err == nil {
		kills = n
	}
	for round := range kills {
		after := time.Duration((2 + 58*rand.Float64()) * float64(time.Second)) //nolint:gosec // no secret
		killed := u.killAfter(after, "cluster", "create", "-f", w.file, "--yes")
		t.Logf("round %d: killed=%v after %v", round, killed, after.Round(time.Millisecond))
		u.must("cluster", "resume", "gp", "--yes")
		u.status(cluster.Up)
		if got := w.sql(1, "select count(*) from gp_segment_configuration where status = 'u' and (mode = 's' or content = -1)"); got != "6" {
			t.Errorf("%s instances are up and in sync", got)
		}
		u.must("cluster", "delete", "gp", "--confirm", "gp")
		for i := range w.lab.Hosts {
			if left := w.left(i + 1); left != "" {
				t.Errorf("round %d, host %d: %s", round, i+1, left)
			}
		}
	}
}
