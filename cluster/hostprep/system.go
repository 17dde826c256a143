package hostprep

import (
	"context"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// system is what a survey finds out about the operating system.
type system struct {
	hugepages map[string]string // enabled and defrag, as the kernel writes them
	devices   map[string]device // by major:minor
	mounts    []mount
	pages     int64 // physical ones
	pageSize  int64
	libc      string
	links     map[string]string // Mbit/s by interface, of those that say it
	raises    bool              // root may raise resource limits
	readOnly  []string          // files of settings that not even root may write
	selinux   string            // 1 is enforcing; "" without SELinux
	zone      string            // name and offset of the local time
	virt      string            // vm, container or ""
	systemd   bool
	active    []string        // firewalls that are on
	has       map[string]bool // programs
	clock     map[string]string
	sshd      map[string]string // nil when nobody could ask
	own       map[string]string // cw's files by path
	later     map[string]bootLine
}

// bootLine is a setting in a file that is read after cw's at boot.
type bootLine struct{ file, value string }

// parseLater reads the answer of laterScript, by key; of several the last one
// counts.
func parseLater(lines []string) map[string]bootLine {
	out := map[string]bootLine{}
	for _, l := range lines {
		file, setting, ok1 := strings.Cut(l, ":")
		key, value, ok2 := strings.Cut(setting, "=")
		key = strings.TrimPrefix(strings.TrimSpace(key), "-")
		if ok1 && ok2 && key != "" {
			out[strings.ReplaceAll(key, "/", ".")] = bootLine{file, strings.Join(strings.Fields(value), " ")}
		}
	}
	return out
}

// device is a block device.
type device struct {
	id, name   string // 254:0, vda
	queue      string // folder with its settings
	scheduler  string // as the kernel writes it, none [mq-deadline]
	rotational bool
	readAhead  string // kB
	slaves     []string
}

// mount is a line of mountinfo.
type mount struct {
	device  string // major:minor
	at      string
	kind    string // xfs
	source  string // /dev/vda1
	options []string
}

// limit is a resource limit of a process; unlimited is MaxInt64.
type limit struct{ soft, hard int64 }

// The names of limits in /proc/PID/limits.
const (
	limitFiles     = "Max open files"
	limitProcesses = "Max processes"
	limitCore      = "Max core file size"
)

// limitLine is a line of /proc/PID/limits: a name, two values, mostly a unit.
var limitLine = regexp.MustCompile(`^(Max .*?)\s{2,}(unlimited|\d+)\s+(unlimited|\d+)(\s|$)`)

func parseLimits(lines []string) map[string]limit {
	out := map[string]limit{}
	value := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil { // unlimited, or more than anybody can use
			return math.MaxInt64
		}
		return n
	}
	for _, l := range lines {
		if m := limitLine.FindStringSubmatch(l); m != nil {
			out[m[1]] = limit{value(m[2]), value(m[3])}
		}
	}
	return out
}

// capSysResource is the capability's bit (capabilities(7)).
const capSysResource = 24

// readSystem reads what systemScript printed.
func readSystem(parts map[string][]string) system {
	s := system{
		hugepages: map[string]string{}, links: map[string]string{}, has: map[string]bool{}, clock: map[string]string{},
		mounts: parseMounts(parts["mounts"]), devices: parseDevices(parts["block"], parts["slaves"]), own: parseOwn(parts["own"]), later: parseLater(parts["later"]),
		libc: first(parts["libc"]), selinux: first(parts["selinux"]), virt: first(parts["virt"]), zone: first(parts["zone"]),
	}
	for _, l := range parts["thp"] {
		if file, value, ok := strings.Cut(l, ":"); ok {
			s.hugepages[path.Base(file)] = value
		}
	}
	if p := parts["pages"]; len(p) == 2 {
		s.pages, _ = strconv.ParseInt(p[0], 10, 64)
		s.pageSize, _ = strconv.ParseInt(p[1], 10, 64)
	}
	for _, l := range parts["links"] {
		file, value, _ := strings.Cut(l, ":")
		if n, err := strconv.Atoi(value); err == nil && n > 0 { // -1 where the driver does not know
			s.links[path.Base(path.Dir(file))] = value
		}
	}
	if _, hex, ok := strings.Cut(first(parts["caps"]), ":"); ok {
		set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		s.raises = err == nil && set&(1<<capSysResource) != 0
	}
	for _, l := range parts["services"] {
		word, rest, _ := strings.Cut(l, " ")
		switch {
		case word == "systemd":
			s.systemd = true
		case word == "active":
			s.active = append(s.active, rest)
		case word == "has":
			s.has[rest] = true
		case l == "ENABLED=yes" && s.systemd && !strings.Contains(strings.Join(s.active, " "), "ufw"):
			s.active = append(s.active, "ufw")
		}
	}
	for _, l := range parts["clock"] {
		if k, v, ok := strings.Cut(l, "="); ok {
			s.clock[k] = v
		} else if k, v, ok := strings.Cut(l, ":"); ok {
			s.clock[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	s.readRoot(parts)
	return s
}

// readRoot reads the answer of rootScript, if it was asked.
func (s *system) readRoot(parts map[string][]string) {
	if r := parts["raise"]; len(r) > 0 {
		s.raises = r[0] == "yes"
	}
	s.readOnly = parts["readonly"]
	lines := parts["sshd"]
	if len(lines) == 0 {
		return
	}
	s.sshd = map[string]string{}
	for _, l := range lines {
		k, v, _ := strings.Cut(l, " ")
		s.sshd[k] = v
	}
}

// lookAsRoot asks what only root may see, where root is at hand anyway: trying
// may ask for a password, which is too much for advice.
func (f *Fleet) lookAsRoot(ctx context.Context, s *survey) {
	if s.facts.UID == 0 || s.facts.User == f.Topology.OSUser || s.access.Err != nil {
		return
	}
	if out, err := f.Script(ctx, s.host.Name, "root", rootScript()); err == nil {
		s.system.readRoot(sections(out))
	}
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.TrimSpace(lines[0])
}

// parseOwn reads the answer of ownFilesScript.
func parseOwn(lines []string) map[string]string {
	out := map[string]string{}
	name := ""
	for _, l := range lines {
		if f, ok := strings.CutPrefix(l, "file "); ok {
			name = f
			out[name] = ""
		} else if text, ok := strings.CutPrefix(l, " "); ok && name != "" {
			out[name] += text + "\n"
		}
	}
	return out
}

// parseMounts reads mountinfo (proc(5)): id, parent, major:minor, root, mount
// point, options, any number of optional fields, a dash, type, source, options
// of the file system. Blanks in paths are written \040.
func parseMounts(lines []string) []mount {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []mount
	for _, l := range lines {
		before, after, ok := strings.Cut(l, " - ")
		a, b := strings.Fields(before), strings.Fields(after)
		if !ok || len(a) < 6 || len(b) < 2 {
			continue
		}
		m := mount{device: a[2], at: unescape.Replace(a[4]), kind: b[0], source: unescape.Replace(b[1]), options: strings.Split(a[5], ",")}
		if len(b) > 2 {
			m.options = append(m.options, strings.Split(b[2], ",")...)
		}
		out = append(out, m)
	}
	return out
}

// mountOf is what is mounted at a place; of several the last, which covers the
// others.
func (s *system) mountOf(at string) (mount, bool) {
	for i := len(s.mounts) - 1; i >= 0; i-- {
		if s.mounts[i].at == at {
			return s.mounts[i], true
		}
	}
	return mount{}, false
}

// blockLine is a line of systemFiles' section block.
var blockLine = regexp.MustCompile(`^(/sys/dev/block/(\d+:\d+)(?:/\.\.)?)/(uevent|queue/\w+):(.*)$`)

// parseDevices reads the sections block and slaves. A disk's own queue comes
// before what might be found above it.
func parseDevices(lines, slaves []string) map[string]device {
	out := map[string]device{}
	for _, l := range lines {
		m := blockLine.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		base, id, file, value := m[1], m[2], m[3], strings.TrimSpace(m[4])
		d := out[id]
		d.id = id
		if file == "uevent" {
			if name, ok := strings.CutPrefix(value, "DEVNAME="); ok {
				d.name = name
			}
			out[id] = d
			continue
		}
		if d.queue != "" && d.queue != base+"/queue" {
			continue
		}
		d.queue = base + "/queue"
		switch path.Base(file) {
		case "scheduler":
			d.scheduler = value
		case "rotational":
			d.rotational = value == "1"
		case "read_ahead_kb":
			d.readAhead = value
		}
		out[id] = d
	}
	for _, l := range slaves {
		rest, ok := strings.CutPrefix(l, "/sys/dev/block/")
		id, name, found := strings.Cut(rest, "/slaves/")
		if d, known := out[id]; ok && found && known {
			d.slaves = append(d.slaves, name)
			out[id] = d
		}
	}
	return out
}

// chosen is the word in brackets of what the kernel writes of a choice; all of
// it where there are none.
func chosen(text string) string {
	if _, after, ok := strings.Cut(text, "["); ok {
		if word, _, ok := strings.Cut(after, "]"); ok {
			return word
		}
	}
	return strings.TrimSpace(text)
}

// devicesAt are the device that a mount is on and those that it is made of.
func (s *system) devicesAt(m mount) []device {
	var out []device
	seen := map[string]bool{}
	var add func(d device)
	add = func(d device) {
		if seen[d.id] {
			return
		}
		seen[d.id] = true
		if d.queue != "" {
			out = append(out, d)
		}
		for _, name := range d.slaves {
			for _, other := range s.devices {
				if other.name == name {
					add(other)
				}
			}
		}
	}
	if d, ok := s.devices[m.device]; ok {
		add(d)
		return out
	}
	for _, d := range s.devices { // btrfs gives its mounts a number of their own
		if d.name != "" && m.source == "/dev/"+d.name {
			add(d)
		}
	}
	return out
}
