package manage

import (
	"strings"
	"testing"

	"cw/cluster"
)

func TestLifeOfAClusterOfThree(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	op := l.must(l.m.Create(t.Context(), l.top))
	view, err := op.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range view.Steps {
		if s.State == "unclear" {
			t.Errorf("%s is unclear before the cluster exists: %s", s.ID, s.Error)
		}
	}
	if len(l.processes()) > 0 {
		t.Error("looking at the plan has started something")
	}
	l.run(op, nil)

	st := l.want(cluster.Up)
	if len(st.Nodes) != 3 || st.Nodes[1].Mode != cluster.ModeStreaming || st.Nodes[1].LagBytes == nil || !strings.Contains(st.Engine.Version, ".") {
		t.Errorf("status = %+v", st)
	}
	if out, err := l.psql(0, "create table t as select generate_series(1, 1000) n; select count(*) from t"); err != nil || out != "1000" {
		t.Errorf("writing to the primary: %s %v", out, err)
	}
	if out, err := l.psql(2, "select pg_is_in_recovery()"); err != nil || out != "t" {
		t.Errorf("reading from a standby: %s %v", out, err)
	}

	again := l.must(l.m.Create(t.Context(), l.top))
	if again.Nothing == "" {
		t.Error("a second create has something to do")
	}

	l.run(l.m.Stop(t.Context(), "lab", cluster.Fast))
	l.want(cluster.Down)
	if pids := l.processes(); len(pids) > 0 {
		t.Errorf("stopped, but %v run", pids)
	}
	l.run(l.m.Start(t.Context(), "lab"))
	l.want(cluster.Up)
	l.run(l.m.Restart(t.Context(), "lab", cluster.Fast))
	l.want(cluster.Up)
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
	if _, err := l.m.Status(t.Context(), "lab"); err == nil {
		t.Error("the deleted cluster is still in the store")
	}
}
