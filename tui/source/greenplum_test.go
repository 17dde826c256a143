package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/cluster"
	"cw/playground/gptest"
)

// planOf is the layout of a cluster of gptest, as cw would have made it.
func planOf(c *gptest.Cluster) (*cluster.Topology, *cluster.Layout) {
	top := &cluster.Topology{Name: "gp", Engine: cluster.Engine{Kind: cluster.Greenplum}, Hosts: []cluster.Host{{Name: "h1", Address: "127.0.0.1"}}}
	lay := &cluster.Layout{Version: "6", Nodes: []cluster.Node{{ID: 1, Content: -1, Role: cluster.NodeCoordinator, PreferredRole: cluster.NodeCoordinator, Host: "h1", Port: c.Port, DataDir: c.Dir + "/m"}}}
	for i, p := range c.Segments[:len(c.Segments)-1] { // of the last one cw does not know
		lay.Nodes = append(lay.Nodes, cluster.Node{ID: i + 2, Content: i, Role: cluster.NodePrimary, PreferredRole: cluster.NodePrimary, Host: "h1", Port: p, DataDir: fmt.Sprintf("%s/%d", c.Dir, i)})
	}
	return top, lay
}

func TestGreenplum(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 2)
	c.Exec(t, "postgres", `create table t (n int) distributed by (n); insert into t select generate_series(1, 100);
		set allow_system_table_mods = on; insert into gp_configuration_history values ('2026-01-02 03:04:05+00', 3, 'FTS: update role, status, and mode for dbid 3 with contentid 1 to p, d, and n')`)
	l := NewLive(LiveOptions{Cluster: "gp", Store: newStore(t), Interval: time.Second, Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, c.DSN("postgres")) }})
	top, lay := planOf(c)
	l.setPlan(top, lay)
	w := start(t, l)
	s := w.until("the catalogue", func(s *Snapshot) bool { return !s.Sessions.CollectedAt.IsZero() })
	if s.Cluster.State != cluster.Up || !strings.HasPrefix(s.Cluster.Version, "6.") || s.Cluster.StartedAt.IsZero() || len(s.Degraded) > 0 || s.Sessions.Err != "" {
		t.Errorf("cluster %+v degraded %v sessions %q", s.Cluster, s.Degraded, s.Sessions.Err)
	}
	if n := s.Nodes.Items; len(n) != 3 || n[0].Role != cluster.NodeCoordinator || n[1].Role != cluster.NodePrimary || n[1].DBID != 2 || n[1].State != cluster.NodeUp || n[1].Mode != "" || n[2].ID != "dbid3" {
		t.Errorf("nodes %+v", n)
	}
	if e := s.Events.Items; len(e) == 0 || e[0].ID != 0 || e[0].Severity != "warning" || !strings.Contains(e[0].Message, "dbid 3: FTS") {
		t.Errorf("events %+v", e)
	}

	open := func(app string) *pgx.Conn {
		conn := c.Connect(t, "postgres")
		if _, err := conn.Exec(t.Context(), "set application_name = '"+app+"'"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	holder, waiter := open("holder"), open("waiter")
	for _, sql := range []string{"begin", "lock table t in access exclusive mode"} {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(t.Context(), "select count(*) from t")
		ended <- err
	}()
	s = w.until("a blocked session", func(s *Snapshot) bool { return len(session(s, "waiter").BlockedBy) > 0 })
	h, b := session(s, "holder"), session(s, "waiter")
	if !slices.Equal(b.BlockedBy, []int{h.PID}) || b.SessID == 0 || b.Wait != "Lock:relation" || h.Wait != "" {
		t.Errorf("waiter %+v holder %+v", b, h)
	}
	d, err := l.Detail(t.Context(), DetailRequest{PID: b.PID})
	if err != nil || !strings.Contains(fmt.Sprint(d), "waits for AccessShareLock on relation t on segment -1") {
		t.Errorf("detail %v %v", d, err)
	}
	if text, err := l.Do(t.Context(), Action{Kind: TerminateSession, PID: h.PID, BackendStart: h.Backend}); err != nil {
		t.Errorf("%q %v", text, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the waiter: %v", err)
	}
}

func TestGreenplumOrdinaryRole(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 1)
	c.Exec(t, "postgres", "create role reader login")
	dsn := strings.Replace(c.DSN("postgres"), "cw@", "reader@", 1)
	l := NewLive(LiveOptions{Cluster: "gp", Store: newStore(t), Interval: time.Second, Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, dsn) }})
	c.Connect(t, "postgres")
	w := start(t, l)
	s := w.until("sessions", func(s *Snapshot) bool { return !s.Sessions.CollectedAt.IsZero() || s.Sessions.Err != "" })
	if s.Sessions.Err != "" || s.Cluster.Err != "" || !strings.Contains(s.Degraded["query"], "superuser") {
		t.Errorf("sessions %q cluster %q degraded %v", s.Sessions.Err, s.Cluster.Err, s.Degraded)
	}
}
