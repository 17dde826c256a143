package labtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/fault"
	"cw/playground/lab"
	"cw/remote"
	"cw/state"
	"cw/tui/source"
)

func TestGreenplumWithMirrors(t *testing.T) {
	home := os.Getenv("CW_TEST_GPHOME")
	if home == "" || testing.Short() {
		t.Skip("CW_TEST_GPHOME does not name a Greenplum 6 installation, or -short")
	}
	s := &site{Lab: lab.Up(t, 3), t: t, name: "gp"}
	dir := t.TempDir()
	var err error
	if s.store, err = state.Open(t.Context(), filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	s.m = &manage.Manager{Store: s.store, Dir: func(name string) string { return filepath.Join(dir, "clusters", name) }, Pool: func(string) (*remote.Pool, error) {
		p := remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts"), ConnectTimeout: 3 * time.Second, KeepAlive: time.Second})
		t.Cleanup(p.Close)
		return p, nil
	}}
	top, err := cluster.Parse(filepath.Join(dir, "gp.yaml"), fmt.Appendf(nil, `apiVersion: cw/v1
kind: Cluster
name: gp
engine: {kind: greenplum, home: %q}
database: {name: warehouse, port: 5432, locale: C.UTF-8}
node_type: low-speed
network: {allow: [10.77.0.0/16]}
ssh: {user: %s, identity_file: %q}
layout: {data_dirs: [/data], segments_per_host: 1, mirrors: group}
hosts:
  - {name: db1, address: %s, roles: [coordinator]}
  - {name: db2, address: %s, roles: [segment]}
  - {name: db3, address: %s, roles: [segment]}
`, home, lab.User, s.Key, s.Hosts[0].Addr, s.Hosts[1].Addr, s.Hosts[2].Addr))
	if err != nil {
		t.Fatal(err)
	}
	op, err := s.m.Create(t.Context(), top)
	if err == nil {
		_, err = op.Run(t.Context(), nil)
	}
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, fault.HintOf(err))
	}
	s.watch()
	x, _ := s.until("all is well", func(x *source.Snapshot) bool {
		if x.Cluster.State != cluster.Up || len(x.Nodes.Items) != 5 {
			return false
		}
		for _, n := range x.Nodes.Items {
			if n.Role == cluster.NodeMirror && n.LagBytes == nil || n.Content >= 0 && n.Mode != cluster.ModeSync {
				return false
			}
		}
		return true
	})
	if len(x.Degraded) > 0 || x.Sessions.Err != "" {
		t.Errorf("degraded %v sessions %q", x.Degraded, x.Sessions.Err)
	}
	s.Off(3)
	x, took := s.until("a host that is off", func(x *source.Snapshot) bool {
		return x.Hosts.Items[2].Err != "" && x.Cluster.State == cluster.Degraded
	})
	if took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
	if text := fmt.Sprint(x.Cluster.Problems); !strings.Contains(text, "db3: host does not answer") || strings.Contains(text, "db2:") {
		t.Errorf("problems %s", text)
	}
	for range 8 {
		x, _ = s.until("the sessions meanwhile", func(*source.Snapshot) bool { return true })
		if age := time.Since(x.Sessions.CollectedAt); x.Sessions.Err != "" || age > 4*time.Second {
			t.Errorf("sessions of %s ago: %q", age, x.Sessions.Err)
		}
	}
	// Who decides is the coordinator, in its time: cw does not wait for that.
	x, _ = s.until("mirrors in charge", func(x *source.Snapshot) bool {
		for _, n := range x.Nodes.Items {
			if n.Host == "db2" && n.Role == cluster.NodePrimary && n.PreferredRole == cluster.NodeMirror {
				return true
			}
		}
		return false
	})
	for _, n := range x.Nodes.Items {
		if n.Host == "db3" && n.State != cluster.NodeDown {
			t.Errorf("%+v", n)
		}
	}
}
