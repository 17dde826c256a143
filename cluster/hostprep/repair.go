package hostprep

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cw/cluster"
	"cw/remote"
)

// Change is one line of what a Repair changes: a value of the running system,
// or a file.
type Change struct {
	What string `json:"what"` // a setting, or the path of a file
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Repair is what cw changes on one host to make checks of one group pass: a
// file of its own, which counts from the next boot or log-in on, and values
// of the running system.
type Repair struct {
	Host    string   `json:"host"`
	Group   string   `json:"group"`
	Checks  []string `json:"checks"`         // ids of the checks that it is for
	File    string   `json:"file,omitempty"` // "" where nothing reads such a file
	Changes []Change `json:"changes"`

	cluster string
	user    string // os_user, whose log-in must go on working
	text    string // of the file; of /etc/hosts only the block
	live    []live
	keep    []string // paths of values that setting the others changes too
}

// live is a value of the running system: the path of a file below /proc or
// /sys, and what to write.
type live struct{ path, value string }

// header is how cw's own files begin.
func header(cluster string) string {
	return "# managed by cw for cluster " + cluster + ": cw cluster check " + cluster + " --fix; --revert takes it away\n"
}

// Repairs are what would make those checks pass that cw can fix, by host in
// the order of the topology. Host entries that are one machine get one.
func (r Report) Repairs(t *cluster.Topology) []Repair {
	var out []Repair
	done := map[string]bool{}
	for _, s := range r.surveys {
		if s.err != nil || done[s.facts.MachineID] && s.facts.MachineID != "" {
			continue
		}
		done[s.facts.MachineID] = true
		var w wants
		for _, c := range r.Checks {
			if !c.OK && slices.Contains(s.same, c.Host) {
				w.add(c)
			}
		}
		for _, g := range groups {
			if len(w.checks[g.name]) > 0 {
				out = append(out, s.repair(t, g, w))
			}
		}
	}
	return out
}

// repair makes the Repair of a group. What an earlier one has put into cw's
// file stays there.
func (s *survey) repair(t *cluster.Topology, g group, w wants) Repair {
	p := Repair{Host: s.host.Name, Group: g.name, Checks: w.checks[g.name], File: g.file(t.Name), cluster: t.Name, user: t.OSUser}
	old := s.system.own[p.File]
	switch g.name {
	case GroupSysctl:
		s.repairKernel(&p, old, w.kernel)
	case GroupLimits:
		p.text = header(t.Name) + limitsText(t.OSUser)
		p.note(s.limits)
	case GroupMemory:
		s.repairPages(&p, old, w.pages)
	case GroupDisks:
		s.repairDevices(&p, old, w.devices)
	case GroupSSHD:
		p.text = header(t.Name) + fmt.Sprintf("MaxStartups %s\nMaxSessions %d\nUseDNS no\n", sshdStarts, sshdSessions)
		v := s.system.sshd
		for _, c := range []Change{{"MaxStartups", v["maxstartups"], sshdStarts}, {"MaxSessions", v["maxsessions"], fmt.Sprint(sshdSessions)}, {"UseDNS", v["usedns"], "no"}} {
			if c.Old != c.New {
				p.Changes = append(p.Changes, c)
			}
		}
	case GroupLogind:
		p.text = header(t.Name) + "[Login]\nRemoveIPC=no\n"
		p.Changes = append(p.Changes, Change{"RemoveIPC", "yes", "no"})
	case GroupHosts:
		p.repairNames(old, w.names)
	}
	if p.File != "" {
		state := "new"
		if old != "" && g.name != GroupHosts {
			state = "rewritten"
		} else if g.name == GroupHosts {
			state = "a marked block is added"
		}
		p.Changes = append([]Change{{p.File, "", state}}, p.Changes...)
	}
	return p
}

// oldLines are the settings in a file of cw's, by their first word.
func oldLines(text, separator string) map[string]string {
	out := map[string]string{}
	for _, l := range strings.Split(text, "\n") {
		k, v, ok := strings.Cut(l, separator)
		if k = strings.TrimSpace(k); ok && k != "" && !strings.HasPrefix(k, "#") {
			out[k] = strings.TrimSpace(v)
		}
	}
	return out
}

func (s *survey) repairKernel(p *Repair, old string, set map[string]string) {
	lines := oldLines(old, "=")
	maps.Copy(lines, set)
	keys := slices.Sorted(maps.Keys(lines))
	// A strict limit before there is room below it would stop this very script.
	if i := slices.Index(keys, overcommitMode); i >= 0 {
		keys = append(slices.Delete(keys, i, i+1), overcommitMode)
	}
	p.text = header(p.cluster)
	for _, k := range keys {
		p.text += k + " = " + lines[k] + "\n"
		v, ok := set[k]
		if !ok {
			continue
		}
		p.live = append(p.live, live{"/proc/sys/" + procPath(k), v})
		p.Changes = append(p.Changes, Change{k, s.kernel[procPath(k)], v})
		for _, pair := range coupled {
			for i, member := range pair {
				if member == k && s.kernel[procPath(pair[1-i])] != "" {
					p.keep = append(p.keep, "/proc/sys/"+procPath(pair[1-i]))
				}
			}
		}
	}
}

const overcommitMode = "vm.overcommit_memory"

func limitsText(user string) string {
	return fmt.Sprintf("%[1]s soft nofile %[2]d\n%[1]s hard nofile %[2]d\n%[1]s soft nproc %[3]d\n%[1]s hard nproc %[3]d\n%[1]s soft core unlimited\n%[1]s hard core unlimited\n", user, wantFiles, wantProcesses)
}

func (p *Repair) note(have map[string]limit) {
	for _, l := range []struct{ name, word, want string }{{limitFiles, "nofile", fmt.Sprint(wantFiles)}, {limitProcesses, "nproc", fmt.Sprint(wantProcesses)}, {limitCore, "core", "unlimited"}} {
		if v, ok := have[l.name]; ok && limitText(v.soft) != l.want {
			p.Changes = append(p.Changes, Change{p.user + " " + l.word, limitText(v.soft), l.want})
		}
	}
}

func (s *survey) repairPages(p *Repair, old string, set map[string]string) {
	files := slices.Sorted(maps.Keys(set))
	for _, f := range files {
		p.live = append(p.live, live{hugePagesDir + f, set[f]})
		p.Changes = append(p.Changes, Change{hugePagesDir + f, chosen(s.system.hugepages[f]), set[f]})
	}
	if !s.system.has["systemd-tmpfiles"] {
		p.File = ""
		return
	}
	p.text = header(p.cluster)
	for _, f := range []string{"enabled", "defrag"} {
		if _, now := set[f]; now || strings.Contains(old, hugePagesDir+f+" ") {
			p.text += "w " + hugePagesDir + f + " - - - - never\n"
		}
	}
}

func (s *survey) repairDevices(p *Repair, old string, set map[string]deviceWant) {
	rule := func(name, key, value string) string {
		return fmt.Sprintf("ACTION==\"add|change\", SUBSYSTEM==\"block\", KERNEL==\"%s\", ATTR{%s}=\"%s\"\n", name, key, value)
	}
	var rules []string
	for _, l := range strings.SplitAfter(old, "\n") {
		if l != "" && !strings.HasPrefix(l, "#") {
			rules = append(rules, l)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(set)) {
		w, d := set[id], s.system.devices[id]
		disk := w.name
		if strings.Contains(w.queue, "/..") { // a partition: the settings are its disk's
			disk = s.diskName(id)
		}
		for _, v := range []struct{ file, value, have string }{{"scheduler", w.scheduler, chosen(d.scheduler)}, {"read_ahead_kb", w.readAhead, d.readAhead}} {
			if v.value == "" {
				continue
			}
			p.live = append(p.live, live{w.queue + "/" + v.file, v.value})
			p.Changes = append(p.Changes, Change{disk + " " + v.file, v.have, v.value})
			if r := rule(disk, "queue/"+v.file, v.value); deviceName.MatchString(disk) && !slices.Contains(rules, r) {
				rules = append(rules, r)
			}
		}
	}
	if !s.system.has["udevadm"] {
		p.File = ""
		return
	}
	p.text = header(p.cluster) + strings.Join(rules, "")
}

// deviceName is what a rule of udev can hold without quoting.
var deviceName = regexp.MustCompile(`^[A-Za-z0-9_!-]+$`)

// diskName is the disk of a partition: the name without its number, as sda of
// sda1 and nvme0n1 of nvme0n1p1.
func (s *survey) diskName(id string) string {
	name := s.system.devices[id].name
	best := ""
	for _, d := range s.system.devices {
		if d.name != name && d.name != "" && strings.HasPrefix(name, d.name) && len(d.name) > len(best) {
			best = d.name
		}
	}
	return best
}

func (p *Repair) repairNames(old string, set map[string]string) {
	lines := map[string]string{}
	begin, end := blockMarks(p.cluster)
	if _, after, ok := strings.Cut(old, begin+"\n"); ok {
		if block, _, ok := strings.Cut(after, end); ok {
			for _, l := range strings.Split(block, "\n") {
				if w := strings.Fields(l); len(w) == 2 {
					lines[w[1]] = w[0]
				}
			}
		}
	}
	maps.Copy(lines, set)
	p.text = begin + "\n"
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		p.text += lines[name] + " " + name + "\n"
	}
	p.text += end + "\n"
	for _, name := range slices.Sorted(maps.Keys(set)) {
		p.Changes = append(p.Changes, Change{name, "", set[name]})
	}
}

// blockMarks are the lines around what cw writes into /etc/hosts.
func blockMarks(cluster string) (begin, end string) {
	return "# begin: managed by cw for cluster " + cluster, "# end: managed by cw for cluster " + cluster
}

// args are the Repair as arguments of the functions of repairScript.
func (p Repair) args() []string {
	a := []string{p.Group, p.File, p.text, p.user, strings.Join(p.keep, " ")}
	for _, l := range p.live {
		a = append(a, l.path, l.value)
	}
	return a
}

// call is the Repair as a line of a shell script.
func (p Repair) call(function string) string {
	return remote.Quote(append([]string{function}, p.args()...))
}
