package external

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// gp is a Greenplum of a coordinator and two primaries on this machine, made
// once per test run and used by all tests in databases of their own.
type gp struct {
	dir  string
	port int
}

var shared struct { //nolint:gochecknoglobals // one cluster for all tests of the package
	once sync.Once
	gp   *gp
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.gp != nil {
		shared.gp.stop()
	}
	os.Exit(code)
}

// connect gives a connection to a new database of the test's own.
func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	home := os.Getenv("CW_TEST_GPHOME")
	if home == "" {
		t.Skip("CW_TEST_GPHOME does not name a Greenplum 6 installation")
	}
	if testing.Short() {
		t.Skip("-short: makes a real cluster")
	}
	shared.once.Do(func() { shared.gp, shared.err = start(home) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	ctx := t.Context()
	name := "t" + strconv.FormatInt(time.Now().UnixNano(), 36)
	admin := shared.gp.dial(ctx, t, "template1")
	if _, err := admin.Exec(ctx, "create database "+name+" template template0"); err != nil {
		t.Fatal(err)
	}
	_ = admin.Close(ctx)
	return shared.gp.dial(ctx, t, name)
}

func (g *gp) dial(ctx context.Context, t *testing.T, database string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=%s dbname=%s sslmode=disable", g.port, owner(), database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// owner is who runs the database: gpadmin for root, else the user.
func owner() string {
	if os.Geteuid() == 0 {
		return "gpadmin"
	}
	u, err := user.Current()
	if err != nil {
		return "gpadmin"
	}
	return u.Username
}

// freePorts asks the kernel for n ports in a row that nobody listens on.
func freePorts(n int) (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		first := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		free := first+n < 65536
		for i := 0; free && i < n; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+i))
			if free = err == nil; free {
				_ = l.Close()
			}
		}
		if free {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row", n)
}

const makeCluster = `set -e
. "$1/greenplum_path.sh"; D=$2; P=$3; export LC_ALL=C.UTF-8; cd "$D"
initdb -N -E UNICODE -D "$D/tpl" --locale=C.UTF-8 --max_connections=100 --shared_buffers=32MB >initdb.log 2>&1
for c in -1 0 1; do
  cp -a tpl "gp$c"
  printf 'port = %s\nlisten_addresses = 127.0.0.1\ngp_contentid = %s\nfsync = off\nmax_prepared_transactions = 50\n' "$((P+c+1))" "$c" | sed "s/= 127.0.0.1/= '127.0.0.1'/" >>"gp$c/postgresql.conf"
  echo "gp_dbid = $((c+2))" >"gp$c/internal.auto.conf"
  echo "host all all 127.0.0.1/32 trust" >>"gp$c/pg_hba.conf"
  echo "select pg_catalog.gp_add_segment(($c+2)::int2, $c::int2, 'p','p','n','u', $((P+c+1)), 'localhost','127.0.0.1','$D/gp$c');" >>reg.sql
done
rm -r tpl
sed -i 's/max_connections = 100/max_connections = 40/' gp-1/postgresql.conf
postgres --single -D gp-1 -c gp_role=utility -c gp_contentid=-1 -O template1 <reg.sql >reg.log 2>&1
for c in 0 1; do pg_ctl -D "$D/gp$c" -l "gp$c.log" -w -o "-p $((P+c+1))" start >/dev/null </dev/null 2>&1; done
pg_ctl -D "$D/gp-1" -l "gp-1.log" -w -o "-p $P -E" start >/dev/null </dev/null 2>&1
`

func start(home string) (*gp, error) {
	dir, err := os.MkdirTemp("", "cw-external-gp")
	if err != nil {
		return nil, err
	}
	port, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	g := &gp{dir: dir, port: port}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("gpadmin")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
	}
	out, err := asOwner("bash", "-c", makeCluster, "bash", home, dir, strconv.Itoa(port))
	if err != nil {
		g.stop()
		return nil, fmt.Errorf("make a cluster: %w: %s", err, out)
	}
	return g, nil
}

// stop ends the instances this run has started, by their own pid files.
func (g *gp) stop() {
	for _, c := range []string{"gp-1", "gp0", "gp1"} {
		data, err := os.ReadFile(filepath.Join(g.dir, c, "postmaster.pid"))
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.SplitN(string(data), "\n", 2)[0])
		if err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGINT)
			for range 100 {
				if syscall.Kill(pid, 0) != nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
	_ = os.RemoveAll(g.dir)
}

// serve runs the engine's own gpfdist on a folder with one file and gives the
// file's location.
func serve(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	home := os.Getenv("CW_TEST_GPHOME")
	cmd := exec.Command(filepath.Join(home, "bin", "gpfdist"), "-d", dir, "-p", strconv.Itoa(port))
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(home, "lib"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for range 200 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return "gpfdist://" + address + "/" + name
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("gpfdist does not answer on " + address)
	return ""
}

// asOwner runs a program as the database's owner.
func asOwner(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		u, err := user.Lookup("gpadmin")
		if err != nil {
			return "", err
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		cmd.Env = append(os.Environ(), "HOME="+u.HomeDir, "USER=gpadmin", "LOGNAME=gpadmin")
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
