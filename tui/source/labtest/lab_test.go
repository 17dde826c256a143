// Package labtest watches a real cluster on hosts that can lose their power:
// network namespaces with the real OpenSSH and PostgreSQL.
package labtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// site is a cluster of three in a lab, and a dashboard that looks at it.
type site struct {
	*lab.Lab
	t     *testing.T
	m     *manage.Manager
	name  string
	store *state.Store
	live  *source.Live
	snaps <-chan *source.Snapshot
}

func newSite(t *testing.T, n int) *site {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Skip("no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)")
	}
	if testing.Short() {
		t.Skip("-short: makes a real cluster")
	}
	s := &site{Lab: lab.Up(t, n), t: t, name: "lab"}
	s.Run(n, "mount", "-t", "tmpfs", "-o", "size=400m,mode=1777", "none", "/data") // a disk that a test can fill
	dir := t.TempDir()
	if s.store, err = state.Open(t.Context(), filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	pool := func(string) (*remote.Pool, error) {
		p := remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts"), ConnectTimeout: 3 * time.Second, KeepAlive: time.Second})
		t.Cleanup(p.Close)
		return p, nil
	}
	s.m = &manage.Manager{Store: s.store, Pool: pool, Dir: func(name string) string { return filepath.Join(dir, "clusters", name) }}
	var hosts strings.Builder
	for i, h := range s.Hosts {
		role := "standby"
		if i == 0 {
			role = "primary"
		}
		fmt.Fprintf(&hosts, "  - {name: %s, address: %s, roles: [%s]}\n", h.Name, h.Addr, role)
	}
	top, err := cluster.Parse(filepath.Join(dir, "cluster.yaml"), fmt.Appendf(nil, `apiVersion: cw/v1
kind: Cluster
name: lab
engine: {kind: postgres}
node_type: low-speed
network: {allow: [10.77.0.0/16]}
tls: {mode: self-signed}
ssh: {user: %s, identity_file: %s}
layout: {data_dirs: [/data/pg]}
hosts:
%s`, lab.User, s.Key, hosts.String()))
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
	return s
}

func (s *site) watch() {
	s.t.Helper()
	s.live = source.NewLive(source.LiveOptions{Cluster: s.name, Manager: s.m, Store: s.store, Interval: time.Second})
	ctx, cancel := context.WithCancel(s.t.Context())
	began := time.Now()
	var err error
	if s.snaps, err = s.live.Start(ctx); err != nil {
		s.t.Fatal(err)
	}
	first := <-s.snaps
	s.t.Logf("first snapshot after %s", time.Since(began).Round(time.Millisecond))
	if len(first.Nodes.Items) < len(s.Hosts) || first.Nodes.Items[0].State != cluster.NodeUnknown {
		s.t.Errorf("first snapshot has nodes %+v", first.Nodes.Items)
	}
	s.t.Cleanup(func() {
		cancel()
		began := time.Now()
		for range s.snaps {
		}
		if took := time.Since(began); took > 2*time.Second {
			s.t.Errorf("it took %s to end", took)
		}
	})
}

// until takes snapshots until one is as wanted, and says how long that took.
func (s *site) until(what string, ok func(*source.Snapshot) bool) (*source.Snapshot, time.Duration) {
	s.t.Helper()
	began := time.Now()
	patience := time.After(150 * time.Second)
	var last *source.Snapshot
	for {
		select {
		case x := <-s.snaps:
			if last = x; ok(x) {
				s.t.Logf("%s: after %s", what, time.Since(began).Round(time.Millisecond))
				return x, time.Since(began)
			}
		case <-patience:
			s.t.Fatalf("%s: not so in 60 s; cluster %+v nodes %+v hosts %s events %+v degraded %v", what, last.Cluster, last.Nodes.Items, errs(last), last.Events.Items, last.Degraded)
		}
	}
}

func errs(s *source.Snapshot) string {
	var out []string
	for _, h := range s.Hosts.Items {
		out = append(out, fmt.Sprintf("%s: %q %+v", h.Name, h.Err, h.Mounts))
	}
	return strings.Join(out, "; ")
}

func has(s *source.Snapshot, kind, text string) bool {
	return slices.ContainsFunc(s.Events.Items, func(e source.Event) bool { return e.Kind == kind && strings.Contains(e.Message, text) })
}

// super has a session of the superuser block another one, and cancels it.
func (s *site) super() {
	s.t.Helper()
	_, lay, err := s.m.Topology(s.t.Context(), "lab")
	if err != nil {
		s.t.Fatal(err)
	}
	p := lay.Primary()
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin/psql")
	if err != nil || len(bin) == 0 {
		s.t.Fatal("no psql")
	}
	psql := func(app, sql string) <-chan string {
		out := make(chan string, 1)
		go func() {
			text, _ := s.Try(1, "runuser", "-u", "postgres", "--", "env", "PGAPPNAME="+app, bin[len(bin)-1], "-X", "-h", p.SocketDir(), "-p", fmt.Sprint(p.Port), "-d", "postgres", "-c", sql)
			out <- text
		}()
		return out
	}
	find := func(x *source.Snapshot, app string) source.Session {
		for _, one := range x.Sessions.Items {
			if one.App == app {
				return one
			}
		}
		return source.Session{}
	}
	if text := <-psql("made", "create table public.t (n int)"); !strings.Contains(text, "CREATE") {
		s.t.Fatal(text)
	}
	holder := psql("holder", "begin; lock table public.t; select pg_sleep(600)")
	s.until("the holder", func(x *source.Snapshot) bool { return strings.Contains(find(x, "holder").Query, "sleep") })
	waiter := psql("waiter", "select count(*) from public.t")
	x, _ := s.until("a blocked session", func(x *source.Snapshot) bool { return len(find(x, "waiter").BlockedBy) == 1 })
	h := find(x, "holder")
	text, err := s.live.Do(s.t.Context(), source.Action{Kind: source.CancelSession, PID: h.PID, BackendStart: h.Backend})
	if err != nil {
		s.t.Errorf("%q %v, hint %s", text, err, fault.HintOf(err))
	}
	if text := <-holder; !strings.Contains(text, "canceling statement due to user request") {
		s.t.Errorf("holder: %s", text)
	}
	if text := <-waiter; !strings.Contains(text, "1 row") {
		s.t.Errorf("waiter: %s", text)
	}
}

func TestDatabaseBehindAFirewall(t *testing.T) {
	s := newSite(t, 1)
	for _, rule := range []string{"add table inet fw", "add chain inet fw in { type filter hook input priority 0 ; }", "add rule inet fw in iifname eth0 tcp dport 5432 drop"} {
		s.Run(1, append([]string{"nft"}, strings.Fields(rule)...)...)
	}
	s.watch()
	x, _ := s.until("sessions", func(x *source.Snapshot) bool {
		return !x.Sessions.CollectedAt.IsZero() && x.Cluster.State == cluster.Up
	})
	if x.Sessions.Err != "" || x.Cluster.Err != "" {
		t.Errorf("sessions %q cluster %q", x.Sessions.Err, x.Cluster.Err)
	}
}

func TestFaultsOfARealCluster(t *testing.T) {
	s := newSite(t, 3)
	s.watch()
	well := func(x *source.Snapshot) bool {
		return x.Cluster.State == cluster.Up && x.Nodes.Items[1].Mode == cluster.ModeStreaming && x.Nodes.Items[2].LagBytes != nil && x.Hosts.Items[0].CPUHist != nil
	}
	x, _ := s.until("all is well", well)
	if len(x.Degraded) > 0 || x.Sessions.Err != "" || !strings.HasPrefix(x.Hosts.Items[1].Mounts[0].Path, "/") {
		t.Errorf("degraded %v sessions %q", x.Degraded, x.Sessions.Err)
	}

	// A replica that is stopped.
	_, lay, err := s.m.Topology(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	s.Run(3, "sh", "-c", `kill -INT $(head -n 1 "$1/postmaster.pid")`, "sh", lay.Nodes[2].DataDir)
	x, took := s.until("a replica that is stopped", func(x *source.Snapshot) bool { return x.Nodes.Items[2].State == cluster.NodeDown })
	if took > 10*time.Second || x.Cluster.State != cluster.Degraded || x.Nodes.Items[1].State != cluster.NodeUp {
		t.Errorf("after %s: cluster %+v", took, x.Cluster)
	}
	s.until("its event", func(x *source.Snapshot) bool { return has(x, state.EventFault, "standby n3 on db3 is down") })
	d, err := s.live.Detail(t.Context(), source.DetailRequest{LogTail: "n3"})
	if err != nil || !strings.Contains(fmt.Sprint(d), "shut") {
		t.Errorf("log %v %v", d, err)
	}

	// Bringing it back, as cw cluster recover does.
	plan, err := s.live.Do(t.Context(), source.Action{Kind: source.Recover, Cluster: "lab", DryRun: true})
	if err != nil || !strings.Contains(plan, "db3: ") {
		t.Errorf("plan %q %v", plan, err)
	}
	text, err := s.live.Do(t.Context(), source.Action{Kind: source.Recover, Cluster: "lab"})
	if err != nil || !strings.Contains(text, "recover lab:") {
		t.Errorf("recover: %q %v", text, err)
	}
	s.until("all is well again", well)
	s.until("the events of that", func(x *source.Snapshot) bool {
		return has(x, state.EventRecovered, "n3 on db3 is up, was down") && has(x, state.EventAction, "recover")
	})

	// A disk that fills.
	full := func(x *source.Snapshot) bool {
		m := x.Hosts.Items[2].Mounts
		return len(m) > 1 && m[0].Path == "/data" && m[0].Used*100 > m[0].Size*95
	}
	if full(x) {
		t.Errorf("the disk is full before: %+v", x.Hosts.Items[2].Mounts)
	}
	s.Run(3, "sh", "-c", "head -c 1G /dev/zero >/data/ballast 2>/dev/null; truncate -s -2M /data/ballast")
	if _, took := s.until("a full disk", full); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	s.Run(3, "rm", "/data/ballast")

	// A session of the superuser, which the dashboard's role may not signal.
	s.super()

	// A host without power.
	s.Off(2)
	off := time.Now()
	x, took = s.until("a host that is off", func(x *source.Snapshot) bool { return x.Hosts.Items[1].Err != "" })
	if took > 4*time.Second { // 3 s and a tick
		t.Errorf("it took %s", took)
	}
	for time.Since(off) < 6*time.Second {
		x, _ = s.until("the others", func(*source.Snapshot) bool { return true })
		for _, i := range []int{0, 2} {
			if h := x.Hosts.Items[i]; h.Err != "" || time.Since(h.SampledAt) > 2500*time.Millisecond {
				t.Errorf("host %s: %q, %s", h.Name, h.Err, time.Since(h.SampledAt))
			}
		}
		if x.Sessions.Err != "" {
			t.Errorf("sessions: %s", x.Sessions.Err)
		}
	}
	if n := x.Nodes.Items[1]; n.State != cluster.NodeUnknown || x.Cluster.State != cluster.Degraded || !strings.Contains(fmt.Sprint(x.Cluster.Problems), "n2 on db2") {
		t.Errorf("node %+v cluster %+v", n, x.Cluster)
	}
	s.until("its event", func(x *source.Snapshot) bool { return has(x, state.EventFault, "host db2 does not answer") })
	s.On(2)
	s.until("the host again", func(x *source.Snapshot) bool { return x.Hosts.Items[1].Err == "" })

	// The primary's host: nobody else can tell, and the hosts are asked.
	s.Off(1)
	s.until("no primary", func(x *source.Snapshot) bool {
		return x.Hosts.Items[0].Err != "" && x.Cluster.Err != "" && x.Cluster.State != cluster.Up && x.Nodes.Items[2].State == cluster.NodeUp
	})
}
