package manage

import (
	"context"
	"fmt"

	"cw/cluster"
	"cw/cluster/hostprep"
)

// newSized is newKnown with layout.segments_per_host: auto decided from the
// machines. The check tells what was decided and why; it is empty when there
// was nothing to decide. With a host that does not answer the number stays the
// one for unknown machines, and the pre-flight says which host it is.
func (m *Manager) newSized(ctx context.Context, t *cluster.Topology) (*known, hostprep.Check, error) {
	k, err := newKnown(t)
	if err != nil || t.Engine.Kind == cluster.Postgres || !t.Layout.Auto() {
		return k, hostprep.Check{}, err
	}
	fleet, err := m.fleet(k)
	if err != nil {
		return nil, hostprep.Check{}, err
	}
	machines, err := fleet.Machines(ctx)
	if err != nil {
		return k, hostprep.Check{}, ctx.Err()
	}
	least, why, on := 0, "", ""
	for _, h := range t.Hosts {
		if !h.Has(cluster.RoleSegment) {
			continue
		}
		n, reason, err := cluster.AutoSegmentsOf(t, h, machines[h.Name])
		if err != nil {
			return nil, hostprep.Check{}, err
		}
		if least == 0 || n < least {
			least, why, on = n, reason, h.Name
		}
	}
	lay, err := cluster.Expand(t, &cluster.Layout{SegmentsPerHost: least})
	if err != nil {
		return nil, hostprep.Check{}, err
	}
	k.lay = lay
	return k, hostprep.Check{
		ID: sizedID, Host: on, Severity: hostprep.Advised, OK: true,
		Expected: "as many as the smallest host carries", Observed: fmt.Sprintf("%d: %s", least, why),
	}, k.encode()
}

// note adds a check to a report, if there is one.
func note(r hostprep.Report, c hostprep.Check) hostprep.Report {
	if c.ID != "" {
		r.Checks = append(r.Checks, c)
	}
	return r
}
