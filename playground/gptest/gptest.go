// Package gptest starts throwaway Greenplum 6 clusters for tests: a
// coordinator and a few primaries on one machine, without SSH, each in its own
// folder on free ports. The software is where CW_TEST_GPHOME says; without it
// tests are skipped. Run by root it drops to the software's owner, since
// Greenplum refuses root.
package gptest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
)

// Cluster is a running Greenplum. Superuser "cw" without a password, database
// "postgres"; the coordinator listens on 127.0.0.1, and on a Unix socket in Dir.
type Cluster struct {
	Home     string // of the software
	Dir      string // holds the data directories m, 0, 1 …
	Port     int    // of the coordinator
	Segments []int  // ports of the primaries, by content
	cred     *syscall.Credential
	env      []string
}

// Home is where Greenplum is installed, or skips the test.
func Home(t testing.TB) string {
	t.Helper()
	home := os.Getenv("CW_TEST_GPHOME")
	if home == "" {
		t.Skip("CW_TEST_GPHOME does not say where a Greenplum 6 is installed")
	}
	return home
}

// User is who Greenplum runs as: nil for an ordinary user (itself), for root
// the owner of the software.
func User(t testing.TB) (cred *syscall.Credential, name string) {
	t.Helper()
	if os.Getuid() != 0 {
		u, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		return nil, u.Username
	}
	st, err := os.Stat(Home(t))
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		t.Skip("root owns CW_TEST_GPHOME: it must belong to the user that runs Greenplum")
	}
	u, err := user.LookupId(strconv.Itoa(int(owner.Uid)))
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}, u.Username
}

// Start makes and starts a cluster of n primaries with the given lines added
// to every postgresql.conf; it is stopped and removed when the test ends.
func Start(t testing.TB, n int, settings ...string) *Cluster {
	t.Helper()
	c := &Cluster{Home: Home(t), Port: pgtest.FreePort(t)}
	var name string
	c.cred, name = User(t)
	parent := os.TempDir()
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		parent = "/dev/shm"
	}
	var err error
	if c.Dir, err = os.MkdirTemp(parent, "cwgp"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.Dir) })
	if c.cred != nil {
		if err := os.Chown(c.Dir, int(c.cred.Uid), int(c.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	c.env = []string{
		"PATH=" + filepath.Join(c.Home, "bin") + ":/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH=" + filepath.Join(c.Home, "lib"),
		"HOME=" + c.Dir, "USER=" + name, "LOGNAME=" + name, "LC_ALL=C.UTF-8",
	}
	var sql strings.Builder
	fmt.Fprintf(&sql, "select gp_add_segment(1::int2,(-1)::int2,'p','p','n','u',%d,'localhost','127.0.0.1','%s/m');\n", c.Port, c.Dir)
	for i := range n {
		c.Segments = append(c.Segments, pgtest.FreePort(t))
		fmt.Fprintf(&sql, "select gp_add_segment(%d::int2,%d::int2,'p','p','n','u',%d,'localhost','127.0.0.1','%s/%d');\n", i+2, i, c.Segments[i], c.Dir, i)
	}
	conf := "fsync=off\nlisten_addresses='127.0.0.1'\nunix_socket_directories='" + c.Dir + "'\nlog_min_messages=warning\nmax_connections=60\nshared_buffers=64MB\ngp_interconnect_type=tcp\n" + strings.Join(settings, "\n") + "\n"
	c.shell(t, makeScript, append([]string{c.Dir, sql.String(), conf, strconv.Itoa(c.Port)}, ports(c.Segments)...)...)
	t.Cleanup(func() { c.Stop(t, "immediate") })
	c.StartServers(t)
	return c
}

func ports(list []int) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = strconv.Itoa(p)
	}
	return out
}

const makeScript = `set -e
umask 077
dir=$1 sql=$2 conf=$3 port=$4; shift 4
initdb -N -D "$dir/m" -E UTF8 --locale=C.UTF-8 -U cw -A trust --data-checksums --max_connections=20 --shared_buffers=8MB >"$dir/init.log" 2>&1 || { cat "$dir/init.log" >&2; exit 1; }
sed -i -E '/^(max_connections|shared_buffers) = /d' "$dir/m/postgresql.conf"
printf 'host all all 127.0.0.1/8 trust\nlocal all all trust\n' >"$dir/m/pg_hba.conf"
printf '%s' "$conf" >>"$dir/m/postgresql.conf"
i=0
for p in "$@"; do
	cp -a "$dir/m" "$dir/$i"
	printf 'port = %s\ngp_contentid = %s\n' "$p" "$i" >>"$dir/$i/postgresql.conf"
	echo "gp_dbid = $((i + 2))" >"$dir/$i/internal.auto.conf"
	i=$((i + 1))
done
printf 'port = %s\ngp_contentid = -1\n' "$port" >>"$dir/m/postgresql.conf"
echo 'gp_dbid = 1' >"$dir/m/internal.auto.conf"
printf '%s' "$sql" | postgres --single -D "$dir/m" -c shared_buffers=8MB -c gp_role=utility -c gp_contentid=-1 -O template1 >"$dir/init.log" 2>&1 || { cat "$dir/init.log" >&2; exit 1; }
`

const startScript = `set -e
dir=$1 port=$2; shift 2
i=0
for p in "$@"; do
	pg_ctl -s -D "$dir/$i" -l "$dir/$i.log" -w -t 60 -o "-p $p" start &
	i=$((i + 1))
done
wait
pg_ctl -s -D "$dir/m" -l "$dir/m.log" -w -t 60 -o "-p $port -E" start || { tail -n 20 "$dir"/*.log >&2; exit 1; }
`

// StartServers starts all instances.
func (c *Cluster) StartServers(t testing.TB) {
	t.Helper()
	c.shell(t, startScript, append([]string{c.Dir, strconv.Itoa(c.Port)}, ports(c.Segments)...)...)
}

// Stop stops all instances: smart, fast or immediate. What does not run is
// left alone.
func (c *Cluster) Stop(t testing.TB, mode string) {
	t.Helper()
	c.shell(t, `dir=$1 mode=$2; shift 2
for d in m "$@"; do [ ! -e "$dir/$d/postmaster.pid" ] || pg_ctl -s -D "$dir/$d" -m "$mode" -w -t 60 stop & [ "$d" != m ] || wait; done; wait`,
		append([]string{c.Dir, mode}, contents(len(c.Segments))...)...)
}

func contents(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

// StopSegment ends one primary at once, as a crash would.
func (c *Cluster) StopSegment(t testing.TB, content int) {
	t.Helper()
	c.shell(t, `pg_ctl -s -D "$1" -m immediate -w stop`, filepath.Join(c.Dir, strconv.Itoa(content)))
}

// StartSegment starts one primary again.
func (c *Cluster) StartSegment(t testing.TB, content int) {
	t.Helper()
	dir := filepath.Join(c.Dir, strconv.Itoa(content))
	c.shell(t, `pg_ctl -s -D "$1" -l "$1.log" -w -t 60 -o "-p $2" start || { tail -n 20 "$1.log" "$1"/pg_log/*; exit 1; } >&2`, dir, strconv.Itoa(c.Segments[content]))
}

// DSN is a connection string for a database.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("postgres://cw@127.0.0.1:%d/%s?sslmode=disable", c.Port, database)
}

// Connect opens a connection that is closed when the test ends.
func (c *Cluster) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// Exec runs statements in a database.
func (c *Cluster) Exec(t testing.TB, database, sql string) {
	t.Helper()
	conn := c.Connect(t, database)
	if _, err := conn.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Command is a program of the engine (or another in PATH) with the
// environment to reach the cluster: PGHOST, PGPORT, PGUSER, PGDATABASE.
func (c *Cluster) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if path := filepath.Join(c.Home, "bin", name); !filepath.IsAbs(name) {
		if _, err := os.Stat(path); err == nil {
			name = path
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(append([]string{}, c.env...), "PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(c.Port), "PGUSER=cw", "PGDATABASE=postgres", "MASTER_DATA_DIRECTORY="+filepath.Join(c.Dir, "m"), "GPHOME="+c.Home)
	if c.cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred}
	}
	return cmd
}

func (c *Cluster) shell(t testing.TB, script string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	cmd := c.Command(ctx, "/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.WaitDelay = time.Second // servers keep the pipes of their parents
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && !strings.Contains(err.Error(), "WaitDelay expired") {
		t.Fatalf("greenplum: %v\n%s", err, out.Bytes())
	}
}
