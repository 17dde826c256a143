package hostprep_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/playground/cwtest"
	"cw/playground/lab"
)

// person calls the real binary, with a home of their own.
type person struct {
	t   *testing.T
	bin string
	env []string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "cw")
	cwtest.At(t, bin)
	return &person{t, bin, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}}
}

// run calls cw and wants an exit code.
func (p *person) run(want int, args ...string) (out, errOut string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.bin, args...)
	cmd.Env = p.env
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		p.t.Fatalf("cw %s: exit code %d, not %d\n%s%s", strings.Join(args, " "), got, want, o.String(), e.String())
	}
	return o.String(), e.String()
}

const topology = `apiVersion: cw/v1
kind: Cluster
name: dw1
engine: {kind: greenplum, home: /data/gp}
os_user: cwowner
database: {locale: C.UTF-8}
ssh: {user: %s, identity_file: %s}
tls: {mode: "off"}
layout: {segments_per_host: 2, mirrors: group, data_dirs: [/data/a]}
hosts:
  - {name: db1, address: %s, roles: [coordinator, segment]}
  - {name: db2, address: %s, roles: [segment]}
`

const state = `cd / && { find etc var/lib/cw -printf '%p %m %u:%g %y %l\n'; find etc var/lib/cw -type f -not -path 'etc/ssl/*' -print0 | xargs -0 sha256sum; } 2>/dev/null | sort
grep -rs '' /proc/sys/vm /proc/sys/kernel/sem /proc/sys/kernel/core_uses_pid /proc/sys/net/ipv4/ip_local_port_range /sys/kernel/mm/transparent_hugepage/enabled | grep -v stat_refresh | sort`

func TestCheckFixAndRevert(t *testing.T) {
	l := lab.Up(t, 2)
	p := newPerson(t)
	for i := range l.Hosts {
		l.Run(i+1, "sh", "-c", `set -e
# What the whole machine promises depends on what else is tested there.
sed 's/^Committed_AS:.*/Committed_AS: 1000000 kB/; s/^CommitLimit:.*/CommitLimit: 20000000 kB/' /proc/meminfo >/run/meminfo
mount --bind /run/meminfo /proc/meminfo
useradd --create-home cwowner
mkdir -p /data/gp/bin
printf '#!/bin/sh\ncase $1 in --gp-version) echo "postgres (Greenplum Database) 6.24.3 build x";; *) echo "Catalog version number:               42";; esac\n' >/data/gp/bin/postgres
cp /data/gp/bin/postgres /data/gp/bin/initdb; chmod 755 /data/gp/bin/*
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
echo madvise >/sys/kernel/mm/transparent_hugepage/defrag
echo 32 1000 32 100 >/proc/sys/kernel/sem`)
	}
	file := filepath.Join(t.TempDir(), "dw1.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, topology, lab.User, l.Key, l.Hosts[0].Addr, l.Hosts[1].Addr), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func() string { return l.Run(1, "sh", "-c", state) + l.Run(2, "sh", "-c", state) }
	before := look()

	// Semaphores are required and too few.
	out, _ := p.run(6, "cluster", "check", "-f", file)
	if !strings.Contains(out, "semaphores") || !strings.Contains(out, "cw can: --fix (sysctl)") || strings.Contains(out, "sysctl kernel.shmmni") {
		t.Errorf("check:\n%s", out)
	}
	if out, _ = p.run(6, "cluster", "check", "-f", file, "-o", "wide"); !strings.Contains(out, "sysctl kernel.shmmni") {
		t.Errorf("-o wide does not show what is well:\n%s", out)
	}
	out, _ = p.run(0, "cluster", "check", "-f", file, "--fix", "--dry-run", "-o", "json")
	var plan struct {
		Kind    string
		Repairs []struct {
			Host, Group, File string
			Changes           []struct{ What, Old, New string }
		}
		Left []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(out), &plan); err != nil || plan.Kind != "PreparationPlan" || len(plan.Repairs) < 6 || len(plan.Left) == 0 {
		t.Errorf("%v: %s", err, out)
	}
	out, _ = p.run(0, "cluster", "check", "-f", file, "--fix", "--dry-run")
	for _, want := range []string{"Plan: set on db1, db2\n", "/etc/sysctl.d/90-cw-dw1.conf (new)", "kernel.sem", "32 1000 32 100 -> 250 2048000 200 8192", "What cw cannot set:"} {
		if !strings.Contains(out, want) {
			t.Errorf("the plan lacks %q:\n%s", want, out)
		}
	}
	p.run(2, "cluster", "check", "-f", file, "--fix") // nobody to ask
	if look() != before {
		t.Fatal("looking changed something")
	}

	for range 3 {
		cmd := exec.CommandContext(t.Context(), p.bin, "cluster", "check", "-f", file, "--fix", "--yes")
		cmd.Env = p.env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(200+rand.IntN(1500))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
	}
	out, errOut := p.run(0, "cluster", "check", "-f", file, "--fix", "--yes")
	if strings.Contains(out, "FAILED") || strings.Contains(out, "cw can") {
		t.Errorf("after --fix:\n%s%s", out, errOut)
	}
	fixed := look()
	if _, errOut = p.run(0, "cluster", "check", "-f", file, "--fix", "--yes"); !strings.Contains(errOut, "nothing that is not set already") || look() != fixed {
		t.Errorf("a second --fix: %s", errOut)
	}
	script, _ := p.run(0, "cluster", "check", "-f", file, "--print-root-script")
	if !strings.HasPrefix(script, "#!/bin/sh\n") {
		t.Errorf("no script: %.100s", script)
	}
	if out, _ = p.run(0, "cluster", "check", "-f", file, "--revert", "--dry-run"); !strings.Contains(out, "250 2048000 200 8192 -> 32 1000 32 100") {
		t.Errorf("plan of --revert:\n%s", out)
	}
	p.run(0, "cluster", "check", "-f", file, "--revert", "--yes")
	if after := look(); after != before {
		had := map[string]bool{}
		for _, line := range strings.Split(before, "\n") {
			had[line] = true
		}
		for _, line := range strings.Split(after, "\n") {
			if !had[line] {
				t.Errorf("after --revert: %s", line)
			}
		}
	}
	if _, errOut = p.run(0, "cluster", "check", "-f", file, "--revert", "--yes"); !strings.Contains(errOut, "was set by cw") {
		t.Errorf("a second --revert: %s", errOut)
	}
	noSudo(t, l, p, file)
	if out, _ = p.run(0, "cluster", "size", "-f", file, "-o", "json"); !strings.Contains(out, `"kind": "Sizing"`) || !strings.Contains(out, `"acting_one_failed": 5`) {
		t.Errorf("size:\n%s", out)
	}
}

// noSudo prepares hosts on which cw cannot become root: root runs the script.
func noSudo(t *testing.T, l *lab.Lab, p *person, file string) {
	t.Helper()
	const sudoers = "/etc/sudoers.d/" + lab.User
	for i := range l.Hosts {
		l.Run(i+1, "mv", sudoers, "/run/sudoers")
	}
	if _, errOut := p.run(4, "cluster", "check", "-f", file, "--fix", "--yes"); !strings.Contains(errOut, "--print-root-script") {
		t.Errorf("without sudo: %s", errOut)
	}
	script, _ := p.run(0, "cluster", "check", "-f", file, "--print-root-script")
	for i := range l.Hosts {
		l.Run(i+1, "sh", "-c", script)
		l.Run(i+1, "mv", "/run/sudoers", sudoers)
	}
	if out, _ := p.run(0, "cluster", "check", "-f", file); strings.Contains(out, "FAILED") || strings.Contains(out, "cw can") {
		t.Errorf("after the script:\n%s", out)
	}
	script, _ = p.run(0, "cluster", "check", "-f", file, "--revert", "--print-root-script")
	for i := range l.Hosts {
		l.Run(i+1, "sh", "-c", script)
	}
	p.run(6, "cluster", "check", "-f", file)
}
