// Package labtest tries the cluster verbs on hosts that can lose their power:
// network namespaces with the real OpenSSH and PostgreSQL.
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
	"cw/cluster/step"
	"cw/fault"
	"cw/playground/lab"
	"cw/remote"
	"cw/state"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// site is a lab with an operator.
type site struct {
	*lab.Lab
	t   *testing.T
	m   *manage.Manager
	bin string // of PostgreSQL
}

func newSite(t *testing.T, n int) *site {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Skip("no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)")
	}
	if testing.Short() {
		t.Skip("-short: makes real clusters")
	}
	s := &site{Lab: lab.Up(t, n), t: t, bin: filepath.Dir(found[len(found)-1])}
	dir := t.TempDir()
	store, err := state.Open(t.Context(), filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s.m = &manage.Manager{
		Store: store,
		Pool: func(string) (*remote.Pool, error) { // each operation as a cw of its own
			p := remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts"), ConnectTimeout: 3 * time.Second, KeepAlive: time.Second})
			t.Cleanup(p.Close)
			return p, nil
		},
		Dir: func(name string) string { return filepath.Join(dir, "clusters", name) },
	}
	return s
}

func (s *site) ssh() cluster.SSH {
	return cluster.SSH{User: lab.User, IdentityFile: s.Key, Become: "sudo", HostKey: remote.HostKeyAcceptNew, Port: s.Hosts[0].Port}
}

// topology has a primary on the first host and standbys on the others.
func (s *site) topology() *cluster.Topology {
	s.t.Helper()
	hosts := ""
	for i, h := range s.Hosts {
		role := "standby"
		if i == 0 {
			role = "primary"
		}
		hosts += fmt.Sprintf("  - {name: %s, address: %s, roles: [%s]}\n", h.Name, h.Addr, role)
	}
	top, err := cluster.Parse(filepath.Join(s.t.TempDir(), "cluster.yaml"), []byte(fmt.Sprintf(`apiVersion: cw/v1
kind: Cluster
name: lab
engine: {kind: postgres}
node_type: low-speed
network: {allow: [10.77.0.0/16]}
ssh: {user: %s, identity_file: %s}
layout: {data_dirs: [/data/pg]}
hosts:
%s`, lab.User, s.Key, hosts)))
	if err != nil {
		s.t.Fatal(err)
	}
	return top
}

// run runs an operation that must succeed, and returns the steps that did
// something.
func (s *site) run(op *manage.Operation, err error) (manage.Outcome, string) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	defer func(began time.Time) { s.t.Logf("%s took %s", op.Verb, time.Since(began).Round(time.Millisecond)) }(time.Now())
	out, err := op.Run(s.t.Context(), func(e step.Event) {
		if e.Duration > 2*time.Second {
			s.t.Logf("%s: %s took %s", op.Verb, e.Step.ID, e.Duration.Round(time.Millisecond))
		}
		if e.State == step.Failed {
			s.t.Logf("%s %s: %v", e.Step.ID, e.State, e.Err)
		}
	})
	if err != nil {
		s.t.Fatalf("%s: %v\nhint: %s", op.Verb, err, fault.HintOf(err))
	}
	return out, strings.Join(out.Summary.Done, " ")
}

func (s *site) want(want string) cluster.Status {
	s.t.Helper()
	st, err := s.m.Status(s.t.Context(), "lab")
	if err != nil {
		s.t.Fatal(err)
	}
	if st.State != want {
		s.t.Errorf("state is %s, want %s: %q", st.State, want, st.Problems)
	}
	return st
}

// sql runs statements as the superuser on host i.
func (s *site) sql(i int, statements string) string {
	s.t.Helper()
	out, err := s.trySQL(i, statements)
	if err != nil {
		s.t.Fatalf("%s: %v: %s", statements, err, out)
	}
	return out
}

func (s *site) trySQL(i int, statements string) (string, error) {
	s.t.Helper()
	_, lay, err := s.m.Topology(s.t.Context(), "lab")
	if err != nil {
		s.t.Fatal(err)
	}
	n := lay.On(s.Hosts[i-1].Name)[0]
	out, err := s.Try(i, "runuser", "-u", "postgres", "--", s.bin+"/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", n.SocketDir(), "-p", fmt.Sprint(n.Port), "-d", "postgres", "-c", statements)
	return strings.TrimSpace(out), err
}

// eventually asks a standby until the answer is as wanted; what it asks for
// need not be there yet.
func (s *site) eventually(i int, query, want string) {
	s.t.Helper()
	got := ""
	for range 200 {
		var err error
		if got, err = s.trySQL(i, query); err == nil && got == want {
			return
		}
		s.sql(i, "select pg_sleep(0.05)")
	}
	s.t.Errorf("%s on host %d is %s, want %s", query, i, got, want)
}
