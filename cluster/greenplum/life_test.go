package greenplum_test

import (
	"strings"
	"testing"

	"cw/cluster"
)

// fill makes tables of every kind and returns what sum must always say.
const fill = `
create table heap (a int, b text) distributed by (a);
insert into heap select g, 'row ' || g from generate_series(1, 20000) g;
create table aoco (a int, b numeric) with (appendonly=true, orientation=column) distributed by (a);
insert into aoco select g, g * 1.5 from generate_series(1, 20000) g;
create table parts (a int, d date) distributed by (a) partition by range (d) (start (date '2026-01-01') end (date '2026-07-01') every (interval '1 month'));
insert into parts select g, date '2026-01-01' + g % 180 from generate_series(1, 20000) g;`

const sums = `select (select count(*) || ':' || sum(hashtext(b)) from heap) || ' ' || (select count(*) || ':' || sum(b) from aoco) || ' ' || (select count(*) || ':' || sum(extract(doy from d)) from parts);`

func TestFailover(t *testing.T) {
	w := newWorld(t, 4, true, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	w.create()
	w.status(cluster.Up)
	w.sql(1, strings.ReplaceAll(fill, "\n\n", "\n"))
	want := w.sql(1, sums)

	t.Log("kill a primary")
	st := w.status(cluster.Up)
	var victim cluster.NodeStatus
	for _, n := range st.Nodes {
		if n.Role == cluster.NodePrimary {
			victim = n
			break
		}
	}
	at := w.index(victim.Host)
	w.lab.Run(at, "sh", "-c", "kill -9 $(head -n 1 "+victim.DataDir+"/postmaster.pid)")
	if out, err := w.gp(1, "psql -X -At -d postgres -c 'select gp_request_fts_probe_scan()'"); err != nil {
		t.Fatal(out, err)
	}
	w.status(cluster.Degraded)
	if got := w.sql(1, sums); got != want {
		t.Errorf("after the failover %s, not %s", got, want)
	}
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{}))
	if st := w.status(cluster.Degraded); !strings.Contains(strings.Join(st.Problems, " "), "acts as") {
		t.Errorf("problems: %v", st.Problems)
	}
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Rebalance: true}))
	w.status(cluster.Up)

	t.Log("lose a segment host, and stop and start meanwhile")
	w.lab.Off(4)
	w.sql(1, "select gp_request_fts_probe_scan();")
	if got := w.sql(1, "insert into heap select g, 'new' from generate_series(1,10) g; delete from heap where b = 'new';"+sums); got != want {
		t.Errorf("without a host %s, not %s", got, want)
	}
	w.status(cluster.Degraded)
	w.lab.On(4)
	w.do(w.m.Stop(t.Context(), "gp", cluster.Fast))
	w.do(w.m.Start(t.Context(), "gp"))
	if got := w.sql(1, sums); got != want {
		t.Errorf("after the restart %s, not %s", got, want)
	}
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Rebalance: true}))
	w.status(cluster.Up)

	t.Log("lose the coordinator")
	w.lab.Off(1)
	if _, err := w.try(w.m.Promote(t.Context(), "gp", cluster.PromoteOptions{})); err == nil || !strings.Contains(err.Error(), "two coordinators") {
		t.Errorf("promote without --force: %v", err)
	}
	w.do(w.m.Promote(t.Context(), "gp", cluster.PromoteOptions{Force: true}))
	if got := w.sql(2, sums); got != want {
		t.Errorf("after the promotion %s, not %s", got, want)
	}
	w.status(cluster.Degraded)
	w.lab.On(1)
	if out, err := w.try(w.m.Start(t.Context(), "gp")); err == nil {
		t.Errorf("the old coordinator was started as a second one: %+v", out)
	}
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{}))
	w.status(cluster.Up)

	t.Log("switch back")
	w.do(w.m.Promote(t.Context(), "gp", cluster.PromoteOptions{}))
	w.status(cluster.Up)
	if got := w.sql(1, sums); got != want {
		t.Errorf("after switching back %s, not %s", got, want)
	}
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Full: true, Hosts: []string{"db3"}}))
	w.status(cluster.Up)
	w.do(w.m.Restart(t.Context(), "gp", cluster.Fast))
	w.status(cluster.Up)
	if got := w.sql(1, sums); got != want {
		t.Errorf("at the end %s, not %s", got, want)
	}
}

func TestGrowAndConfigure(t *testing.T) {
	w := newWorld(t, 4, true, "segments_per_host: 1, mirrors: group, data_dirs: [/data/a]")
	full := *w.top
	bare := *w.top
	bare.Layout.Mirrors = "none"
	bare.Hosts = []cluster.Host{full.Hosts[0], full.Hosts[2], full.Hosts[3]}
	w.top = &bare
	w.create()
	w.status(cluster.Up)
	w.sql(1, fill)
	want := w.sql(1, sums)

	w.do(w.m.Expand(t.Context(), &full))
	if st := w.status(cluster.Up); len(st.Nodes) != 6 {
		t.Errorf("%d nodes", len(st.Nodes))
	}
	if got := w.sql(1, sums); got != want {
		t.Errorf("after expanding %s, not %s", got, want)
	}
	w.do(w.m.Promote(t.Context(), "gp", cluster.PromoteOptions{}))
	w.status(cluster.Up)

	t.Log("somebody else stops the coordinator and promotes the standby")
	w.lab.Run(2, "sh", "-c", "kill -INT $(head -n 1 /data/a/gp/n6/gpseg-1/postmaster.pid)")
	if out, err := w.gp(1, "pg_ctl promote -D /data/a/gp/n1/gpseg-1 && for i in $(seq 200); do psql -X -At -d postgres -c checkpoint && break; sleep 0.2; done"); err != nil {
		t.Fatal(out, err)
	}
	if _, err := w.try(w.m.Start(t.Context(), "gp")); err == nil || !strings.Contains(err.Error(), "has taken over") {
		t.Errorf("starting a second coordinator: %v", err)
	}
	w.do(w.m.Promote(t.Context(), "gp", cluster.PromoteOptions{Node: "n1"}))
	w.status(cluster.Up)

	t.Log("full copy of a mirror")
	w.lab.Run(3, "sh", "-c", "d=$(ls -d /data/a/gp/n*/gpseg0); kill -9 $(head -n 1 $d/postmaster.pid); rm -rf $d/base")
	w.sql(1, "select gp_request_fts_probe_scan()")
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Full: true, Rate: 400 << 20, Rebalance: true}))
	w.status(cluster.Up)

	t.Log("settings")
	_, err := w.m.Configure(t.Context(), "gp", cluster.ConfigChange{Set: map[string]string{"statment_mem": "1", "port": "1", "max_connections": "x"}})
	for _, part := range []string{"did you mean statement_mem", "port: cw decides", "max_connections"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	before := w.setting("statement_mem")
	w.do(w.m.Configure(t.Context(), "gp", cluster.ConfigChange{Set: map[string]string{"statement_mem": "33MB"}}))
	if got := w.setting("statement_mem"); got != "33MB" {
		t.Errorf("statement_mem = %s", got)
	}
	w.do(w.m.Configure(t.Context(), "gp", cluster.ConfigChange{Scope: cluster.ScopeSegments, Set: map[string]string{"max_connections": "123"}}))
	list, err := w.m.Settings(t.Context(), "gp", []string{"max_connections"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.Role == cluster.NodePrimary && (s.Configured != "123" || !s.PendingRestart) {
			t.Errorf("%+v", s)
		}
		if s.Role == cluster.NodeCoordinator && s.PendingRestart {
			t.Errorf("%+v", s)
		}
	}
	w.do(w.m.Rollback(t.Context(), "gp"))
	w.do(w.m.Configure(t.Context(), "gp", cluster.ConfigChange{Set: map[string]string{"statement_mem": before}}))
	if got := w.setting("statement_mem"); got != before {
		t.Errorf("statement_mem = %s, not %s", got, before)
	}
	if got := w.sql(1, sums); got != want {
		t.Errorf("at the end %s, not %s", got, want)
	}
	w.do(w.m.Shrink(t.Context(), "gp", []string{"db2"}))
	if st := w.status(cluster.Up); len(st.Nodes) != 5 {
		t.Errorf("%d nodes", len(st.Nodes))
	}
	if l := w.left(2); l != "" {
		t.Errorf("left on the former standby:\n%s", l)
	}
}

// setting is the value of a setting that all nodes that answer agree on.
func (w *world) setting(name string) string {
	w.t.Helper()
	list, err := w.m.Settings(w.t.Context(), "gp", []string{name})
	if err != nil {
		w.t.Fatal(err)
	}
	value := ""
	for _, s := range list {
		if value == "" {
			value = s.Value
		}
		if s.Value != value || s.Configured != "" {
			w.t.Fatalf("nodes do not agree: %+v", list)
		}
	}
	return value
}
