package labtest

import (
	"strings"
	"testing"

	"cw/cluster"
	"cw/fault"
)

// TestThePrimarysHostLosesItsPower: nothing is promoted unasked, the promotion
// loses no row, and the old primary, back with what it alone has, is wound
// back with pg_rewind.
func TestThePrimarysHostLosesItsPower(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.run(s.m.Create(t.Context(), s.topology()))
	s.want(cluster.Up)
	s.sql(1, "create table t as select generate_series(1, 1000) n")
	s.eventually(2, "select count(*) from t", "1000")
	s.eventually(3, "select count(*) from t", "1000")

	// Rows that no standby gets to see, and that the primary has on its disk.
	s.Cut(1, 2)
	s.Cut(1, 3)
	s.sql(1, "insert into t select generate_series(1, 77)")
	s.Off(1)
	st := s.want(cluster.Degraded)
	if text := strings.Join(st.Problems, "\n"); !strings.Contains(text, "host db1 does not answer") {
		t.Errorf("problems = %q", st.Problems)
	}
	_, err := s.m.Promote(t.Context(), "lab", cluster.PromoteOptions{})
	if fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "two primaries") || !strings.Contains(fault.HintOf(err), "--force") {
		t.Fatalf("unasked: %v\nhint: %s", err, fault.HintOf(err))
	}
	out, _ := s.run(s.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Force: true}))
	if len(out.Left) != 1 || !strings.Contains(out.Left[0], "cw cluster recover lab --host db1") {
		t.Errorf("left = %q", out.Left)
	}
	_, lay, err := s.m.Topology(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	p := 2
	if lay.Primary().Host == "db3" {
		p = 3
	}
	if got := s.sql(p, "select count(*) from t"); got != "1000" {
		t.Errorf("the new primary has %s rows", got)
	}
	s.sql(p, "insert into t values (0)")

	s.On(1)
	s.Heal()
	inode := s.Run(1, "stat", "-c", "%i", "/data/pg/lab/n1/data")
	if _, err := start(s); err == nil || !strings.Contains(fault.HintOf(err), "cw cluster recover lab") {
		t.Errorf("starting the old primary: %v\nhint: %s", err, fault.HintOf(err))
	}
	out, done := s.run(s.m.Recover(t.Context(), "lab", cluster.RecoverOptions{}))
	if len(out.Left) > 0 || !strings.Contains(done, "rejoin@db1") {
		t.Errorf("recover did %q, left %q", done, out.Left)
	}
	if now := s.Run(1, "stat", "-c", "%i", "/data/pg/lab/n1/data"); now != inode {
		t.Error("the old primary was copied anew, not wound back")
	}
	s.want(cluster.Up)
	s.eventually(1, "select count(*) from t", "1001")
	s.eventually(5-p, "select count(*) from t", "1001")

	s.run(s.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Node: "n1"}))
	st = s.want(cluster.Up)
	if st.Nodes[0].Role != cluster.NodePrimary || s.sql(1, "select count(*) from t") != "1001" {
		t.Errorf("after the switchover: %+v", st.Nodes)
	}

	// A standby's host is gone for good: it is taken out while it is away.
	s.Off(2)
	out, _ = s.run(s.m.Shrink(t.Context(), "lab", []string{"db2"}))
	if len(out.Left) != 1 || !strings.Contains(out.Left[0], "db2 does not answer") {
		t.Errorf("left = %q", out.Left)
	}
	s.want(cluster.Up)
	s.run(s.m.Delete(t.Context(), "lab"))
	for _, i := range []int{1, 3} {
		if left, err := s.Try(i, "ls", "/data/pg"); err == nil {
			t.Errorf("host %d still has %s", i, left)
		}
	}
}

// start runs `start`.
func start(s *site) (string, error) {
	op, err := s.m.Start(s.t.Context(), "lab")
	if err != nil {
		return "", err
	}
	_, err = op.Run(s.t.Context(), nil)
	return "", err
}
