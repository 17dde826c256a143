package manage

import (
	"strings"
	"testing"

	"cw/cluster"
	"cw/fault"
)

// What was measured on machines of this type bounds the plan; what was
// measured on others is refused.
func TestPlanWithMeasuredFigures(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	top := *l.top
	top.Engine = cluster.Engine{Kind: cluster.Greenplum, Via: "native"}
	top.Hosts = append([]cluster.Host(nil), top.Hosts...)
	top.Layout.SegmentsPerHost, top.Layout.Mirrors, top.Layout.PortBase, top.Layout.MirrorPortBase = "auto", cluster.MirrorsNone, 26000, 27000
	for i := range top.Hosts {
		top.Hosts[i].Roles = []string{cluster.RoleSegment}
	}
	top.Hosts[0].Roles = []string{cluster.RoleCoordinator}
	k, err := newKnown(&top)
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := l.m.fleet(k)
	if err != nil {
		t.Fatal(err)
	}
	machines, err := fleet.Machines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	is := machines[top.Hosts[1].Name]
	top.Measured = &cluster.Measured{SegmentsPerHost: 1, Bound: "scan: 160 MB/s", Machine: cluster.MeasuredMachine{CPUs: is.CPUs, Memory: is.Memory}}
	want, reason, err := cluster.AutoSegmentsOf(&top, top.Hosts[1], is)
	if err != nil {
		t.Fatal(err)
	}
	k, check, err := l.m.newSized(t.Context(), &top)
	if err != nil || k.lay.SegmentsPerHost != want || want != 1 || !strings.Contains(check.Observed, reason) {
		t.Errorf("%+v, %+v, %v; want %d: %s", k, check, err, want, reason)
	}
	top.Measured.Machine.CPUs += 4
	if _, _, err := l.m.newSized(t.Context(), &top); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), top.Hosts[1].Name) || fault.HintOf(err) == "" {
		t.Errorf("another type of machine: %v", err)
	}
}
