package source

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/ssh"

	"cw/playground/pgtest"
	"cw/remote"
	"cw/remote/sshtest"
	"cw/state"
)

func newStore(t *testing.T) *state.Store {
	t.Helper()
	st, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// watching is a source that runs, and what it has sent.
type watching struct {
	t     *testing.T
	l     *Live
	snaps <-chan *Snapshot
	stop  func() // ends it and waits until nothing is left
	seen  int
}

func watch(t *testing.T, o LiveOptions) *watching {
	t.Helper()
	if o.Store == nil {
		o.Store = newStore(t)
	}
	return start(t, NewLive(o))
}

func start(t *testing.T, l *Live) *watching {
	t.Helper()
	w := &watching{t: t, l: l}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	if w.snaps, err = w.l.Start(ctx); err != nil {
		t.Fatal(err)
	}
	w.stop = func() {
		cancel()
		began := time.Now()
		for range w.snaps {
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s to end", took)
		}
	}
	t.Cleanup(w.stop)
	return w
}

// until takes snapshots until one is as wanted.
func (w *watching) until(what string, ok func(*Snapshot) bool) *Snapshot {
	w.t.Helper()
	patience := time.After(30 * time.Second)
	var last *Snapshot
	for {
		select {
		case s, open := <-w.snaps:
			if !open {
				w.t.Fatalf("%s: the source has ended", what)
			}
			w.seen++
			if last = s; ok(s) {
				return s
			}
		case <-patience:
			w.t.Fatalf("%s: not so in 30 s; last: %+v", what, last)
		}
	}
}

func TestStoreComesFirst(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	j, err := st.CreateJob(t.Context(), state.Job{Kind: "load", SpecFile: "a.yaml", Target: "db.t", Control: state.Control{WantLimit: 7}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []state.Event{{Kind: "load-started", Job: j.ID, Message: "one"}, {Kind: "created", Cluster: "other", Message: "not ours"}} {
		if err := st.AddEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	w := watch(t, LiveOptions{Store: st, Cluster: "dw1", Connect: func(ctx context.Context) (*pgx.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }})
	// The first one, unless the machine is too busy for the store to be read soon.
	s := w.until("the store", func(s *Snapshot) bool { return !s.Loads.CollectedAt.IsZero() && !s.Events.CollectedAt.IsZero() })
	if len(s.Loads.Items) != 1 || s.Loads.Items[0].Limit != 7 || s.Loads.Items[0].State != state.Pending || s.Loads.CollectedAt.IsZero() {
		t.Errorf("loads %+v", s.Loads)
	}
	if len(s.Events.Items) != 1 || s.Events.Items[0].Message != "one" || s.Events.Items[0].ID == 0 {
		t.Errorf("events %+v", s.Events)
	}
	if s.Cluster.Name != "dw1" || !s.Sessions.CollectedAt.IsZero() {
		t.Errorf("cluster %+v sessions %+v", s.Cluster, s.Sessions)
	}
	// What comes later is added, once, and what was sent stays as it is.
	if err := st.AddEvent(t.Context(), state.Event{Kind: "fault", Cluster: "dw1", Severity: state.Critical, Message: "two"}); err != nil {
		t.Fatal(err)
	}
	next := w.until("a second event", func(s *Snapshot) bool { return len(s.Events.Items) == 2 })
	if len(s.Events.Items) != 1 || next.Events.Items[1].Message != "two" {
		t.Errorf("events %+v", next.Events.Items)
	}
	third := w.until("another snapshot", func(*Snapshot) bool { return true })
	if &third.Events.Items[0] != &next.Events.Items[0] {
		t.Error("events that did not change are copied")
	}
}

func TestLoadsAreControlled(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	j, err := st.CreateJob(t.Context(), state.Job{Kind: "load", Target: "db.t"})
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, LiveOptions{Store: st})
	ended, err := st.CreateJob(t.Context(), state.Job{Kind: "load"})
	if err == nil {
		err = st.FinishJob(t.Context(), ended.ID, state.Done, "", "")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		a     Action
		want  state.Control
		fails bool
	}{
		{a: Action{Kind: SetLimit, Load: j.ID, Limit: 50_000_000}, want: state.Control{WantLimit: 50_000_000}},
		{a: Action{Kind: PauseLoad, Load: j.ID}, want: state.Control{WantLimit: 50_000_000, Want: state.WantPause}},
		{a: Action{Kind: ContinueLoad, Load: j.ID}, want: state.Control{WantLimit: 50_000_000}},
		{a: Action{Kind: CancelLoad, Load: j.ID}, want: state.Control{WantLimit: 50_000_000, Want: state.WantCancel}},
		{a: Action{Kind: PauseLoad, Load: ended.ID}, want: state.Control{WantLimit: 50_000_000, Want: state.WantCancel}, fails: true},
		{a: Action{Kind: CancelLoad, Load: "lnone"}, want: state.Control{WantLimit: 50_000_000, Want: state.WantCancel}, fails: true},
	} {
		text, err := w.l.Do(t.Context(), step.a)
		if (err != nil) != step.fails || !step.fails && !strings.Contains(text, j.ID) {
			t.Errorf("%s: %q %v", step.a.Kind, text, err)
		}
		if got, err := st.JobControl(t.Context(), j.ID); err != nil || got != step.want {
			t.Errorf("%s: %+v %v", step.a.Kind, got, err)
		}
	}
	audit, err := st.Audit(t.Context(), 100)
	if err != nil || len(audit) != 6 || audit[5].Argv != "cw top: load limit "+j.ID+" 50MB/s" || audit[1].ExitCode != 1 || audit[5].Operator == "" {
		t.Errorf("audit %+v %v", audit, err)
	}
	s := w.until("the actions' events", func(s *Snapshot) bool {
		n := 0
		for _, e := range s.Events.Items {
			if e.Kind == state.EventAction {
				n++
			}
		}
		return n == 6
	})
	if e := s.Events.Items[len(s.Events.Items)-1]; e.Severity != state.Warning || e.Job != "lnone" {
		t.Errorf("last event %+v", e)
	}
	d, err := w.l.Detail(t.Context(), DetailRequest{Load: j.ID})
	if err != nil || !strings.Contains(fmt.Sprint(d), "load pause "+j.ID) {
		t.Errorf("detail %v %v", d, err)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	j, err := st.CreateJob(t.Context(), state.Job{Kind: "load"})
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, LiveOptions{Store: st, ReadOnly: true})
	if _, err := w.l.Do(t.Context(), Action{Kind: PauseLoad, Load: j.ID}); err == nil {
		t.Error("paused")
	}
	if c, err := st.JobControl(t.Context(), j.ID); err != nil || c.Want != "" {
		t.Errorf("%+v %v", c, err)
	}
	if a, err := st.Audit(t.Context(), 1); err != nil || len(a) != 0 {
		t.Errorf("audit %+v %v", a, err)
	}
	if text, err := w.l.Do(t.Context(), Action{Kind: Interval, Every: time.Millisecond}); err != nil || text != "interval 500ms" {
		t.Errorf("%q %v", text, err)
	}
}

// farm is a few hosts that are this machine.
type farm struct {
	servers []*sshtest.Server
	hosts   []*remote.Host
	pool    *remote.Pool
}

func newFarm(t *testing.T, n int) *farm {
	t.Helper()
	dir := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := &farm{pool: remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts"), ConnectTimeout: 5 * time.Second, KeepAlive: time.Second})}
	t.Cleanup(f.pool.Close)
	for i := range n {
		s, err := sshtest.Listen(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}, Home: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		f.servers = append(f.servers, s)
		f.hosts = append(f.hosts, f.pool.Host(remote.Target{Name: fmt.Sprintf("h%d", i+1), Address: s.Addr(), Port: s.Port(), User: "deploy", IdentityFile: file}))
	}
	return f
}

func TestHostsAreWatchedAndADeadOneDelaysNobody(t *testing.T) {
	t.Parallel()
	f := newFarm(t, 3)
	st := newStore(t)
	w := watch(t, LiveOptions{Store: st, Hosts: f.hosts})
	s := w.until("rates of all hosts", func(s *Snapshot) bool {
		for _, h := range s.Hosts.Items {
			if len(h.CPUHist) < 2 {
				return false
			}
		}
		return len(s.Hosts.Items) == 3
	})
	for _, h := range s.Hosts.Items {
		if h.Err != "" || h.CPUs != runtime.NumCPU() && h.CPUs < 1 || h.MemTotal < 1<<20 || len(h.Mounts) == 0 || h.Address == "" || time.Since(h.SampledAt) > 3*time.Second {
			t.Errorf("host %+v", h)
		}
	}
	for i, srv := range f.servers {
		if n := len(srv.Calls()); n != 1 {
			t.Errorf("host %d was asked to run %d commands: %q", i+1, n, srv.Calls())
		}
	}
	f.servers[1].Stall(true)
	cut := time.Now()
	w.until("a stale host", func(s *Snapshot) bool { return s.Hosts.Items[1].Err != "" })
	if took := time.Since(cut); took > 5*time.Second || took < time.Second {
		t.Errorf("it took %s", took)
	}
	for range 3 {
		s = w.until("the others", func(*Snapshot) bool { return true })
		for _, i := range []int{0, 2} {
			if h := s.Hosts.Items[i]; h.Err != "" || time.Since(h.SampledAt) > 2500*time.Millisecond {
				t.Errorf("host %d: %q, sample of %s ago", i+1, h.Err, time.Since(h.SampledAt))
			}
		}
	}
	w.until("an event about it", func(s *Snapshot) bool {
		return len(s.Events.Items) == 1 && s.Events.Items[0].Kind == state.EventFault && s.Events.Items[0].Host == "h2"
	})
	f.servers[1].Stall(false)
	w.until("the host again", func(s *Snapshot) bool { return s.Hosts.Items[1].Err == "" })
	w.until("an event about that", func(s *Snapshot) bool {
		return len(s.Events.Items) == 2 && s.Events.Items[1].Kind == state.EventRecovered
	})
	// One that hangs up is there again after a moment.
	f.servers[0].DropConnections()
	w.until("a second connection", func(s *Snapshot) bool { return len(f.servers[0].Calls()) > 1 && s.Hosts.Items[0].Err == "" })
}

func TestNothingIsLeft(t *testing.T) { //nolint:paralleltest // counts goroutines
	f := newFarm(t, 2)
	srv := pgtest.Start(t)
	for _, stall := range []bool{false, true} { // the second ends the hosts
		name := map[bool]string{false: "well", true: "dead host"}[stall]
		w := watch(t, LiveOptions{Cluster: "dw1", Hosts: f.hosts, Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, srv.DSN("postgres")) }})
		w.until("everything", func(s *Snapshot) bool {
			return s.Hosts.Items[0].CPUs > 0 && s.Hosts.Items[1].CPUs > 0 && !s.Sessions.CollectedAt.IsZero()
		})
		f.servers[1].Stall(stall)
		if stall {
			w.until("a stale host", func(s *Snapshot) bool { return s.Hosts.Items[1].Err != "" })
			// The pool of the test's own hosts is the test's.
			go func() { <-time.After(300 * time.Millisecond); f.pool.Close() }()
		}
		w.stop()
		left := goroutines()
		for late := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(late); { // the one that closed the channel has yet to return
			runtime.Gosched()
			left = goroutines()
		}
		for _, g := range left {
			t.Errorf("%s: left:\n%s", name, g)
		}
		c := srv.Connect(t, "postgres")
		var n int
		for range 100 { // the server takes a moment to see us go
			if err := c.QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = 'cw top'").Scan(&n); err != nil || n == 0 {
				break
			}
		}
		if n != 0 {
			t.Errorf("%s: %d sessions left", name, n)
		}
	}
}

// goroutines are those of this package's collectors.
func goroutines() []string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var left []string
	for _, g := range strings.Split(string(buf), "\n\n") {
		if strings.Contains(g, "source.(*Live)") || strings.Contains(g, "source.(*sampling)") {
			left = append(left, g)
		}
	}
	return left
}
