package cluster

import (
	"reflect"
	"strings"
	"testing"
)

func TestExpandKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	top, err := Parse("c.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	first, err := Expand(top, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := first.Primary(); p.ID != 1 || p.Host != "db1" || p.DataDir != "/var/lib/cw/dw1/n1/data" {
		t.Errorf("primary = %+v", p)
	}
	if s := first.Standbys(); len(s) != 2 || s[0].Host != "db2" || s[1].ID != 3 {
		t.Errorf("standbys = %+v", s)
	}

	// A host put in front of the others must not shift anything.
	grown := *top
	grown.Hosts = append([]Host{{Name: "db0", Address: "10.0.0.9", Roles: []string{RoleStandby}}}, top.Hosts...)
	second, err := Expand(&grown, first)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(second.Nodes[:3], first.Nodes) {
		t.Errorf("nodes were renumbered: %+v", second.Nodes)
	}
	if n := second.Nodes[3]; n.ID != 4 || n.Host != "db0" {
		t.Errorf("new node = %+v", n)
	}

	shrunk := *top
	shrunk.Hosts = top.Hosts[:2]
	if _, err := Expand(&shrunk, first); err == nil || !strings.Contains(err.Error(), "db3") {
		t.Errorf("a missing host gives %v", err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	base := Topology{Profile: "default", NodeType: HighSpeed}
	big := Machine{Memory: 64 << 30, CPUs: 16, Disk: 1 << 40}
	tests := []struct {
		name  string
		edit  func(*Topology)
		own   Machine
		least Machine
		want  map[string]string
	}{
		{"64 GB", nil, big, big, map[string]string{
			"shared_buffers": "16384MB", "effective_cache_size": "49152MB", "maintenance_work_mem": "2048MB",
			"work_mem": "10MB", "max_connections": "200", "max_parallel_workers_per_gather": "8", "max_wal_size": "16384MB",
			"random_page_cost": "1.1", "max_worker_processes": "16",
		}},
		{"small standby rules the workers", nil, big, Machine{Memory: 4 << 30, CPUs: 2, Disk: 1 << 35}, map[string]string{
			"shared_buffers": "16384MB", "max_worker_processes": "8", "max_parallel_workers": "2", "max_parallel_workers_per_gather": "1",
		}},
		{"low capacity", func(t *Topology) { t.NodeType = LowCapacity }, big, big, map[string]string{
			"max_connections": "100", "random_page_cost": "4", "effective_io_concurrency": "2", "max_parallel_workers_per_gather": "4",
		}},
		{"tiny", nil, Machine{Memory: 32 << 20, CPUs: 1, Disk: 1 << 30}, Machine{Memory: 32 << 20, CPUs: 1}, map[string]string{
			"shared_buffers": "16MB", "work_mem": "4MB", "max_wal_size": "128MB", "min_wal_size": "64MB",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			top := base
			if tt.edit != nil {
				tt.edit(&top)
			}
			got := map[string]string{}
			for _, s := range Settings(&top, tt.own, tt.least) {
				if got[s.Name] != "" {
					t.Errorf("%s is set twice", s.Name)
				}
				got[s.Name] = s.Value
			}
			for name, want := range tt.want {
				if got[name] != want {
					t.Errorf("%s = %s, want %s", name, got[name], want)
				}
			}
		})
	}
}
