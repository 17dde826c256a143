// Package mytest starts throwaway MariaDB servers for tests: real ones, from
// the distribution's package, each in its own folder on its own free port. Run
// by root it drops to another user.
package mytest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"cw/playground/pgtest"
)

// Server is a running MariaDB. User "cw", password "cw", may do everything;
// it listens on 127.0.0.1.
type Server struct {
	Dir  string // holds data, the socket and the log
	Port int
	stop func()
}

func program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/bin/", "/usr/libexec/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p
		}
	}
	t.Skipf("MariaDB is not installed here (%s is missing): apt-get install mariadb-server", name)
	return ""
}

// Start makes and starts a server with the given options more; it is ended
// and removed with the test.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	daemon, install := program(t, "mariadbd"), program(t, "mariadb-install-db")
	s := &Server{Dir: pgtest.Dir(t), Port: pgtest.FreePort(t)}
	cred := pgtest.Unprivileged(t)
	data := filepath.Join(s.Dir, "data")
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
		cmd.Env = append(os.Environ(), "HOME="+s.Dir, "TMPDIR="+s.Dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	said := func() string {
		text, _ := os.ReadFile(log.Name())
		return string(text[max(0, len(text)-3000):])
	}
	if err := run(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve").Run(); err != nil {
		cancel()
		t.Fatalf("make a MariaDB: %v\n%s", err, said())
	}
	first := filepath.Join(s.Dir, "first.sql")
	if err := os.WriteFile(first, []byte("CREATE USER 'cw'@'%' IDENTIFIED BY 'cw';\nGRANT ALL ON *.* TO 'cw'@'%';\nCREATE DATABASE warehouse;\n"), 0o644); err != nil {
		cancel()
		t.Fatal(err)
	}
	args := append([]string{
		"--no-defaults", "--datadir=" + data, "--socket=" + filepath.Join(s.Dir, "s"), "--pid-file=" + filepath.Join(s.Dir, "pid"),
		fmt.Sprintf("--port=%d", s.Port), "--bind-address=127.0.0.1", "--skip-name-resolve", "--init-file=" + first, "--innodb-flush-log-at-trx-commit=0",
	}, options...)
	cmd := run(daemon, args...)
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	s.stop = func() { cancel(); <-ended }
	t.Cleanup(s.stop)
	db := s.open(t)
	defer func() { _ = db.Close() }()
	for deadline := time.Now().Add(time.Minute); ; {
		err := db.PingContext(ctx)
		if err == nil {
			return s
		}
		select {
		case <-ended:
			t.Fatalf("MariaDB has ended: %s", said())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("MariaDB does not answer: %v\n%s", err, said())
		}
	}
}

// Stop kills the server.
func (s *Server) Stop() { s.stop() }

// DSN is a connection string for a database, as a URL.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("mysql://cw:cw@127.0.0.1:%d/%s", s.Port, database)
}

type quiet struct{}

// Print drops what the driver says while the server is starting.
func (quiet) Print(...any) {}

func (s *Server) open(t testing.TB) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.Logger = "cw", "cw", "tcp", fmt.Sprintf("127.0.0.1:%d", s.Port), quiet{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	return sql.OpenDB(connector)
}

// Exec runs statements.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	db := s.open(t)
	defer func() { _ = db.Close() }()
	for _, text := range statements {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// Count runs a query whose answer is one number.
func (s *Server) Count(t testing.TB, query string) (n int) {
	t.Helper()
	db := s.open(t)
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
