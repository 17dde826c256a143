package commands

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"

	"cw/cluster/hostprep"
	"cw/perfcheck/run"
	"cw/remote"
)

// perfMachines stands where a cluster's name does in the folder of known
// hosts; no cluster can be called so.
const perfMachines = "_perf"

// machines are what the flags say is to be measured: this machine by default.
func (a *App) machines(ctx context.Context, o *perfOptions) ([]run.Machine, error) {
	ways := 0
	for _, given := range []bool{len(o.Hosts) > 0, o.HostFile != "", o.Cluster != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return nil, usagef("give one of them", "--host, --hosts-file and --cluster exclude each other")
	}
	yaml := strings.HasSuffix(o.HostFile, ".yaml") || strings.HasSuffix(o.HostFile, ".yml")
	if o.Cluster != "" || yaml {
		return a.clusterMachines(ctx, o, yaml)
	}
	names := o.Hosts
	if o.HostFile != "" {
		data, err := os.ReadFile(o.HostFile)
		if err != nil {
			return nil, usagef("a file with one host per line: [user@]name[:port]", "read the hosts: %w", err)
		}
		if names = hostLines(data); len(names) == 0 {
			return nil, usagef("write one host per line: [user@]name[:port]", "%s names no host", o.HostFile)
		}
	}
	if len(names) == 0 {
		return []run.Machine{{Name: thisMachine()}}, nil
	}
	pool, err := a.pool(perfMachines)
	if err != nil {
		return nil, err
	}
	var machines []run.Machine
	seen := map[string]string{}
	for _, n := range names {
		t, err := remote.ParseTarget(n)
		if err != nil {
			return nil, err
		}
		if other, twice := seen[t.Name]; twice {
			return nil, usagef("leave one of them out", "host %s is there twice: %s and %s", t.Name, other, n)
		}
		seen[t.Name] = n
		if t.Name == "localhost" {
			machines = append(machines, run.Machine{Name: t.Name, Address: "127.0.0.1"})
			continue
		}
		if t.User == "" {
			t.User = o.SSHUser
		}
		t.IdentityFile = o.IdentityFile
		machines = append(machines, run.Machine{Name: t.Name, Host: pool.Host(t), Address: t.Address})
	}
	return machines, nil
}

func (a *App) clusterMachines(ctx context.Context, o *perfOptions, yaml bool) ([]run.Machine, error) {
	m, err := a.manager(ctx)
	if err != nil {
		return nil, err
	}
	var fleet *hostprep.Fleet
	if yaml {
		top, err := a.loadTopology(o.HostFile)
		if err != nil {
			return nil, err
		}
		fleet, err = m.FleetOf(top)
		if err != nil {
			return nil, err
		}
	} else if fleet, err = m.Fleet(ctx, o.Cluster); err != nil {
		return nil, err
	}
	var machines []run.Machine
	for _, h := range fleet.Hosts() {
		machines = append(machines, run.Machine{Name: h.Name(), Host: h, Address: h.Target().Address})
	}
	return machines, nil
}

// hostLines reads a host file: one host per line, # begins a comment.
func hostLines(data []byte) []string {
	var names []string
	in := bufio.NewScanner(bytes.NewReader(data))
	for in.Scan() {
		line, _, _ := strings.Cut(in.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			names = append(names, line)
		}
	}
	return names
}

// thisMachine is this machine's short name.
func thisMachine() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	name, _, _ = strings.Cut(name, ".")
	return filepath.Base(name)
}
