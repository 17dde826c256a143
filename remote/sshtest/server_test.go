package sshtest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cw/remote/sshtest"
)

// serve starts a server and returns a function that logs in to it.
func serve(t *testing.T, o sshtest.Options) (*sshtest.Server, func() (*ssh.Client, error)) {
	t.Helper()
	key, err := sshtest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	o.AuthorizedKeys = []ssh.PublicKey{key.PublicKey()}
	s, err := sshtest.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, func() (*ssh.Client, error) {
		return ssh.Dial("tcp", net.JoinHostPort(s.Addr(), strconv.Itoa(s.Port())), &ssh.ClientConfig{
			User: "somebody", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
			HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			Timeout:         10 * time.Second,
		})
	}
}

func session(t *testing.T, login func() (*ssh.Client, error)) (*ssh.Client, *ssh.Session) {
	t.Helper()
	c, err := login()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	sess, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return c, sess
}

func TestScriptedAnswers(t *testing.T) {
	t.Parallel()
	s, login := serve(t, sshtest.Options{Answer: func(c sshtest.Call) int {
		in, _ := io.ReadAll(c.Stdin)
		_, _ = io.WriteString(c.Stdout, c.User+" "+c.Line+" "+string(in))
		_, _ = io.WriteString(c.Stderr, "problem")
		return 7
	}})
	_, sess := session(t, login)
	var out, errOut bytes.Buffer
	sess.Stdin, sess.Stdout, sess.Stderr = strings.NewReader("input"), &out, &errOut
	err := sess.Run("any command")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 7 || out.String() != "somebody any command input" || errOut.String() != "problem" {
		t.Errorf("%v %q %q", err, out.String(), errOut.String())
	}
	if got := s.Calls(); len(got) != 1 || got[0] != "any command" {
		t.Errorf("calls %q", got)
	}
}

func TestRealCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, login := serve(t, sshtest.Options{Home: dir, Env: []string{"EXTRA=x"}})
	_, sess := session(t, login)
	out, err := sess.Output("pwd; echo $HOME $USER $EXTRA; exit 3")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 3 || string(out) != dir+"\n"+dir+" somebody x\n" {
		t.Errorf("%q %v", out, err)
	}
	_, sess = session(t, login)
	if err := sess.Run("kill -TERM $$"); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("signal: %v", err)
	}
}

// As with OpenSSH, the end of a connection is the end of a command's input,
// not of the command. But Close leaves nothing behind.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	s, login := serve(t, sshtest.Options{})
	_, sess := session(t, login)
	pipe, err := sess.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Start("echo $$; cat; exit"); err != nil {
		t.Fatal(err)
	}
	var pid [16]byte
	n, err := pipe.Read(pid[:])
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(pid[:n])))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := syscall.Kill(number, 0); !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", number, err)
	}
}

func TestUnprivilegedCommands(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	_, login := serve(t, sshtest.Options{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	c, sess := session(t, login)
	if out, err := sess.Output("id -u; id -g"); err != nil || string(out) != "65534\n65534\n" {
		t.Errorf("%q %v", out, err)
	}
	// SFTP inside the server would have root's rights.
	sess, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.RequestSubsystem("sftp"); err == nil {
		t.Error("SFTP as root for a user that is not root")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s, login := serve(t, sshtest.Options{Answer: func(c sshtest.Call) int {
		_, _ = io.WriteString(c.Stdout, "data")
		return 0
	}})
	s.RefuseAuth(true)
	if _, err := login(); err == nil {
		t.Error("RefuseAuth lets in")
	}
	s.RefuseAuth(false)
	s.Busy(1)
	if _, err := login(); err == nil {
		t.Error("Busy lets in")
	}
	s.Noise("hello ", "")
	_, sess := session(t, login)
	if out, err := sess.Output("x"); err != nil || string(out) != "hello data" {
		t.Errorf("%q %v", out, err)
	}
	s.NoExec(true)
	_, sess = session(t, login)
	if err := sess.Run("x"); err == nil {
		t.Error("NoExec runs")
	}
	s.NoExec(false)
	s.DropAtCommand(1)
	_, sess = session(t, login)
	if err := sess.Run("x"); err == nil {
		t.Error("DropAtCommand ends well")
	}
	s.DropAfter(100)
	if _, err := login(); err == nil {
		t.Error("DropAfter lets in")
	}
	s.Stall(true)
	done := make(chan error, 1)
	go func() { _, err := login(); done <- err }()
	select {
	case err := <-done:
		t.Errorf("a stalled server answers: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.Stall(false)
	if err := <-done; err != nil {
		t.Errorf("after the stall: %v", err)
	}
}
