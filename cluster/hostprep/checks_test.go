package hostprep

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/remote"
)

// scene is a survey of the second of two hosts of a Greenplum topology on
// which all is well: two primaries of its own and two mirrors of the first.
func scene(t *testing.T) (*cluster.Topology, *cluster.Layout, *survey) {
	t.Helper()
	top := &cluster.Topology{
		Name: "gp1", Engine: cluster.Engine{Kind: cluster.Greenplum}, Profile: "default", NodeType: cluster.HighSpeed, OSUser: "gpadmin",
		Database: cluster.Database{Port: 5432, Locale: "en_US.UTF-8"},
		Layout:   cluster.Rule{SegmentsPerHost: "2", Mirrors: cluster.MirrorsGroup, DataDirs: []string{"/data1", "/data2"}, PortBase: 6000, MirrorPortBase: 7000},
		Hosts: []cluster.Host{
			{Name: "sdw1", Address: "10.0.0.1", Interconnect: []string{"10.1.0.1", "10.2.0.1"}, Roles: []string{cluster.RoleCoordinator, cluster.RoleSegment}},
			{Name: "sdw2", Address: "10.0.0.2", Interconnect: []string{"10.1.0.2", "10.2.0.2"}, Roles: []string{cluster.RoleSegment}},
		},
	}
	lay, err := cluster.Expand(top, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &survey{
		host: top.Hosts[1], nodes: lay.On("sdw2"), beside: lay.On("sdw2"), same: []string{"sdw2"}, uid: "c1",
		facts: remote.Facts{
			User: "deploy", UID: 1000, Arch: "x86_64", MemTotal: 64 << 30, ClockSkew: time.Millisecond,
			NICs: []remote.NIC{{Name: "lo", Addrs: []string{"127.0.0.1/8"}}, {Name: "eth0", Addrs: []string{"10.0.0.2/24"}}, {Name: "eth1", Addrs: []string{"10.1.0.2/24", "10.2.0.2/24"}}},
		},
		whole: cluster.Machine{Memory: 64 << 30, CPUs: 16, Disk: 1 << 40}, access: Access{SSHUser: "deploy", UserExists: true}, userID: 500, groupID: 500,
		locales: []string{"C", "en_US.utf8"}, files: 524288, nearData: []string{"/data1", "/data2"},
		nodeDisks: map[string]Disk{"/data1": {Path: "/data1", Mount: "/data1", Size: 1 << 40, Free: 1 << 39}, "/data2": {Path: "/data2", Mount: "/data2", Size: 1 << 40, Free: 1 << 39}},
		kernel:    map[string]string{"kernel/sem": "250 2048000 200 8192", "net/ipv4/ip_local_port_range": "10000 65535", "net/ipv4/ip_local_reserved_ports": "", "vm/overcommit_memory": "0"},
		names: map[string][]netip.Addr{
			"sdw1": {netip.MustParseAddr("10.1.0.1")}, "sdw2": {netip.MustParseAddr("10.0.0.2")},
		},
		home: Home{Dir: "/gp", Version: "6.24.3", Build: "build commit:1", Catalog: "3"},
	}
	for _, n := range s.nodes {
		s.folders = append(s.folders, folder{state: DirAbsent, writable: true, near: "/data" + n.Dir[5:6]})
		s.dirs = append(s.dirs, Dir{State: DirAbsent})
	}
	computeNeeds(top, lay, []*survey{s})
	return top, lay, s
}

func TestSegmentHostChecks(t *testing.T) {
	t.Parallel()
	semLine := func(uid int) string { return fmt.Sprintf("   1234       7   600  1700  %d  100  0  0  0  0", uid) }
	tests := []struct {
		name     string
		edit     func(*cluster.Topology, *survey)
		id       string // "" when nothing may fail
		severity string
		texts    []string // of the failed check
	}{
		{"all is well", func(*cluster.Topology, *survey) {}, "", "", nil},
		// 750 connections and 16 other processes in sets of 16: 48 sets for each of four nodes.
		{
			"semaphores", func(_ *cluster.Topology, s *survey) { s.kernel["kernel/sem"] = "250 32000 32 128" }, "semaphores", Required,
			[]string{"192 sets of 17 for 4 nodes", "17 3264 100 192", "250 32000 32 128", `sysctl -w kernel.sem="250 2048000 200 8192"`},
		},
		{
			"semaphores of others", func(_ *cluster.Topology, s *survey) {
				s.kernel["kernel/sem"], s.sems = "250 4000 100 200", []string{"  key  semid perms nsems uid gid", semLine(26)}
			}, "semaphores", Required,
			[]string{"17 4964 100 193", "1700 semaphores in 1 sets are in use"},
		},
		{
			"own semaphores do not count again", func(_ *cluster.Topology, s *survey) {
				s.kernel["kernel/sem"], s.sems = "250 3264 100 192", []string{semLine(500)}
				s.dirs[0].State = DirOurs
			}, "", "", nil,
		},
		{"memory", func(_ *cluster.Topology, s *survey) { s.whole.Memory = 300 << 20 }, "memory", Required, []string{"for each of 4 nodes"}},
		{"shared memory", func(_ *cluster.Topology, s *survey) { s.facts.MemTotal = 512 << 20 }, "shared memory of nodes", Required, []string{"for 4 new nodes", "of memory", "segments_per_host"}},
		{
			"commit limit", func(_ *cluster.Topology, s *survey) {
				s.kernel["vm/overcommit_memory"], s.kernel["CommitLimit"], s.kernel["Committed_AS"] = "2", "2000000", "1900000"
			}, "shared memory of nodes", Required, []string{"may still be committed"},
		},
		{
			"space on one of two disks", func(_ *cluster.Topology, s *survey) {
				s.nodeDisks["/data2"] = Disk{Path: "/data2", Mount: "/data2", Size: 1 << 40, Free: 400 << 20}
			}, "disk space", Required, []string{"524MB free at /data1, 524MB free at /data2", "419MB of 1.1TB free at /data2"},
		},
		{
			"two folders on one disk", func(_ *cluster.Topology, s *survey) {
				for _, p := range []string{"/data1", "/data2"} {
					s.nodeDisks[p] = Disk{Path: p, Mount: "/", Size: 1 << 40, Free: 900 << 20}
				}
			}, "disk space", Required, []string{"1.0GB free\n", "944MB of 1.1TB free at /data1"},
		},
		{
			"nodes that were begun need nothing more", func(_ *cluster.Topology, s *survey) {
				s.nodeDisks["/data1"] = Disk{Path: "/data1", Mount: "/data1", Size: 1 << 40, Free: 300 << 20}
				for i := range s.dirs {
					if strings.HasPrefix(s.nodes[i].Dir, "/data1") {
						s.dirs[i].State = DirOurs
					}
				}
			}, "", "", nil,
		},
		{
			"folder of another", func(_ *cluster.Topology, s *survey) { s.dirs[2] = Dir{State: DirForeign, Contents: "precious"} }, "data directory", Required, []string{"precious", "/data1/gp1/n6"},
		},
		{
			"no way to make a folder", func(_ *cluster.Topology, s *survey) {
				s.folders[3].writable, s.rootErr = false, errors.New("sudo: no")
			}, "data directory", Required, []string{"/data2/gp1/n7 cannot be made", "install -d -o gpadmin /data2"},
		},
		{
			"port of a primary", func(_ *cluster.Topology, s *survey) {
				s.listeners = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:6001")}
			}, "port", Required, []string{"6001 is taken by another server on 127.0.0.1:6001", "or set layout.port_base"},
		},
		{
			"port of a mirror", func(_ *cluster.Topology, s *survey) {
				s.listeners = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:7000")}
			}, "port", Required, []string{"or set layout.mirror_port_base"},
		},
		{
			"port of a node beside", func(_ *cluster.Topology, s *survey) {
				s.beside = append(s.beside, cluster.Node{ID: 99, Host: "sdw9", Port: 7001, Socket: "/tmp", Dir: "/data1/gp1/n99"})
			}, "port", Required, []string{"7001 is also that of node n99 on host sdw9, which is the same machine"},
		},
		{
			"ephemeral ports", func(_ *cluster.Topology, s *survey) { s.kernel["net/ipv4/ip_local_port_range"] = "6001 7000" }, "port range", Advised,
			[]string{"6001, 7000 inside", "outside 6001-7000", "another layout.port_base and layout.mirror_port_base", "ip_local_reserved_ports=6001,7000"},
		},
		{
			"reserved ports", func(_ *cluster.Topology, s *survey) {
				s.kernel["net/ipv4/ip_local_port_range"], s.kernel["net/ipv4/ip_local_reserved_ports"] = "1024 65535", "6000-6009,7000,7001"
			}, "", "", nil,
		},
		{"few files", func(_ *cluster.Topology, s *survey) { s.files = 500 }, "open files", Required, []string{"at least 1024 for gpadmin", "limits.d"}},
		{"not many files", func(_ *cluster.Topology, s *survey) { s.files = 20000 }, "open files", Advised, []string{"at least 65535"}},
		{"locale", func(_ *cluster.Topology, s *survey) { s.locales = []string{"C"} }, "locale", Required, []string{"it has C"}},
		{"no locale program", func(_ *cluster.Topology, s *survey) { s.noLocales, s.locales = true, []string{"sh: locale: not found"} }, "locale", Required, []string{"not found"}},
		{
			"interconnect", func(_ *cluster.Topology, s *survey) { s.facts.NICs = s.facts.NICs[:2] }, "interconnect", Required,
			[]string{"10.1.0.2, 10.2.0.2 is on none of its interfaces"},
		},
		{"no addresses seen", func(_ *cluster.Topology, s *survey) { s.facts.NICs = nil }, "interconnect", Advised, []string{"iproute2"}},
		{
			"names", func(_ *cluster.Topology, s *survey) {
				s.names = map[string][]netip.Addr{"sdw2": {netip.MustParseAddr("127.0.1.1")}}
			}, "host names", Advised,
			[]string{"sdw1 is not known; sdw2 is 127.0.1.1", "in /etc/hosts: 10.0.0.1 sdw1; 10.0.0.2 sdw2", "only the engine's own tools"},
		},
		{
			"names in the catalogue", func(t *cluster.Topology, s *survey) {
				t.Hosts[0] = cluster.Host{Name: "sdw1", Address: "one.example", Roles: t.Hosts[0].Roles}
				delete(s.names, "sdw1")
			}, "host names", Required,
			[]string{"sdw1 is not known; one.example is not known", "make the names known"},
		},
		{"zone", func(t *cluster.Topology, s *survey) {
			t.Hosts[0].Zone, t.Hosts[1].Zone = "a", "a"
			s.host.Zone = "a"
		}, "zone", Advised, []string{"those of content 2, 3 are not"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			top, lay, s := scene(t)
			tt.edit(top, s)
			all := []one{
				checkAccess, checkTwin, checkClock, checkIPC, checkMemory, checkLocale, checkDirs, checkSpace, checkPorts,
				checkZones(lay), checkEphemeral, checkSemaphores, checkMapped, checkFiles, checkInterconnect, checkNames,
			}
			found := false
			for _, c := range s.checks(top, all) {
				if c.OK {
					continue
				}
				if c.ID != tt.id || c.Severity != tt.severity || c.Host != "sdw2" {
					t.Errorf("failed: %+v", c)
					continue
				}
				found = true
				text := c.Expected + "\n" + c.Observed + "\n" + c.Remedy
				for _, want := range tt.texts {
					if !strings.Contains(text, want) {
						t.Errorf("no %q in:\n%s", want, text)
					}
				}
				if c.Remedy == "" && c.err == nil {
					t.Error("no remedy")
				}
			}
			if found != (tt.id != "") {
				t.Errorf("%s failed: %v", tt.id, found)
			}
		})
	}
}

func TestNothingIsClaimedOfWhatCouldNotBeSeen(t *testing.T) {
	t.Parallel()
	top, _, s := scene(t)
	s.access.Err, s.dirs, s.folders = errors.New("sudo says no"), nil, nil
	s.kernel = nil
	for _, check := range []one{checkDirs, checkPorts, checkSemaphores, checkMapped, checkEphemeral} {
		if c := check(top, s); c.ID != "" {
			t.Errorf("%+v", c)
		}
	}
	if c := checkAccess(top, s); c.OK || !strings.Contains(c.Observed, "sudo says no") {
		t.Errorf("%+v", c)
	}
}

func TestConsistencyNamesTheMinority(t *testing.T) {
	t.Parallel()
	var all []*survey
	top, _, _ := scene(t)
	for i := range 5 {
		_, _, s := scene(t)
		s.host.Name = fmt.Sprint("h", i+1)
		all = append(all, s)
	}
	all[1].home.Catalog = "4"
	all[2].facts.Arch = "aarch64"
	all[3].userID = 501
	all[4].err = errors.New("down")
	var failed []string
	for _, cs := range consistency(top, all) {
		for _, c := range cs {
			if !c.OK {
				failed = append(failed, fmt.Sprintf("%s %s %s: %s; %s", c.Severity, c.ID, c.Host, c.Observed, c.Expected))
			}
		}
	}
	want := []string{
		"required same greenplum h2: 6.24.3 build commit:1, catalogue 4; 6.24.3 build commit:1, catalogue 3, as on h1, h3, h4",
		"required architecture h3: aarch64; x86_64, as on h1, h2, h4",
		"advised user id h4: gpadmin is 501:500; gpadmin is 500:500, as on h1, h2, h3",
	}
	if !reflect.DeepEqual(failed, want) {
		t.Errorf("failed:\n%s\nwant:\n%s", strings.Join(failed, "\n"), strings.Join(want, "\n"))
	}
	if cs := consistency(top, all[4:]); len(cs[0]) != 0 {
		t.Errorf("of a host that is down: %+v", cs)
	}
}

func TestParseNames(t *testing.T) {
	t.Parallel()
	lines := strings.Split("10.0.0.1        STREAM cdw.example\n10.0.0.1        DGRAM  \n10.0.0.1        RAW    \nfd00::1         STREAM \n10.0.0.2        STREAM sdw1.example.com", "\n")
	ip := netip.MustParseAddr
	want := map[string][]netip.Addr{"coord": {ip("10.0.0.1"), ip("fd00::1")}, "sdw1": {ip("10.0.0.2")}}
	if got := parseNames(lines, []string{"coord", "sdw1"}); !reflect.DeepEqual(got, want) {
		t.Errorf("all known: %v", got)
	}
	want = map[string][]netip.Addr{"cdw": {ip("10.0.0.1"), ip("fd00::1")}, "sdw1": {ip("10.0.0.2")}}
	if got := parseNames(lines, []string{"cdw", "sdw1", "gone"}); !reflect.DeepEqual(got, want) {
		t.Errorf("one is not: %v", got)
	}
}

func TestParseDisks(t *testing.T) {
	t.Parallel()
	lines := strings.Split("disk /data\nFilesystem     1024-blocks      Used Available Capacity Mounted on\n//nas/a b share   2000 500  1500      25% /mnt/with space\nnear /data\ndisk /\ndf: /: no", "\n")
	disks, near := parseDisks(lines)
	want := map[string]Disk{"/data": {Path: "/data", Mount: "/mnt/with space", Size: 2000 << 10, Free: 1500 << 10}}
	if !reflect.DeepEqual(disks, want) || !reflect.DeepEqual(near, []string{"/data"}) {
		t.Errorf("%+v %v", disks, near)
	}
}

func FuzzSections(f *testing.F) {
	f.Add("@id\nuid=1(a) gid=2(b)\n@folders\nfolder marked w /x\n {}\n@disk\ndisk /\nx 1 2 3 4% /\n@sems\n@names\n1.2.3.4 STREAM a")
	f.Fuzz(func(_ *testing.T, text string) {
		parts := sections(text)
		s := &survey{}
		s.readHost(parts)
		_ = s.readOwner(&cluster.Topology{}, parts)
		for _, d := range s.folders {
			d.owned(Marker{})
		}
	})
}
