package lab_test

import (
	"os"
	"strings"
	"testing"

	"cw/playground/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

func TestHostsAreSeparate(t *testing.T) {
	l := lab.Up(t, 2)
	if a, b := l.Run(1, "cat", "/etc/machine-id"), l.Run(2, "cat", "/etc/machine-id"); a == b || len(a) != 33 {
		t.Errorf("machine ids %q %q", a, b)
	}
	if got := l.Run(2, "hostname"); got != "db2\n" {
		t.Errorf("host name %q", got)
	}
	l.Run(1, "sh", "-c", "echo mine >/data/x; mkdir -p /var/lib/y; echo 7 >/proc/sys/vm/swappiness")
	if got := l.Run(2, "sh", "-c", "ls /data; ls -d /var/lib/y 2>/dev/null; true"); got != "" {
		t.Errorf("host 2 sees %q", got)
	}
	if outside, err := os.ReadFile("/proc/sys/vm/swappiness"); err != nil || strings.TrimSpace(string(outside)) == "7" {
		t.Errorf("a host changed the machine's swappiness: %s %v", outside, err)
	}
	if out, err := l.Try(1, "date", "-s", "2001-01-01"); err == nil {
		t.Errorf("a host may set the clock: %s", out)
	}
}

func TestPowerAndCables(t *testing.T) {
	l := lab.Up(t, 3)
	l.Run(1, "sh", "-c", "echo kept >/data/x; sync")
	l.Off(1)
	if _, err := l.Try(1, "true"); err == nil {
		t.Error("a host that is off runs commands")
	}
	ping := func(from, to int) bool {
		_, err := l.Try(from, "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+l.Hosts[to-1].Addr+"/22; read -r line <&3; [[ $line = SSH-* ]]")
		return err == nil
	}
	if ping(2, 1) {
		t.Error("a host that is off answers")
	}
	l.On(1)
	if got := l.Run(1, "cat", "/data/x"); got != "kept\n" {
		t.Errorf("the disk has %q", got)
	}
	if !ping(2, 1) || !ping(3, 1) {
		t.Error("a host that is on does not answer")
	}
	l.Cut(1, 2)
	if _, err := l.Try(2, "timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/"+l.Hosts[0].Addr+"/22"); err == nil {
		t.Error("a cut cable lets something through")
	}
	if !ping(3, 1) {
		t.Error("another cable was cut too")
	}
	l.Heal()
	if !ping(2, 1) {
		t.Error("the cable is still cut")
	}
}
