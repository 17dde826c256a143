// Package lab gives tests hosts with the real OpenSSH, sudo and kernel
// namespaces: each has its own network, processes, mounts and host name, and
// all vanish with the test process. It needs no root where unshare can make
// user namespaces, and no daemon anywhere.
//
// A test package that wants hosts has
//
//	func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }
//
// which starts the test binary once more inside a network and a process tree
// of its own, where it is process 1. Without namespaces Up skips the test and
// says why.
//
// The machine outside is safe from what happens on a host: the clock, modules
// and raw devices are out of reach, and what is not per namespace in
// /proc/sys is a copy. Off is a loss of power to the processes, not to the
// page cache: writes without fsync survive it.
package lab

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// User is the ordinary user of every host; it may sudo without a password.
const User = "deploy"

// The variables by which the binary finds out what it was started for.
const (
	envInside = "CW_LAB_INSIDE" // uid outside: this is the test binary, in its namespaces
	envReason = "CW_LAB_REASON" // why there are no namespaces
	envHost   = "CW_LAB_HOST"   // a hostSpec: this process becomes a host
)

// Config changes what Up makes.
type Config struct {
	SSHD []string // further options of sshd, as "Port=2222"
	Port int      // where to wait for sshd; 0 is 22
}

// Lab is a number of hosts on one network. Hosts are counted from 1; 0 is the
// side where the test runs.
type Lab struct {
	Hosts []*Host
	Key   string // path of the private key that opens all of them

	t   testing.TB
	dir string
	o   Config
}

// Host is one machine.
type Host struct {
	Name, Addr string
	Port       int

	spec hostSpec
	link string // our end of its cable
	mac  string // stays the same over Off and On, or the others' ARP tables would be wrong for a while

	mu    sync.Mutex
	cmd   *exec.Cmd     // its first process, nil while it is off
	ended chan struct{} // closed when cmd has ended
}

// hostSpec is what a host's first process has to know.
type hostSpec struct {
	Name, Addr string
	Dir        string   // the host's folder: up, work, root, home, data
	Names      []string // lines for /etc/hosts
	PublicKey  string
	SSHD       []string
	Rootless   bool
}

// Main runs the tests of a package inside the lab's namespaces, if they can be
// had, and returns the exit code for os.Exit.
func Main(m *testing.M) int {
	if spec := os.Getenv(envHost); spec != "" {
		err := becomeHost(spec) // does not return when it succeeds
		fmt.Fprintln(os.Stderr, "lab host:", err)
		return 1
	}
	if os.Getenv(envInside) != "" {
		if err := prepare(); err != nil {
			setReason(err.Error())
		}
		return m.Run()
	}
	if err := enter(); err != nil {
		setReason(err.Error())
	}
	return m.Run()
}

func setReason(reason string) {
	_ = os.Setenv(envReason, reason) // read by Up, in this process
}

// enter starts this binary anew in its namespaces; it returns only when that
// cannot be.
func enter() error {
	for _, tool := range []string{"unshare", "nsenter", "ip", "nft", "setpriv", "/usr/sbin/sshd", "sudo"} {
		if _, err := lookPath(tool); err != nil {
			return fmt.Errorf("%s is missing", tool)
		}
	}
	unshare, err := lookPath("unshare")
	if err != nil {
		return err
	}
	args := []string{unshare, "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"}
	if os.Getuid() != 0 {
		args = append(args, "--user", "--map-root-user", "--map-auto") // needs uidmap and a line in /etc/subuid
	}
	if out, err := exec.Command(args[0], append(args[1:], "--", "true")...).CombinedOutput(); err != nil {
		return fmt.Errorf("unshare does not work here: %s", strings.TrimSpace(string(out)))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args = append(append(args, "--", self), os.Args[1:]...)
	return syscall.Exec(unshare, args, append(os.Environ(), envInside+"="+strconv.Itoa(os.Getuid())))
}

// base is where the lab's files are: a tmpfs over a folder of this mount
// namespace, so that nothing of it is ever on the machine's disks.
const base = "/mnt"

// prepare makes the network that all hosts hang on.
func prepare() error {
	if err := syscall.Mount("lab", base, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", base, err)
	}
	for _, words := range []string{
		"ip link set lo up", "ip link add br0 type bridge", "ip link set br0 up", "ip addr add 10.77.255.254/16 dev br0",
		"nft add table bridge lab",
		"nft add chain bridge lab across { type filter hook forward priority 0 ; }",
		"nft add chain bridge lab in { type filter hook input priority 0 ; }",
		"nft add chain bridge lab out { type filter hook output priority 0 ; }",
	} {
		if err := tool(strings.Fields(words)...); err != nil {
			return err
		}
	}
	return nil
}

// lookPath also looks where an ordinary user's PATH does not.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

func tool(args ...string) error {
	path, err := lookPath(args[0])
	if err != nil {
		return err
	}
	if out, err := exec.Command(path, args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Up makes n hosts for a test and waits until they answer; they are gone
// after the test. It skips the test where there are no namespaces.
func Up(t testing.TB, n int) *Lab {
	t.Helper()
	return UpWith(t, n, Config{})
}

// UpWith is Up with a Config.
func UpWith(t testing.TB, n int, o Config) *Lab {
	t.Helper()
	if reason := os.Getenv(envReason); reason != "" {
		t.Skip("no lab: " + reason)
	}
	if os.Getenv(envInside) == "" {
		t.Skip("no lab: TestMain does not call lab.Main")
	}
	if o.Port == 0 {
		o.Port = 22
	}
	dir, err := os.MkdirTemp(base, "lab")
	if err != nil {
		t.Fatal(err)
	}
	l := &Lab{Key: filepath.Join(dir, "key"), t: t, dir: dir, o: o}
	t.Cleanup(l.down)
	public, err := newKey(l.Key)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	subnet := filepath.Base(dir)
	number, err := claim(subnet)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("10.77.%d.%d db%d", number, i+1, i+1))
	}
	for i := range n {
		h := &Host{Name: fmt.Sprint("db", i+1), Addr: fmt.Sprintf("10.77.%d.%d", number, i+1), Port: o.Port, link: fmt.Sprintf("l%dh%d", number, i+1)}
		h.mac = fmt.Sprintf("02:77:00:00:%02x:%02x", number, i+1)
		h.spec = hostSpec{
			Name: h.Name, Addr: h.Addr, Dir: filepath.Join(dir, h.Name), Names: names, PublicKey: public,
			SSHD: o.SSHD, Rootless: os.Getenv(envInside) != "0",
		}
		l.Hosts = append(l.Hosts, h)
	}
	l.each(func(h *Host) error { return h.boot() })
	return l
}

// claim finds a number that no other lab of this process has, 1 to 250.
func claim(name string) (int, error) {
	for i := 1; i <= 250; i++ {
		if err := os.Symlink(name, filepath.Join(base, "net"+strconv.Itoa(i))); err == nil {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no free network for %s", name)
}

func newKey(path string) (public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "lab")
	if err != nil {
		return "", err
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", err
	}
	return string(ssh.MarshalAuthorizedKey(sshPub)), os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

func (l *Lab) each(fn func(*Host) error) {
	l.t.Helper()
	errs := make([]error, len(l.Hosts))
	var wg sync.WaitGroup
	for i, h := range l.Hosts {
		wg.Go(func() { errs[i] = fn(h) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			l.t.Fatalf("lab: %s: %v", l.Hosts[i].Name, err)
		}
	}
}

func (l *Lab) host(i int) *Host {
	l.t.Helper()
	if i < 1 || i > len(l.Hosts) {
		l.t.Fatalf("lab: there is no host %d", i)
	}
	return l.Hosts[i-1]
}

// down ends all hosts. Their mounts were in their own namespaces, so that
// there is nothing here but files on our tmpfs.
func (l *Lab) down() {
	for _, h := range l.Hosts {
		h.kill()
	}
	if err := os.RemoveAll(l.dir); err != nil {
		l.t.Errorf("lab: %v", err)
	}
}

// Off cuts the power of host i.
func (l *Lab) Off(i int) {
	l.t.Helper()
	l.host(i).kill()
}

// On boots host i again, with the disk it had.
func (l *Lab) On(i int) {
	l.t.Helper()
	if err := l.host(i).boot(); err != nil {
		l.t.Fatalf("lab: boot %s: %v", l.host(i).Name, err)
	}
	// Whoever asked for it meanwhile has it down as not there for a second.
	_ = tool("ip", "neigh", "flush", "dev", "br0")
	for _, h := range l.Hosts {
		_, _ = h.run("ip", "neigh", "flush", "dev", "eth0") // one that is off has no table
	}
}

// Cut lets nothing through between hosts i and j, in both directions. 0 is
// the side of the test.
func (l *Lab) Cut(i, j int) {
	l.t.Helper()
	if i == 0 {
		i, j = j, i
	}
	a := l.host(i).link
	rules := []string{"in iifname " + a + " drop", "out oifname " + a + " drop"}
	if j != 0 {
		b := l.host(j).link
		rules = []string{"across iifname " + a + " oifname " + b + " drop", "across iifname " + b + " oifname " + a + " drop"}
	}
	for _, r := range rules {
		if err := tool(strings.Fields("nft add rule bridge lab " + r)...); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Heal undoes every Cut, of all labs of this process.
func (l *Lab) Heal() {
	l.t.Helper()
	for _, chain := range []string{"across", "in", "out"} {
		if err := tool("nft", "flush", "chain", "bridge", "lab", chain); err != nil {
			l.t.Fatal(err)
		}
	}
}

// Run runs a command on host i as its root, not over SSH, and returns its
// output; a failure ends the test.
func (l *Lab) Run(i int, args ...string) string {
	l.t.Helper()
	out, err := l.host(i).run(args...)
	if err != nil {
		l.t.Fatalf("lab: %s: %v: %v: %s", l.host(i).Name, args, err, out)
	}
	return out
}

// Try is Run for a command that may fail.
func (l *Lab) Try(i int, args ...string) (string, error) {
	l.t.Helper()
	return l.host(i).run(args...)
}

// specJSON is the value of envHost.
func (s hostSpec) specJSON() (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// patience is how long a host may take to boot on a busy machine.
const patience = 60 * time.Second
