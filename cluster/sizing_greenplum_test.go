package cluster

import (
	"strconv"
	"strings"
	"testing"
)

// The vectors are the reference's, computed from Greenplum's formulas.
func TestMemoryOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ram, swap int64
		acting    int
		divisor   float64
		vmem      float64 // GB
		limit     int64
		ratio     int
	}{
		{16, 8, 2, 1.7, 9.24, 4728, 98},
		{32, 16, 4, 1.7, 22.88, 5857, 98},
		{64, 32, 8, 1.7, 50.18, 6422, 97},
		{64, 32, 5, 1.7, 50.18, 10276, 97},
		{128, 32, 5, 1.7, 85.94, 17600, 98},
		{256, 64, 11, 1.7, 176.29, 16411, 98},
		{256, 64, 11, 1.17, 256.15, 23845, 97},
		{8, 0, 2, 1.7, 0.06, 1024, 99}, // a quarter instead of 0.06 GB
		{2, 2, 1, 1.7, -2.12, 1024, 95},
		{12, 0, 1, 1.7, 2.29, 3072, 99},
	} {
		got := memoryBy(Machine{Memory: tt.ram * gib, Swap: tt.swap * gib}, tt.acting, tt.divisor)
		if d := gb(got.VMem) - tt.vmem; d > 0.006 || d < -0.006 || got.Limit != tt.limit || got.Overcommit != tt.ratio {
			t.Errorf("%d+%d GB, %d acting: %.2f GB, %d MB, %d%%; want %+v", tt.ram, tt.swap, tt.acting, gb(got.VMem), got.Limit, got.Overcommit, tt)
		}
	}
	if MemoryOf(Machine{Memory: 256 * gib, Swap: 64 * gib}, 11).Limit != 16411 {
		t.Error("the conservative divisor is not the default")
	}
}

func TestAutoSegments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cpus      int
		gigabytes int64
		dirs, nic int
		want      int
		reason    string
	}{
		{16, 128, 1, 1, 8, "16 virtual CPUs"},
		{64, 512, 1, 1, 8, "at most 8"},
		{16, 64, 1, 1, 6, "64.0 GB of memory"},
		{16, 64, 4, 1, 4, "rounded from 6 to a multiple of 4"},
		{16, 128, 3, 1, 6, "rounded from 8"},
		{16, 128, 2, 3, 6, "multiple of 6"},
		{8, 128, 3, 2, 3, "multiple of 3"}, // six are not to be had
		{4, 128, 3, 1, 2, "4 virtual CPUs"},
		{2, 4, 2, 1, 1, "4.0 GB of memory"},
		{1, 2, 0, 0, 1, "1 virtual CPUs"},
	} {
		n, reason := AutoSegments(Machine{CPUs: tt.cpus, Memory: tt.gigabytes * gib}, tt.dirs, tt.nic)
		if n != tt.want || !strings.Contains(reason, tt.reason) {
			t.Errorf("%+v: %d (%s)", tt, n, reason)
		}
	}
}

func settingsMap(t *testing.T, list []Setting) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range list {
		if out[s.Name] != "" || s.Reason == "" {
			t.Errorf("%s is given twice or without a reason", s.Name)
		}
		out[s.Name] = s.Value
	}
	return out
}

func TestGreenplumSettings(t *testing.T) {
	t.Parallel()
	big := Machine{Memory: 64 * gib, Swap: 32 * gib, CPUs: 16, Disk: 1 << 40}
	tests := []struct {
		name    string
		edit    func(*Topology)
		machine Machine
		coord   map[string]string
		seg     map[string]string
	}{
		// Four primaries a host and four mirrors of one other: eight acting.
		{
			"64 GB", nil, big,
			map[string]string{"max_connections": "250", "gp_vmem_protect_limit": "51380", "shared_buffers": "125MB"},
			map[string]string{"max_connections": "750", "gp_vmem_protect_limit": "6422", "max_prepared_transactions": "250", "shared_buffers": "125MB", "statement_mem": "288MB", "max_statement_mem": "3276MB", "checkpoint_segments": "8", "maintenance_work_mem": "256MB"},
		},
		{
			"concurrency, low type", func(t *Topology) { t.Profile, t.NodeType = "concurrency", LowSpeed }, big,
			map[string]string{"max_connections": "250"},
			map[string]string{"max_connections": "750", "statement_mem": "115MB"},
		},
		{
			"loading", func(t *Topology) { t.Profile = "loading" }, big,
			map[string]string{"max_connections": "150", "max_prepared_transactions": "150"},
			map[string]string{"max_connections": "450", "checkpoint_segments": "32", "maintenance_work_mem": "512MB"},
		},
		{
			"profile file", func(t *Topology) {
				t.Profile = "/p.yaml"
				t.Overrides = map[string]string{"max_connections": "100", "gp_autostats_mode": "none", baseKey: "loading", "shared_buffers": "1GB"}
			}, big,
			map[string]string{"max_connections": "100", "max_prepared_transactions": "100", "gp_autostats_mode": "none", "shared_buffers": "1GB"},
			map[string]string{"max_connections": "300", "max_prepared_transactions": "100", "gp_autostats_mode": "none", "shared_buffers": "1GB", "checkpoint_segments": "32"},
		},
		{
			"many connections", func(t *Topology) { t.Overrides = map[string]string{"max_connections": "5000"} }, big,
			map[string]string{"max_connections": "5000", "shared_buffers": "125MB"},
			map[string]string{"max_connections": "15000", "shared_buffers": "235MB"},
		},
		{
			"a trial on a small machine", nil,
			Machine{Memory: 340 * mib, CPUs: 1, Disk: 4 * gib},
			map[string]string{"max_connections": "30", "shared_buffers": "42MB"},
			map[string]string{"max_connections": "90", "gp_vmem_protect_limit": "1024", "shared_buffers": "16MB", "statement_mem": "46MB", "max_statement_mem": "125MB", "checkpoint_segments": "3", "maintenance_work_mem": "16MB"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			top := segmented(MirrorsGroup, 4, "", "")
			top.Profile, top.NodeType = "default", HighSpeed
			if tt.edit != nil {
				tt.edit(top)
			}
			machines := map[string]Machine{}
			for _, h := range top.Hosts {
				machines[h.Name] = tt.machine
			}
			coord, seg := GreenplumSettings(top, mustExpand(t, top, nil), machines)
			for i, want := range []map[string]string{tt.coord, tt.seg} {
				got := settingsMap(t, [][]Setting{coord, seg}[i])
				for name, v := range want {
					if got[name] != v {
						t.Errorf("result %d: %s = %s, want %s", i, name, got[name], v)
					}
				}
				conns, _ := strconv.Atoi(got["max_connections"])
				if buffers, err := strconv.Atoi(strings.TrimSuffix(got["shared_buffers"], "MB")); err == nil && buffers<<20 < conns*buffersPerConn {
					t.Errorf("result %d: shared_buffers %s is too small for %d connections", i, got["shared_buffers"], conns)
				}
			}
		})
	}
}

func TestTheSmallestHostRules(t *testing.T) {
	t.Parallel()
	top := segmented(MirrorsGroup, 4, "", "")
	top.Profile, top.NodeType = "default", HighSpeed
	machines := map[string]Machine{
		"cdw": {Memory: 256 * gib, Swap: 64 * gib}, "sdw1": {Memory: 64 * gib, Swap: 32 * gib}, "sdw2": {Memory: 32 * gib, Swap: 16 * gib},
	}
	coord, seg := GreenplumSettings(top, mustExpand(t, top, nil), machines)
	for _, s := range seg {
		if s.Name == "gp_vmem_protect_limit" && (s.Value != "2928" || !strings.Contains(s.Reason, "sdw2 for 8")) {
			t.Errorf("segments: %+v", s)
		}
	}
	for _, s := range coord {
		if s.Name == "gp_vmem_protect_limit" && !strings.Contains(s.Reason, "divisor 1.17") {
			t.Errorf("coordinator: %+v", s)
		}
	}
	delete(machines, "cdw")
	coord, seg = GreenplumSettings(top, mustExpand(t, top, nil), machines)
	if settingsMap(t, coord)["max_connections"] != "250" || settingsMap(t, seg)["max_connections"] != "750" {
		t.Errorf("without the coordinator's host: %v %v", coord, seg)
	}
	coord, seg = GreenplumSettings(top, mustExpand(t, top, nil), nil)
	if len(coord) != len(seg) || settingsMap(t, seg)["max_connections"] != "90" {
		t.Errorf("with no machine known: %v %v", coord, seg)
	}
}
