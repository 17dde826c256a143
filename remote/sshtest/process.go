package sshtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// killAfter is how long a process group may live on after its channel was
// closed. OpenSSH lets it live for ever; here nothing may stay behind.
const killAfter = 10 * time.Second

// processes are the process groups that run now.
type processes struct {
	mu   sync.Mutex
	pids map[int]bool
}

func (p *processes) add(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pids == nil {
		p.pids = map[int]bool{}
	}
	p.pids[pid] = true
}

func (p *processes) remove(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pids, pid)
}

// kill kills the group of a process that has not been waited for yet.
func (p *processes) kill(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pids[pid] {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// pipes are the three pipes between a channel and a process.
type pipes struct{ inR, inW, outR, outW, errR, errW *os.File }

func newPipes() (p pipes, err error) {
	var e1, e2, e3 error
	p.inR, p.inW, e1 = os.Pipe()
	p.outR, p.outW, e2 = os.Pipe()
	p.errR, p.errW, e3 = os.Pipe()
	return p, errors.Join(e1, e2, e3)
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// run runs a process on the channel, as sshd does without a terminal: its own
// session, the end of the process is reported at once, and the channel is
// closed when nobody holds its output any more.
func (s *Server) run(raw net.Conn, ch ssh.Channel, reqs <-chan *ssh.Request, args []string, user string) {
	p, err := newPipes()
	if err != nil {
		closeAll(p.inR, p.inW, p.outR, p.outW, p.errR, p.errW)
		_, _ = fmt.Fprintln(ch.Stderr(), err)
		sendStatus(ch, 254)
		return
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = s.o.Home, s.environment(user)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.inR, p.outW, p.errW
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.o.Credential}
	err = cmd.Start()
	closeAll(p.inR, p.outW, p.errW)
	if err != nil {
		closeAll(p.inW, p.outR, p.errR)
		_, _ = fmt.Fprintln(ch.Stderr(), err)
		sendStatus(ch, 127)
		return
	}
	pid := cmd.Process.Pid
	s.procs.add(pid)
	if s.faults.dropsNow() {
		_ = raw.Close()
	}

	gone := make(chan struct{}) // the client has closed the channel
	go func() {
		ssh.DiscardRequests(reqs)
		close(gone)
	}()
	go func() {
		_, _ = io.Copy(p.inW, ch)
		_ = p.inW.Close()
	}()
	var outputs sync.WaitGroup
	outputs.Go(func() { _, _ = io.Copy(ch, p.outR) })
	outputs.Go(func() { _, _ = io.Copy(ch.Stderr(), p.errR) })
	drained := make(chan struct{})
	go func() { outputs.Wait(); close(drained) }()

	exited := make(chan struct{})
	go func() {
		err = cmd.Wait()
		s.procs.remove(pid)
		close(exited)
	}()
	select {
	case <-exited:
	case <-gone:
		// The pipes close, as sshd's do; the process has a moment to notice.
		closeAll(p.inW, p.outR, p.errR)
		timer := time.AfterFunc(killAfter, func() { s.procs.kill(pid) })
		<-exited
		timer.Stop()
		return
	}
	_ = p.inW.Close()
	sendExit(ch, err)
	select {
	case <-drained:
	case <-gone:
	}
	closeAll(p.outR, p.errR)
	<-drained // nobody may write while CloseWrite runs
	_ = ch.CloseWrite()
}

// environment is what sshd gives, with its meagre PATH.
func (s *Server) environment(user string) []string {
	return append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/games", "HOME=" + s.o.Home, "USER=" + user, "LOGNAME=" + user, "SHELL=" + s.o.Shell, "LANG=C.UTF-8",
	}, s.o.Env...)
}

func sendExit(ch ssh.Channel, err error) {
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		status, ok := exit.Sys().(syscall.WaitStatus)
		if ok && status.Signaled() {
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal     string
				Core       bool
				Text, Lang string
			}{Signal: signalName(status.Signal())}))
			return
		}
		code = exit.ExitCode()
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
}

func signalName(sig syscall.Signal) string {
	switch sig {
	case syscall.SIGKILL:
		return "KILL"
	case syscall.SIGTERM:
		return "TERM"
	case syscall.SIGHUP:
		return "HUP"
	case syscall.SIGINT:
		return "INT"
	case syscall.SIGPIPE:
		return "PIPE"
	case syscall.SIGSEGV:
		return "SEGV"
	case syscall.SIGABRT:
		return "ABRT"
	}
	return "USR1"
}
