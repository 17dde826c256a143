package hostprep

import (
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
	segmentLeast  = 96 << 20         // a Greenplum instance with 90 connections starts in it
	highMemory    = 16 << 30         // what "high" in a node type promises
	highCPUs      = 8

	firstOrdinaryUID = 1000 // login.defs of Debian and Red Hat
)

// checkTwin finds two entries of the topology that are one machine. Loopback
// addresses can only be a laboratory, where that is meant.
func checkTwin(_ *cluster.Topology, s *survey) Check {
	c := Check{ID: "own machine", Severity: Required, OK: true, Expected: "no other host of the topology is this machine", Observed: "none is"}
	var others []string
	for _, name := range s.same {
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

func checkClock(_ *cluster.Topology, s *survey) Check {
	skew := s.facts.ClockSkew.Round(10 * time.Millisecond)
	c := Check{ID: "clock", Severity: Advised, OK: skew.Abs() <= clockAdvised, Expected: "within " + clockAdvised.String() + " of this machine's", Observed: skew.String() + " off", Remedy: "switch time synchronisation on: timedatectl set-ntp true"}
	if skew.Abs() > clockRequired {
		c.Severity, c.Expected = Required, "within "+clockRequired.String()+" of this machine's"
	}
	return c
}

// checkIPC concerns databases that run as the ordinary user who logs in.
func checkIPC(t *cluster.Topology, s *survey) Check {
	user := s.facts.User
	if user != t.OSUser || s.facts.UID < firstOrdinaryUID {
		return Check{}
	}
	c := Check{ID: "shared memory", Severity: Advised, OK: true, Expected: "kept when " + user + " logs out", Observed: s.ipc}
	if s.ipc != "kept" {
		c.OK, c.Remedy = false, fmt.Sprintf("on %s as root: loginctl enable-linger %s", s.host.Name, user)
		c.Fix = GroupLogind
	}
	return c
}

func checkMemory(t *cluster.Topology, s *survey) Check {
	m, least := s.machine(), int64(memoryLeast)
	if t.Engine.Kind != cluster.Postgres {
		least = segmentLeast
	}
	c := Check{ID: "memory", Severity: Required, OK: m.Memory >= least, Expected: "at least " + schema.FormatSize(least), Observed: fmt.Sprintf("%s, %d cores for the node", schema.FormatSize(m.Memory), m.CPUs), Remedy: "give the machine more memory"}
	if len(s.nodes) > 1 {
		c.Observed = fmt.Sprintf("%s, %d cores for each of %d nodes", schema.FormatSize(m.Memory), m.CPUs, len(s.beside))
	}
	if t.Engine.Kind != cluster.Postgres {
		m = s.whole // node types speak of machines
	}
	high := t.NodeType == cluster.HighCapacity || t.NodeType == cluster.HighSpeed
	if c.OK && high && (m.Memory < highMemory || m.CPUs < highCPUs) {
		c.Severity, c.OK = Advised, false
		c.Expected = fmt.Sprintf("at least %s and %d cores for node type %s", schema.FormatSize(highMemory), highCPUs, t.NodeType)
		c.Remedy = "set node_type: " + strings.Replace(t.NodeType, "high", "low", 1)
	}
	return c
}

func checkLocale(t *cluster.Topology, s *survey) Check {
	want := t.Database.Locale
	c := Check{ID: "locale", Severity: Required, OK: true, Expected: want + " exists", Observed: "yes", Remedy: "on the host: localedef -i LANGUAGE -f UTF-8 " + want + ", or set database.locale: C.UTF-8"}
	if s.noLocales {
		return FailedBy(c.ID, s.host.Name, c.Expected, fmt.Errorf("%s: %s", s.host.Name, strings.Join(s.locales, "; ")))
	}
	for _, l := range append([]string{"C", "POSIX"}, s.locales...) {
		if normalLocale(l) == normalLocale(want) {
			return c
		}
	}
	c.OK, c.Observed = false, "it has "+strings.Join(s.locales, ", ")
	return c
}

// normalLocale spells a locale as glibc compares them: en_US.UTF-8 and
// en_US.utf8 are the same.
func normalLocale(l string) string {
	name, codeset, _ := strings.Cut(l, ".")
	return name + "." + strings.ToLower(strings.ReplaceAll(codeset, "-", ""))
}

// checkDirs looks whether the nodes' folders are free or ours, and can be made.
func checkDirs(t *cluster.Topology, s *survey) Check {
	c := Check{ID: "data directory", Severity: Required, OK: true, Expected: "absent, empty, or this cluster's"}
	if s.dirs == nil {
		return Check{}
	}
	var seen []string
	for i, n := range s.nodes {
		d := s.dirs[i]
		if d.State == DirForeign || d.State == DirUnreadable {
			return FailedBy(c.ID, s.host.Name, c.Expected, Foreign(s.host.Name, n.Dir, d))
		}
		seen = append(seen, n.Dir+": "+d.State)
		if d.State == DirAbsent && !s.folders[i].writable && s.rootErr != nil {
			c.OK, c.Observed = false, fmt.Sprintf("%s cannot be made: %s may not write to %s, and root is not to be had", n.Dir, t.OSUser, s.folders[i].near)
			c.Remedy = fmt.Sprintf("on %s as root: install -d -o %s %s", s.host.Name, t.OSUser, dataDirOf(t, n))
			return c
		}
	}
	c.Observed = strings.Join(seen, ", ")
	return c
}

// dataDirOf is the data folder of the topology that a node's folder is in.
func dataDirOf(t *cluster.Topology, n cluster.Node) string {
	for _, d := range t.Layout.DataDirs {
		if strings.HasPrefix(n.Dir, d+"/") {
			return d
		}
	}
	return t.Layout.DataDirs[0]
}

// checkSpace sums up what the new nodes of a machine need, for each of the
// file systems they are on.
func checkSpace(t *cluster.Topology, s *survey) Check {
	c := Check{ID: "disk space", Severity: Required, OK: true, Remedy: "free some, or set layout.data_dirs to a larger file system"}
	if t.Engine.Kind == cluster.Postgres && s.resumed() {
		return Check{} // nodes that were begun have part of it already
	}
	type volume struct {
		disk Disk
		need int64
	}
	var volumes []*volume
	for _, n := range s.beside {
		if s.begun(n) {
			continue
		}
		disk, ok := s.diskOf(t, n)
		if !ok {
			return FailedBy(c.ID, s.host.Name, "known", fmt.Errorf("%s: df does not answer for %s", s.host.Name, n.Dir))
		}
		var v *volume
		for _, known := range volumes {
			if known.disk.Mount == disk.Mount {
				v = known
			}
		}
		if v == nil {
			v = &volume{disk: disk}
			volumes = append(volumes, v)
		}
		v.need += cluster.DiskNeed(t, s.machine())
	}
	var expected, observed []string
	for _, v := range volumes {
		c.OK = c.OK && v.disk.Free >= v.need
		want := schema.FormatSize(v.need) + " free"
		if len(volumes) > 1 {
			want += " at " + v.disk.Path
		}
		expected = append(expected, want)
		observed = append(observed, fmt.Sprintf("%s of %s free at %s", schema.FormatSize(v.disk.Free), schema.FormatSize(v.disk.Size), v.disk.Path))
	}
	if len(volumes) == 0 {
		return Check{}
	}
	c.Expected, c.Observed = strings.Join(expected, ", "), strings.Join(observed, ", ")
	return c
}

// begun says whether a node is there already, wholly or in part.
func (s *survey) begun(n cluster.Node) bool {
	for i := range s.nodes {
		if s.nodes[i].ID == n.ID && i < len(s.dirs) {
			return s.dirs[i].State == DirOurs
		}
	}
	return false
}

// diskOf is the file system that a node's folder is or will be on. Of nodes on
// other hosts that are the same machine the data folder is known.
func (s *survey) diskOf(t *cluster.Topology, n cluster.Node) (Disk, bool) {
	if t.Engine.Kind == cluster.Postgres {
		return s.disk, s.disk.Path != ""
	}
	for i := range s.nodes {
		if s.nodes[i].ID == n.ID && i < len(s.folders) {
			if d, ok := s.nodeDisks[s.folders[i].near]; ok {
				return d, true
			}
		}
	}
	for i, dir := range t.Layout.DataDirs {
		if strings.HasPrefix(n.Dir, dir+"/") && i < len(s.nearData) {
			d, ok := s.nodeDisks[s.nearData[i]]
			return d, ok
		}
	}
	return s.disk, s.disk.Path != ""
}

// checkPorts looks at the ports of nodes that do not exist yet; the port of
// an existing node is most likely taken by itself.
func checkPorts(t *cluster.Topology, s *survey) Check {
	c := Check{ID: "port", Severity: Required, OK: true, Expected: "free"}
	if s.dirs == nil || len(s.nodes) == 0 {
		return Check{}
	}
	addrs := []string{"*"}
	if t.Engine.Kind == cluster.Postgres && !t.Network.Public {
		addrs = ownAddresses(s.host, carried(s.facts))
	}
	var seen []string
	for i, n := range s.nodes {
		if s.dirs[i].State == DirOurs {
			seen = append(seen, fmt.Sprintf("%d belongs to node %s", n.Port, n.Name()))
			continue
		}
		if other, shared := sharedPort(s, n); shared {
			c.OK, c.Observed = false, fmt.Sprintf("%d is also that of node %s on host %s, which is the same machine", n.Port, other.Name(), other.Host)
			c.Remedy = "use other machines: all unix sockets of a machine are in " + cluster.SegmentSocket + ", one for each port"
			return c
		}
		if l, isTaken := taken(s.listeners, addrs, n.Port); isTaken {
			c.OK, c.Observed = false, fmt.Sprintf("%d is taken by another server on %s", n.Port, l)
			c.Remedy = fmt.Sprintf("stop it (on %s: ss -ltnp 'sport = :%d'), or set %s", s.host.Name, n.Port, portKey(n))
			return c
		}
		seen = append(seen, fmt.Sprintf("%d is free", n.Port))
	}
	c.Observed = strings.Join(seen, ", ")
	return c
}

// portKey is where the topology says the port of a node.
func portKey(n cluster.Node) string {
	switch {
	case n.Content < 0:
		return "database.port"
	case n.PreferredRole == cluster.NodeMirror:
		return "layout.mirror_port_base"
	}
	return "layout.port_base"
}

// sharedPort finds another host's node with the same port and socket folder
// on the same machine.
func sharedPort(s *survey, n cluster.Node) (cluster.Node, bool) {
	for _, other := range s.beside {
		if other.Host != n.Host && other.Port == n.Port && other.Socket != "" && other.Socket == n.Socket {
			return other, true
		}
	}
	return cluster.Node{}, false
}
