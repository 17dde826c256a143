package remote

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/remote/sshtest"
)

func TestFactsOfThisMachine(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	facts, err := f.host().Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name, _ := os.Hostname()
	if facts.Hostname != name || facts.UID != os.Getuid() || facts.CPUs < 1 || facts.CPUs > runtime.NumCPU() {
		t.Errorf("%+v", facts)
	}
	if facts.MemTotal < 64<<20 || facts.MemFree > facts.MemTotal || facts.OS == "" || facts.Arch == "" || facts.Kernel == "" {
		t.Errorf("%+v", facts)
	}
	if facts.ClockSkew > 5*time.Second || facts.ClockSkew < -5*time.Second {
		t.Errorf("clock skew %s", facts.ClockSkew)
	}
	if len(facts.Disks) == 0 || facts.Disks[0].Size == 0 || len(facts.NICs) == 0 || facts.NICs[0].MTU == 0 {
		t.Errorf("disks %v, nics %v", facts.Disks, facts.NICs)
	}
	n := len(f.server.Calls())
	if _, err := f.host().Facts(t.Context()); err != nil || len(f.server.Calls()) != n {
		t.Errorf("asked again: %v", err)
	}
}

const someFacts = `clock 1700000000.500000000
hostname db1
kernel 6.1.0
arch x86_64
user deploy
uid 1000
locale C.UTF-8
machine_id 0123
os debian
os_version 12
os_name Debian GNU/Linux 12 (bookworm)
cpus 4
mem MemTotal 8000000 kB
mem MemAvailable 7000000 kB
mem SwapTotal 0 kB
df Filesystem Type 1024-blocks Used Available Capacity Mounted on
df /dev/vda1 ext4 1000 400 550 43% /
df proc proc 0 0 0 - /proc
df /dev/vdb xfs 2000 0 2000 0% /data with space
nic lo 65536
nic eth0 1500
addr lo inet 127.0.0.1/8
addr eth0 inet 10.0.0.1/24
addr eth0 inet6 fe80::1/64
end
`

func TestParseFacts(t *testing.T) {
	t.Parallel()
	f, err := parseFacts(someFacts)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Clock.Equal(time.Unix(1700000000, 500000000)) || f.MemTotal != 8000000<<10 || f.CPUs != 4 || f.OSName != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("%+v", f)
	}
	if got := fmt.Sprint(f.Disks); got != "[{/dev/vda1 / ext4 1024000 563200} {/dev/vdb /data with space xfs 2048000 2048000}]" {
		t.Errorf("disks %s", got)
	}
	if got := fmt.Sprint(f.NICs); got != "[{lo 65536 [127.0.0.1/8]} {eth0 1500 [10.0.0.1/24 fe80::1/64]}]" {
		t.Errorf("nics %s", got)
	}
	for name, text := range map[string]string{
		"cut off":      strings.TrimSuffix(someFacts, "end\n"),
		"no hostname":  strings.Replace(someFacts, "hostname db1\n", "", 1),
		"bad number":   strings.Replace(someFacts, "cpus 4", "cpus four", 1),
		"bad clock":    strings.Replace(someFacts, "clock 17", "clock x17", 1),
		"unknown line": "Welcome to db1\n" + someFacts,
		"empty":        "",
	} {
		if _, err := parseFacts(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzParseFacts(f *testing.F) {
	f.Add(someFacts)
	f.Add("clock 1.N\nmem a\ndf\nnic\naddr\nend")
	f.Fuzz(func(t *testing.T, text string) {
		facts, err := parseFacts(text)
		if err == nil && facts.Hostname == "" && !strings.Contains(text, "hostname") {
			t.Error("facts from nothing")
		}
	})
}

func TestWrongHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	f.target.MachineID = "ffffffffffffffffffffffffffffffff"
	_, err := f.host().Facts(t.Context())
	var wrong *WrongHostError
	if !errors.As(err, &wrong) || wrong.Want != f.target.MachineID || fault.KindOf(err) != fault.Check || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	for range 2 { // a refusal is not forgotten
		if _, err := f.host().Facts(t.Context()); !errors.As(err, &wrong) {
			t.Errorf("got %v", err)
		}
	}
}
