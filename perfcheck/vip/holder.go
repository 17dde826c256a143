package vip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"cw/fault"
)

// Seat is a Holder on its own machine. It needs root.
type Seat struct {
	mu      sync.Mutex
	args    HolderArgs
	address netip.Addr
	dev     string
	before  bool // it had the address when it came
	down    bool
	lo      bool     // it was put on the loopback
	routes  []string // of the interface, to be set again
	udp     *net.UDPConn
	tcp     net.Listener
	servers sync.WaitGroup
	quit    chan struct{} // ends the announcements
	told    sync.WaitGroup
}

// Listen implements Holder.
func (s *Seat) Listen(ctx context.Context, a HolderArgs) (Listening, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l Listening
	if s.udp != nil {
		return l, fault.New(fault.Usage, "", "it listens already")
	}
	address, err := parseAddress(a.Address)
	if err != nil {
		return l, err
	}
	if s.dev = a.Dev; s.dev == "" {
		if s.dev, err = devFor(address); err != nil && a.Foreign {
			s.dev = loopback // it is not touched, and not announced
		} else if err != nil {
			return l, fault.Wrap(fault.Check, "--dev names the interface that gets the address", err)
		}
	}
	s.args, s.address, s.quit = a, address, make(chan struct{})
	if s.before, err = s.has(ctx); err != nil {
		return l, err
	}
	if err := s.serve(ctx); err != nil {
		return l, err
	}
	if a.Loopback && !s.before {
		s.lo = true
		if _, err := ip(ctx, "addr", "add", address.String()+"/32", "dev", loopback); err != nil {
			return l, s.needsRoot(err)
		}
	}
	l.Port, l.Dev, l.Has = s.udp.LocalAddr().(*net.UDPAddr).Port, s.dev, s.before
	l.Bound = s.bound(ctx)
	return l, nil
}

// loopback is the interface that every machine has.
const loopback = "lo"

// parseAddress takes an IPv4 address.
func parseAddress(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is4() {
		return address, fault.New(fault.Usage, "give an unused IPv4 address of the hosts' network", "%q is no IPv4 address; IPv6 has no ARP, and its moves are not measured", text)
	}
	return address, nil
}

// ip runs the tool of that name.
func ip(ctx context.Context, args ...string) (string, error) {
	tool := "ip"
	if _, err := exec.LookPath(tool); err != nil {
		tool = "/usr/sbin/ip"
	}
	out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// has tells whether the machine has the address, on any interface.
func (s *Seat) has(ctx context.Context) (bool, error) {
	out, err := ip(ctx, "-o", "-4", "addr", "show", "to", s.address.String()+"/32")
	return strings.TrimSpace(out) != "", err
}

// bound says what depends on the interface.
func (s *Seat) bound(ctx context.Context) string {
	out, err := ip(ctx, "-4", "route", "show", "default", "dev", s.dev)
	if err != nil || strings.TrimSpace(out) != "" {
		return "the default route goes through " + s.dev
	}
	if f := strings.Fields(sshConnection()); len(f) == 4 {
		if via, err := ip(ctx, "-o", "-4", "addr", "show", "dev", s.dev, "to", f[2]+"/32"); err != nil || strings.TrimSpace(via) != "" {
			return "SSH comes in through " + s.dev
		}
	}
	return ""
}

// sshConnection is what sshd tells its sessions: who comes from where to which
// address. sudo keeps it from us, but not from those above us.
func sshConnection() string {
	for pid := os.Getpid(); pid > 1; {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			return ""
		}
		for v := range strings.SplitSeq(string(env), "\x00") {
			if text, ok := strings.CutPrefix(v, "SSH_CONNECTION="); ok {
				return text
			}
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return ""
		}
		f := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:]) // state, parent, …
		if len(f) < 2 {
			return ""
		}
		if pid, err = strconv.Atoi(f[1]); err != nil {
			return ""
		}
	}
	return ""
}

// Take implements Holder.
func (s *Seat) Take(ctx context.Context, quiet bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if has, err := s.has(ctx); err != nil {
		return err
	} else if !has {
		if _, err := ip(ctx, "addr", "add", s.address.String()+"/32", "dev", s.dev); err != nil {
			return s.needsRoot(err)
		}
	}
	if quiet {
		return nil
	}
	if err := announce(s.dev, s.address); err != nil {
		return s.needsRoot(err)
	}
	// One packet may be lost; more follow without anybody waiting for them.
	s.told.Go(func() {
		for range 2 {
			select {
			case <-s.quit:
				return
			case <-time.After(100 * time.Millisecond):
			}
			_ = announce(s.dev, s.address)
		}
	})
	return nil
}

func (s *Seat) needsRoot(err error) error {
	if os.Getuid() != 0 {
		return fault.Wrap(fault.Check, "log in as root, or let the user sudo without a password", err)
	}
	return err
}

// Drop implements Holder.
func (s *Seat) Drop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop(ctx)
}

func (s *Seat) drop(ctx context.Context) error {
	s.silence()
	out, err := ip(ctx, "-o", "-4", "addr", "show", "to", s.address.String()+"/32")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(out) { // "2: eth0    inet 10.0.0.9/32 scope …"
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		if _, err := ip(ctx, "addr", "del", f[3], "dev", strings.TrimSuffix(f[1], ":")); err != nil {
			errs = append(errs, s.needsRoot(err))
		}
	}
	return errors.Join(errs...)
}

// silence ends announcements that are still to come: after Drop they would be
// lies.
func (s *Seat) silence() {
	close(s.quit)
	s.told.Wait()
	s.quit = make(chan struct{})
}

// Down implements Holder.
func (s *Seat) Down(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if why := s.bound(ctx); why != "" {
		return fault.New(fault.Check, "leave --fault link out, or give the address a network of its own", "%s must not go down: %s", s.dev, why)
	}
	out, err := ip(ctx, "-4", "route", "show", "dev", s.dev)
	if err != nil {
		return err
	}
	s.routes = nil
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "proto kernel") { // those come back by themselves
			s.routes = append(s.routes, strings.TrimSpace(line))
		}
	}
	s.silence()
	s.down = true
	if _, err := ip(ctx, "link", "set", s.dev, "down"); err != nil {
		return s.needsRoot(err)
	}
	return nil
}

// Up implements Holder.
func (s *Seat) Up(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up(ctx)
}

func (s *Seat) up(ctx context.Context) error {
	if !s.down {
		return nil
	}
	errs := []error{s.drop(ctx)} // before it can answer for it again
	if _, err := ip(ctx, "link", "set", s.dev, "up"); err != nil {
		return fault.Wrap(fault.Failed, "ip link set "+s.dev+" up", errors.Join(append(errs, err)...))
	}
	for _, r := range s.routes {
		words := strings.Fields(strings.ReplaceAll(r, "linkdown", ""))
		if _, err := ip(ctx, append(append([]string{"route", "replace"}, words...), "dev", s.dev)...); err != nil {
			errs = append(errs, err)
		}
	}
	s.down = false
	return errors.Join(errs...)
}

// Close ends the servers. The interface is up afterwards, and the machine has
// the address when it had it before.
func (s *Seat) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.udp == nil {
		return nil
	}
	errs := []error{s.up(ctx)}
	if s.lo {
		errs, s.lo = append(errs, s.drop(ctx)), false
	} else if s.args.Foreign {
		s.silence()
	} else if s.before {
		if has, err := s.has(ctx); err != nil || !has {
			_, aerr := ip(ctx, "addr", "add", s.address.String()+"/32", "dev", s.dev)
			if errs = append(errs, err, aerr); aerr == nil {
				errs = append(errs, announce(s.dev, s.address))
			}
		}
		s.silence()
	} else {
		errs = append(errs, s.drop(ctx))
	}
	errs = append(errs, s.udp.Close(), s.tcp.Close())
	s.servers.Wait()
	s.udp, s.tcp = nil, nil
	return errors.Join(errs...)
}
