package manage

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	mrand "math/rand/v2"
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

	"golang.org/x/crypto/ssh"

	"cw/cluster"
	"cw/cluster/step"
	"cw/playground/pgtest"
	"cw/remote"
	"cw/remote/sshtest"
	"cw/state"
)

// lab is a few hosts on loopback addresses with a real PostgreSQL, a store
// and a manager.
type lab struct {
	t       *testing.T
	m       *Manager
	servers []*sshtest.Server
	top     *cluster.Topology
	dir     string // of the operator
	data    string // data folder on the "hosts"
	user    string
	cred    *syscall.Credential
	key     string
	pub     ssh.PublicKey
	mu      sync.Mutex
	pools   []*remote.Pool
	keys    []ssh.Signer // of the hosts
}

// newLab makes n hosts. Without PostgreSQL the test is skipped. As root the
// hosts run commands as user postgres, which Debian's package brings.
func newLab(t *testing.T, n int) *lab {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Skip("no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)")
	}
	if testing.Short() {
		t.Skip("-short: makes real clusters")
	}
	l := &lab{t: t}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	l.user = me.Username
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("running as root, and there is no user postgres to drop to")
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		l.user, l.cred = "postgres", &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	// Short, since a unix socket must fit below it.
	base, err := os.MkdirTemp("/tmp", "cw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	l.dir, l.data = filepath.Join(base, "op"), filepath.Join(base, "d")
	for _, d := range []string{l.dir, l.data} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if l.cred != nil {
		if err := os.Chown(l.data, int(l.cred.Uid), int(l.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	l.newKey()
	store, err := state.Open(t.Context(), filepath.Join(l.dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	l.m = &Manager{
		Store: store,
		Pool:  func(string) (*remote.Pool, error) { return l.pool(), nil },
		Dir:   func(name string) string { return filepath.Join(l.dir, "clusters", name) },
	}
	hosts := ""
	octet := mrand.IntN(200) + 20
	for i := range n {
		addr := fmt.Sprintf("127.%d.%d.%d", octet, mrand.IntN(250)+1, i+1)
		key, err := sshtest.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		l.keys = append(l.keys, key)
		s := l.listen(i, addr+":0")
		l.servers = append(l.servers, s)
		role := "standby"
		if i == 0 {
			role = "primary"
		}
		hosts += fmt.Sprintf("  - {name: h%d, address: %s, roles: [%s], ssh_port: %d}\n", i+1, addr, role, s.Port())
	}
	text := fmt.Sprintf(`apiVersion: cw/v1
kind: Cluster
name: lab
engine: {kind: postgres}
database: {name: wh, port: %d, admin: boss}
node_type: low-speed
network: {allow: [127.0.0.0/8]}
ssh: {user: %s, identity_file: %s, become: none}
os_user: %s
layout: {data_dirs: [%s]}
hosts:
%s`, pgtest.FreePort(t), l.user, l.key, l.user, l.data, hosts)
	if l.top, err = cluster.Parse(filepath.Join(l.dir, "cluster.yaml"), []byte(text)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.killAll()
		for _, p := range l.pools {
			p.Close()
		}
		for _, s := range l.servers {
			s.Close()
		}
		_ = store.Close()
	})
	return l
}

// listen lets host i answer at an address.
func (l *lab) listen(i int, addr string) *sshtest.Server {
	l.t.Helper()
	s, err := sshtest.Listen(sshtest.Options{
		Addr: addr, AuthorizedKeys: []ssh.PublicKey{l.pub}, HostKeys: []ssh.Signer{l.keys[i]}, Credential: l.cred, Home: l.data,
		Env: []string{"PATH=" + filepath.Join(l.data, "bin") + ":/usr/bin:/bin"}, // bin: where tests put programs of their own
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// down and up switch the SSH side of a host off and on again.
func (l *lab) down(i int) { l.servers[i].Close() }

func (l *lab) up(i int) {
	l.t.Helper()
	l.servers[i] = l.listen(i, fmt.Sprintf("%s:%d", l.top.Hosts[i].Address, l.top.Hosts[i].SSHPort))
}

// pool makes connections as a new process of cw would.
func (l *lab) pool() *remote.Pool {
	p := remote.NewPool(remote.Options{KnownHosts: filepath.Join(l.dir, "known_hosts"), ConnectTimeout: 5 * time.Second})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pools = append(l.pools, p)
	return p
}

func (l *lab) newKey() {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		l.t.Fatal(err)
	}
	l.key = filepath.Join(l.dir, "key")
	if err := os.WriteFile(l.key, pem.EncodeToMemory(block), 0o600); err != nil {
		l.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		l.t.Fatal(err)
	}
	l.pub = signer.PublicKey()
}

// processes are the pids of programs that work in the lab's data folder.
func (l *lab) processes() []int {
	var out []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		exe, _ := os.Readlink(d + "/exe")
		if !strings.Contains(exe, "/postgresql/") {
			continue
		}
		cwd, _ := os.Readlink(d + "/cwd")
		args, _ := os.ReadFile(d + "/cmdline")
		if strings.HasPrefix(cwd, l.data) || strings.Contains(string(args), l.data) {
			pid, _ := strconv.Atoi(filepath.Base(d))
			out = append(out, pid)
		}
	}
	return out
}

// killAll ends what still runs: servers by an immediate shutdown first, since
// one that is killed leaves its shared memory in /dev/shm.
func (l *lab) killAll() {
	for _, pid := range l.processes() {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 250 {
		if len(l.processes()) == 0 {
			return
		}
		<-tick.C
	}
	for _, pid := range l.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// empty fails the test when anything of a cluster is left on the hosts.
func (l *lab) empty() {
	l.t.Helper()
	if pids := l.processes(); len(pids) > 0 {
		out, _ := exec.Command("ps", "-fp", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(pids)), ","), "[]")).Output()
		l.t.Errorf("processes are left:\n%s", out)
	}
	left, err := os.ReadDir(l.data)
	if err != nil || len(left) > 0 {
		l.t.Errorf("files are left in the data folder: %v %v", left, err)
	}
}

func (l *lab) must(op *Operation, err error) *Operation {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
	return op
}

// run runs an operation that must succeed.
func (l *lab) run(op *Operation, err error) Outcome {
	l.t.Helper()
	out, err := l.must(op, err).Run(l.t.Context(), func(e step.Event) {
		if e.State == step.Failed {
			l.t.Logf("%s %s: %v", e.Step.ID, e.State, e.Err)
		}
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *lab) create() Outcome {
	l.t.Helper()
	return l.run(l.m.Create(l.t.Context(), l.top))
}

// want fails unless the cluster is in a state.
func (l *lab) want(want string) cluster.Status {
	l.t.Helper()
	st, err := l.m.Status(l.t.Context(), l.top.Name)
	if err != nil {
		l.t.Fatal(err)
	}
	if st.State != want {
		l.t.Errorf("state is %s, want %s: %q", st.State, want, st.Problems)
	}
	return st
}

// psql runs a query from outside, over TLS with the CA checked, as the admin.
func (l *lab) psql(host int, sql string) (string, error) {
	h, n := l.top.Hosts[host], l.top.Database
	pass, err := os.ReadFile(filepath.Join(l.m.Dir(l.top.Name), "admin.pass"))
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=verify-full sslrootcert=%s", h.Address, n.Port, n.Name, n.Admin, filepath.Join(l.m.Dir(l.top.Name), "ca.crt")))
	c.Env = append(os.Environ(), "PGPASSWORD="+strings.TrimSpace(string(pass)))
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
