package cluster

import (
	"fmt"
	"strconv"

	"cw/fault"
)

// Shape describes hosts that need not exist.
type Shape struct {
	Engine          string // greenplum when ""
	Hosts           int    // segment hosts; with postgres all hosts
	Machine         Machine
	Disks           int
	DiskSize        int64 // bytes
	RAID            string
	Interconnect    int // addresses per host
	Mirrors         string
	SegmentsPerHost int // 0 is auto
	Concurrency     int // queries at a time; 0 is the profile's
	NodeType        string
	Profile         string
}

// SizeShape is SizeOf for a Shape: the topology that such hosts would get. The
// coordinator is a host of the same kind.
func SizeShape(p Shape) (Sizing, error) {
	switch {
	case p.Hosts < 1:
		return Sizing{}, fault.New(fault.Usage, "add --hosts 4", "%d hosts are no cluster", p.Hosts)
	case p.Machine.CPUs < 1 || p.Machine.Memory < 1:
		return Sizing{}, fault.New(fault.Usage, "add --cores 16 --memory 128GB", "a host without cores or memory cannot be sized")
	}
	t := &Topology{
		Name: "", Engine: Engine{Kind: p.Engine}, Profile: p.Profile, NodeType: p.NodeType,
		Database: Database{Port: 5432}, Layout: Rule{SegmentsPerHost: "auto", Mirrors: p.Mirrors, PortBase: 6000, MirrorPortBase: 7000},
	}
	if t.Engine.Kind == "" {
		t.Engine.Kind = Greenplum
	}
	if t.Profile == "" {
		t.Profile = "default"
		if p.Concurrency > 40 { // closer to that profile's 50 than to the default's 20
			t.Profile = "concurrency"
		}
	}
	if t.NodeType == "" {
		t.NodeType = HighSpeed
	}
	for i := range max(p.Disks, 1) {
		t.Layout.DataDirs = append(t.Layout.DataDirs, "/data"+strconv.Itoa(i+1))
	}
	p.Machine.Disk = p.DiskSize
	machines := map[string]Machine{}
	host := func(name string, address int, role string) {
		h := Host{Name: name, Address: fmt.Sprintf("10.%d.%d.%d", address>>16, address>>8&255, address&255), Roles: []string{role}}
		for i := range p.Interconnect {
			h.Interconnect = append(h.Interconnect, fmt.Sprintf("172.%d.%d.%d", 16+i, address>>8, address&255))
		}
		t.Hosts = append(t.Hosts, h)
		machines[name] = p.Machine
	}
	if t.Engine.Kind == Postgres {
		host("db1", 1, RoleCoordinator)
		for i := 2; i <= p.Hosts; i++ {
			host(fmt.Sprint("db", i), i, RoleStandby)
		}
	} else {
		host("cdw", 1, RoleCoordinator)
		for i := 1; i <= p.Hosts; i++ {
			host(fmt.Sprint("sdw", i), i+1, RoleSegment)
		}
	}
	o := SizingOptions{Concurrency: p.Concurrency, Disks: p.Disks, DiskSize: p.DiskSize, RAID: p.RAID}
	n := p.SegmentsPerHost
	if n == 0 {
		n, o.Bound = AutoSegmentsAt(p.Machine, max(p.Disks, 1), max(p.Interconnect, 1), AutoDensity(t))
	}
	l, err := Expand(t, &Layout{SegmentsPerHost: n})
	if err != nil {
		return Sizing{}, err
	}
	return SizeOf(t, l, machines, o), nil
}
