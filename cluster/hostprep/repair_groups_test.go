package hostprep

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/playground/lab"
	"cw/remote"
)

// TestLimitsThatLockOut has a repair of limits after which the user could not
// log in any more, as where not even root may raise them.
func TestLimitsThatLockOut(t *testing.T) {
	l := lab.Up(t, 1)
	f := labFleet(t, l, inData)
	addOwner(l, 1)
	file := "/etc/security/limits.d/90-cw-gp1.conf"
	p := Repair{Host: "db1", Group: GroupLimits, File: file, cluster: "gp1", user: dbUser, text: header("gp1") + limitsText(dbUser)}
	before := tree(l, 1)
	for _, tt := range []struct {
		name, sudo string
		ok         bool
	}{
		{"refused", `sudo() { echo "sudo: pam_open_session: Permission denied" >&2; return 1; }`, false},
		{"root is not in sudoers", `sudo() { echo "root is not in the sudoers file." >&2; return 1; }; su() { :; }`, true},
		{"fine", "sudo() { :; }", true},
	} {
		_, err := f.Script(t.Context(), "db1", "root", repairHead("gp1", "r1")+tt.sudo+"\nfix \"$@\"", p.args()...)
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "could not log in with these limits") {
			t.Errorf("%s: %v", tt.name, err)
		}
		got, _ := l.Try(1, "cat", file)
		if tt.ok != strings.Contains(got, dbUser+" hard nproc 131072\n") {
			t.Errorf("%s: the file is %q", tt.name, got)
		}
		runSteps(t, f.RevertSteps([]string{"db1"}))
		if d := difference(before, tree(l, 1)); d != "" {
			t.Errorf("%s: not as it was:\n%s", tt.name, d)
		}
	}
}

// TestSSHDThatRefuses has a repair that sshd does not accept.
func TestSSHDThatRefuses(t *testing.T) {
	l := lab.Up(t, 1)
	f := labFleet(t, l, inData)
	addOwner(l, 1)
	before := tree(l, 1)
	p := Repair{Host: "db1", Group: GroupSSHD, File: "/etc/ssh/sshd_config.d/10-cw-gp1.conf", cluster: "gp1", user: dbUser, text: header("gp1") + "MaxStartups many\n"}
	_, err := f.Script(t.Context(), "db1", "root", repairHead("gp1", "r1")+"fix \"$@\"", p.args()...)
	if err == nil || !strings.Contains(err.Error(), "sshd does not accept it") {
		t.Errorf("%v", err)
	}
	runSteps(t, f.RevertSteps([]string{"db1"}))
	if d := difference(before, tree(l, 1)); d != "" {
		t.Errorf("not as it was:\n%s", d)
	}
	if _, err := f.Script(t.Context(), "db1", "root", ":"); err != nil {
		t.Errorf("the host cannot be reached any more: %v", err)
	}
}

// TestPostgresHosts has a host with systemd, as far as files go, on which the
// database runs as the user who logs in.
func TestPostgresHosts(t *testing.T) {
	l := lab.Up(t, 1)
	l.Run(1, "sh", "-c", "cd /sys/kernel/mm/transparent_hugepage; echo madvise | tee enabled defrag; mkdir -p /run/systemd/system; echo vm.swappiness = 50 >/etc/sysctl.d/95-other.conf")
	f := labFleet(t, l, func(top *cluster.Topology) {
		top.Engine, top.OSUser, top.Layout.Mirrors = cluster.Engine{Kind: cluster.Postgres}, lab.User, ""
	})
	ctx := t.Context()
	before := tree(l, 1)
	r := Run(ctx, f, "")
	if c := checkOf(r, "db1", "shared memory"); c.OK || c.Fix != GroupLogind {
		t.Errorf("%+v", c)
	}
	for _, id := range []string{"sysctl kernel.shmmax", "sysctl net.core.rmem_max", "read-ahead", "mount options"} {
		if c := checkOf(r, "db1", id); c.ID != "" {
			t.Errorf("no advice of PostgreSQL's: %+v", c)
		}
	}
	if c := checkOf(r, "db1", "settings at boot"); c.NotApplicable == "" {
		t.Errorf("%+v", c)
	}
	runSteps(t, f.RepairSteps(r.Repairs(f.Topology), "r1"))
	r = Run(ctx, f, "")
	for _, c := range r.Checks {
		if !c.OK && c.Fix != "" {
			t.Errorf("repaired, and yet: %+v", c)
		}
	}
	if c := checkOf(r, "db1", "settings at boot"); c.OK || !strings.Contains(c.Observed, "vm.swappiness = 50 in /etc/sysctl.d/95-other.conf") {
		t.Errorf("%+v", c)
	}
	if got := l.Run(1, "cat", "/etc/systemd/logind.conf.d/90-cw-gp1.conf"); !strings.HasSuffix(got, "[Login]\nRemoveIPC=no\n") {
		t.Errorf("logind: %q", got)
	}
	runSteps(t, f.RevertSteps([]string{"db1"}))
	if d := difference(before, tree(l, 1)); d != "" {
		t.Errorf("not as it was:\n%s", d)
	}
}

// TestHostsThatDiffer names the host that is not like the others.
func TestHostsThatDiffer(t *testing.T) {
	t.Parallel()
	top := &cluster.Topology{Engine: cluster.Engine{Kind: cluster.Greenplum}, OSUser: "gpadmin"}
	var all []*survey
	for i, name := range []string{"cdw", "sdw1", "sdw2", "sdw3"} {
		role := cluster.RoleSegment
		if i == 0 {
			role = cluster.RoleCoordinator
		}
		h := cluster.Host{Name: name, Address: fmt.Sprintf("10.0.0.%d", i+1), Roles: []string{role}}
		top.Hosts = append(top.Hosts, h)
		s := &survey{host: h, access: Access{UserExists: true}, userID: 500, groupID: 500}
		s.facts = remote.Facts{Arch: "x86_64", Kernel: "5.14.0-362.el9.x86_64", OS: "rocky", OSVersion: "9.3", CPUs: 16, MemTotal: 64 << 30, NICs: []remote.NIC{{Name: "eth0", MTU: 9000, Addrs: []string{h.Address + "/24"}}}}
		s.system.libc, s.system.zone, s.system.links = "glibc 2.34", "UTC+0000", map[string]string{"eth0": "25000"}
		all = append(all, s)
	}
	all[0].facts.CPUs, all[0].facts.MemTotal = 4, 16<<30 // coordinators may be smaller
	odd := all[2]
	odd.facts.Kernel, odd.facts.OSVersion, odd.facts.CPUs, odd.facts.MemTotal = "4.18.0-1", "8.9", 8, 32<<30
	odd.facts.NICs[0].MTU = 1500
	odd.system.libc, odd.system.zone, odd.system.links = "glibc 2.28", "CET+0100", map[string]string{"eth0": "10000"}
	odd.userID, odd.facts.ClockSkew = 501, time.Minute
	for _, s := range all { // this machine's own clock is wrong
		s.facts.ClockSkew += time.Hour
	}
	want := map[string]string{
		"user id": "gpadmin is 501:500", "same kernel": "4.18", "same system": "rocky 8.9", "same libc": "glibc 2.28", "same time zone": "CET+0100",
		"same mtu": "MTU 1500", "same link speed": "10000 Mbit/s", "same cores": "8 cores", "same memory": "about 32 GB",
		"same clock": "1m0s from the others",
	}
	for i, checks := range consistency(top, all) {
		for _, c := range checks {
			observed, differs := want[c.ID]
			if i != 2 || !differs {
				if !c.OK {
					t.Errorf("%s: %+v", all[i].host.Name, c)
				}
				continue
			}
			delete(want, c.ID)
			if c.OK || c.Observed != observed || c.Remedy == "" || c.ID != "same clock" && !strings.Contains(c.Expected, "as on") {
				t.Errorf("%+v", c)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
}

// TestReadOnlySettings has settings that a container only shows, one of which
// turns read-only after it was looked at.
func TestReadOnlySettings(t *testing.T) {
	l := lab.Up(t, 1)
	f := labFleet(t, l, inData)
	ctx := t.Context()
	addOwner(l, 1)
	freeze := func(file string) {
		l.Run(1, "sh", "-c", fmt.Sprintf("set -e; mount --bind %[1]s %[1]s; mount -o remount,bind,ro %[1]s", file))
	}
	freeze("/proc/sys/vm/swappiness")
	r := Run(ctx, f, "")
	if c := checkOf(r, "db1", "sysctl vm.swappiness"); c.OK || c.Fix != "" || !strings.Contains(c.Remedy, "read-only on db1") {
		t.Errorf("%+v", c)
	}
	repairs := r.Repairs(f.Topology)
	freeze("/proc/sys/vm/dirty_ratio")
	_, err := (&step.Runner{Journal: forgetful{}}).Run(ctx, step.Plan{Cluster: "gp1", Verb: "fix", Steps: f.RepairSteps(repairs, "r1")})
	if err == nil || !strings.Contains(err.Error(), "these cannot be set:  /proc/sys/vm/dirty_ratio=10") {
		t.Errorf("%v", err)
	}
	r = Run(ctx, f, "")
	if c := checkOf(r, "db1", "sysctl vm.dirty_expire_centisecs"); !c.OK {
		t.Errorf("what can be set is not: %+v", c)
	}
	if c := checkOf(r, "db1", "sysctl vm.dirty_ratio"); c.OK || c.Fix != "" {
		t.Errorf("%+v", c)
	}
	runSteps(t, f.RepairSteps(r.Repairs(f.Topology), "r2"))
	runSteps(t, f.RevertSteps([]string{"db1"}))
}

// TestHalfARepair has a step that does not get through: what this run began
// is taken back, what an earlier one did stays.
func TestHalfARepair(t *testing.T) {
	l := lab.Up(t, 1)
	f := labFleet(t, l, inData)
	ctx := t.Context()
	addOwner(l, 1)
	before := tree(l, 1)
	p := Repair{Host: "db1", Group: GroupSSHD, File: "/etc/ssh/sshd_config.d/10-cw-gp1.conf", cluster: "gp1", user: dbUser, text: header("gp1") + "MaxStartups 10:30:200\nMaxSessions 200\nUseDNS no\n"}
	cut := func(run string) {
		t.Helper()
		// The file is in place, and then the connection is gone.
		_, err := f.Script(ctx, "db1", "root", repairHead("gp1", run)+"set_live() { exit 9; }\nfix \"$@\"", p.args()...)
		if err == nil {
			t.Error("it was not cut off")
		}
		if err := f.RepairSteps([]Repair{p}, run)[0].Undo(ctx); err != nil {
			t.Fatal(err)
		}
	}
	cut("r1")
	if d := difference(before, tree(l, 1)); d != "" {
		t.Errorf("not as it was:\n%s", d)
	}
	runSteps(t, f.RepairSteps([]Repair{p}, "r2"))
	cut("r3")
	if !strings.Contains(l.Run(1, "cat", p.File), "MaxStartups 10:30:200") {
		t.Error("what r2 did was taken back by r3")
	}
}
