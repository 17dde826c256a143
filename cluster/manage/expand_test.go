package manage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/fault"
)

// smaller is the lab's topology without its last hosts.
func (l *lab) smaller(hosts int) *cluster.Topology {
	t := *l.top
	t.Hosts = slices.Clone(l.top.Hosts[:hosts])
	return &t
}

func TestExpandAndShrink(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4)
	l.run(l.m.Create(t.Context(), l.smaller(1)))
	l.fill(0, 500)
	// A primary with more than the new host would compute: a standby must follow
	// all the same.
	l.run(l.m.Configure(t.Context(), "lab", cluster.ConfigChange{Set: map[string]string{"max_worker_processes": "17"}}))
	l.run(l.m.Restart(t.Context(), "lab", cluster.Fast))

	op := l.must(l.m.Expand(t.Context(), l.smaller(3)))
	if n := op.Nodes(); len(n) != 2 || n[0].Name() != "n2" || n[1].Host != "h3" {
		t.Errorf("nodes = %+v", n)
	}
	view, err := op.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range view.Steps {
		if s.Error != "" {
			t.Errorf("%s is unclear: %s", s.ID, s.Error)
		}
	}
	l.run(op, nil)
	if st := l.want(cluster.Up); len(st.Nodes) != 3 {
		t.Errorf("nodes = %+v", st.Nodes)
	}
	l.caughtUp(0, 2)
	l.rows(2, "500")
	if op := l.must(l.m.Expand(t.Context(), l.smaller(3))); op.Nothing == "" {
		t.Error("a second expand has something to do")
	}
	if got := l.running("max_worker_processes"); got != "17 17 17" {
		t.Errorf("max_worker_processes = %s", got)
	}

	// The new nodes can take over from each other: all let all in.
	l.run(l.m.Promote(t.Context(), "lab", cluster.PromoteOptions{Node: "n3"}))
	l.run(l.m.Expand(t.Context(), l.smaller(4)))
	l.want(cluster.Up)
	l.caughtUp(2, 3)
	l.rows(3, "500")

	_, err = l.m.Shrink(t.Context(), "lab", []string{"h3"})
	wantFault(t, err, fault.Usage, "cw cluster promote lab")
	_, err = l.m.Expand(t.Context(), l.smaller(2))
	wantFault(t, err, fault.Usage, "cw cluster shrink lab")

	// One host goes in good order, one does not answer.
	l.down(1)
	out := l.run(l.m.Shrink(t.Context(), "lab", []string{"h1", "h2"}))
	if len(out.Left) != 1 || !strings.Contains(out.Left[0], "h2 does not answer") {
		t.Errorf("left = %q", out.Left)
	}
	st := l.want(cluster.Up)
	if len(st.Nodes) != 2 || len(st.Hosts) != 2 {
		t.Errorf("status = %+v", st)
	}
	if _, err := os.Stat(filepath.Join(l.data, "lab", "n1")); err == nil {
		t.Error("n1 is still there")
	}
	if out, err := l.psql(2, "select string_agg(slot_name, ' ') from pg_replication_slots"); err != nil || out != "cw_n4" {
		t.Errorf("slots = %s %v", out, err)
	}
	hba, err := os.ReadFile(filepath.Join(l.dataDir("n3"), "pg_hba.conf"))
	if err != nil || strings.Contains(string(hba), l.top.Hosts[0].Address+"/") || !strings.Contains(string(hba), l.top.Hosts[3].Address+"/") {
		t.Errorf("pg_hba.conf: %v\n%s", err, hba)
	}
	l.rows(2, "500")

	// The host that was silent comes back, with what was left there; the first
	// one is new again.
	l.up(1)
	l.run(l.m.Shrink(t.Context(), "lab", []string{"h4"}))
	again := *l.top
	again.Hosts = []cluster.Host{l.top.Hosts[2], l.top.Hosts[0]}
	again.Hosts[1].Roles = []string{cluster.RoleStandby}
	l.fell("n2") // it ran on all the time
	old := filepath.Join(l.data, "lab", "n4")
	if err := os.Rename(filepath.Join(l.data, "lab", "n2"), old); err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(old, "cw-node.json")
	text, err := os.ReadFile(marker)
	if err == nil {
		err = os.WriteFile(marker, []byte(strings.Replace(string(text), `"n2"`, `"n4"`, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	op = l.must(l.m.Expand(t.Context(), &again))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Check, "in cluster lab before", "rm -r "+old)
	if err := os.RemoveAll(old); err != nil {
		t.Fatal(err)
	}
	l.run(l.m.Resume(t.Context(), "lab"))
	l.want(cluster.Up)
	l.run(l.m.Delete(t.Context(), "lab"))
}
