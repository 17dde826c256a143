package hostprep

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/schema"
)

// What the guides advise.
const (
	wantFiles     = 524288
	wantProcesses = 131072
	readAheadKB   = 8192 // 16384 sectors of 512 bytes
	sshdStarts    = "10:30:200"
	sshdSessions  = 200
	swapEnough    = 32 * gibibyte // per machine in the cloud (Greenplum, platform requirements)
)

// checkHugePages wants transparent huge pages off: Greenplum's guide for
// preparing hosts; for PostgreSQL the same is advised by those who measured
// it, explicit huge pages are not touched.
func checkHugePages(_ *cluster.Topology, s *survey) []Check {
	var out []Check
	for _, file := range []string{"enabled", "defrag"} {
		c := Check{ID: "huge pages", Severity: Advised, OK: true, Expected: "transparent huge pages: never"}
		if file == "defrag" {
			c.ID, c.Expected = "huge page defrag", "never"
		}
		have, ok := s.system.hugepages[file]
		c.Observed = chosen(have)
		if !ok {
			c.Observed, c.NotApplicable = "-", "this kernel has no transparent huge pages, or does not show them"
		} else if c.Observed != "never" {
			c.OK, c.Fix = false, GroupMemory
			c.want.pages = map[string]string{file: "never"}
			c.Remedy = fmt.Sprintf("on %s as root: echo never >%s%s, and the same at every boot", s.host.Name, hugePagesDir, file)
			if slices.Contains(s.system.readOnly, hugePagesDir+file) {
				c.Fix, c.want, c.Remedy = "", wants{}, s.notHere()
			}
		}
		out = append(out, c)
	}
	return out
}

const hugePagesDir = "/sys/kernel/mm/transparent_hugepage/"

// checkLimits looks at the limits with which cw starts the database, by the
// way it starts it; what is in files may be overruled there.
func checkLimits(t *cluster.Topology, s *survey) []Check {
	list := []struct {
		id, limit string
		want      int64
	}{{"processes", limitProcesses, wantProcesses}, {"core files", limitCore, math.MaxInt64}}
	if t.Engine.Kind == cluster.Postgres {
		list[0].want, list[1].want = 4096, 0
		list[1] = struct {
			id, limit string
			want      int64
		}{"open files", limitFiles, filesAdvised}
	}
	var out []Check
	for _, l := range list {
		c := Check{ID: l.id, Severity: Advised, OK: true, Expected: fmt.Sprintf("at least %s for %s", limitText(l.want), t.OSUser)}
		have, known := s.limits[l.limit]
		if !known {
			c.Observed, c.NotApplicable = "-", t.OSUser+" does not exist yet"
			if s.access.UserExists {
				c.NotApplicable = "commands cannot run as " + t.OSUser
			}
		} else {
			c.Observed = limitText(have.soft)
			c.OK = have.soft >= l.want
			c.Remedy = fmt.Sprintf("on %s as root, in /etc/security/limits.d, and log in anew", s.host.Name)
		}
		if !c.OK {
			s.fixLimits(&c)
		}
		out = append(out, c)
	}
	return out
}

func limitText(n int64) string {
	if n == math.MaxInt64 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// fixLimits lets a check of limits be fixed where that can be: limits that root
// may not raise, as in containers, would keep users from logging in at all.
func (s *survey) fixLimits(c *Check) {
	if c.OK {
		return
	}
	hard := s.limits[limitFiles].hard >= wantFiles && s.limits[limitProcesses].hard >= wantProcesses && s.limits[limitCore].hard == math.MaxInt64
	switch {
	case !s.system.has["pam_limits"]:
	case s.system.raises || hard:
		c.Fix = GroupLimits
	default:
		c.Remedy = "not even root may raise limits on " + s.host.Name + ": set them where the container or virtual machine is started"
	}
}

// checkSSHD: cw opens one connection per host; the engine's own tools and
// operators open many, and sshd drops what goes beyond MaxStartups at random.
// The number alone would only be the third of three: early drops begin at the
// first.
func checkSSHD(_ *cluster.Topology, s *survey) []Check {
	c := Check{ID: "sshd", Severity: Advised, OK: true, Expected: fmt.Sprintf("MaxStartups %s, MaxSessions %d, UseDNS no, or more", sshdStarts, sshdSessions)}
	if s.system.sshd == nil {
		c.Observed, c.NotApplicable = "-", "only root can ask sshd"
		if !s.system.has["sshd"] {
			c.NotApplicable = "OpenSSH's server is not where it usually is"
		}
		return []Check{c}
	}
	v := s.system.sshd
	c.Observed = fmt.Sprintf("MaxStartups %s, MaxSessions %s, UseDNS %s", v["maxstartups"], v["maxsessions"], v["usedns"])
	start, _, full := startups(v["maxstartups"])
	sessions, _ := strconv.Atoi(v["maxsessions"])
	if start < 10 || full < 200 || sessions < sshdSessions || v["usedns"] != "no" {
		c.OK, c.Fix = false, GroupSSHD
		c.Remedy = fmt.Sprintf("in /etc/ssh/sshd_config of %s: MaxStartups %s, MaxSessions %d, UseDNS no; then reload sshd", s.host.Name, sshdStarts, sshdSessions)
	}
	return []Check{c}
}

// startups reads sshd's MaxStartups: start:rate:full, or full alone.
func startups(text string) (start, rate, full int) {
	w := strings.Split(text, ":")
	n := make([]int, 3)
	for i := range min(len(w), 3) {
		n[i], _ = strconv.Atoi(w[i])
	}
	if len(w) == 1 {
		return n[0], 100, n[0]
	}
	return n[0], n[1], n[2]
}

func checkServices(t *cluster.Topology, s *survey) []Check {
	sel := Check{ID: "selinux", Severity: Advised, OK: true, Expected: "permissive or off", Observed: "off"}
	switch s.system.selinux {
	case "":
		sel.Observed, sel.NotApplicable = "-", "no SELinux here"
	case "0":
		sel.Observed = "permissive"
	default:
		sel.OK, sel.Observed = false, "enforcing"
		sel.Remedy = "have a policy for the database, or set SELINUX=permissive in /etc/selinux/config of " + s.host.Name
	}
	if t.Engine.Kind == cluster.Postgres { // its packages bring a policy
		sel.OK, sel.Expected = true, "any"
	}
	fire := Check{ID: "firewall", Severity: Advised, OK: len(s.system.active) == 0, Expected: "none between the hosts", Observed: "none that is known"}
	if len(s.system.active) > 0 {
		ports := "its ports"
		if t.Engine.Kind != cluster.Postgres {
			ports = "its ports, and UDP of the interconnect's whole range,"
		}
		fire.Observed = strings.Join(s.system.active, ", ") + " is on"
		fire.Remedy = fmt.Sprintf("switch it off, or open %s between the hosts of the cluster", ports)
	}
	return []Check{sel, fire}
}

func checkTime(_ *cluster.Topology, s *survey) []Check {
	c := Check{ID: "time synchronisation", Severity: Advised, OK: true, Expected: "on", Observed: "on"}
	sync, known := s.system.clock["NTPSynchronized"]
	leap, chrony := s.system.clock["Leap status"]
	switch {
	case known:
		c.OK = sync == "yes"
		if !c.OK {
			c.Observed = "off"
			if s.system.clock["NTP"] == "yes" {
				c.Observed = "on, not synchronised yet"
			}
		}
	case chrony:
		c.OK, c.Observed = leap == "Normal", "chrony: "+leap
	default:
		c.Observed, c.NotApplicable = "-", "neither timedatectl nor chronyc answers"
	}
	if s.system.virt == "container" {
		c.OK, c.NotApplicable = true, "a container has its host's clock"
	}
	c.Remedy = fmt.Sprintf("on %s as root: timedatectl set-ntp true (segments from the coordinator, the coordinator from a time server)", s.host.Name)
	return []Check{c}
}

func checkSwap(t *cluster.Topology, s *survey) []Check {
	want := min(s.facts.MemTotal/2, swapEnough)
	c := Check{ID: "swap", Severity: Advised, OK: s.facts.SwapTotal >= want, Expected: "at least " + schema.FormatSize(want), Observed: schema.FormatSize(s.facts.SwapTotal)}
	c.Remedy = "add a swap disk: half of memory, 32 GB at most; with vm.overcommit_memory 2 it is memory that can be promised"
	if t.Engine.Kind == cluster.Postgres || s.system.virt == "container" {
		c.OK, c.Expected = true, "any"
	}
	return []Check{c}
}

// checkBoot finds settings that other files change back at the next boot.
func checkBoot(t *cluster.Topology, s *survey) []Check {
	own := groups[0].file(t.Name)
	c := Check{ID: "settings at boot", Severity: Advised, OK: true, Expected: "nothing after " + own + " sets the same", Observed: "nothing does"}
	lines := oldLines(s.system.own[own], "=")
	if len(lines) == 0 {
		c.Observed, c.NotApplicable = "-", "cw has made no settings here"
	}
	var bad []string
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		if later, ok := s.system.later[key]; ok && later.value != lines[key] {
			bad = append(bad, fmt.Sprintf("%s = %s in %s", key, later.value, later.file))
		}
	}
	if len(bad) > 0 {
		c.OK, c.Observed = false, firstOf(bad)
		c.Remedy = fmt.Sprintf("take them out there, on %s: at the next boot they win over cw's", s.host.Name)
	}
	return []Check{c}
}

// checkCores looks where a core dump goes: with a relative pattern into the
// data directory of the process that died.
func checkCores(t *cluster.Topology, s *survey) []Check {
	have, ok := s.kernel["kernel/core_pattern"]
	c := Check{ID: "core pattern", Severity: Advised, OK: true, Expected: "a folder of its own, as /var/core/core.%h.%t, or a program", Observed: have}
	if !ok || t.Engine.Kind == cluster.Postgres {
		c.NotApplicable = "the kernel does not show it"
		if ok {
			c.NotApplicable = "PostgreSQL has no advice"
		}
		return []Check{c}
	}
	if !strings.HasPrefix(have, "/") && !strings.HasPrefix(have, "|") {
		c.OK = false
		c.Remedy = fmt.Sprintf("on %s as root: mkdir -m 1777 /var/core; sysctl -w kernel.core_pattern=/var/core/core.%%h.%%t", s.host.Name)
	}
	return []Check{c}
}

// checkDevices looks at the block devices below the data folders.
func checkDevices(t *cluster.Topology, s *survey) []Check {
	ahead := Check{ID: "read-ahead", Severity: Advised, OK: true, Expected: "16384 sectors (8192 kB)"}
	sched := Check{ID: "i/o scheduler", Severity: Advised, OK: true, Expected: "none for NVMe and flash, deadline for rotating disks"}
	var seenAhead, seenSched, badAhead, badSched []string
	for _, d := range s.dataDevices(t) {
		w := deviceWant{name: d.name, queue: d.queue}
		if n, err := strconv.Atoi(d.readAhead); err == nil {
			seenAhead = append(seenAhead, fmt.Sprintf("%s: %d kB", d.name, n))
			if n < readAheadKB {
				badAhead = append(badAhead, fmt.Sprintf("%s: %d kB", d.name, n))
				w.readAhead = strconv.Itoa(readAheadKB)
				ahead.wantDevice(d.id, w)
				w.readAhead = ""
			}
		}
		if d.scheduler == "" {
			continue
		}
		seenSched = append(seenSched, d.name+": "+chosen(d.scheduler))
		if to := d.better(); to != "" {
			badSched = append(badSched, d.name+": "+chosen(d.scheduler))
			w.scheduler = to
			sched.wantDevice(d.id, w)
		}
	}
	finish := func(c Check, seen, bad []string, remedy string) Check {
		c.Observed = strings.Join(seen, ", ")
		switch {
		case len(seen) == 0:
			c.Observed, c.NotApplicable = "-", "no block device of the data folders is known"
		case len(bad) > 0:
			c.OK, c.Fix, c.Observed = false, GroupDisks, strings.Join(bad, ", ")
			c.Remedy = remedy
		}
		return c
	}
	return []Check{
		finish(ahead, seenAhead, badAhead, fmt.Sprintf("on %s as root: blockdev --setra 16384 DEVICE, and at every boot", s.host.Name)),
		finish(sched, seenSched, badSched, fmt.Sprintf("on %s as root: echo none (or mq-deadline) >/sys/block/DEVICE/queue/scheduler, and at every boot", s.host.Name)),
	}
}

func (c *Check) wantDevice(id string, w deviceWant) {
	if c.want.devices == nil {
		c.want.devices = map[string]deviceWant{}
	}
	c.want.devices[id] = w
}

// dataDevices are the devices of all data folders, each once, in order.
func (s *survey) dataDevices(t *cluster.Topology) []device {
	var out []device
	for _, m := range s.dataMounts(t) {
		for _, d := range s.system.devicesAt(m.mount) {
			if !slices.ContainsFunc(out, func(o device) bool { return o.id == d.id }) {
				out = append(out, d)
			}
		}
	}
	return out
}

// dataMount is the file system of a data folder.
type dataMount struct {
	dir string
	mount
}

func (s *survey) dataMounts(t *cluster.Topology) []dataMount {
	var out []dataMount
	for i, dir := range t.Layout.DataDirs {
		if i >= len(s.nearData) {
			break
		}
		if m, ok := s.system.mountOf(s.nodeDisks[s.nearData[i]].Mount); ok {
			out = append(out, dataMount{dir, m})
		}
	}
	return out
}

// better is the scheduler that a device should have, "" when its own is good
// or nothing better is on offer. Virtual disks say that they rotate, whatever
// is behind them: for those both are good.
func (d device) better() string {
	deadline := []string{"mq-deadline", "deadline"}
	good := []string{"none", "noop"}
	switch {
	case strings.HasPrefix(d.name, "vd"), strings.HasPrefix(d.name, "xvd"):
		good = append(good, deadline...)
	case d.rotational && !strings.HasPrefix(d.name, "nvme"):
		good = deadline
	}
	if slices.Contains(good, chosen(d.scheduler)) {
		return ""
	}
	offered := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(d.scheduler))
	for _, g := range good {
		if slices.Contains(offered, g) {
			return g
		}
	}
	return ""
}

// checkMounts looks at how the file systems of the data folders are mounted.
func checkMounts(t *cluster.Topology, s *survey) []Check {
	c := Check{ID: "mount options", Severity: Advised, OK: true, Expected: "xfs with rw,nodev,noatime,inode64"}
	var seen, bad []string
	for _, m := range s.dataMounts(t) {
		said := m.at + " is " + m.kind
		seen = append(seen, said)
		if m.kind != "xfs" {
			bad = append(bad, said)
			continue
		}
		var missing []string
		for _, o := range []string{"rw", "nodev", "noatime", "inode64"} {
			if !slices.Contains(m.options, o) {
				missing = append(missing, o)
			}
		}
		if len(missing) > 0 {
			bad = append(bad, fmt.Sprintf("%s, without %s", said, strings.Join(missing, ",")))
		}
	}
	slices.Sort(bad)
	bad = slices.Compact(bad)
	switch {
	case len(seen) == 0:
		c.Observed, c.NotApplicable = "-", "the mounts of the data folders are not known"
	case len(bad) > 0:
		c.OK, c.Observed = false, strings.Join(bad, "; ")
		c.Remedy = "make an XFS and mount it so in /etc/fstab of " + s.host.Name + ": cw changes no mounts"
	default:
		c.Observed = strings.Join(slices.Compact(seen), ", ")
	}
	return []Check{c}
}
