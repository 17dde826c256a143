package run

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestQualify: the profile's lists name tests that exist, the sustained ones
// end their areas, and a run fits into an hour on four hosts.
func TestQualify(t *testing.T) {
	t.Parallel()
	all := catalogue([]perfcheck.Area{perfcheck.CPU, perfcheck.Memory, perfcheck.Disk, perfcheck.Net})
	var ids []string
	sustained := 0
	for i, c := range all {
		if !slices.Contains(c.Profiles, "qualify") {
			continue
		}
		ids = append(ids, c.ID)
		if strings.HasSuffix(c.ID, sustainedSuffix) {
			sustained++
			if i+1 < len(all) && all[i+1].Area == c.Area && !strings.HasSuffix(all[i+1].ID, sustainedSuffix) {
				t.Errorf("%s follows %s", all[i+1].ID, c.ID)
			}
		}
	}
	if len(ids) != 32 || sustained != 3 { // 29 tests of the list and the sustained ones
		t.Errorf("%d tests, %d sustained: %v", len(ids), sustained, ids)
	}
	p, err := ProfileOf("qualify")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Areas: []perfcheck.Area{perfcheck.CPU, perfcheck.Memory, perfcheck.Disk, perfcheck.Net}, Profile: p, Dirs: []string{"/d"}}
	for i := range 4 {
		o.Machines = append(o.Machines, Machine{Name: fmt.Sprint("h", i)})
	}
	plan, err := MakePlan(o)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Duration < 30*time.Minute || plan.Duration > time.Hour {
		t.Errorf("it takes %s", plan.Duration)
	}
	for _, c := range plan.Tests {
		if long := strings.HasSuffix(c.ID, sustainedSuffix); long != (c.Reps == 1) || long && c.Seconds < 300 {
			t.Errorf("%+v", c)
		}
	}
	o.Profile.Timing.Duration, o.Profile.TimingGiven = time.Second, true
	if plan, err = MakePlan(o); err != nil || plan.Duration > 20*time.Minute {
		t.Errorf("with --duration 1s it takes %s: %v", plan.Duration, err)
	}
}
