package hostprep

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/cluster/step"
	"cw/playground/lab"
	"cw/remote"
)

// forgetful is a journal: repairs are decided from the hosts alone.
type forgetful struct{}

func (forgetful) Write(context.Context, step.Record) error { return nil }

// engineHome is a place that hosts without real root may write to as well.
const engineHome = "/data/gp"

func inData(t *cluster.Topology) { t.Engine.Home = engineHome }

// runSteps runs a plan and returns the ids of the steps that did something.
func runSteps(t *testing.T, steps []step.Step) []string {
	t.Helper()
	sum, err := (&step.Runner{Journal: forgetful{}}).Run(t.Context(), step.Plan{Cluster: "gp1", Verb: "fix", Steps: steps})
	if err != nil {
		t.Fatal(err)
	}
	return sum.Done
}

// failedIDs are the failed checks of a report, as host/id.
func failedIDs(r Report) []string {
	var out []string
	for _, c := range r.Checks {
		if !c.OK {
			out = append(out, c.Host+"/"+c.ID)
		}
	}
	slices.Sort(out)
	return out
}

// treeScript prints everything that a repair could have touched: files with
// mode, owner, time and sum, and the values of the running system.
const treeScript = `cd / && { find etc var/lib/cw* \( -type d -printf '%p %m %u:%g d\n' -o -type l -printf '%p -> %l\n' -o -type f -printf '%p %m %u:%g %T@\n' \)
find etc var/lib/cw* -type f -not -path 'etc/ssl/*' -print0 | xargs -0 sha256sum; } 2>/dev/null | sort
grep -rs '' /proc/sys/vm /proc/sys/kernel/sysrq /proc/sys/kernel/core_uses_pid /proc/sys/kernel/core_pattern /proc/sys/kernel/sem /proc/sys/kernel/shm* /proc/sys/kernel/msg* /proc/sys/net/ipv4/ip* /proc/sys/net/ipv4/tcp_max_syn_backlog /proc/sys/net/ipv4/tcp_syncookies /proc/sys/net/ipv4/conf/all/arp_filter /proc/sys/net/ipv4/conf/default/accept_source_route /proc/sys/net/core /sys/kernel/mm/transparent_hugepage/enabled /sys/kernel/mm/transparent_hugepage/defrag | grep -v -e stat_refresh -e random_uuid | sort
grep -s '' /sys/dev/block/*/queue/* | sort
`

func tree(l *lab.Lab, i int) string { return l.Run(i, "sh", "-c", treeScript) }

// difference shows the lines that two texts do not share.
func difference(a, b string) string {
	in := map[string]bool{}
	for _, l := range strings.Split(a, "\n") {
		in[l] = true
	}
	var out []string
	for _, l := range strings.Split(b, "\n") {
		if !in[l] {
			out = append(out, "+ "+l)
		}
		delete(in, l)
	}
	for l := range in {
		out = append(out, "- "+l)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// disk gives a host's data folder a block device: lab hosts have theirs on a
// tmpfs, whose number is in mountinfo.
func disk(l *lab.Lab, i int, scheduler, readAhead string) {
	l.Run(i, "sh", "-c", fmt.Sprintf(`set -e
id=$(awk '$5 == "/data" { x = $3 } END { print x }' /proc/self/mountinfo)
mount -t tmpfs -o mode=755 disks /sys/dev/block
mkdir -p /sys/dev/block/$id/queue
cd /sys/dev/block/$id
printf 'DEVNAME=sdx\n' >uevent
echo 0 >queue/rotational
echo '%s' >queue/scheduler
echo %s >queue/read_ahead_kb
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
echo madvise >/sys/kernel/mm/transparent_hugepage/defrag`, scheduler, readAhead))
}

// TestTenFaults breaks ten things of two hosts that were in order: the checks
// find these ten and no others, the repairs set right what can be set, and the
// reversal brings every file and value back.
func TestTenFaults(t *testing.T) {
	l := lab.Up(t, 2)
	f := labFleet(t, l, inData)
	ctx := t.Context()
	for i := range l.Hosts {
		install(l, i+1, engineHome, "abc")
		addOwner(l, i+1)
		disk(l, i+1, "none", "8192")
	}
	before := []string{tree(l, 1), tree(l, 2)}
	l.Run(1, "sh", "-c", "cp -p /etc/hosts /run/hosts.before; cat /proc/sys/kernel/sem >/run/sem.before")
	l.Run(2, "sh", "-c", "cp -p /etc/ssh/sshd_config /run/sshd.before; cat /proc/sys/net/ipv4/ip_local_port_range >/run/range.before")

	// First the hosts are put in order, so that what fails after that was
	// broken here, or is not cw's to set.
	base := Run(ctx, f, "")
	runSteps(t, f.RepairSteps(base.Repairs(f.Topology), "r0"))
	base = Run(ctx, f, "")
	known := failedIDs(base)
	for _, c := range base.Checks {
		if !c.OK && c.Fix != "" {
			t.Errorf("repaired, and yet: %+v", c)
		}
	}
	if got := base.Repairs(f.Topology); len(got) > 0 {
		t.Errorf("a second time there is something to repair: %+v", got)
	}

	break1 := `set -e
echo 60 >/proc/sys/vm/swappiness
echo 0 >/proc/sys/vm/overcommit_memory
echo 1024 >/proc/sys/vm/min_free_kbytes
echo '32 1000 32 100' >/proc/sys/kernel/sem
echo always >/sys/kernel/mm/transparent_hugepage/enabled
echo 128 | tee /sys/dev/block/*/queue/read_ahead_kb
sed -i '/ db2$/d' /etc/hosts
`
	break2 := `set -e
echo 32768 40000 >/proc/sys/net/ipv4/ip_local_port_range
echo '[bfq] mq-deadline none' | tee /sys/dev/block/*/queue/scheduler
echo core >/proc/sys/kernel/core_pattern
printf 'MaxStartups 2:30:5\n' >>/etc/ssh/sshd_config
`
	l.Run(1, "sh", "-c", "echo /var/core/core.%h.%t >/proc/sys/kernel/core_pattern")
	l.Run(2, "sh", "-c", "echo /var/core/core.%h.%t >/proc/sys/kernel/core_pattern")
	known = failedIDs(Run(ctx, f, ""))
	l.Run(1, "sh", "-c", break1)
	l.Run(2, "sh", "-c", break2)
	planted := []string{
		"db1/host names", "db1/huge pages", "db1/read-ahead", "db1/semaphores", "db1/sysctl vm.min_free_kbytes", "db1/sysctl vm.overcommit_memory", "db1/sysctl vm.swappiness",
		"db2/core pattern", "db2/i/o scheduler", "db2/sshd", "db2/sysctl net.ipv4.ip_local_port_range",
	}
	if l.Run(1, "cat", "/proc/sys/vm/overcommit_memory") != "0\n" {
		t.Fatal("nothing was broken")
	}
	broken := Run(ctx, f, "")
	found := slices.DeleteFunc(failedIDs(broken), func(id string) bool { return slices.Contains(known, id) })
	if !slices.Equal(found, planted) {
		t.Errorf("found %q, planted %q", found, planted)
	}
	unfixable := []string{"db2/core pattern", "db2/sshd"}
	for _, c := range broken.Checks {
		if id := c.Host + "/" + c.ID; slices.Contains(found, id) && c.Fix == "" && !slices.Contains(unfixable, id) {
			t.Errorf("no fix for %+v", c)
		}
	}
	repairs := broken.Repairs(f.Topology)
	_, err := (&step.Runner{Journal: forgetful{}}).Run(ctx, step.Plan{Cluster: "gp1", Verb: "fix", Steps: f.RepairSteps(repairs, "r1")})
	if err == nil || !strings.Contains(err.Error(), "sets it elsewhere") {
		t.Errorf("sshd_config sets it after it has read cw's file: %v", err)
	}
	after := slices.DeleteFunc(failedIDs(Run(ctx, f, "")), func(id string) bool { return slices.Contains(known, id) })
	if !slices.Equal(after, unfixable) {
		t.Errorf("left %q, want %q", after, unfixable)
	}

	runSteps(t, f.RevertSteps([]string{"db1", "db2"}))
	for i := range l.Hosts {
		if k, err := f.Kept(ctx, l.Hosts[i].Name); err != nil || len(k.Changes) > 0 {
			t.Errorf("kept: %+v %v", k, err)
		}
	}
	// What was broken by hand belongs to no repair and stays; all else is back.
	l.Run(1, "sh", "-c", `cp -p /run/hosts.before /etc/hosts; cat /run/sem.before >/proc/sys/kernel/sem; echo core >/proc/sys/kernel/core_pattern; echo 8192 | tee /sys/dev/block/*/queue/read_ahead_kb`)
	l.Run(2, "sh", "-c", `cp -p /run/sshd.before /etc/ssh/sshd_config; echo core >/proc/sys/kernel/core_pattern; cat /run/range.before >/proc/sys/net/ipv4/ip_local_port_range; echo none | tee /sys/dev/block/*/queue/scheduler`)
	for i := range l.Hosts {
		if d := difference(before[i], tree(l, i+1)); d != "" {
			t.Errorf("db%d is not as it was:\n%s", i+1, d)
		}
	}
}

// TestRevertToTheByte takes back a repair of everything.
func TestRevertToTheByte(t *testing.T) {
	l := lab.Up(t, 1)
	f := labFleet(t, l, inData)
	ctx := t.Context()
	install(l, 1, engineHome, "abc")
	addOwner(l, 1)
	disk(l, 1, "mq-deadline", "128")
	// A file of the very name that somebody made before, and no last newline.
	l.Run(1, "sh", "-c", `set -e
printf 'vm.swappiness = 33' >/etc/sysctl.d/90-cw-gp1.conf
chmod 640 /etc/sysctl.d/90-cw-gp1.conf; touch -d 2020-02-02 /etc/sysctl.d/90-cw-gp1.conf
rm -rf /etc/tmpfiles.d
sed -i '/ db1$/d' /etc/hosts; printf '# no newline' >>/etc/hosts`)
	before := tree(l, 1)
	r := Run(ctx, f, "")
	repairs := r.Repairs(f.Topology)
	if done := runSteps(t, f.RepairSteps(repairs, "r1")); len(done) < 5 {
		t.Errorf("repaired only %q", done)
	}
	if done := runSteps(t, f.RepairSteps(repairs, "r1")); len(done) > 0 {
		t.Errorf("done again: %q", done)
	}
	if tree(l, 1) == before {
		t.Fatal("nothing was changed")
	}
	kept, err := f.Kept(ctx, "db1")
	if err != nil || !slices.ContainsFunc(kept.Changes, func(c Change) bool { return c.What == "vm.swappiness" && c.New == "60" && c.Old == "10" }) {
		t.Errorf("kept %+v %v", kept, err)
	}
	if mode := l.Run(1, "stat", "-c", "%a %U", PrepDir("gp1")); mode != "700 root\n" {
		t.Errorf("%s is %s", PrepDir("gp1"), mode)
	}
	for range 2 {
		runSteps(t, f.RevertSteps([]string{"db1"}))
		if d := difference(before, tree(l, 1)); d != "" {
			t.Errorf("not as it was:\n%s", d)
		}
	}
}

// TestRootScript runs as root what is printed for hosts without sudo.
func TestRootScript(t *testing.T) {
	l := lab.Up(t, 2)
	f := labFleet(t, l, inData)
	ctx := t.Context()
	for i := range l.Hosts {
		install(l, i+1, engineHome, "abc")
		addOwner(l, i+1)
		disk(l, i+1, "mq-deadline", "128")
	}
	r := Run(ctx, f, "")
	before := []string{tree(l, 1), tree(l, 2)}
	fix, revert := r.RootScript(f.Topology, false), r.RootScript(f.Topology, true)
	for _, text := range []string{fix, revert} {
		for _, sh := range []string{"dash", "bash"} {
			path, err := exec.LookPath(sh)
			if err != nil {
				continue
			}
			c := exec.Command(path, "-n")
			c.Stdin = strings.NewReader(text)
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%s -n: %v: %s", sh, err, out)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "prepare.sh")
	run := func(i int, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.Host(l.Hosts[i-1].Name).Push(ctx, file, "/home/"+lab.User+"/prepare.sh", remote.FileOptions{}); err != nil {
			t.Fatal(err)
		}
		l.Run(i, "sh", "/home/"+lab.User+"/prepare.sh")
	}
	for i := range l.Hosts {
		run(i+1, fix)
		first := tree(l, i+1)
		run(i+1, fix)
		if d := difference(first, tree(l, i+1)); d != "" {
			t.Errorf("running it again changes\n%s", d)
		}
	}
	for _, c := range Run(ctx, f, "").Checks {
		if !c.OK && c.Fix != "" {
			t.Errorf("after the script: %+v", c)
		}
	}
	for i := range l.Hosts {
		run(i+1, revert)
		if d := difference(before[i], tree(l, i+1)); d != "" {
			t.Errorf("not as it was:\n%s", d)
		}
	}
	elsewhere := strings.ReplaceAll(fix, "db2/", "db9/")
	if err := os.WriteFile(file, []byte(elsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Host("db2").Push(ctx, file, "/home/"+lab.User+"/prepare.sh", remote.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if out, err := l.Try(2, "sh", "/home/"+lab.User+"/prepare.sh"); err == nil || !strings.Contains(out, "not one of the hosts") {
		t.Errorf("on another host: %s %v", out, err)
	}
}
