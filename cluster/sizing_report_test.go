package cluster

import (
	"strconv"
	"strings"
	"testing"

	"cw/fault"
)

// lineOf is a number of a sizing by topic and item.
func lineOf(s Sizing, topic, item string) SizingLine {
	for _, l := range s.Lines {
		if l.Topic == topic && l.Item == item {
			return l
		}
	}
	return SizingLine{}
}

// TestSizingVectors goes through the reference's table: the shapes whose layout
// gives its number of acting primaries, with its numbers.
func TestSizingVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ram, swap       int64
		hosts, perHost  int
		mirrors         string
		acting          int
		limit           string
		other           string // by the rule for 256 GB
		ratio, minFree  string
		vmem, addedHost string
	}{
		{16, 8, 2, 1, "group", 2, "4728 MB", "", "98", "503316", "9.24 GB", "2"},
		{32, 16, 4, 2, "group", 4, "5857 MB", "", "98", "1006632", "22.88 GB", "2"},
		{64, 32, 4, 4, "group", 8, "6422 MB", "", "97", "2013265", "50.18 GB", "2"},
		{64, 32, 8, 4, "spread", 5, "10276 MB", "", "97", "2013265", "50.18 GB", "5"},
		{128, 32, 6, 4, "spread", 5, "17600 MB", "", "98", "4026531", "85.94 GB", "5"},
		{256, 64, 4, 8, "block 4", 11, "16411 MB", "23845 MB", "98", "8053063", "176.29 GB", "4"},
	} {
		s, err := SizeShape(Shape{Hosts: tt.hosts, Machine: Machine{Memory: tt.ram * gib, Swap: tt.swap * gib, CPUs: 32}, SegmentsPerHost: tt.perHost, Mirrors: tt.mirrors})
		if err != nil {
			t.Fatal(err)
		}
		if s.ActingOneFailed != tt.acting || strconv.Itoa(s.AddHosts) != tt.addedHost || s.Segments != tt.hosts*tt.perHost {
			t.Errorf("%+v: acting %d, add %d, segments %d", tt, s.ActingOneFailed, s.AddHosts, s.Segments)
		}
		for _, want := range []struct{ topic, item, value string }{
			{"memory", "gp_vmem", tt.vmem},
			{"memory", "gp_vmem_protect_limit", tt.limit},
			{"memory", "gp_vmem_protect_limit by the rule for 256 GB and more", tt.other},
			{"kernel", "vm.overcommit_ratio", tt.ratio},
			{"kernel", "vm.min_free_kbytes", tt.minFree},
			{"segments", "gp_vmem_protect_limit", strings.TrimSuffix(tt.limit, " MB")}, // what is configured is what is printed
		} {
			if got := lineOf(s, want.topic, want.item).Value; got != want.value {
				t.Errorf("%d GB, %s: %s %s is %q, not %q", tt.ram, tt.mirrors, want.topic, want.item, got, want.value)
			}
		}
		for _, l := range s.Lines {
			if l.Value == "" || l.Reason == "" || l.Source == "" && l.Topic != "layout" {
				t.Errorf("a line without value, reason or source: %+v", l)
			}
		}
	}
}

func TestSizingOfMirrorRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mirrors     string
		hosts, n    int
		acting, add int
		warn        string
	}{
		{"none", 3, 4, 4, 1, "without mirrors"},
		{"group", 4, 4, 8, 2, "twice the load"},
		{"spread", 5, 4, 5, 5, ""},
		{"block 4", 8, 8, 11, 4, ""}, // 8 and ceil(8/3)
		{"block 2", 4, 4, 8, 2, "twice the load"},
	} {
		s, err := SizeShape(Shape{Hosts: tt.hosts, Machine: Machine{Memory: 64 * gib, Swap: 32 * gib, CPUs: 16}, SegmentsPerHost: tt.n, Mirrors: tt.mirrors})
		if err != nil {
			t.Fatal(err)
		}
		if s.ActingOneFailed != tt.acting || s.AddHosts != tt.add || (tt.warn == "") != (len(s.Warnings) == 0) || !strings.Contains(strings.Join(s.Warnings, "\n"), tt.warn) {
			t.Errorf("%+v: acting %d, add %d, warnings %q", tt, s.ActingOneFailed, s.AddHosts, s.Warnings)
		}
	}
	for _, bad := range []Shape{
		{},
		{Hosts: 2, Machine: Machine{CPUs: 4}},
		{Hosts: 1, Machine: Machine{CPUs: 4, Memory: gib}, Mirrors: "group"},
		{Hosts: 3, Machine: Machine{CPUs: 16, Memory: 128 * gib}, SegmentsPerHost: 4, Mirrors: "spread"},
		{Hosts: 3, Machine: Machine{CPUs: 16, Memory: 128 * gib}, Mirrors: "heap"},
	} {
		if _, err := SizeShape(bad); fault.KindOf(err) != fault.Usage {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestSizingOfResourceGroupsAndDensity(t *testing.T) {
	t.Parallel()
	// The manual's example: 192 GB to be had, 134.4 of them for resource
	// groups, 16.8 for each of eight primaries.
	group := 192.0 * resourceGroupLimit
	if group < 134.39 || group > 134.41 || group/8 < 16.79 || group/8 > 16.81 {
		t.Errorf("%.2f GB, %.2f each", group, group/8)
	}
	s, err := SizeShape(Shape{Hosts: 4, Machine: Machine{Memory: 128 * gib, Swap: 64 * gib, CPUs: 16}, SegmentsPerHost: 8, Mirrors: "spread"})
	if fault.KindOf(err) != fault.Usage {
		t.Errorf("spread over too few hosts: %v", err)
	}
	if s, err = SizeShape(Shape{Hosts: 4, Machine: Machine{Memory: 128 * gib, Swap: 64 * gib, CPUs: 16}, Mirrors: "group"}); err != nil || s.SegmentsPerHost != 8 || !strings.Contains(s.Bound, "16 virtual CPUs") {
		t.Errorf("%d per host: %s %v", s.SegmentsPerHost, s.Bound, err)
	}
	// (128 × 97 % + 64) × 0.7 = 131.71, for 8 primaries
	if got := lineOf(s, "memory", "with resource groups, per primary"); got.Value != "16.46 GB" {
		t.Errorf("%+v", got)
	}
	busy, err := SizeShape(Shape{Hosts: 4, Machine: Machine{Memory: 128 * gib, Swap: 64 * gib, CPUs: 16}, Mirrors: "group", Concurrency: 80})
	if err != nil || busy.SegmentsPerHost != 4 || !strings.Contains(busy.Bound, "density 0.5") {
		t.Errorf("%d per host: %s %v", busy.SegmentsPerHost, busy.Bound, err)
	}
	limit, err := strconv.Atoi(lineOf(busy, "segments", "gp_vmem_protect_limit").Value)
	if want := strconv.Itoa(limit*9/10/80) + "MB"; err != nil || lineOf(busy, "segments", "statement_mem").Value != want {
		t.Errorf("statement_mem %s, want %s", lineOf(busy, "segments", "statement_mem").Value, want)
	}
	if got := lineOf(busy, "segments", "max_statement_mem").Value; got != "1638MB" { // 128 GB / 80
		t.Errorf("max_statement_mem %s", got)
	}
}

func TestSizingOfDisks(t *testing.T) {
	t.Parallel()
	shape := Shape{Hosts: 4, Machine: Machine{Memory: 128 * gib, Swap: 32 * gib, CPUs: 16}, SegmentsPerHost: 4, Mirrors: "group", Disks: 4, DiskSize: 1e12}
	for _, tt := range []struct {
		raid, mirrors string
		usable        string
		user          int64 // bytes
	}{
		// 4 TB × 0.9 × 0.7 = 2.52 TB, less 8 × 1108 MiB, / 2⅓ or 1⅓, × 4
		{"none", "group", "2.52 TB", 4304066230857},
		{"10", "group", "1.26 TB", 2144066230857},
		{"5", "group", "1.89 TB", 3224066230857},
		{"none", "none", "2.52 TB", 7546058133504},
	} {
		p := shape
		p.RAID, p.Mirrors = tt.raid, tt.mirrors
		s, err := SizeShape(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := lineOf(s, "capacity", "usable per host").Value; got != tt.usable || s.UsableBytes/1e6 != tt.user/1e6 {
			t.Errorf("RAID %s, mirrors %s: %s, %d; want %s, %d", tt.raid, tt.mirrors, got, s.UsableBytes, tt.usable, tt.user)
		}
	}
	shape.Disks = 24
	s, err := SizeShape(shape)
	if err != nil || !strings.Contains(strings.Join(s.Warnings, "\n"), "processors carry well") {
		t.Errorf("more disk than processors: %q %v", s.Warnings, err)
	}
}

func TestSizingOfPostgres(t *testing.T) {
	t.Parallel()
	s, err := SizeShape(Shape{Engine: Postgres, Hosts: 3, Machine: Machine{Memory: 64 * gib, CPUs: 16}, DiskSize: 1e12, Mirrors: "group"})
	if err != nil || lineOf(s, "settings", "shared_buffers").Value != "16384MB" || s.UsableBytes != 63e10 || s.SegmentsPerHost != 0 {
		t.Errorf("%+v %v", s, err)
	}
	if topics := s.Topics(); strings.Join(topics, " ") != "layout settings capacity" {
		t.Errorf("topics %q", topics)
	}
}
