package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/replace"
	"cw/remote"
)

// replaceSite is the failed node and the new machine, over SSH.
type replaceSite struct {
	o      ReplaceOptions
	victim string
	life   context.Context //nolint:containedctx // the agent lives from one phase to the next

	dir    string // of the new machine's host keys
	pool   *remote.Pool
	host   *remote.Host
	member *Member
	closed bool
	err    error
}

func newReplaceSite(ctx context.Context, o ReplaceOptions, victim string) *replaceSite {
	s := &replaceSite{o: o, victim: victim, life: ctx}
	if s.dir, s.err = os.MkdirTemp("", "cw-replace-"); s.err == nil {
		s.pool = o.Pool(s.dir)
	}
	return s
}

// end removes what the site has here.
func (s *replaceSite) end() {
	if s.pool != nil {
		s.pool.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// Fault implements replace.Site.
func (s *replaceSite) Fault(ctx context.Context) error {
	if s.o.Hooks.Fault != "" {
		_, err := s.local(ctx, "--fault", s.o.Hooks.Fault)
		return err
	}
	if s.victim == "" {
		return nil
	}
	return s.o.Machines.StopMachine(ctx, s.victim)
}

// Detected implements replace.Site.
func (s *replaceSite) Detected(ctx context.Context) (bool, error) {
	return s.local(ctx, "--detect", s.o.Hooks.Detect)
}

// local runs a hook here: yes when it ends with 0. With another status it is
// not yet for --detect, and an error for the others.
func (s *replaceSite) local(ctx context.Context, flag, command string) (bool, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), "CW_MACHINE="+s.victim)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if flag == "--detect" && errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() < 126 {
		return false, nil
	}
	return false, fault.New(fault.Failed, "try it by hand: sh -c "+remote.Quote([]string{command}), "%s: %w: %.300s", flag, err, strings.TrimSpace(string(out)))
}

// Open implements replace.Site.
func (s *replaceSite) Open(ctx context.Context, m cloud.Machine) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if s.o.Target.Jump != "" {
		return s.reach(m).Connect(ctx)
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(address(m, s.o.Target)))
	if err != nil {
		return err
	}
	return c.Close()
}

// address is where a machine's SSH is: drivers of places that share one
// address tell a port as well.
func address(m cloud.Machine, t remote.Target) (host, port string) {
	if h, p, err := net.SplitHostPort(m.Address); err == nil {
		return h, p
	}
	if t.Port == 0 {
		return m.Address, "22"
	}
	return m.Address, strconv.Itoa(t.Port)
}

// reach is the way to the machine.
func (s *replaceSite) reach(m cloud.Machine) *remote.Host {
	if s.host == nil {
		t := s.o.Target
		var port string
		t.Name = m.ID
		t.Address, port = address(m, t)
		t.Port, _ = strconv.Atoi(port)
		s.host = s.pool.Host(t)
	}
	return s.host
}

// Command implements replace.Site.
func (s *replaceSite) Command(ctx context.Context, m cloud.Machine) error {
	_, err := s.reach(m).Run(ctx, remote.Cmd{Args: []string{"true"}, Timeout: 30 * time.Second})
	return err
}

// Ready implements replace.Site.
func (s *replaceSite) Ready(_ context.Context, m cloud.Machine) error {
	s.member = &Member{Machine: Machine{Name: m.ID, Host: s.reach(m)}}
	return s.member.start(s.life, s.o.Agent)
}

// findDevice prints the device of a volume: by what its serial number is made
// of, or by the name that the cloud told.
const findDevice = `for d in /dev/disk/by-id/*"$2"* /dev/disk/by-id/*"$3"* "$1"; do
  [ -n "$d" ] && [ -e "$d" ] && { readlink -f -- "$d"; exit 0; }
done`

// Device implements replace.Site.
func (s *replaceSite) Device(ctx context.Context, m cloud.Machine, v cloud.Volume) (string, error) {
	name := v.Device
	if s.o.Device != "" {
		name = s.o.Device
	}
	// NVMe disks carry the id without its dash, virtio's the first 20 bytes.
	serial := strings.ReplaceAll(v.ID, "-", "")
	got, err := s.reach(m).Run(ctx, remote.Cmd{Args: []string{"/bin/sh", "-c", findDevice, "sh", name, serial, v.ID[:min(20, len(v.ID))]}, Timeout: 30 * time.Second})
	return strings.TrimSpace(string(got.Stdout)), err
}

// there runs a hook on the new machine.
func (s *replaceSite) there(ctx context.Context, m cloud.Machine, flag, command, device string, tolerate ...int) (remote.Result, error) {
	res, err := s.reach(m).Run(ctx, remote.Cmd{Args: []string{"/bin/sh", "-c", command}, Env: []string{"CW_DEVICE=" + device}, Tolerate: tolerate})
	if err != nil {
		err = fmt.Errorf("%s: %w", flag, err)
	}
	return res, err
}

// Mount implements replace.Site.
func (s *replaceSite) Mount(ctx context.Context, m cloud.Machine, device string) error {
	_, err := s.there(ctx, m, "--mount", s.o.Hooks.Mount, device)
	return err
}

// Measure implements replace.Site.
func (s *replaceSite) Measure(ctx context.Context, _ cloud.Machine, j replace.Job) (perfcheck.Measurement, error) {
	got, err := s.member.Measure(ctx, perfcheck.Replace, j, func(sec perfcheck.Second) {
		s.o.Reporter.Phase("reading everything: " + perfcheck.FormatValue(sec.Value, perfcheck.BytesPerSecond))
	})
	return got.Measurement, err
}

// Start implements replace.Site.
func (s *replaceSite) Start(ctx context.Context, m cloud.Machine) error {
	if s.o.Hooks.Start == "" {
		return nil
	}
	_, err := s.there(ctx, m, "--start", s.o.Hooks.Start, "")
	return err
}

// Up implements replace.Site.
func (s *replaceSite) Up(ctx context.Context, m cloud.Machine) (bool, error) {
	if s.o.Hooks.Up == "" {
		return true, nil // --start has ended well: that is what it says
	}
	res, err := s.there(ctx, m, "--up", s.o.Hooks.Up, "", notYet()...)
	return res.Code == 0, err
}

// notYet are the exit statuses of --up that mean no: all but those of a
// command that cannot be run.
func notYet() []int {
	var codes []int
	for c := 1; c < 126; c++ {
		codes = append(codes, c)
	}
	return codes
}

// Close implements replace.Site.
func (s *replaceSite) Close(ctx context.Context, _ cloud.Machine) {
	if s.member != nil && s.member.a != nil && !s.closed {
		s.closed = true
		s.member.a.Close(ctx)
	}
}
