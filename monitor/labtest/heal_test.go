package labtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/fault"
	"cw/monitor"
	"cw/monitor/heal"
	"cw/playground/lab"
	"cw/remote"
	"cw/state"
)

// site is a lab with a cluster, and one who heals it.
type site struct {
	*lab.Lab
	t    *testing.T
	m    *manage.Manager
	h    *heal.Healer
	name string
}

func newSite(t *testing.T, hosts int, topology func(l *lab.Lab) string) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: makes real clusters")
	}
	s := &site{Lab: lab.Up(t, hosts), t: t}
	dir := t.TempDir()
	store, err := state.Open(t.Context(), filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s.m = &manage.Manager{Store: store, Dir: func(name string) string { return filepath.Join(dir, "clusters", name) }, Pool: func(string) (*remote.Pool, error) {
		p := remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts"), ConnectTimeout: 3 * time.Second, KeepAlive: time.Second})
		t.Cleanup(p.Close)
		return p, nil
	}}
	top, err := cluster.Parse(filepath.Join(dir, "cluster.yaml"), []byte(topology(s.Lab)))
	if err != nil {
		t.Fatal(err)
	}
	s.name = top.Name
	s.run(s.m.Create(t.Context(), top))
	s.h = &heal.Healer{
		Clusters: s.m, Store: store, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Config: monitor.Heal{On: true, Attempts: 3, Window: time.Hour, Wait: time.Nanosecond},
	}
	return s
}

func (s *site) run(op *manage.Operation, err error) {
	s.t.Helper()
	if err == nil {
		_, err = op.Run(s.t.Context(), nil)
	}
	if err != nil {
		s.t.Fatalf("%v\nhint: %s", err, fault.HintOf(err))
	}
}

// status is the cluster's when it has come to a state.
func (s *site) status(want string) cluster.Status {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		st, err := s.m.Status(ctx, s.name)
		if err != nil {
			s.t.Fatal(err)
		}
		if st.State == want {
			return st
		}
		if ctx.Err() != nil {
			s.t.Fatalf("it is %s, want %s: %q", st.State, want, st.Problems)
		}
	}
}

// fell kills a node as a crash does.
func (s *site) fell(n cluster.NodeStatus) {
	s.t.Helper()
	i := 0
	for k, h := range s.Hosts {
		if h.Name == n.Host {
			i = k + 1
		}
	}
	if out, err := s.Try(i, "sh", "-c", `p=$(head -1 "$0/postmaster.pid") && kill -9 "$p" && while kill -0 "$p" 2>/dev/null; do :; done`, n.DataDir); err != nil {
		s.t.Fatalf("%s: %v", out, err)
	}
}

// failing are the alerts of failed nodes, as a monitor would have them.
func (s *site) failing() []state.Alert {
	return []state.Alert{{ID: "a1", Rule: monitor.NodeDown, Cluster: s.name, FiredAt: time.Now().Add(-time.Minute)}}
}

func (s *site) consider(firing []state.Alert) {
	s.t.Helper()
	s.h.Consider(s.t.Context(), s.name, firing)
	s.h.Wait()
}

func (s *site) events() string {
	s.t.Helper()
	all, err := s.m.Store.Events(s.t.Context(), state.EventFilter{Cluster: s.name, Kinds: []string{state.EventHealing, state.EventHealingFailed, state.EventAlert, state.EventAlertResolved}})
	if err != nil {
		s.t.Fatal(err)
	}
	text := ""
	for _, e := range all {
		text += e.Kind + ": " + e.Message + "\n"
	}
	return text
}

// threeTimes fells a node four times: three times it is brought back, and
// then that is said once and left to an operator.
func (s *site) threeTimes(which func(cluster.NodeStatus) bool) {
	t := s.t
	t.Helper()
	for range 4 {
		st := s.status(cluster.Up)
		for _, n := range st.Nodes {
			if which(n) {
				s.fell(n)
			}
		}
		s.status(cluster.Degraded)
		s.consider(s.failing())
	}
	s.consider(s.failing())
	if st, err := s.m.Status(t.Context(), s.name); err != nil || st.State != cluster.Degraded {
		t.Errorf("after the fourth failure: %s, %v", st.State, err)
	}
	text := s.events()
	if strings.Count(text, state.EventHealing+": ") != 3 || !strings.Contains(text, "(attempt 3 of 3)") || strings.Count(text, state.EventAlert+": ") != 1 || !strings.Contains(text, "no more is tried") {
		t.Errorf("events:\n%s", text)
	}
	// An operator does it, and the alert goes by itself.
	s.run(s.m.Recover(t.Context(), s.name, cluster.RecoverOptions{}))
	s.status(cluster.Up)
	firing, err := s.m.Store.Alerts(t.Context(), state.AlertFilter{Firing: true})
	if err != nil || len(firing) != 1 || firing[0].Rule != monitor.HealingStopped || firing[0].Remedy == "" {
		t.Fatalf("%+v, %v", firing, err)
	}
	s.consider(firing)
	if text := s.events(); !strings.Contains(text, state.EventAlertResolved) {
		t.Errorf("events:\n%s", text)
	}
}

func TestReplica(t *testing.T) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Skip("no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)")
	}
	s := newSite(t, 2, func(l *lab.Lab) string {
		return fmt.Sprintf(`apiVersion: cw/v1
kind: Cluster
name: lab
engine: {kind: postgres}
node_type: low-speed
network: {allow: [10.77.0.0/16]}
ssh: {user: %s, identity_file: %s}
layout: {data_dirs: [/data/pg]}
hosts:
  - {name: %s, address: %s, roles: [primary]}
  - {name: %s, address: %s, roles: [standby]}
`, lab.User, l.Key, l.Hosts[0].Name, l.Hosts[0].Addr, l.Hosts[1].Name, l.Hosts[1].Addr)
	})
	standby := func(n cluster.NodeStatus) bool { return n.Role == cluster.NodeStandby }
	s.threeTimes(standby)

	// What is not for a machine to decide is left alone: a primary that is
	// down, an operator who is at it, alerts that are too young, and all of it
	// where it is not wanted.
	s.h.Config.Window = time.Nanosecond
	before := s.events()
	st := s.status(cluster.Up)
	_, lease, err := s.m.Store.Acquire(t.Context(), "cluster lab", "stop")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range st.Nodes {
		if standby(n) {
			s.fell(n)
		}
	}
	s.status(cluster.Degraded)
	s.consider(s.failing())
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.h.Config.Wait = time.Hour
	s.consider(s.failing())
	s.h.Config.Wait, s.h.Config.On = time.Nanosecond, false
	s.consider(s.failing())
	s.h.Config.On = true
	for _, n := range st.Nodes {
		if !standby(n) {
			s.fell(n)
		}
	}
	s.status(cluster.Down)
	s.consider(s.failing())
	if after := s.events(); after != before {
		t.Errorf("something was done:\n%s\nbefore:\n%s", after, before)
	}

	// A recovery that fails is said to have failed, and why.
	s.run(s.m.Start(t.Context(), s.name))
	for _, n := range s.status(cluster.Up).Nodes {
		if standby(n) {
			s.fell(n)
			s.Run(2, "mv", n.DataDir, n.DataDir+".away")
		}
	}
	s.status(cluster.Degraded)
	// Its copy has no room.
	s.Run(2, "sh", "-c", "mountpoint -q /data || mount --bind /data /data; mount -o remount,ro,bind /data")
	s.consider(s.failing())
	if text := strings.TrimPrefix(s.events(), before); !strings.Contains(text, state.EventHealingFailed+": ") || !strings.Contains(text, "could not be recovered (attempt 1 of 3)") {
		t.Errorf("events:\n%s", text)
	}
}

func TestGreenplumMirror(t *testing.T) {
	home := os.Getenv("CW_TEST_GPHOME")
	if home == "" {
		t.Skip("CW_TEST_GPHOME does not name a Greenplum 6 installation")
	}
	s := newSite(t, 3, func(l *lab.Lab) string {
		return fmt.Sprintf(`apiVersion: cw/v1
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
`, home, lab.User, l.Key, l.Hosts[0].Addr, l.Hosts[1].Addr, l.Hosts[2].Addr)
	})
	s.threeTimes(func(n cluster.NodeStatus) bool { return n.Role == cluster.NodeMirror && n.Content == 0 })
}
