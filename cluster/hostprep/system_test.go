package hostprep

import (
	"fmt"
	"math"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/remote"
)

// answered is a survey of a host that answered so, with its data at a mount.
func answered(name, dataMount string) (*cluster.Topology, *cluster.Layout, *survey) {
	top := &cluster.Topology{
		Name: "gp1", Engine: cluster.Engine{Kind: cluster.Greenplum}, OSUser: "gpadmin", Layout: cluster.Rule{DataDirs: []string{dataMount + "/x"}},
		Hosts: []cluster.Host{{Name: "sdw1", Address: "10.0.0.1", Roles: []string{cluster.RoleSegment}}},
	}
	s := &survey{
		host: top.Hosts[0], same: []string{"sdw1"}, nearData: []string{dataMount}, nodeDisks: map[string]Disk{dataMount: {Path: dataMount, Mount: dataMount}},
		facts: remote.Facts{User: "deploy", UID: 1000, MemTotal: 64 << 30}, whole: cluster.Machine{Memory: 64 << 30, CPUs: 16},
		access: Access{UserExists: true},
	}
	parts := sections(answers[name])
	s.readHost(parts)
	s.nearData, s.nodeDisks = []string{dataMount}, map[string]Disk{dataMount: {Path: dataMount, Mount: dataMount}}
	s.limits = parseLimits(strings.Split(`Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    unlimited            bytes
Max processes             255862               255862               processes
Max open files            1024                 524288               files`, "\n"))
	return top, &cluster.Layout{}, s
}

func TestSystemsOfDistributions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, mount string
		want        map[string]string // of checks: "ok ", "n/a " or "bad " and what is observed, then > and the fix
	}{
		{"debian 12, virtio, ext4", "/", map[string]string{
			"huge pages": "bad madvise > huge-pages", "read-ahead": "bad vda1: 128 kB > disks", "i/o scheduler": "ok vda1: none", "mount options": "bad / is ext4",
			"sshd": "bad MaxStartups 10:30:100, MaxSessions 10, UseDNS no > sshd", "selinux": "n/a -", "firewall": "ok none that is known", "time synchronisation": "ok on",
			"sysctl vm.swappiness": "bad 60 > sysctl", "core files": "bad 0 > limits", "processes": "ok 255862", "sysctl kernel.sysrq": "n/a -", "swap": "bad 0B",
		}},
		{"rocky 9, nvme below lvm, xfs, selinux", "/data1", map[string]string{
			"huge pages": "bad always > huge-pages", "read-ahead": "bad dm-2: 128 kB > disks", "i/o scheduler": "bad nvme0n1: mq-deadline > disks", "mount options": "ok /data1 is xfs",
			"sshd": "n/a -", "selinux": "bad enforcing", "firewall": "bad firewalld is on", "time synchronisation": "bad off",
		}},
		{"ubuntu 24.04, container", "/", map[string]string{
			"huge pages": "n/a -", "huge page defrag": "n/a -", "read-ahead": "n/a -", "i/o scheduler": "n/a -", "mount options": "bad / is overlay",
			"time synchronisation": "n/a -", "core files": "bad 0 > limits", "swap": "ok 0B", "firewall": "ok none that is known",
		}},
		{"sles 15, rotating disks, btrfs", "/data one", map[string]string{
			"huge pages": "ok never", "read-ahead": "ok sdb: 16384 kB", "i/o scheduler": "bad sdb: bfq > disks", "mount options": "bad /data one is btrfs",
			"time synchronisation": "bad chrony: Not synchronised",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			top, lay, s := answered(tt.name, tt.mount)
			got := map[string]string{}
			for _, c := range s.systemChecks(top, lay) {
				word := "ok "
				switch {
				case c.NotApplicable != "":
					word = "n/a "
				case !c.OK:
					word = "bad "
				}
				text := word + c.Observed
				if c.Fix != "" {
					text += " > " + c.Fix
				}
				if !c.OK && c.Remedy == "" || c.OK && (c.Fix != "" || c.want.kernel != nil) || c.Host != "sdw1" || c.Expected == "" || c.NotApplicable != "" && !c.OK {
					t.Errorf("an incomplete check: %+v", c)
				}
				got[c.ID] = text
			}
			for id, want := range tt.want {
				if got[id] != want {
					t.Errorf("%s: %q, want %q", id, got[id], want)
				}
			}
		})
	}
}

func TestRepairsKeepWhatTheyMade(t *testing.T) {
	t.Parallel()
	top, lay, s := answered("rocky 9, nvme below lvm, xfs, selinux", "/data1")
	s.kernel["vm/swappiness"], s.kernel["vm/dirty_ratio"], s.kernel["vm/dirty_bytes"] = "10", "40", "0"
	s.kernel["vm/overcommit_memory"], s.kernel["vm/overcommit_ratio"], s.kernel["vm/overcommit_kbytes"] = "0", "50", "0"
	var r Report
	r.surveys = []*survey{s}
	r.Checks = s.systemChecks(top, lay)
	var kernel, disks, pages *Repair
	repairs := r.Repairs(top)
	for i, p := range repairs {
		switch p.Group {
		case GroupSysctl:
			kernel = &repairs[i]
		case GroupDisks:
			disks = &repairs[i]
		case GroupMemory:
			pages = &repairs[i]
		}
	}
	if kernel == nil || disks == nil || pages == nil {
		t.Fatalf("%+v", repairs)
	}
	// The line that an earlier repair wrote stays; the strict mode comes last.
	if !strings.Contains(kernel.text, "vm.swappiness = 10\n") || !strings.HasSuffix(kernel.text, "vm.overcommit_memory = 2\n") || !strings.HasPrefix(kernel.text, "# managed by cw") {
		t.Errorf("text:\n%s", kernel.text)
	}
	if slices.ContainsFunc(kernel.live, func(l live) bool { return strings.HasSuffix(l.path, "swappiness") }) {
		t.Error("a value that is right is set again")
	}
	for _, k := range []string{"/proc/sys/vm/dirty_bytes", "/proc/sys/vm/overcommit_kbytes"} {
		if !slices.Contains(kernel.keep, k) {
			t.Errorf("%s is not kept: it is lost when its twin is set", k)
		}
	}
	want := []live{{"/sys/dev/block/253:2/queue/read_ahead_kb", "8192"}, {"/sys/dev/block/259:0/queue/scheduler", "none"}}
	if !reflect.DeepEqual(disks.live, want) {
		t.Errorf("%+v", disks.live)
	}
	if !strings.Contains(disks.text, `KERNEL=="nvme0n1", ATTR{queue/scheduler}="none"`) {
		t.Errorf("rules:\n%s", disks.text)
	}
	if pages.File != "/etc/tmpfiles.d/90-cw-gp1.conf" || len(pages.live) != 2 {
		t.Errorf("%+v", pages)
	}
	s.system.has["systemd-tmpfiles"] = false
	for _, p := range r.Repairs(top) {
		if p.Group == GroupMemory && (p.File != "" || !strings.Contains(p.title(), "until the next boot")) {
			t.Errorf("a file that nobody reads: %+v", p)
		}
	}
}

func TestMemoryIsNotPromisedTwiceWhereItIsInUse(t *testing.T) {
	t.Parallel()
	top, lay, s := answered("debian 12, virtio, ext4", "/")
	s.kernel["vm/overcommit_memory"] = "0"
	s.kernel["Committed_AS"], s.kernel["CommitLimit"] = "70000000", "33554432"
	for _, c := range s.systemChecks(top, lay) {
		if c.ID == "sysctl vm.overcommit_memory" && (c.OK || c.Fix != "" || !strings.Contains(c.Remedy, "more is promised")) {
			t.Errorf("%+v", c)
		}
	}
	s.whole.Memory, s.facts.MemTotal = 4<<30, 4<<30
	for _, c := range s.systemChecks(top, lay) {
		if c.ID == "sysctl vm.overcommit_memory" && c.NotApplicable == "" {
			t.Errorf("on a small machine: %+v", c)
		}
	}
}

func TestReservedPorts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		have  string
		ports []int
		virt  string
		want  string
	}{
		{"", []int{5432, 6000}, "", ""},
		{"", []int{15432, 16000, 16001, 16002}, "", "15432,16000-16002"},
		{"8080,16001", []int{16000, 16001, 16002}, "", "8080,16000-16002"},
		{"16000-16009", []int{16001}, "", "16000-16009"},
		{"", nil, "vm", "65330"},
		{"20000", []int{20001, 19999}, "vm", "19999-20001,65330"},
	} {
		s := &survey{kernel: map[string]string{"net/ipv4/ip_local_reserved_ports": tt.have}, system: system{virt: tt.virt}}
		for _, p := range tt.ports {
			s.beside = append(s.beside, cluster.Node{Port: p})
		}
		if got := s.reservedPorts(localLow, localHigh); got != tt.want {
			t.Errorf("%q and %v: %q, want %q", tt.have, tt.ports, got, tt.want)
		}
	}
}

func TestKernelRules(t *testing.T) {
	t.Parallel()
	s := &survey{same: []string{"h"}, facts: remote.Facts{MemTotal: 128 << 30}, whole: cluster.Machine{Memory: 128 << 30, Swap: 32 << 30}, system: system{pages: 1000, pageSize: 4096}, kernel: map[string]string{}}
	rules := map[string]kernelRule{}
	for _, r := range kernelRules(&cluster.Topology{Engine: cluster.Engine{Kind: cluster.Greenplum}}, &cluster.Layout{}, s) {
		rules[r.key] = r
	}
	for _, tt := range []struct {
		key, have string
		ok        bool
		want      string
	}{
		{"kernel.shmall", "499", false, "500"},
		{"kernel.shmall", "18446744073692774399", true, "500"},
		{"kernel.shmmax", "2048000", true, "2048000"},
		{"vm.overcommit_ratio", "98", true, "98"},
		{"vm.overcommit_ratio", "95", false, "98"},
		{"vm.min_free_kbytes", "4026531", true, "4026531"},
		{"vm.min_free_kbytes", "9000000", false, "4026531"}, // more than 5 %
		{"vm.dirty_bytes", "0", false, "4294967296"},
		{"vm.swappiness", "1", true, "10"},
		{"net.ipv4.ip_local_port_range", "32768\t60999", true, "10000 65535"},
		{"net.ipv4.ip_local_port_range", "1024 65535", false, "10000 65535"},
		{"net.ipv4.ip_local_port_range", "32768 40000", false, "10000 65535"},
		{"net.core.rmem_max", "nonsense", false, "2097152"},
	} {
		r := rules[tt.key]
		if r.want != tt.want || r.ok(tt.have) != tt.ok {
			t.Errorf("%s = %s: ok %v, want %s; expected %v and %s", tt.key, tt.have, r.ok(tt.have), r.want, tt.ok, tt.want)
		}
	}
	if _, ok := rules["vm.dirty_ratio"]; ok {
		t.Error("above 64 GB the limits are in bytes")
	}
	s.facts.MemTotal = 32 << 30
	for _, r := range kernelRules(&cluster.Topology{Engine: cluster.Engine{Kind: cluster.Greenplum}}, &cluster.Layout{}, s) {
		if r.key == "vm.dirty_ratio" && (r.ok("0") || !r.ok("10") || r.ok("20")) {
			t.Error("vm.dirty_ratio 0 means that another limit counts")
		}
	}
}

func TestStartups(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][3]int{"10:30:100": {10, 30, 100}, "200": {200, 100, 200}, "": {0, 100, 0}, "10:30": {10, 30, 0}} {
		if a, b, c := startups(text); [3]int{a, b, c} != want {
			t.Errorf("%q: %d %d %d", text, a, b, c)
		}
	}
}

// TestScriptsParse has the shells read what is sent to hosts.
func TestScriptsParse(t *testing.T) {
	t.Parallel()
	top, _, _ := answered("debian 12, virtio, ext4", "/")
	for _, sh := range []string{"dash", "bash", "busybox"} {
		path, err := exec.LookPath(sh)
		if err != nil {
			continue
		}
		args := []string{"-n"}
		if sh == "busybox" {
			args = []string{"sh", "-n"}
		}
		for name, text := range map[string]string{"repair": repairHead("c", "r"), "system": systemScript(top), "root": rootScript()} {
			c := exec.CommandContext(t.Context(), path, args...)
			c.Stdin = strings.NewReader(text)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s, %s: %v: %s", sh, name, err, out)
			}
		}
	}
}

func FuzzSystem(f *testing.F) {
	for _, text := range answers {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		top, lay, s := answered("debian 12, virtio, ext4", "/")
		s.readHost(sections(text))
		s.limits = parseLimits(strings.Split(text, "\n"))
		s.nearData, s.nodeDisks = []string{"/"}, map[string]Disk{"/": {Mount: "/"}}
		r := Report{surveys: []*survey{s}, Checks: s.systemChecks(top, lay)}
		for _, p := range r.Repairs(top) {
			if line := p.call("fix"); strings.Contains(line, "\x00") && !strings.Contains(text, "\x00") {
				t.Errorf("%q", line)
			}
			for _, l := range p.live {
				if !strings.HasPrefix(l.path, "/proc/sys/") && !strings.HasPrefix(l.path, "/sys/") || strings.ContainsAny(l.path, " \t\n'\"$`\\") {
					t.Errorf("a path that is no setting's: %q", l.path)
				}
				if strings.ContainsAny(l.value, "\n'\"$`\\") {
					t.Errorf("a value that is no setting's: %q", l.value)
				}
			}
		}
	})
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	got := parseLimits(strings.Split("Limit                     Soft Limit           Hard Limit           Units     \nMax cpu time              unlimited            unlimited            seconds   \nMax processes             95000                95000                processes \nMax nice priority         0                    0                    \n", "\n"))
	if fmt.Sprint(got["Max processes"]) != "{95000 95000}" || got["Max cpu time"].soft != math.MaxInt64 || len(got) != 3 {
		t.Errorf("%v", got)
	}
}
