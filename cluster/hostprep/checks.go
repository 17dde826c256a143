package hostprep

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cw/cluster"
	"cw/schema"
)

// The limits of the checks.
const (
	clockAdvised  = 2 * time.Second  // lag and log times stay comparable
	clockRequired = 60 * time.Second // beyond that certificates and logs lie
	memoryLeast   = 256 << 20        // PostgreSQL with 100 connections starts in it
	highMemory    = 16 << 30         // what "high" in a node type promises
	highCPUs      = 8

	firstOrdinaryUID = 1000 // login.defs of Debian and Red Hat
)

// checkTwin finds two entries of the topology that are one machine. Loopback
// addresses can only be a laboratory, where that is meant.
func checkTwin(ctx context.Context, f *Fleet, s *scene) Check {
	c := Check{ID: "own machine", Severity: Required, OK: true, Expected: "no other host of the topology is this machine", Observed: "none is"}
	same, err := f.Neighbours(ctx, s.host.Name)
	if err != nil {
		return FailedBy(c.ID, s.host.Name, c.Expected, err)
	}
	var others []string
	for _, name := range same {
		if name != s.host.Name {
			others = append(others, name)
		}
	}
	if len(others) == 0 {
		return c
	}
	c.OK, c.Observed = false, "the same machine-id as "+strings.Join(others, ", ")
	c.Remedy = "correct hosts[].address; virtual machines that were cloned need their own id: rm /etc/machine-id; systemd-machine-id-setup"
	if ip, err := netip.ParseAddr(s.host.Address); err == nil && ip.IsLoopback() {
		c.Severity, c.Remedy = Advised, "fine for a trial: memory and cores are shared between them"
	}
	return c
}

func checkClock(ctx context.Context, f *Fleet, s *scene) Check {
	facts, err := f.hosts[s.host.Name].Facts(ctx)
	if err != nil {
		return Check{}
	}
	skew := facts.ClockSkew.Round(10 * time.Millisecond)
	c := Check{ID: "clock", Severity: Advised, OK: skew.Abs() <= clockAdvised, Expected: "within " + clockAdvised.String() + " of this machine's", Observed: skew.String() + " off", Remedy: "switch time synchronisation on: timedatectl set-ntp true"}
	if skew.Abs() > clockRequired {
		c.Severity, c.Expected = Required, "within "+clockRequired.String()+" of this machine's"
	}
	return c
}

// ipcScript says whether systemd takes the shared memory of user $1 away when
// the last session of that user ends (logind.conf(5), RemoveIPC; docs of
// PostgreSQL 19.4.2). Users that linger, and system users, keep it.
const ipcScript = `[ -d /run/systemd/system ] || { echo kept; exit; }
[ -e "/var/lib/systemd/linger/$1" ] && { echo kept; exit; }
case $(cat /etc/systemd/logind.conf /etc/systemd/logind.conf.d/*.conf 2>/dev/null | sed -n 's/^RemoveIPC=//p' | tail -n 1) in
no|0|false|off) echo kept;; *) echo removed;; esac`

// checkIPC concerns databases that run as the ordinary user who logs in.
func checkIPC(ctx context.Context, f *Fleet, s *scene) Check {
	facts, err := f.hosts[s.host.Name].Facts(ctx)
	if err != nil || facts.User != f.Topology.OSUser || facts.UID < firstOrdinaryUID {
		return Check{}
	}
	c := Check{ID: "shared memory", Severity: Advised, OK: true, Expected: "kept when " + facts.User + " logs out", Observed: "kept"}
	out, err := f.Script(ctx, s.host.Name, "", ipcScript, facts.User)
	if err != nil {
		return FailedBy(c.ID, s.host.Name, c.Expected, err)
	}
	if c.Observed = strings.TrimSpace(out); c.Observed != "kept" {
		c.OK, c.Remedy = false, fmt.Sprintf("on %s as root: loginctl enable-linger %s", s.host.Name, facts.User)
	}
	return c
}

func checkMemory(ctx context.Context, f *Fleet, s *scene) Check {
	m, err := f.Machine(ctx, s.host.Name)
	if err != nil {
		return FailedBy("memory", s.host.Name, "known", err)
	}
	c := Check{ID: "memory", Severity: Required, OK: m.Memory >= memoryLeast, Expected: "at least " + schema.FormatSize(memoryLeast), Observed: fmt.Sprintf("%s, %d cores for the node", schema.FormatSize(m.Memory), m.CPUs), Remedy: "give the machine more memory"}
	high := f.Topology.NodeType == cluster.HighCapacity || f.Topology.NodeType == cluster.HighSpeed
	if c.OK && high && (m.Memory < highMemory || m.CPUs < highCPUs) {
		c.Severity, c.OK = Advised, false
		c.Expected = fmt.Sprintf("at least %s and %d cores for node type %s", schema.FormatSize(highMemory), highCPUs, f.Topology.NodeType)
		c.Remedy = "set node_type: " + strings.Replace(f.Topology.NodeType, "high", "low", 1)
	}
	return c
}

func checkLocale(ctx context.Context, f *Fleet, s *scene) Check {
	want := f.Topology.Database.Locale
	c := Check{ID: "locale", Severity: Required, OK: true, Expected: want + " exists", Observed: "yes", Remedy: "on the host: localedef -i LANGUAGE -f UTF-8 " + want + ", or set database.locale: C.UTF-8"}
	out, err := f.Script(ctx, s.host.Name, "", "locale -a")
	if err != nil {
		return FailedBy(c.ID, s.host.Name, c.Expected, err)
	}
	for _, l := range append(trimLines(out), "C", "POSIX") {
		if normalLocale(l) == normalLocale(want) {
			return c
		}
	}
	c.OK, c.Observed = false, "it has "+strings.Join(trimLines(out), ", ")
	return c
}

// normalLocale spells a locale as glibc compares them: en_US.UTF-8 and
// en_US.utf8 are the same.
func normalLocale(l string) string {
	name, codeset, _ := strings.Cut(l, ".")
	return name + "." + strings.ToLower(strings.ReplaceAll(codeset, "-", ""))
}

// checkDirs looks whether the nodes' folders are free or ours, and can be made.
func checkDirs(ctx context.Context, f *Fleet, s *scene) Check {
	c := Check{ID: "data directory", Severity: Required, OK: true, Expected: "absent, empty, or this cluster's"}
	as, err := s.as(f.Topology.OSUser)
	if err != nil {
		return Check{}
	}
	var seen []string
	for _, n := range s.nodes {
		d, err := f.LookDir(ctx, s.host.Name, as, n.Dir, Marker{Cluster: f.Topology.Name, UID: s.uid, Node: n.Name()})
		if err != nil {
			return FailedBy(c.ID, s.host.Name, c.Expected, err)
		}
		if d.State == DirForeign || d.State == DirUnreadable {
			return FailedBy(c.ID, s.host.Name, c.Expected, Foreign(s.host.Name, n.Dir, d))
		}
		seen = append(seen, n.Dir+": "+d.State)
		s.resumed = s.resumed || d.State == DirOurs
		if d.State != DirAbsent {
			continue
		}
		disk, err := f.diskAt(ctx, s.host.Name, as, n.Dir)
		if err != nil {
			return FailedBy(c.ID, s.host.Name, c.Expected, err)
		}
		if !disk.Writable && f.Root(ctx, s.host.Name) != nil {
			c.OK, c.Observed = false, fmt.Sprintf("%s cannot be made: %s may not write to %s, and root is not to be had", n.Dir, f.Topology.OSUser, disk.Path)
			c.Remedy = fmt.Sprintf("on %s as root: install -d -o %s %s", s.host.Name, f.Topology.OSUser, f.Topology.Layout.DataDirs[0])
			return c
		}
	}
	c.Observed = strings.Join(seen, ", ")
	return c
}

func checkSpace(ctx context.Context, f *Fleet, s *scene) Check {
	m, err := f.Machine(ctx, s.host.Name)
	if err != nil {
		return Check{} // checkMemory has said so
	}
	same, err := f.Neighbours(ctx, s.host.Name)
	if err != nil || s.resumed {
		return Check{} // nodes that were begun have part of it already
	}
	var need int64
	for _, h := range same {
		need += int64(len(f.Layout.On(h))) * cluster.DiskNeed(f.Topology, m)
	}
	c := Check{ID: "disk space", Severity: Required, Expected: schema.FormatSize(need) + " free", Remedy: "free some, or set layout.data_dirs to a larger file system"}
	disk, err := f.diskAt(ctx, s.host.Name, "", f.Topology.Layout.DataDirs[0])
	if err != nil {
		return FailedBy(c.ID, s.host.Name, c.Expected, err)
	}
	c.OK, c.Observed = disk.Free >= need, fmt.Sprintf("%s of %s free at %s", schema.FormatSize(disk.Free), schema.FormatSize(disk.Size), disk.Path)
	return c
}

// checkPorts looks at the ports of nodes that do not exist yet; the port of
// an existing node is most likely taken by itself.
func checkPorts(ctx context.Context, f *Fleet, s *scene) Check {
	c := Check{ID: "port", Severity: Required, OK: true, Expected: "free"}
	as, err := s.as(f.Topology.OSUser)
	if err != nil || len(s.nodes) == 0 {
		return Check{}
	}
	listeners, err := f.Listeners(ctx, s.host.Name)
	if err != nil {
		return FailedBy(c.ID, s.host.Name, c.Expected, err)
	}
	addrs, err := f.OwnAddresses(ctx, s.host.Name)
	if err != nil {
		return FailedBy(c.ID, s.host.Name, c.Expected, err)
	}
	var seen []string
	for _, n := range s.nodes {
		d, err := f.LookDir(ctx, s.host.Name, as, n.Dir, Marker{UID: s.uid, Node: n.Name()})
		if err != nil {
			return FailedBy(c.ID, s.host.Name, c.Expected, err)
		}
		if d.State == DirOurs {
			seen = append(seen, fmt.Sprintf("%d belongs to node %s", n.Port, n.Name()))
			continue
		}
		if l, isTaken := taken(listeners, addrs, n.Port); isTaken {
			c.OK, c.Observed = false, fmt.Sprintf("%d is taken by another server on %s", n.Port, l)
			c.Remedy = fmt.Sprintf("stop it (on %s: ss -ltnp 'sport = :%d'), or set database.port", s.host.Name, n.Port)
			return c
		}
		seen = append(seen, fmt.Sprintf("%d is free", n.Port))
	}
	c.Observed = strings.Join(seen, ", ")
	return c
}
