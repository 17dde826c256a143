// Package hostprep knows the hosts of a cluster before there is a database on
// them: how to reach them, whether they can carry the nodes that the layout
// gives them, who owns a folder there, and how to install packages. It knows
// nothing of what an engine does with its folders.
package hostprep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"cw/cluster"
	"cw/remote"
)

// Fleet is the hosts of one cluster.
type Fleet struct {
	Topology *cluster.Topology
	Layout   *cluster.Layout
	hosts    map[string]*remote.Host

	mu    sync.Mutex
	disk  map[string]Disk
	homes map[string]Home
}

// Disk is the file system that a data folder is or will be on.
type Disk struct {
	Path     string // the nearest folder that exists
	Mount    string // where the file system is mounted; not always known
	Writable bool   // for the user who asked
	Size     int64  // bytes
	Free     int64  // bytes available to an ordinary user
}

// NewFleet names the hosts of a topology; it connects nowhere. machineIDs are
// those seen at first contact, by host; they may be incomplete.
func NewFleet(pool *remote.Pool, t *cluster.Topology, l *cluster.Layout, machineIDs map[string]string) *Fleet {
	f := &Fleet{Topology: t, Layout: l, hosts: map[string]*remote.Host{}, disk: map[string]Disk{}, homes: map[string]Home{}}
	for _, h := range t.Hosts {
		f.hosts[h.Name] = pool.Host(Target(t, h, machineIDs[h.Name]))
	}
	return f
}

// Target says how to reach a host of a topology.
func Target(t *cluster.Topology, h cluster.Host, machineID string) remote.Target {
	target := remote.Target{
		Name: h.Name, Address: h.Address, Port: t.SSH.Port, User: t.SSH.User,
		IdentityFile: t.SSH.IdentityFile, PasswordFile: t.SSH.PasswordFile, Jump: t.SSH.Jump,
		HostKey: t.SSH.HostKey, Become: t.SSH.Become, BecomePasswordFile: t.SSH.BecomePasswordFile, MachineID: machineID,
	}
	if h.SSHPort != 0 {
		target.Port = h.SSHPort
	}
	return target
}

// Host returns the connection of a host by its name in the topology.
func (f *Fleet) Host(name string) *remote.Host { return f.hosts[name] }

// Hosts are all hosts in the order of the topology.
func (f *Fleet) Hosts() []*remote.Host {
	out := make([]*remote.Host, len(f.Topology.Hosts))
	for i, h := range f.Topology.Hosts {
		out[i] = f.hosts[h.Name]
	}
	return out
}

// Script runs a script of /bin/sh on a host as an OS user, with arguments in
// $1 and so on, and returns its standard output.
func (f *Fleet) Script(ctx context.Context, host, as, script string, args ...string) (string, error) {
	return f.ScriptInput(ctx, host, as, "", script, args...)
}

// ScriptInput is Script with a standard input, the place for everything that
// must not be seen in an argv.
func (f *Fleet) ScriptInput(ctx context.Context, host, as, input, script string, args ...string) (string, error) {
	c := remote.Cmd{Args: append([]string{"/bin/sh", "-c", script, "cw"}, args...), As: as, Dir: "/"}
	if input != "" {
		c.Stdin = strings.NewReader(input)
	}
	res, err := f.hosts[host].Run(ctx, c)
	var exit *remote.ExitError
	if errors.As(err, &exit) {
		err = &scriptError{exit}
	}
	return string(res.Stdout), err
}

// scriptError is a script that failed: what it said matters, its text does not.
type scriptError struct{ exit *remote.ExitError }

func (e *scriptError) Error() string {
	said := strings.Join(trimLines(e.exit.Stderr), "; ")
	if said == "" {
		said = fmt.Sprintf("a script ended with status %d", e.exit.Code)
	}
	return e.exit.Host + ": " + said
}

// Unwrap gives the command's own error.
func (e *scriptError) Unwrap() error { return e.exit }

// Neighbours are the hosts of the topology that are the same machine as host,
// itself included: the host entries of a laboratory, or a mistake. Hosts that
// do not answer are left out.
func (f *Fleet) Neighbours(ctx context.Context, host string) ([]string, error) {
	facts, err := f.hosts[host].Facts(ctx)
	if err != nil {
		return nil, err
	}
	var same []string
	for _, h := range f.Topology.Hosts {
		if h.Name == host {
			same = append(same, h.Name)
			continue
		}
		other, err := f.hosts[h.Name].Facts(ctx)
		if err == nil && facts.MachineID != "" && other.MachineID == facts.MachineID {
			same = append(same, h.Name)
		}
	}
	return same, nil
}

// Machine is what a host has to offer one of its nodes: all of it, shared
// between the nodes on the same machine.
func (f *Fleet) Machine(ctx context.Context, host string) (cluster.Machine, error) {
	m, same, err := f.machine(ctx, host)
	nodes := 0
	for _, h := range same {
		nodes += len(f.Layout.On(h))
	}
	return m.Share(nodes), err
}

// machine is a whole machine, and the hosts of the topology that are it.
func (f *Fleet) machine(ctx context.Context, host string) (cluster.Machine, []string, error) {
	facts, err := f.hosts[host].Facts(ctx)
	if err != nil {
		return cluster.Machine{}, nil, err
	}
	same, err := f.Neighbours(ctx, host)
	if err != nil {
		return cluster.Machine{}, nil, err
	}
	disk, err := f.DataDisk(ctx, host)
	if err != nil {
		return cluster.Machine{}, nil, err
	}
	return cluster.Machine{Memory: facts.MemTotal, Swap: facts.SwapTotal, CPUs: facts.CPUs, Disk: disk.Size}, same, nil
}

// Machines are what all hosts have to offer, by name, each shared with the
// hosts that are the same machine, not between the nodes of a host. Hosts that
// do not answer are an error.
func (f *Fleet) Machines(ctx context.Context) (map[string]cluster.Machine, error) {
	all, err := remote.Each(ctx, f.Hosts(), 0, func(ctx context.Context, h *remote.Host) (cluster.Machine, error) {
		m, same, err := f.machine(ctx, h.Name())
		return m.Share(len(same)), err
	})
	if err != nil {
		return nil, err
	}
	out := map[string]cluster.Machine{}
	for i, h := range f.Topology.Hosts {
		out[h.Name] = all[i]
	}
	return out, nil
}

// LeastMachine is the least that any host offers a node.
func (f *Fleet) LeastMachine(ctx context.Context) (cluster.Machine, error) {
	var least cluster.Machine
	for i, h := range f.Topology.Hosts {
		m, err := f.Machine(ctx, h.Name)
		if err != nil {
			return least, err
		}
		if i == 0 {
			least = m
		}
		least = least.Least(m)
	}
	return least, nil
}

// DataDisk is the file system of the host's first data folder. The size is
// asked once, the rest every time.
func (f *Fleet) DataDisk(ctx context.Context, host string) (Disk, error) {
	f.mu.Lock()
	known, ok := f.disk[host]
	f.mu.Unlock()
	if ok {
		return known, nil
	}
	d, err := f.diskAt(ctx, host, "", f.Topology.Layout.DataDirs[0])
	if err != nil {
		return d, err
	}
	f.mu.Lock()
	f.disk[host] = d
	f.mu.Unlock()
	return d, nil
}

func (f *Fleet) diskAt(ctx context.Context, host, as, path string) (Disk, error) {
	out, err := f.Script(ctx, host, as, nearScript+diskScript+`seen=; disk "$1"; if [ -w "$p" ]; then echo w; fi`, path)
	if err != nil {
		return Disk{}, err
	}
	disks, _ := parseDisks(trimLines(out))
	for _, d := range disks {
		d.Writable = strings.HasSuffix(out, "\nw\n")
		return d, nil
	}
	return Disk{}, fmt.Errorf("%s: df answers in an unknown form: %q", host, out)
}

// ParseDF reads "size free" in KiB and returns bytes.
func ParseDF(line string) (size, free int64, err error) {
	a, b, _ := strings.Cut(strings.TrimSpace(line), " ")
	size, err1 := strconv.ParseInt(a, 10, 64)
	free, err2 := strconv.ParseInt(b, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, fmt.Errorf("reading df's answer %q: %w", line, err)
	}
	if size < 0 || free < 0 || max(size, free) > math.MaxInt64>>10 {
		return 0, 0, fmt.Errorf("df answers %q, which no disk has", line)
	}
	return size << 10, free << 10, nil
}

// trimLines splits output into its non-empty lines.
func trimLines(out string) []string {
	var lines []string
	for _, l := range bytes.Split([]byte(out), []byte("\n")) {
		if l = bytes.TrimSpace(l); len(l) > 0 {
			lines = append(lines, string(l))
		}
	}
	return lines
}
