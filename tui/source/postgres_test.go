package source

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/playground/pgtest"
)

// as is how a role of a server is connected to.
func as(srv *pgtest.Server, role string) func(context.Context) (*pgx.Conn, error) {
	dsn := strings.Replace(srv.DSN("postgres"), "cw:cw@", role+"@", 1)
	return func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, dsn) }
}

// named opens a session that is known by its application.
func named(t *testing.T, srv *pgtest.Server, app string) *pgx.Conn {
	t.Helper()
	c := srv.Connect(t, "postgres")
	if _, err := c.Exec(t.Context(), "set application_name = '"+app+"'"); err != nil {
		t.Fatal(err)
	}
	return c
}

func session(s *Snapshot, app string) Session {
	i := slices.IndexFunc(s.Sessions.Items, func(x Session) bool { return x.App == app })
	if i < 0 {
		return Session{}
	}
	return s.Sessions.Items[i]
}

// blocked makes one session hold a row lock and another wait for it.
func blocked(t *testing.T, srv *pgtest.Server) (holder *pgx.Conn, ended <-chan error) {
	t.Helper()
	srv.Exec(t, "postgres", "create table if not exists t (n int); insert into t values (1)")
	holder = named(t, srv, "holder")
	for _, sql := range []string{"begin", "update t set n = 2"} {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	waiter := named(t, srv, "waiter")
	done := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(t.Context(), "update t set n = 3 -- \x1b[31mred")
		done <- err
	}()
	return holder, done
}

func TestBlockedSession(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	w := watch(t, LiveOptions{Cluster: "dw1", Interval: time.Second, Connect: as(srv, "cw:cw")})
	w.until("the first sessions", func(s *Snapshot) bool { return !s.Sessions.CollectedAt.IsZero() })
	_, ended := blocked(t, srv)
	w.seen = 0
	s := w.until("a blocked session", func(s *Snapshot) bool { return len(session(s, "waiter").BlockedBy) > 0 })
	if w.seen > 3 { // two ticks after the one that may have been under way
		t.Errorf("it took %d snapshots", w.seen)
	}
	waiter, holder := session(s, "waiter"), session(s, "holder")
	if !slices.Equal(waiter.BlockedBy, []int{holder.PID}) || !strings.HasPrefix(waiter.Wait, "Lock:") || waiter.State != "active" || !strings.Contains(waiter.Query, "\x1b[31mred") {
		t.Errorf("waiter %+v", waiter)
	}
	if holder.State != "idle in transaction" || holder.Wait != "" || holder.XactStart.IsZero() || holder.Backend.IsZero() || holder.User != "cw" || holder.Client != "127.0.0.1" {
		t.Errorf("holder %+v", holder)
	}
	if session(s, "cw top").PID != 0 {
		t.Error("the dashboard sees itself")
	}
	if len(s.Degraded) != 0 {
		t.Errorf("degraded %v", s.Degraded)
	}
	d, err := w.l.Detail(t.Context(), DetailRequest{PID: waiter.PID})
	text := fmt.Sprint(d)
	if err != nil || !strings.Contains(text, "waits for ShareLock on transactionid") || !strings.Contains(text, fmt.Sprintf("is blocked by %d (cw, holder", holder.PID)) || !strings.Contains(text, "set n = 3") {
		t.Errorf("detail %s %v", text, err)
	}

	// A later session with the same pid is another one.
	_, err = w.l.Do(t.Context(), Action{Kind: TerminateSession, PID: holder.PID, BackendStart: holder.Backend.Add(-time.Second)})
	if err == nil || !strings.Contains(err.Error(), "has ended already") {
		t.Errorf("a stranger was ended: %v", err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the waiter goes on: %v", err)
	default:
	}
	text, err = w.l.Do(t.Context(), Action{Kind: TerminateSession, PID: holder.PID, BackendStart: holder.Backend})
	if err != nil || text != fmt.Sprintf("ended session %d (cw)", holder.PID) {
		t.Errorf("%q %v", text, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the waiter: %v", err)
	}
	w.until("nobody blocked", func(s *Snapshot) bool {
		return session(s, "holder").PID == 0 && len(session(s, "waiter").BlockedBy) == 0
	})
}

func TestCancelOfABlockingQuery(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	srv.Exec(t, "postgres", "create table t (n int)")
	w := watch(t, LiveOptions{Cluster: "dw1", Interval: time.Second, Connect: as(srv, "cw:cw")})
	holder, waiter := named(t, srv, "holder"), named(t, srv, "waiter")
	slept, waited := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := holder.Exec(t.Context(), "begin; lock table t; select pg_sleep(600)")
		slept <- err
	}()
	w.until("the holder", func(s *Snapshot) bool { return strings.Contains(session(s, "holder").Query, "sleep") })
	go func() {
		_, err := waiter.Exec(t.Context(), "select * from t")
		waited <- err
	}()
	s := w.until("the waiter", func(s *Snapshot) bool { return len(session(s, "waiter").BlockedBy) == 1 })
	h := session(s, "holder")
	if text, err := w.l.Do(t.Context(), Action{Kind: CancelSession, PID: h.PID, BackendStart: h.Backend}); err != nil || !strings.Contains(text, "cancelled the query of session") {
		t.Errorf("%q %v", text, err)
	}
	if err := <-slept; err == nil || !strings.Contains(err.Error(), "57014") {
		t.Errorf("the holder: %v", err)
	}
	if err := <-waited; err != nil { // an implicit transaction block ends with its error
		t.Errorf("the waiter: %v", err)
	}
}

func TestOrdinaryRoleLosesColumnsNotThePage(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	srv.Exec(t, "postgres", "create role reader login password 'r'")
	w := watch(t, LiveOptions{Cluster: "dw1", Interval: time.Second, Connect: as(srv, "reader:r")})
	_, ended := blocked(t, srv)
	s := w.until("a blocked session", func(s *Snapshot) bool { return len(session(s, "waiter").BlockedBy) > 0 })
	holder, waiter := session(s, "holder"), session(s, "waiter")
	if !slices.Equal(waiter.BlockedBy, []int{holder.PID}) || waiter.Wait != "Lock" || waiter.Query != hidden {
		t.Errorf("waiter %+v", waiter)
	}
	if why := s.Degraded["query"]; !strings.Contains(why, "grant pg_monitor to reader") || s.Sessions.Err != "" {
		t.Errorf("degraded %v, sessions %q", s.Degraded, s.Sessions.Err)
	}
	_, err := w.l.Do(t.Context(), Action{Kind: CancelSession, PID: holder.PID, BackendStart: holder.Backend})
	if !holder.Backend.IsZero() || err == nil || !strings.Contains(fault.HintOf(err), "grant") {
		t.Errorf("cancel of %+v: %v, hint %q", holder, err, fault.HintOf(err))
	}
	srv.Exec(t, "postgres", "grant pg_monitor to reader; alter role reader inherit")
	s = w.until("the privilege", func(s *Snapshot) bool { return s.Degraded["query"] == "" && session(s, "waiter").Query != hidden })
	_, err = w.l.Do(t.Context(), Action{Kind: TerminateSession, PID: holder.PID, BackendStart: session(s, "holder").Backend})
	if fault.KindOf(err) != fault.Auth || !strings.Contains(fault.HintOf(err), "grant pg_signal_backend to reader") {
		t.Errorf("terminate: %v, hint %q", err, fault.HintOf(err))
	}
	srv.Exec(t, "postgres", "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holder'")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDatabaseThatGoesAndComes(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	w := watch(t, LiveOptions{Cluster: "dw1", Interval: time.Second, Connect: as(srv, "cw:cw")})
	w.until("sessions", func(s *Snapshot) bool { return !s.Sessions.CollectedAt.IsZero() && s.Sessions.Err == "" })
	srv.StopServer(t, "immediate")
	s := w.until("an error", func(s *Snapshot) bool { return s.Sessions.Err != "" })
	if s.Sessions.CollectedAt.IsZero() {
		t.Error("what was known is gone")
	}
	srv.StartServer(t)
	w.until("sessions again", func(s *Snapshot) bool {
		return s.Sessions.Err == "" && s.Sessions.CollectedAt.After(s.At.Add(-3*time.Second))
	})
}

// standby makes a streaming standby of a server, called app.
func standby(t *testing.T, srv *pgtest.Server, app string) (stop func()) {
	t.Helper()
	dir := filepath.Join(pgtest.Dir(t), "standby")
	port := pgtest.FreePort(t)
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(srv.BinDir, args[0]), args[1:]...)
		cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
		setCredential(t, cmd)
		cmd.Dir, cmd.WaitDelay = filepath.Dir(dir), time.Second
		if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(err.Error(), "WaitDelay") {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	info := fmt.Sprintf("host=127.0.0.1 port=%d user=cw password=cw application_name=%s", srv.Port, app)
	run("pg_basebackup", "-D", dir, "-R", "-c", "fast", "--no-sync", "-d", info)
	run("pg_ctl", "-D", dir, "-l", dir+".log", "-w", "-s", "-o", fmt.Sprintf("-p %d -c unix_socket_directories=%s", port, filepath.Dir(dir)), "start")
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			run("pg_ctl", "-D", dir, "-m", "immediate", "-w", "-s", "stop")
		}
	}
	t.Cleanup(stop)
	return stop
}
