package playground

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"cw/fault"
)

// Options say what playground to make.
type Options struct {
	Dir        string
	Name       string // of the cluster in the topology
	Hosts      int    // 1 to 9
	Executable string // the cw that serves: cw playground serve --dir DIR
	User       string // for root: who commands run as; "" is $SUDO_USER, else nobody
	SudoUser   string // $SUDO_USER
}

// ErrUp is wrapped when the playground is up already.
var ErrUp = errors.New("the playground is up already")

// Up makes a playground and starts it. One that stopped with the machine is
// started again, with what its hosts hold.
func Up(ctx context.Context, o Options) (*State, error) {
	s, err := Read(o.Dir)
	switch {
	case err == nil && s.Running():
		return s, ErrUp
	case errors.Is(err, fs.ErrNotExist):
		if s, err = create(ctx, o); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	if err := s.start(ctx, o.Executable); err != nil {
		return nil, err
	}
	return s, nil
}

// create makes the folder and everything in it. A folder that holds anything
// is refused, since down removes all of it.
func create(ctx context.Context, o Options) (*State, error) {
	if o.Hosts < 1 || o.Hosts > 9 {
		return nil, fault.New(fault.Usage, "as: --hosts 3", "a playground has 1 to 9 hosts, not %d", o.Hosts)
	}
	if found, err := os.ReadDir(o.Dir); err == nil && len(found) > 0 {
		return nil, fault.New(fault.Usage, "choose a folder that is empty or not there: --dir DIR", "%s is not empty and is no playground (%s)", o.Dir, found[0].Name())
	}
	s := &State{Dir: o.Dir, Name: o.Name}
	if err := s.chooseUser(o); err != nil {
		return nil, err
	}
	for i := range o.Hosts {
		name := "db" + strconv.Itoa(i+1)
		s.Hosts = append(s.Hosts, Host{Name: name, Address: "127.77.0." + strconv.Itoa(i+1), Home: s.file(name)})
	}
	var err error
	if s.SSHPort, err = s.freePort(ctx); err != nil {
		return nil, err
	}
	if s.DBPort, err = s.freePort(ctx); err != nil {
		return nil, err
	}
	if err := s.makeFiles(); err != nil {
		_ = os.RemoveAll(o.Dir)
		return nil, fmt.Errorf("make playground: %w", err)
	}
	return s, nil
}

func (s *State) chooseUser(o Options) error {
	u, err := user.Current()
	if err != nil {
		return fmt.Errorf("find out who runs this: %w", err)
	}
	if os.Getuid() == 0 {
		name := o.User
		if name == "" && o.SudoUser != "root" {
			name = o.SudoUser
		}
		if name == "" {
			name = "nobody"
		}
		if u, err = user.Lookup(name); err != nil {
			return fault.New(fault.Usage, "name an ordinary user with --user", "PostgreSQL refuses to run as root, and there is no user %s: %w", name, err)
		}
	} else if o.User != "" && o.User != u.Username {
		return fault.New(fault.Usage, "leave --user out, or run this as root", "only root can run the hosts as %s", o.User)
	}
	s.User = u.Username
	s.UID, _ = strconv.Atoi(u.Uid)
	s.GID, _ = strconv.Atoi(u.Gid)
	if s.UID == 0 {
		return fault.New(fault.Usage, "name an ordinary user with --user", "PostgreSQL refuses to run as root")
	}
	return nil
}

// freePort finds a port that is free on all hosts' addresses.
func (s *State) freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	for range 50 {
		first, err := lc.Listen(ctx, "tcp", s.Hosts[0].Address+":0")
		if err != nil {
			return 0, fmt.Errorf("find a free port on %s: %w", s.Hosts[0].Address, err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		free := port != s.SSHPort
		for _, h := range s.Hosts[1:] {
			l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(h.Address, strconv.Itoa(port)))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		_ = first.Close()
		if free {
			return port, nil
		}
	}
	return 0, fault.New(fault.Failed, "", "no port is free on all of the playground's addresses")
}

func (s *State) makeFiles() error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil { //nolint:gosec // the hosts' user walks through it
		return err
	}
	if err := s.reachable(); err != nil {
		return err
	}
	public, err := writeKey(s.Key())
	if err != nil {
		return err
	}
	password := make([]byte, 12)
	_, _ = rand.Read(password)
	for name, text := range map[string]string{
		s.file("authorized_keys"): public,
		s.PasswordFile():          fmt.Sprintf("%x\n", password),
		s.Topology():              s.topology(),
		s.file("README"):          "A playground of cw. End it with: cw playground down --dir " + s.Dir + "\n",
	} {
		mode := os.FileMode(0o644)
		if name == s.PasswordFile() {
			mode = 0o600
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			return err
		}
	}
	for _, h := range s.Hosts {
		if err := os.Mkdir(h.Home, 0o700); err != nil {
			return err
		}
		if _, err := writeKey(filepath.Join(h.Home, "ssh_host_key")); err != nil {
			return err
		}
	}
	data := s.file("data")
	if err := os.Mkdir(data, 0o755); err != nil { //nolint:gosec // databases below it close themselves
		return err
	}
	return s.giveAway(data)
}

// reachable fails early when the hosts' user cannot walk to the folder, as to
// one below root's home.
func (s *State) reachable() error {
	if os.Getuid() != 0 {
		return nil
	}
	for dir := s.Dir; dir != "/"; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !s.mayEnter(st) {
			return fault.New(fault.Usage, "choose another folder, as: --dir /var/lib/cw/playground", "user %s cannot reach %s: %s is closed to others", s.User, s.Dir, dir)
		}
	}
	return nil
}

func (s *State) mayEnter(dir fs.FileInfo) bool {
	mode := dir.Mode()
	sys, ok := dir.Sys().(*syscall.Stat_t)
	switch {
	case ok && int(sys.Uid) == s.UID:
		return mode&0o100 != 0
	case ok && int(sys.Gid) == s.GID:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// giveAway gives the hosts' files to the user the hosts run as.
func (s *State) giveAway(data string) error {
	if os.Getuid() != 0 {
		return nil
	}
	paths := []string{data}
	for _, h := range s.Hosts {
		paths = append(paths, h.Home, filepath.Join(h.Home, "ssh_host_key"))
	}
	for _, p := range paths {
		if err := os.Lchown(p, s.UID, s.GID); err != nil {
			return err
		}
	}
	return nil
}

// writeKey writes a new private key and returns the public one.
func writeKey(path string) (public string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "cw playground")
	if err != nil {
		return "", err
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", err
	}
	return string(ssh.MarshalAuthorizedKey(sshPub)), os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// start starts the serving process and waits until all hosts answer.
func (s *State) start(ctx context.Context, executable string) error {
	out, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // nothing secret in it
	if err != nil {
		return fmt.Errorf("start playground: %w", err)
	}
	defer func() { _ = out.Close() }()
	attr := &syscall.SysProcAttr{Setsid: true} // it outlives this command and its terminal
	if os.Getuid() == 0 {
		// The hosts' user may not be able to walk to this program.
		if executable, err = s.copyProgram(executable); err != nil {
			return fmt.Errorf("start playground: %w", err)
		}
		attr.Credential = &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.GID)} //nolint:gosec // ids of the system
	}
	ready, child, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = ready.Close() }()
	cmd := exec.Command(executable, "playground", "serve", "--dir", s.Dir) //nolint:gosec,noctx // this program; it stays when ctx ends
	cmd.Dir, cmd.Stderr, cmd.Stdout, cmd.SysProcAttr = s.Dir, out, out, attr
	cmd.ExtraFiles = []*os.File{child}
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + s.Hosts[0].Home, "USER=" + s.User, "LOGNAME=" + s.User, "LANG=C.UTF-8"}
	if err := s.write(); err != nil { // the process reads it
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start playground: %w", err)
	}
	_ = child.Close()
	s.PID, s.Born = cmd.Process.Pid, born(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }()
	if err := s.write(); err != nil {
		return err
	}
	return s.await(ctx, ready)
}

// await reads the one word that says that the hosts answer; the pipe closes
// without it when the process ends.
func (s *State) await(ctx context.Context, ready io.Reader) error {
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(ready).ReadString('\n')
		said <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		_ = syscall.Kill(s.PID, syscall.SIGKILL)
		return context.Cause(ctx)
	case word := <-said:
		if word == "ready" {
			return nil
		}
		text, _ := os.ReadFile(s.Log())
		return fault.New(fault.Failed, "remove it with: cw playground down --dir "+s.Dir, "the playground did not start: %s", strings.TrimSpace(string(text)))
	}
}

func (s *State) copyProgram(executable string) (string, error) {
	data, err := os.ReadFile(executable)
	if err != nil {
		return "", err
	}
	to := s.file("cw")
	if err := os.WriteFile(to+".new", data, 0o755); err != nil { //nolint:gosec // a program
		return "", err
	}
	return to, os.Rename(to+".new", to)
}
