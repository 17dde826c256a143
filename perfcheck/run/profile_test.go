package run

import (
	"fmt"
	"strings"
	"testing"

	"cw/perfcheck"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	all := catalogue([]perfcheck.Area{perfcheck.CPU, perfcheck.Memory, perfcheck.Disk, perfcheck.Net})
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.ID] || c.ID == "" || c.Title == "" || len(c.Metrics) == 0 || len(c.Profiles) == 0 || !strings.HasPrefix(c.ID, string(c.Area)+".") {
			t.Errorf("%+v", c.Definition)
		}
		seen[c.ID] = true
		for _, p := range c.Profiles {
			if _, err := ProfileOf(p); err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
		}
	}
	for _, c := range []struct {
		profile    string
		only, skip []string
		want       string // the first and the number, or the error
	}{
		{"quick", []string{"disk.fdatasync.8k"}, nil, "disk.fdatasync.8k 1"},
		{"standard", []string{"disk.fdatasync.8k.rate*"}, nil, "disk.fdatasync.8k.rate50 4"},
		{"quick", []string{"disk.randread.4k.qd32"}, nil, "disk.randread.4k.qd32 1"}, // whatever its profile
		{"quick", []string{"net.tcp"}, nil, "net.tcp.s1 2"},
		{"quick", []string{"net.tcp"}, []string{"net.tcp.s1"}, "net.tcp.s4 1"},
		{"quick", []string{"net.tpc.s1"}, nil, `no test is called "net.tpc.s1"`},
		{"quick", []string{"net.http"}, nil, "profile quick has none of these tests"},
		{"quick", []string{"net.tcp"}, []string{"net"}, "profile quick has none of these tests"},
	} {
		got, err := choose(all, c.profile, c.only, c.skip)
		text := ""
		if err != nil {
			text = err.Error()
		} else {
			text = fmt.Sprintf("%s %d", got[0].ID, len(got))
		}
		if text != c.want {
			t.Errorf("%s %v -%v: %s, want %s", c.profile, c.only, c.skip, text, c.want)
		}
	}
}

// TestQuickIsQuick: under five minutes on one host, and for the network of 16.
func TestQuickIsQuick(t *testing.T) {
	t.Parallel()
	quick, err := ProfileOf("quick")
	if err != nil {
		t.Fatal(err)
	}
	var hosts []Machine
	for i := range 16 {
		hosts = append(hosts, Machine{Name: fmt.Sprint("sdw", i)})
	}
	for _, c := range []struct {
		areas    []perfcheck.Area
		machines []Machine
	}{
		{[]perfcheck.Area{perfcheck.CPU, perfcheck.Memory, perfcheck.Disk}, hosts[:1]},
		{[]perfcheck.Area{perfcheck.Net}, hosts[:2]},
		{[]perfcheck.Area{perfcheck.Net}, hosts[:15]},
		{[]perfcheck.Area{perfcheck.Net}, hosts},
	} {
		plan, err := MakePlan(Options{Areas: c.areas, Profile: quick, Machines: c.machines, Dirs: []string{"/data1"}})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Seconds > 290 {
			t.Errorf("%v on %d hosts: %.0f s", c.areas, len(c.machines), plan.Seconds)
		}
	}
}
