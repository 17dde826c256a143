package greenplum_test

import (
	"strings"
	"testing"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/playground/lab"
)

// TestAdopt takes over a cluster that gpinitsystem made and does everything
// with it.
func TestAdopt(t *testing.T) {
	w := newWorld(t, 4, true, "segments_per_host: 1, mirrors: group, data_dirs: [/data/a]")
	w.gpinitsystem(1, true, true)
	if out, err := w.gp(1, "createdb warehouse"); err != nil {
		t.Fatal(out, err)
	}
	w.sql(1, fill)
	want := w.sql(1, sums)

	op, err := w.m.Adopt(t.Context(), cluster.AdoptOptions{Name: "gp", Address: w.lab.Hosts[0].Addr, Port: 5432, SSH: cluster.SSH{User: lab.User, IdentityFile: w.lab.Key}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(strings.Join(manage.Describe(op.Found), "\n"))
	w.do(op, nil)
	st := w.status(cluster.Up)
	if len(st.Nodes) != 6 || st.Engine.Kind != cluster.Greenplum || st.Engine.Version != "6.24.3" {
		t.Fatalf("%+v", st)
	}
	w.do(w.m.Stop(t.Context(), "gp", cluster.Fast))
	w.status(cluster.Down)
	w.do(w.m.Start(t.Context(), "gp"))
	w.status(cluster.Up)
	if got := w.sql(1, sums); got != want {
		t.Errorf("after the restart %s, not %s", got, want)
	}

	for _, n := range st.Nodes {
		if n.Role == cluster.NodePrimary && n.Content == 0 {
			w.lab.Run(w.index(n.Host), "sh", "-c", "kill -9 $(head -n 1 "+n.DataDir+"/postmaster.pid)")
		}
	}
	w.sql(1, "select gp_request_fts_probe_scan();")
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Rebalance: true}))
	w.status(cluster.Up)
	w.do(w.m.Configure(t.Context(), "gp", cluster.ConfigChange{Set: map[string]string{"statement_mem": "33MB"}}))
	if got := w.setting("statement_mem"); got != "33MB" {
		t.Errorf("statement_mem = %s", got)
	}

	t.Log("more segments on the hosts that are there, and fewer again")
	more, _, err := w.m.Topology(t.Context(), "gp")
	if err != nil {
		t.Fatal(err)
	}
	more.Layout.SegmentsPerHost = "2"
	w.do(w.m.Expand(t.Context(), more))
	w.status(cluster.Up)
	if got := w.segments(); got != "4 of 4" {
		t.Errorf("segments: %s", got)
	}
	if got := w.setting("statement_mem"); got != "33MB" { // as the segments that were there have it
		t.Errorf("statement_mem = %s", got)
	}
	w.healthy(stockMaster, 10)
	w.do(w.m.ShrinkTo(t.Context(), "gp", 2))
	w.status(cluster.Up)
	if got := w.sql(1, sums); got != want || w.segments() != "2 of 2" {
		t.Errorf("after growing and shrinking %s, not %s, segments %s", got, want, w.segments())
	}

	w.do(w.m.Promote(t.Context(), "gp", cluster.PromoteOptions{}))
	w.status(cluster.Up)
	if got := w.sql(2, sums); got != want {
		t.Errorf("after the promotion %s, not %s", got, want)
	}
	w.do(w.m.Delete(t.Context(), "gp"))
	for i := range w.lab.Hosts {
		out := w.lab.Run(i+1, "sh", "-c", `ps -u gpadmin -o args= | grep postgres; find /data -name 'gpseg*'; ls /tmp/.s.PGSQL* 2>/dev/null; :`)
		if strings.TrimSpace(out) != "" {
			t.Errorf("host %d: left:\n%s", i+1, out)
		}
	}
}
