package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cw/fault"
	"cw/remote/sshtest"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{ConnectTimeout: 300 * time.Millisecond})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	closed := listen(t, sshtest.Options{})
	closed.Close()
	for name, tc := range map[string]struct {
		port int
		want string
	}{
		"refused": {closed.Port(), "connection refused"},
		"silent":  {silent.Addr().(*net.TCPAddr).Port, "no answer within 300ms"},
	} {
		target := f.target
		target.Name, target.Port = name, tc.port
		err := f.pool.Host(target).Connect(t.Context())
		var lost *UnreachableError
		if !errors.As(err, &lost) || fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if want := fmt.Sprintf("ssh -p %d -i %s deploy@127.0.0.1", tc.port, f.key); !strings.Contains(fault.HintOf(err), want) {
			t.Errorf("%s: hint %s", name, fault.HintOf(err))
		}
	}
	target := f.target
	target.Name, target.Address = "ghost", "no-such-host.invalid"
	if err := f.pool.Host(target).Connect(t.Context()); fault.KindOf(err) != fault.Unreachable {
		t.Errorf("no such host: %v", err)
	}
}

func TestBusyServerIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	f.server.Busy(3)
	if err := f.host().Connect(t.Context()); err != nil {
		t.Error(err)
	}
	f.server.DropConnections()
	f.server.Busy(1000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	target := f.target
	target.Name, target.User = "second", "other"
	err := f.pool.Host(target).Connect(ctx)
	if fault.KindOf(err) != fault.Unreachable {
		t.Errorf("got %v", err)
	}
}

func TestCancelDuringHandshake(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	f.server.Stall(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := f.host().Connect(ctx); !errors.Is(err, context.DeadlineExceeded) || fault.KindOf(err) != fault.Unreachable {
		t.Errorf("got %v", err)
	}
	f.server.Stall(false)
	if err := f.host().Connect(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A connection over which nothing comes any more is given up, and the far
// side, which hears nothing any more either, kills the command.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{KeepAlive: 50 * time.Millisecond})
	h := f.host()
	mustRun(t, h, "true")
	pid := make(chan int, 1)
	finished := make(chan error, 1)
	go func() {
		_, err := h.Run(t.Context(), Cmd{Args: []string{"sh", "-c", "echo $$; sleep 600"}, Stdout: pidWriter{pid}})
		finished <- err
	}()
	group := await(t, pid, finished)
	f.server.Stall(true)
	if err := <-finished; fault.KindOf(err) != fault.Unreachable {
		t.Errorf("got %v", err)
	}
	waitGone(t, group)
	f.server.Stall(false)
}

func TestDroppedAfterSomeBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	for _, n := range []int{1, 30, 700, 3000, 100_000} {
		f.server.DropAfter(n)
		target := f.target
		target.Name, target.User = fmt.Sprint("after", n), fmt.Sprint("user", n) // a connection of its own
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := f.pool.Host(target).Run(ctx, Cmd{Args: []string{"head", "-c", "1000000", "/dev/zero"}})
		cancel()
		// Very early it looks like MaxStartups, and the second try succeeds.
		if err != nil && fault.KindOf(err) != fault.Unreachable && fault.KindOf(err) != fault.Auth {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if err == nil && n > 30 {
			t.Errorf("after %d bytes: no error", n)
		}
	}
}

func TestDropAtCommand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	mustRun(t, f.host(), "true")
	f.server.DropAtCommand(2)
	mustRun(t, f.host(), "true")
	_, err := f.host().Run(t.Context(), Cmd{Args: []string{"sleep", "600"}})
	if fault.KindOf(err) != fault.Unreachable {
		t.Errorf("got %v", err)
	}
	mustRun(t, f.host(), "true")
}

func TestSlowServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	f.server.Slow(5 * time.Millisecond)
	if got := mustRun(t, f.host(), "echo x"); got != "x\n" {
		t.Errorf("got %q", got)
	}
}

func TestJumpHosts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	inner := listen(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{f.pub}})
	outer := listen(t, sshtest.Options{AuthorizedKeys: []ssh.PublicKey{f.pub}})
	var hosts []*Host
	for i := range 3 {
		target := f.target
		target.Name = fmt.Sprint("db", i)
		target.User = target.Name
		target.Jump = fmt.Sprintf("jump@%s:%d,jump@%s:%d", outer.Addr(), outer.Port(), inner.Addr(), inner.Port())
		hosts = append(hosts, f.pool.Host(target))
	}
	if _, err := Each(t.Context(), hosts, 0, func(ctx context.Context, h *Host) (Result, error) {
		return h.Run(ctx, Cmd{Args: []string{"echo", "hi"}})
	}); err != nil {
		t.Fatal(err)
	}
	if o, i, d := outer.Connections(), inner.Connections(), f.server.Connections(); o != 1 || i != 1 || d != 3 {
		t.Errorf("connections: outer %d, inner %d, hosts %d", o, i, d)
	}
	outer.DropConnections()
	for _, h := range hosts {
		for { // until the loss has come through to all
			if _, err := h.Run(t.Context(), Cmd{Args: []string{"true"}}); err == nil {
				break
			} else if fault.KindOf(err) != fault.Unreachable {
				t.Fatal(err)
			}
		}
	}
	// A jump host that refuses us is named.
	target := f.target
	target.Name, target.Jump = "db9", fmt.Sprintf("%s:%d", outer.Addr(), outer.Port())
	outer.RefuseAuth(true)
	err := f.pool.Host(target).Connect(t.Context())
	if fault.KindOf(err) != fault.Auth || !strings.Contains(err.Error(), fmt.Sprint(outer.Port())) {
		t.Errorf("got %v", err)
	}
}

func TestDialContextFromTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	for _, network := range []string{"tcp", "unix"} {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = filepath.Join(f.dir, "sock")
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
			}
		}()
		c, err := f.host().DialContext(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 5)
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Errorf("%s: %q %v", network, buf, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: deadline: %v", network, err)
		}
		_ = c.Close()
		_ = l.Close()
		_, err = f.host().DialContext(t.Context(), network, l.Addr().String())
		if fault.KindOf(err) != fault.Unreachable {
			t.Errorf("%s: nobody listens: %v", network, err)
		}
	}
}
