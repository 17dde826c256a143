package hostprep

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/schema"
)

// The limits of the checks of engines with segments.
const (
	// PostgreSQL makes semaphores in sets of 16 and one to recognise them by
	// (src/backend/port/sysv_sema.c).
	semsPerSet, semsInSet = 16, 17
	// Processes beside max_connections that have a semaphore: the workers and
	// launcher of autovacuum (3 and 1), max_worker_processes (8), auxiliary ones
	// (4) (postinit.c, proc.h).
	moreProcesses = 16

	filesRequired = 1024
	filesAdvised  = 65535 // gpinitsystem warns below it
)

// needs is what one node takes of its host.
type needs struct {
	connections int
	memory      int64 // bytes of shared memory
}

// computeNeeds notes in every survey what the nodes of its machine need, with
// the settings that they will have.
func computeNeeds(t *cluster.Topology, l *cluster.Layout, surveys []*survey) {
	machines := map[string]cluster.Machine{}
	for _, s := range surveys {
		if s.err == nil && len(s.same) > 0 {
			machines[s.host.Name] = s.whole.Share(len(s.same))
		}
	}
	coordinator, segments := cluster.GreenplumSettings(t, l, machines)
	for _, s := range surveys {
		s.need = map[int]needs{}
		for _, n := range s.beside {
			list, other := segments, int64(111<<20) // docs, shared_buffers: other shared memory of a segment
			if n.Content < 0 {
				list, other = coordinator, 79<<20
			}
			s.need[n.ID] = needOf(list, other)
		}
	}
}

// needOf adds up a node's shared memory: its buffers, and what else there is
// with the 750 connections of a segment (250 of a coordinator) by default, for
// fewer connections in proportion.
func needOf(list []cluster.Setting, other int64) needs {
	var n needs
	for _, s := range list {
		switch s.Name {
		case "max_connections":
			n.connections, _ = strconv.Atoi(s.Value)
		case "shared_buffers":
			n.memory += memoryValue(s.Value)
		}
	}
	n.memory += min(other, int64(n.connections)*(160<<10)+(16<<20))
	return n
}

// memoryValue reads a setting of memory; a bare number is blocks of 32 kB.
func memoryValue(v string) int64 {
	for unit, size := range map[string]int64{"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "": 32 << 10} {
		if n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(v, unit)), 10, 64); err == nil && strings.HasSuffix(v, unit) {
			return n * size
		}
	}
	return 0
}

// checkSemaphores compares kernel.sem with what all nodes of the machine need.
// Those of this cluster may run already: then all that os_user has are taken
// for theirs.
func checkSemaphores(_ *cluster.Topology, s *survey) Check {
	c := Check{ID: "semaphores", Severity: Required, OK: true}
	limits := strings.Fields(s.kernel["kernel/sem"]) // SEMMSL SEMMNS SEMOPM SEMMNI, proc(5)
	if len(limits) != 4 {
		return Check{}
	}
	var have [4]int64
	for i, w := range limits {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return Check{}
		}
		have[i] = n
	}
	var sets int64
	for _, n := range s.beside {
		sets += int64((s.need[n.ID].connections + moreProcesses + semsPerSet - 1) / semsPerSet)
	}
	usedSets, usedSems := s.semsInUse()
	needSems, needSets := usedSems+sets*semsInSet, usedSets+sets
	c.Expected = fmt.Sprintf("kernel.sem of at least %d %d 100 %d: %d sets of %d for %d nodes, %d semaphores in %d sets are in use", semsInSet, needSems, needSets, sets, semsInSet, len(s.beside), usedSems, usedSets)
	c.Observed = strings.Join(limits, " ")
	if have[0] < semsInSet || have[1] < needSems || have[3] < needSets {
		c.OK = false
		c.Remedy = fmt.Sprintf(`on %s as root: sysctl -w kernel.sem="%d %d %d %d", and the same line in /etc/sysctl.d/90-cw.conf`, s.host.Name,
			max(have[0], 250), max(have[1], 2048000, needSems), max(have[2], 200), max(have[3], 8192, needSets))
		if slices.Contains(s.system.readOnly, "/proc/sys/kernel/sem") {
			c.Remedy = s.notHere()
			return c
		}
		c.fixKernel("kernel.sem", fmt.Sprintf("%d %d %d %d", max(have[0], 250), max(have[1], 2048000, needSems), max(have[2], 200), max(have[3], 8192, needSets)))
	}
	return c
}

// semsInUse counts the semaphores in /proc/sysvipc/sem that stay in use:
// columns key, semid, perms, nsems, uid (proc(5)).
func (s *survey) semsInUse() (sets, sems int64) {
	for _, line := range s.sems {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		n, err1 := strconv.ParseInt(f[3], 10, 64)
		uid, err2 := strconv.Atoi(f[4])
		if err1 != nil || err2 != nil { // the heading
			continue
		}
		if s.resumed() && s.access.UserExists && uid == s.userID {
			continue
		}
		sets++
		sems += n
	}
	return sets, sems
}

// checkMapped compares the shared memory of the nodes that are to be made with
// the machine's.
func checkMapped(_ *cluster.Topology, s *survey) Check {
	c := Check{ID: "shared memory of nodes", Severity: Required}
	var need int64
	nodes := 0
	for _, n := range s.beside {
		if !s.begun(n) {
			need += s.need[n.ID].memory
			nodes++
		}
	}
	if nodes == 0 || s.dirs == nil {
		return Check{}
	}
	have, what := s.facts.MemTotal, "of memory"
	if s.kernel["vm/overcommit_memory"] == "2" {
		limit, err1 := strconv.ParseInt(s.kernel["CommitLimit"], 10, 64)
		used, err2 := strconv.ParseInt(s.kernel["Committed_AS"], 10, 64)
		if err1 == nil && err2 == nil {
			have, what = (limit-used)<<10, "that may still be committed (vm.overcommit_memory is 2)"
		}
	}
	c.OK = have >= need
	c.Expected = fmt.Sprintf("%s for %d new nodes", schema.FormatSize(need), nodes)
	c.Observed = schema.FormatSize(max(have, 0)) + " " + what
	c.Remedy = "put fewer nodes on the host (layout.segments_per_host), set a smaller shared_buffers in a profile file, or give the machine more memory"
	return c
}

// checkFiles looks at how many files a process of os_user may open.
func checkFiles(t *cluster.Topology, s *survey) Check {
	if s.files == 0 { // there is no such user yet, or no limit
		return Check{}
	}
	c := Check{ID: "open files", Severity: Required, OK: s.files >= filesRequired, Expected: fmt.Sprintf("at least %d for %s", filesRequired, t.OSUser), Observed: strconv.Itoa(s.files)}
	c.Remedy = fmt.Sprintf("on %s as root: echo '%s - nofile 524288' >/etc/security/limits.d/90-cw.conf, and log in anew", s.host.Name, t.OSUser)
	if c.OK && s.files < filesAdvised {
		c.Severity, c.OK, c.Expected = Advised, false, fmt.Sprintf("at least %d for %s", filesAdvised, t.OSUser)
	}
	s.fixLimits(&c)
	return c
}

// checkEphemeral finds ports that the system may give to a client meanwhile.
func checkEphemeral(_ *cluster.Topology, s *survey) Check {
	bounds := strings.Fields(s.kernel["net/ipv4/ip_local_port_range"])
	if len(bounds) != 2 || len(s.nodes) == 0 {
		return Check{}
	}
	low, err1 := strconv.Atoi(bounds[0])
	high, err2 := strconv.Atoi(bounds[1])
	if err1 != nil || err2 != nil {
		return Check{}
	}
	c := Check{ID: "port range", Severity: Advised, OK: true, Expected: fmt.Sprintf("ports outside %d-%d, which the system gives to clients", low, high), Observed: "they are"}
	var inside []string
	keys := []string{}
	for _, n := range s.nodes {
		if n.Port < low || n.Port > high || inRanges(s.kernel["net/ipv4/ip_local_reserved_ports"], n.Port) {
			continue
		}
		inside = append(inside, strconv.Itoa(n.Port))
		if k := portKey(n); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	if len(inside) > 0 {
		c.OK, c.Observed = false, strings.Join(inside, ", ")+" inside"
		c.Remedy = fmt.Sprintf("set another %s, or on %s as root: sysctl -w net.ipv4.ip_local_reserved_ports=%s", strings.Join(keys, " and "), s.host.Name, strings.Join(inside, ","))
		c.fixKernel(reservedPorts, s.reservedPorts(low, high))
	}
	return c
}

// inRanges looks a port up in a list like 6000-6010,7000.
func inRanges(list string, port int) bool {
	for _, part := range strings.Split(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		lo, err1 := strconv.Atoi(first)
		hi, err2 := strconv.Atoi(last)
		if err1 == nil && err2 == nil && port >= lo && port <= hi {
			return true
		}
	}
	return false
}

// checkInterconnect looks for the interconnect addresses on the host's network
// interfaces.
func checkInterconnect(_ *cluster.Topology, s *survey) Check {
	if len(s.host.Interconnect) == 0 {
		return Check{}
	}
	c := Check{ID: "interconnect", Severity: Required, OK: true, Expected: "the host has " + strings.Join(s.host.Interconnect, ", "), Observed: "yes", Remedy: "correct hosts[].interconnect, or bring the interface up"}
	nics := carried(s.facts)
	if len(nics) == 0 {
		c.Severity, c.OK, c.Observed, c.Remedy = Advised, false, "its addresses cannot be seen", "install iproute2 there, to have them checked"
		return c
	}
	var missing []string
	for _, a := range s.host.Interconnect {
		ip, err := netip.ParseAddr(a)
		if err == nil && !slices.Contains(nics, ip) {
			missing = append(missing, a)
		}
	}
	if len(missing) > 0 {
		c.OK, c.Observed = false, strings.Join(missing, ", ")+" is on none of its interfaces"
	}
	return c
}

// checkNames looks whether the host knows the others by name, at the addresses
// that the topology has. While the catalogue holds addresses only the engine's
// own tools need the names.
func checkNames(t *cluster.Topology, s *survey) Check {
	c := Check{ID: "host names", Severity: Advised, OK: true, Expected: "the names of all hosts lead to their addresses", Observed: "they do"}
	var bad, lines []string
	fix, loopback := map[string]string{}, false
	for _, h := range t.Hosts {
		var want []netip.Addr
		names := []string{h.Name}
		for i, a := range append([]string{h.Address}, h.Interconnect...) {
			if ip, err := netip.ParseAddr(a); err == nil {
				want = append(want, ip)
				continue
			}
			if i > 0 || len(h.Interconnect) == 0 {
				c.Severity = Required // this name is in the catalogue
			}
			if a != h.Name {
				names = append(names, a)
			}
		}
		for _, name := range names {
			got, ok := s.names[name]
			switch {
			case !ok:
				bad = append(bad, name+" is not known")
			case ownName(got, want):
				// Lines of cw's would only be one more answer: the loopback one wins.
				bad = append(bad, fmt.Sprintf("%s is %v, its own loopback address", name, got[0]))
				loopback = true
				lines = append(lines, want[0].String()+" "+name)
				continue
			case len(want) > 0 && !slices.ContainsFunc(got, func(a netip.Addr) bool { return slices.Contains(want, a) }):
				bad = append(bad, fmt.Sprintf("%s is %v", name, got[0]))
			default:
				continue
			}
			if len(want) > 0 {
				lines = append(lines, want[0].String()+" "+name)
				fix[name] = want[0].String()
			}
		}
	}
	if len(bad) == 0 {
		return c
	}
	c.OK, c.Observed = false, firstOf(bad)
	c.Remedy = fmt.Sprintf("on %s in /etc/hosts: %s", s.host.Name, firstOf(lines))
	if loopback {
		c.Remedy += "; and the host's name out of its loopback line (cloud-init: manage_etc_hosts: false)"
	}
	switch {
	case len(fix) > 0:
		c.Fix, c.want.names = GroupHosts, fix
	case len(lines) == 0:
		c.Remedy = "make the names known in DNS or in /etc/hosts of " + s.host.Name
	}
	if c.Severity == Advised {
		c.Expected += " (only the engine's own tools need it)"
	}
	return c
}

// ownName says whether a host takes its name for the loopback interface, as
// Debian's installer and cloud-init have it: servers that bind to it are then
// reached by nobody else.
func ownName(got, want []netip.Addr) bool {
	for _, a := range want {
		if a.IsLoopback() {
			return false // a laboratory
		}
	}
	return len(want) > 0 && slices.ContainsFunc(got, netip.Addr.IsLoopback)
}

// firstOf names a few of many.
func firstOf(list []string) string {
	const few = 4
	if len(list) <= few {
		return strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(list[:few], "; "), len(list)-few)
}

// checkZones says which mirrors are in their primary's zone.
func checkZones(l *cluster.Layout) one {
	return func(t *cluster.Topology, s *survey) Check {
		if s.host.Zone == "" || !slices.ContainsFunc(s.nodes, func(n cluster.Node) bool { return n.PreferredRole == cluster.NodePrimary }) || t.Layout.Mirrors == cluster.MirrorsNone {
			return Check{}
		}
		c := Check{ID: "zone", Severity: Advised, OK: true, Expected: "mirrors in another zone than " + s.host.Zone, Observed: "they are", Remedy: "have no zone with more than half of the segment hosts that are added together"}
		if same := l.SameZone(t, s.host.Name); len(same) > 0 {
			words := make([]string, len(same))
			for i, n := range same {
				words[i] = strconv.Itoa(n)
			}
			c.OK, c.Observed = false, "those of content "+strings.Join(words, ", ")+" are not"
		}
		return c
	}
}
