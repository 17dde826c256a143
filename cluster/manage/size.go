package manage

import (
	"context"

	"cw/cluster"
)

// sizedID is the check that tells how many primaries a host gets, and why.
const sizedID = "segments per host"

// Size says what the hosts of a topology carry. They are asked what they have;
// of a cluster that exists the nodes are where they are.
func (m *Manager) Size(ctx context.Context, t *cluster.Topology, o cluster.SizingOptions) (cluster.Sizing, error) {
	c, err := m.newChecker(ctx, t)
	if err != nil {
		return cluster.Sizing{}, err
	}
	machines, err := c.fleet.Machines(ctx)
	if err != nil {
		return cluster.Sizing{}, err
	}
	o.Bound = c.sized.Observed
	return cluster.SizeOf(t, c.k.lay, machines, o), nil
}

// Sizing says what the hosts of the operation carry with the layout that it
// makes. It is an error when a host does not answer.
func (op *Operation) Sizing(ctx context.Context) (cluster.Sizing, error) {
	machines, err := op.fleet.Machines(ctx)
	if err != nil {
		return cluster.Sizing{}, err
	}
	var o cluster.SizingOptions
	for _, c := range op.Report.Checks {
		if c.ID == sizedID {
			o.Bound = c.Observed
		}
	}
	return cluster.SizeOf(op.k.top, op.k.lay, machines, o), nil
}
