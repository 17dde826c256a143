package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/playground/lab"
	"cw/remote"
)

// pool makes a pool for a lab; its keepalive is short, for tests that cut
// cables.
func pool(t *testing.T, o remote.Options) *remote.Pool {
	t.Helper()
	o.KnownHosts = filepath.Join(t.TempDir(), "known_hosts")
	if o.KeepAlive == 0 {
		o.KeepAlive = 200 * time.Millisecond
	}
	p := remote.NewPool(o)
	t.Cleanup(p.Close)
	return p
}

func target(l *lab.Lab, i int) remote.Target {
	h := l.Hosts[i-1]
	return remote.Target{Name: h.Name, Address: h.Addr, Port: h.Port, User: lab.User, IdentityFile: l.Key}
}

func hosts(l *lab.Lab, p *remote.Pool) []*remote.Host {
	var hosts []*remote.Host
	for i := range l.Hosts {
		hosts = append(hosts, p.Host(target(l, i+1)))
	}
	return hosts
}

func run(t *testing.T, h *remote.Host, c remote.Cmd) string {
	t.Helper()
	r, err := h.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Stdout)
}

func TestCommandsOnRealHosts(t *testing.T) {
	l := lab.Up(t, 3)
	p := pool(t, remote.Options{})
	words := []string{"a b", "it's", `\`, "!", "new\nline", "$HOME", "ü", ""}
	got, err := remote.Each(t.Context(), hosts(l, p), 0, func(ctx context.Context, h *remote.Host) (string, error) {
		r, err := h.Run(ctx, remote.Cmd{Args: append([]string{"printf", "%s;"}, words...)})
		return string(r.Stdout), err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		if g != strings.Join(words, ";")+";" {
			t.Errorf("host %d: %q", i+1, g)
		}
	}
	h := p.Host(target(l, 1))
	_, err = h.Run(t.Context(), remote.Cmd{Args: []string{"sh", "-c", "kill -9 $$"}})
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Code != 137 {
		t.Errorf("signal: %v", err)
	}
	facts, err := h.Facts(t.Context())
	if err != nil || facts.Hostname != "db1" || facts.User != lab.User || facts.MachineID != strings.TrimSpace(l.Run(1, "cat", "/etc/machine-id")) {
		t.Errorf("facts %+v %v", facts, err)
	}
	// Behind the address of host 1 answers host 2.
	wrong := target(l, 2)
	wrong.Name, wrong.MachineID = "moved", facts.MachineID
	var other *remote.WrongHostError
	if _, err := p.Host(wrong).Facts(t.Context()); !errors.As(err, &other) || other.Hostname != "db2" {
		t.Errorf("got %v", err)
	}
}

func TestLargeStreamThroughSSHD(t *testing.T) {
	l := lab.Up(t, 1)
	h := pool(t, remote.Options{}).Host(target(l, 1))
	data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<20)
	var out bytes.Buffer
	if _, err := h.Run(t.Context(), remote.Cmd{Args: []string{"cat"}, Stdin: bytes.NewReader(data), Stdout: &out}); err != nil || !bytes.Equal(out.Bytes(), data) {
		t.Errorf("%d bytes of %d: %v", out.Len(), len(data), err)
	}
}

func TestNoisyAndOddLoginShells(t *testing.T) {
	l := lab.Up(t, 1)
	h := pool(t, remote.Options{}).Host(target(l, 1))
	l.Run(1, "sh", "-c", "printf 'echo hello from bashrc\\necho noise >&2\\nset -x\\n' >/home/deploy/.bashrc")
	r, err := h.Run(t.Context(), remote.Cmd{Args: []string{"sh", "-c", "echo data; echo problem >&2"}})
	if err != nil || string(r.Stdout) != "data\n" || string(r.Stderr) != "problem\n" {
		t.Errorf("%q %q %v", r.Stdout, r.Stderr, err)
	}
	l.Run(1, "usermod", "-s", "/usr/sbin/nologin", lab.User)
	h = pool(t, remote.Options{}).Host(target(l, 1)) // sshd looks the shell up when one logs in
	if _, err := h.Run(t.Context(), remote.Cmd{Args: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "not available") {
		t.Errorf("nologin: %v", err)
	}
}

func TestRealSudo(t *testing.T) {
	l := lab.Up(t, 1)
	p := pool(t, remote.Options{})
	h := p.Host(target(l, 1))
	l.Run(1, "useradd", "--create-home", "dwowner")
	for _, as := range []string{"root", "dwowner"} {
		got := run(t, h, remote.Cmd{Args: []string{"sh", "-c", `id -un; echo "$HOME"; pwd; cat`}, As: as, Stdin: strings.NewReader("input")})
		home := map[string]string{"root": "/root", "dwowner": "/home/dwowner"}[as]
		if got != as+"\n"+home+"\n"+home+"\ninput" {
			t.Errorf("as %s: %q", as, got)
		}
	}
	var sudo *remote.SudoError
	if _, err := h.Run(t.Context(), remote.Cmd{Args: []string{"true"}, As: "nosuch"}); !errors.As(err, &sudo) || !strings.Contains(fault.HintOf(err), "useradd") {
		t.Errorf("no such user: %v", err)
	}
	if err := h.WriteFile(t.Context(), "/etc/made.conf", []byte("x = 1\n"), remote.FileOptions{As: "root", Mode: 0o600}); err != nil {
		t.Error(err)
	}
	if got := l.Run(1, "stat", "-c", "%U %a", "/etc/made.conf"); got != "root 600\n" {
		t.Errorf("written as %s", got)
	}
	if got, err := h.ReadFile(t.Context(), "/etc/made.conf", "root"); err != nil || string(got) != "x = 1\n" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := h.ReadFile(t.Context(), "/etc/made.conf", ""); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("read without rights: %v", err)
	}
}

func TestRealSudoPassword(t *testing.T) {
	l := lab.Up(t, 1)
	l.Run(1, "sh", "-c", "echo 'deploy:it'\"'\"'s secret' | chpasswd -c SHA512; echo 'deploy ALL=(ALL) ALL' >/etc/sudoers.d/deploy")
	file := filepath.Join(t.TempDir(), "password")
	to := target(l, 1)
	_, err := pool(t, remote.Options{}).Host(to).Run(t.Context(), remote.Cmd{Args: []string{"true"}, As: "root"})
	var sudo *remote.SudoError
	if !errors.As(err, &sudo) || !strings.Contains(err.Error(), "password") || !strings.Contains(fault.HintOf(err), "NOPASSWD") {
		t.Fatalf("without a password: %v", err)
	}
	to.BecomePasswordFile = file
	for _, tc := range []struct {
		password string
		ok       bool
	}{{"wrong", false}, {"it's secret", true}} {
		if err := os.WriteFile(file, []byte(tc.password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		h := pool(t, remote.Options{}).Host(to)
		r, err := h.Run(t.Context(), remote.Cmd{Args: []string{"sh", "-c", "id -un; cat"}, As: "root", Stdin: strings.NewReader("data")})
		if tc.ok && (err != nil || string(r.Stdout) != "root\ndata") {
			t.Errorf("%q %v", r.Stdout, err)
		}
		if !tc.ok && !errors.As(err, &sudo) {
			t.Errorf("wrong password: %v", err)
		}
	}
	asked := 0
	p := pool(t, remote.Options{Prompt: func(context.Context, string) (string, error) { asked++; return "it's secret", nil }})
	to.BecomePasswordFile = ""
	for range 2 {
		if got := run(t, p.Host(to), remote.Cmd{Args: []string{"id", "-un"}, As: "root"}); got != "root\n" {
			t.Errorf("got %q", got)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestRootBecomesOthers(t *testing.T) {
	l := lab.Up(t, 1)
	l.Run(1, "sh", "-c", "useradd --create-home dwowner; mkdir -p /root/.ssh && cp /home/deploy/.ssh/authorized_keys /root/.ssh/ && chown -R root:root /root/.ssh && chmod 700 /root /root/.ssh")
	to := target(l, 1)
	to.User = "root"
	h := pool(t, remote.Options{}).Host(to)
	got := run(t, h, remote.Cmd{Args: []string{"sh", "-c", `id -un; echo "$HOME $USER"; cat`}, As: "dwowner", Stdin: strings.NewReader("x")})
	if got != "dwowner\n/home/dwowner dwowner\nx" {
		t.Errorf("got %q", got)
	}
}

func TestPushAndPullOnRealHosts(t *testing.T) {
	l := lab.Up(t, 1)
	h := pool(t, remote.Options{}).Host(target(l, 1))
	src := filepath.Join(t.TempDir(), "src")
	data := bytes.Repeat([]byte("0123456789"), 300_000)
	if err := os.MkdirAll(filepath.Join(src, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"big", "sub/it's"} {
		if err := os.WriteFile(filepath.Join(src, name), data, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, as := range []string{"", "root"} {
		dst := "/data/dst" + as
		if err := h.Push(t.Context(), src, dst, remote.FileOptions{As: as}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"": lab.User, "root": "root"}[as]
		if got := l.Run(1, "stat", "-c", "%U %a %s", dst+"/sub/it's"); got != fmt.Sprintf("%s 750 %d\n", want, len(data)) {
			t.Errorf("as %q: %s", as, got)
		}
		if got := l.Run(1, "find", dst, "-name", "*cw-*"); got != "" {
			t.Errorf("left behind: %s", got)
		}
		back := filepath.Join(t.TempDir(), "back")
		if err := h.Pull(t.Context(), dst+"/big", back, as); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	// A full disk is named as what it is.
	l.Run(1, "mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "none", "/data/dst/sub")
	err := h.Push(t.Context(), filepath.Join(src, "big"), "/data/dst/sub/big", remote.FileOptions{As: "root"})
	if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(fault.HintOf(err), "df -h") {
		t.Errorf("full disk: %v", err)
	}
	if got := l.Run(1, "ls", "-A", "/data/dst/sub"); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestPortJumpAndChangedKey(t *testing.T) {
	l := lab.UpWith(t, 2, lab.Config{SSHD: []string{"Port=2222"}, Port: 2222})
	p := pool(t, remote.Options{})
	to := target(l, 2)
	to.Jump = fmt.Sprintf("%s@%s:2222", lab.User, l.Hosts[0].Addr)
	l.Cut(0, 2) // there is no way but through host 1
	h := p.Host(to)
	got := run(t, h, remote.Cmd{Args: []string{"sh", "-c", "hostname; echo ${SSH_CLIENT%% *}"}})
	if got != "db2\n"+l.Hosts[0].Addr+"\n" {
		t.Errorf("got %q", got)
	}
	l.Heal()
	l.Off(1)
	l.On(1)
	l.Run(1, "sh", "-c", "rm /etc/ssh/ssh_host_ed25519_key; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key")
	l.Off(1)
	l.On(1)
	var changed *remote.HostKeyError
	err := until(t, func() (bool, error) {
		err := p.Host(target(l, 1)).Connect(t.Context())
		return errors.As(err, &changed), err
	})
	if err != nil && !strings.Contains(fault.HintOf(err), fmt.Sprintf("ssh-keygen -R '[%s]:2222' -f ", l.Hosts[0].Addr)) {
		t.Errorf("hint %s", fault.HintOf(err))
	}
}

// until repeats fn until it says done, and returns its last error.
func until(t *testing.T, fn func() (bool, error)) error {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		done, err := fn()
		if done {
			return err
		}
		if time.Now().After(deadline) {
			t.Errorf("still not so after 20 s: %v", err)
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestMaxStartups(t *testing.T) {
	l := lab.UpWith(t, 1, lab.Config{SSHD: []string{"MaxStartups=2:100:2", "MaxSessions=3"}})
	p := pool(t, remote.Options{})
	var many []*remote.Host
	for i := range 12 { // as many connections, not one
		to := target(l, 1)
		to.Name = fmt.Sprint("c", i)
		to.IdentityFile = filepath.Join(t.TempDir(), "key")
		text, err := os.ReadFile(l.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to.IdentityFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
		many = append(many, p.Host(to))
	}
	if _, err := remote.Each(t.Context(), many, 0, func(ctx context.Context, h *remote.Host) (any, error) {
		return nil, h.Connect(ctx)
	}); err != nil {
		t.Error(err)
	}
	// More commands at once than the server has sessions for.
	one := make([]*remote.Host, 12)
	for i := range one {
		one[i] = many[0]
	}
	if _, err := remote.Each(t.Context(), one, 0, func(ctx context.Context, h *remote.Host) (remote.Result, error) {
		return h.Run(ctx, remote.Cmd{Args: []string{"sleep", "0.1"}})
	}); err != nil {
		t.Error(err)
	}
}

// started runs a command that prints its process id first, and returns that.
func started(ctx context.Context, t *testing.T, h *remote.Host, as, script string) (pid string, finished <-chan error) {
	t.Helper()
	pids, done := make(chan string, 1), make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, remote.Cmd{Args: []string{"sh", "-c", "echo $$; " + script}, As: as, Stdout: lineWriter(pids)})
		done <- err
	}()
	select {
	case pid = <-pids:
	case err := <-done:
		t.Fatalf("the command has ended: %v", err)
	}
	return pid, done
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- strings.TrimSpace(string(p))
	return len(p), nil
}

// gone waits until nothing is left of a process group.
func gone(t *testing.T, l *lab.Lab, i int, group string) {
	t.Helper()
	_ = until(t, func() (bool, error) {
		out, err := l.Try(i, "sh", "-c", `for f in /proc/[0-9]*/stat; do read -r x <$f && set -- ${x##*) } && [ "$3" = `+group+` ] && [ "$1" != Z ] && exit 1; done; exit 0`)
		return err == nil, fmt.Errorf("process group %s: %s", group, out)
	})
}

func TestProcessGroupsEndWithTheirConnection(t *testing.T) {
	l := lab.Up(t, 1)
	for _, as := range []string{"", "root"} {
		for name, end := range map[string]func(cancel context.CancelFunc, p *remote.Pool){
			"cancelled": func(cancel context.CancelFunc, _ *remote.Pool) { cancel() },
			"closed":    func(_ context.CancelFunc, p *remote.Pool) { p.Close() },
			"cut":       func(context.CancelFunc, *remote.Pool) { l.Cut(0, 1) },
		} {
			p := pool(t, remote.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			group, finished := started(ctx, t, p.Host(target(l, 1)), as, "sleep 600 & sleep 600")
			if name == "cut" {
				// The guard is on after the first sign of life.
				_ = until(t, func() (bool, error) {
					out, err := l.Try(1, "sh", "-c", `for f in /proc/[0-9]*/cmdline; do tr "\0" " " <$f; echo; done 2>/dev/null | grep -qx "sleep 1 " && echo armed`)
					return strings.Contains(out, "armed"), err
				})
			}
			end(cancel, p)
			gone(t, l, 1, group)
			if name == "cut" {
				l.Heal()
			}
			err := <-finished
			if name == "cancelled" && !errors.Is(err, context.Canceled) || name != "cancelled" && fault.KindOf(err) != fault.Unreachable {
				t.Errorf("%s as %q: %v", name, as, err)
			}
			cancel()
		}
	}
	_ = until(t, func() (bool, error) {
		out := l.Run(1, "sh", "-c", "ps -eo args | grep -c '[c]w_i=' || true")
		return strings.TrimSpace(out) == "0", errors.New("wrappers left: " + out)
	})
}

func TestHostThatGoesOffAndOn(t *testing.T) {
	l := lab.Up(t, 2)
	p := pool(t, remote.Options{ConnectTimeout: 2 * time.Second})
	all := hosts(l, p)
	_, finished := started(t.Context(), t, all[0], "", "sleep 600")
	l.Off(1)
	if err := <-finished; fault.KindOf(err) != fault.Unreachable {
		t.Errorf("got %v", err)
	}
	_, err := remote.Each(t.Context(), all, 0, func(ctx context.Context, h *remote.Host) (any, error) { return nil, h.Connect(ctx) })
	var several *remote.HostErrors
	if !errors.As(err, &several) || len(several.Errs) != 1 || several.Errs[0].Host != "db1" || fault.KindOf(err) != fault.Partial {
		t.Errorf("got %v", err)
	}
	l.On(1)
	run(t, all[0], remote.Cmd{Args: []string{"true"}})
}
