package source

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/cluster"
	"cw/playground/pgtest"
	"cw/state"
)

func setCredential(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.Unprivileged(t)}
}

// twoNodes is a cluster as the store has it, without hosts.
func twoNodes() (*cluster.Topology, *cluster.Layout) {
	top := &cluster.Topology{Name: "dw1", Engine: cluster.Engine{Kind: cluster.Postgres}, Hosts: []cluster.Host{{Name: "h1", Address: "10.0.0.1"}, {Name: "h2", Address: "10.0.0.2"}}}
	lay := &cluster.Layout{Version: "15", Nodes: []cluster.Node{
		{ID: 1, Content: -1, Role: cluster.NodePrimary, PreferredRole: cluster.NodePrimary, Host: "h1", Port: 5432, DataDir: "/data/n1"},
		{ID: 2, Content: -1, Role: cluster.NodeStandby, PreferredRole: cluster.NodeStandby, Host: "h2", Port: 5432, DataDir: "/data/n2"},
	}}
	return top, lay
}

func TestReplicationAndItsEnd(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	stop := standby(t, srv, "n2")
	st := newStore(t)
	l := NewLive(LiveOptions{Cluster: "dw1", Store: st, Interval: time.Second, Connect: as(srv, "cw:cw")})
	top, lay := twoNodes()
	l.setPlan(top, lay)
	w := start(t, l)
	s := w.until("a standby that streams", func(s *Snapshot) bool { return s.Cluster.State == cluster.Up && s.Nodes.Items[1].LagBytes != nil })
	if n := s.Nodes.Items[1]; n.State != cluster.NodeUp || n.Mode != cluster.ModeStreaming || n.LagBytes == nil || *n.LagBytes > 1<<24 || n.Role != cluster.NodeStandby {
		t.Errorf("standby %+v", n)
	}
	if !strings.HasPrefix(s.Cluster.Version, "1") || s.Cluster.StartedAt.IsZero() || len(s.Cluster.Problems) != 0 {
		t.Errorf("cluster %+v", s.Cluster)
	}
	d, err := l.Detail(t.Context(), DetailRequest{Node: "n2"})
	if err != nil || len(d.Sections) < 2 || !strings.Contains(d.Sections[1].Lines[0], "n2 127.0.0.1 streaming sent ") {
		t.Errorf("detail %+v %v", d, err)
	}
	stop()
	s = w.until("a standby that is gone", func(s *Snapshot) bool { return s.Cluster.State == cluster.Degraded })
	if n := s.Nodes.Items[1]; n.Mode != cluster.ModeDetached || n.Since.IsZero() && n.State == cluster.NodeUp {
		t.Errorf("standby %+v", n)
	}
	if len(s.Cluster.Problems) != 1 || !strings.Contains(s.Cluster.Problems[0], "standby n2 on h2: does not stream") {
		t.Errorf("problems %q", s.Cluster.Problems)
	}
	s = w.until("an event", func(s *Snapshot) bool { return len(s.Events.Items) == 1 })
	if e := s.Events.Items[0]; e.Kind != state.EventStateChanged || e.Message != "cluster dw1 is degraded, was up" || e.Severity != "warning" {
		t.Errorf("event %+v", e)
	}
	srv.StopServer(t, "immediate")
	s = w.until("nothing known", func(s *Snapshot) bool { return s.Cluster.Err != "" })
	if s.Cluster.State != cluster.Unknown || s.Nodes.Items[0].State != cluster.NodeUnknown {
		t.Errorf("cluster %+v node %+v", s.Cluster, s.Nodes.Items[0])
	}
}
