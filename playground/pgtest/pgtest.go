// Package pgtest starts throwaway PostgreSQL servers for tests: real ones,
// from the distribution's package, each in its own folder on its own free
// port. Run by root it drops to another user, since PostgreSQL refuses root.
package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running PostgreSQL. Superuser "cw", password "cw", database
// "postgres"; it listens on 127.0.0.1 and on a Unix socket in Dir.
type Server struct {
	Dir     string // holds data, the socket and the log
	DataDir string
	Port    int
	BinDir  string
	cred    *syscall.Credential
}

// BinDir finds the newest PostgreSQL's programs, or skips the test.
func BinDir(t testing.TB) string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb"} {
		m, _ := filepath.Glob(pattern)
		found = append(found, m...)
	}
	if len(found) == 0 {
		p, err := exec.LookPath("initdb")
		if err != nil {
			t.Skip("PostgreSQL is not installed here: apt-get install postgresql")
		}
		return filepath.Dir(p)
	}
	sort.Strings(found)
	return filepath.Dir(found[len(found)-1])
}

// Unprivileged is the user that servers of tests run as: nil for an ordinary
// user (itself), "nobody" for root.
func Unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("no user nobody to run PostgreSQL as: ", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Dir makes a folder with a short path (a Unix socket's is limited to 107
// bytes) that the unprivileged user owns, removed when the test ends. On
// tmpfs where there is one, so that tests do not wait for disks.
func Dir(t testing.TB) string {
	t.Helper()
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return dirIn(t, "/dev/shm")
	}
	return dirIn(t, os.TempDir())
}

// DiskDir is Dir on the disk of temporary files, for what is about disks.
func DiskDir(t testing.TB) string {
	t.Helper()
	return dirIn(t, os.TempDir())
}

func dirIn(t testing.TB, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "cwpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if cred := Unprivileged(t); cred != nil {
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Start initialises and starts a server with the given lines added to
// postgresql.conf; it is stopped and removed when the test ends.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	return StartIn(t, Dir(t), settings...)
}

// StartIn is Start with the data below a folder of Dir or DiskDir.
func StartIn(t testing.TB, dir string, settings ...string) *Server {
	t.Helper()
	s := &Server{BinDir: BinDir(t), Dir: dir, Port: FreePort(t), cred: Unprivileged(t)}
	s.DataDir = filepath.Join(s.Dir, "data")
	pw := filepath.Join(s.Dir, "pw")
	if err := os.WriteFile(pw, []byte("cw\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(t, "initdb", "-D", s.DataDir, "-U", "cw", "-A", "scram-sha-256", "--pwfile", pw, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	conf := fmt.Sprintf("\nlisten_addresses='127.0.0.1'\nport=%d\nunix_socket_directories='%s'\nfsync=off\nlog_min_messages=warning\nmax_connections=100\n", s.Port, s.Dir)
	for _, line := range settings {
		conf += line + "\n"
	}
	f, err := os.OpenFile(filepath.Join(s.DataDir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(conf); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	s.StartServer(t)
	t.Cleanup(func() { s.StopServer(t, "immediate") })
	return s
}

// StartServer starts a stopped server.
func (s *Server) StartServer(t testing.TB) {
	t.Helper()
	s.run(t, "pg_ctl", "-D", s.DataDir, "-l", filepath.Join(s.Dir, "log"), "-w", "-t", "60", "-s", "start")
}

// StopServer stops the server: smart, fast or immediate. One that is not
// running is left alone.
func (s *Server) StopServer(t testing.TB, mode string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(s.DataDir, "postmaster.pid")); err == nil {
		s.run(t, "pg_ctl", "-D", s.DataDir, "-m", mode, "-w", "-s", "stop")
	}
}

// DSN is a connection string for a database.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("postgres://cw:cw@127.0.0.1:%d/%s?sslmode=disable", s.Port, database)
}

// Connect opens a connection that is closed when the test ends.
func (s *Server) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

// Exec runs SQL in a database.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (s *Server) run(t testing.TB, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.BinDir, name), args...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+s.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	// A file, not a pipe: pg_ctl's server would keep a pipe open for ever.
	out, err := os.CreateTemp(t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
		t.Fatalf("%s: %v\n%s%s", name, err, text, bytes.TrimSpace(log))
	}
}
