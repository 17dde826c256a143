// Package labtest has monitors watch real clusters on hosts that lose their
// network and their power: network namespaces with the real OpenSSH and
// PostgreSQL. Where two monitors share a store, one is a process of its own,
// so that it can be killed.
package labtest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/fault"
	"cw/monitor"
	"cw/monitor/alert"
	"cw/monitor/run"
	"cw/playground/lab"
	"cw/playground/pgtest"
	"cw/remote"
	"cw/state"
)

// envMonitor makes this binary a monitor of a site.
const envMonitor = "CW_TEST_MONITOR_SITE"

func TestMain(m *testing.M) {
	if text := os.Getenv(envMonitor); text != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		if err := watch(ctx, text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		stop()
		os.Exit(0)
	}
	os.Exit(lab.Main(m))
}

// place is where the monitors find store and keys.
type place struct{ Store, Dir, Hook, Mail string }

// watch is a monitor, with a store of its own.
func watch(ctx context.Context, text string) error {
	var p place
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return err
	}
	store, err := state.Open(ctx, p.Store)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	return run.Run(ctx, p.options(store, slog.New(slog.NewTextHandler(os.Stderr, nil))))
}

func (p place) options(store *state.Store, log *slog.Logger) run.Options {
	o := run.Options{Store: store, Manager: p.manager(store), Pool: p.pool, Config: monitor.Defaults(), Log: log}
	if p.Hook == "" {
		return o
	}
	o.Config = p.config()
	o.Notify = func(ctx context.Context) {
		if err := alert.New(alert.Options{Store: store, Config: o.Config, Log: log}).Run(ctx); err != nil {
			log.Error("nobody is told", "error", err)
		}
	}
	return o
}

func (p place) manager(store *state.Store) *manage.Manager {
	return &manage.Manager{Store: store, Pool: p.pool, Dir: func(name string) string { return filepath.Join(p.Dir, "clusters", name) }}
}

// pool has the times of cw's own pool for those that only look.
func (p place) pool(string) (*remote.Pool, error) {
	return remote.NewPool(remote.Options{KnownHosts: filepath.Join(p.Dir, "known_hosts"), ConnectTimeout: 5 * time.Second, KeepAlive: 2 * time.Second}), nil
}

// guarded is a cluster of three in a lab, with the store of its monitors.
type guarded struct {
	*lab.Lab
	place
	t     *testing.T
	m     *manage.Manager
	store *state.Store
	lay   *cluster.Layout
	times map[string][]time.Duration
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: makes a real cluster")
	}
	s := &guarded{Lab: lab.Up(t, 3), t: t, times: map[string][]time.Duration{}}
	s.place = place{Store: pgtest.Start(t).DSN("postgres"), Dir: t.TempDir()}
	s.Run(3, "mount", "-t", "tmpfs", "-o", "size=400m,mode=1777", "none", "/data") // a disk that a test can fill
	var err error
	if s.store, err = state.Open(t.Context(), s.Store); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	s.m = s.manager(s.store)
	var hosts strings.Builder
	for i, h := range s.Hosts {
		role := "standby"
		if i == 0 {
			role = "primary"
		}
		fmt.Fprintf(&hosts, "  - {name: %s, address: %s, roles: [%s]}\n", h.Name, h.Addr, role)
	}
	top, err := cluster.Parse(filepath.Join(s.Dir, "cluster.yaml"), fmt.Appendf(nil, `apiVersion: cw/v1
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
	if err == nil {
		_, s.lay, err = s.m.Topology(t.Context(), "lab")
	}
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, fault.HintOf(err))
	}
	return s
}

// process starts a monitor as a process in a process-id namespace of its own:
// to the others it is on another machine, whose end they cannot see. The
// returned function kills it.
func (s *guarded) process() (kill func()) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := json.Marshal(s.place)
	if err != nil {
		s.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(s.Dir, "monitor.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--", "sh", "-c", `hostname other && exec "$0"`, self)
	cmd.Env = append(os.Environ(), envMonitor+"="+string(text))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	s.t.Cleanup(func() {
		kill()
		if s.t.Failed() {
			out, _ := os.ReadFile(log.Name())
			s.t.Logf("the monitor that was killed said:\n%s", out)
		}
	})
	return kill
}

// standby runs a monitor in this process. Its end is checked, and what it said
// is shown when the test fails.
func (s *guarded) standby() (stop func()) {
	s.t.Helper()
	store, err := state.Open(s.t.Context(), s.Store)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	var said lockedText
	done := make(chan error, 1)
	go func() { done <- run.Run(ctx, s.options(store, slog.New(slog.NewTextHandler(&said, nil)))) }()
	stop = sync.OnceFunc(func() {
		cancel()
		began := time.Now()
		if err := <-done; err != nil {
			s.t.Errorf("the monitor ended with %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			s.t.Errorf("it took %s to end", took)
		}
		_ = store.Close()
		if s.t.Failed() {
			s.t.Logf("the monitor of this process said:\n%s", said.String())
		}
	})
	s.t.Cleanup(stop)
	return stop
}

// lockedText is what a logger wrote.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// until waits for something in the store.
func (s *guarded) until(what string, patience time.Duration, ok func() bool) time.Duration {
	s.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > patience {
			all, _ := s.store.Alerts(s.t.Context(), state.AlertFilter{})
			s.t.Fatalf("%s: not so in %s; alerts %+v", what, patience, all)
		}
		time.Sleep(50 * time.Millisecond)
	}
	took := time.Since(began)
	s.t.Logf("%s: after %s", what, took.Round(10*time.Millisecond))
	return took
}

// alerts are those of a rule and host, firing or over.
func (s *guarded) alerts(rule, host string) (out []state.Alert) {
	s.t.Helper()
	all, err := s.store.Alerts(s.t.Context(), state.AlertFilter{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range all {
		if (rule == "" || a.Rule == rule) && (host == "" || a.Host == host) {
			out = append(out, a)
		}
	}
	return out
}

func (s *guarded) firing(rule, host string) (state.Alert, bool) {
	for _, a := range s.alerts(rule, host) {
		if a.ResolvedAt.IsZero() {
			return a, true
		}
	}
	return state.Alert{}, false
}

// fires waits for the alert of a fault that began at, and notes how long that
// took.
func (s *guarded) fires(what, rule, host string, began time.Time) state.Alert {
	s.t.Helper()
	var a state.Alert
	s.until(what, 40*time.Second, func() (ok bool) { a, ok = s.firing(rule, host); return ok })
	took := a.FiredAt.Sub(began)
	s.times[what] = append(s.times[what], took)
	s.t.Logf("%s: alert %s after the fault: %s", what, took.Round(10*time.Millisecond), a.Message)
	return a
}

// ends waits until nothing of a rule and host fires.
func (s *guarded) ends(what, rule, host string) {
	s.t.Helper()
	s.until(what+" is over", 90*time.Second, func() bool { _, ok := s.firing(rule, host); return !ok })
}

// calm waits until the cluster is seen to be well and nothing fires.
func (s *guarded) calm() {
	s.t.Helper()
	s.until("all is well", 90*time.Second, func() bool {
		all, err := s.store.Members(s.t.Context(), "")
		if err != nil {
			return false
		}
		up := 0
		for _, m := range all {
			if (m.Kind == state.MemberCluster || m.Kind == state.MemberHost) && m.State == cluster.Up { // hosts, too, are up
				up++
			}
		}
		_, firing := s.firing("", "")
		return up == 1+len(s.Hosts) && !firing
	})
}
