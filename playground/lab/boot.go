package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// boot starts the host's first process in its own namespaces, gives it a
// cable, and waits until its sshd listens.
func (h *Host) boot() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cmd != nil {
		return errors.New("it is on already")
	}
	spec, err := h.spec.specJSON()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.spec.Dir, 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(h.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	gate, opener, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = gate.Close(); _ = opener.Close() }()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envHost+"="+spec)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{gate}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID,
		Setsid:     true,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	h.cmd, h.ended = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(h.ended)
	}()
	pid := strconv.Itoa(cmd.Process.Pid)
	err = errors.Join(
		tool("ip", "link", "add", h.link, "type", "veth", "peer", "name", "eth0", "address", h.mac, "netns", pid),
		tool("ip", "link", "set", h.link, "master", "br0", "up"),
	)
	if err == nil {
		_, err = io.WriteString(opener, "go\n")
	}
	if err == nil {
		err = h.await(cmd.Process.Pid)
	}
	if err != nil {
		h.end()
		text, _ := os.ReadFile(h.log())
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(text)))
	}
	return nil
}

func (h *Host) log() string { return filepath.Join(h.spec.Dir, "log") }

// await looks into the host's table of sockets: to knock on the port would
// lose the first packet to ARP and cost a second.
func (h *Host) await(pid int) error {
	want := fmt.Sprintf(":%04X 00000000:0000 0A", h.Port)
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		// There is no table for a moment while the process becomes sshd.
		table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
		if strings.Contains(string(table), want) {
			return nil
		}
		select {
		case <-h.ended:
			return errors.New("it has ended")
		default:
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("no sshd on port %d within %s", h.Port, patience)
}

func (h *Host) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end()
}

// end kills the first process; the kernel kills the others with it, and it
// has ended only when they have. h.mu is held.
func (h *Host) end() {
	if h.cmd == nil {
		return
	}
	_ = h.cmd.Process.Kill()
	<-h.ended
	_ = tool("ip", "link", "del", h.link) // the kernel does it too, but takes its time
	h.cmd = nil
}

// run runs a command on the host as root.
func (h *Host) run(args ...string) (string, error) {
	h.mu.Lock()
	if h.cmd == nil {
		h.mu.Unlock()
		return "", errors.New("the host is off")
	}
	pid := strconv.Itoa(h.cmd.Process.Pid)
	h.mu.Unlock()
	words := append([]string{"-t", pid, "-m", "-u", "-i", "-n", "-p", "--", "setpriv", "--bounding-set=" + dropped, "--"}, args...)
	cmd := exec.Command("nsenter", words...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
