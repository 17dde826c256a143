package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/step"
)

type clusterShrinkOptions struct {
	dryRun  bool
	confirm string
	hosts   []string
}

func newClusterShrink(a *App) *cobra.Command {
	var o clusterShrinkOptions
	c := &cobra.Command{
		Use: "shrink NAME --host HOST[,HOST…]", Short: "Take the nodes of some hosts out of a cluster", Args: args(1, 1),
		Long: `Take the nodes of some hosts out of a cluster and remove their data. The host
of the primary cannot be taken out: promote another node first.` + exitHelp(3, 4, 5, 6, 7),
		Example: `  cw cluster shrink dw1 --host db3 --dry-run
  cw cluster shrink dw1 --host db3,db4 --confirm dw1`,
		Annotations: mutating(),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.clusterShrink(cmd.Context(), args[0], o) },
	}
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "the hosts to take out (repeat, or separate by commas)")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the plan and change nothing")
	c.Flags().StringVar(&o.confirm, "confirm", "", "the cluster's name again, instead of typing it")
	return c
}

func (a *App) clusterShrink(ctx context.Context, name string, o clusterShrinkOptions) error {
	if o.confirm != "" && o.confirm != name {
		return a.confirmName(ctx, name, o.confirm)
	}
	if len(o.hosts) == 0 {
		return usagef("add --host HOST; cw cluster status "+name+" shows them", "no host was named")
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	if err := hostsOf(ctx, m, name, o.hosts); err != nil {
		return err
	}
	op, err := m.Shrink(ctx, name, o.hosts)
	if err != nil {
		return err
	}
	for _, line := range nodesByHost(op.Topology(), op.Nodes()) {
		a.infof("goes: %s, with its data", line)
	}
	ran, err := a.change(ctx, op, changeOptions{dryRun: o.dryRun}, func(step.View) error {
		return a.confirmName(ctx, name, o.confirm)
	})
	if err != nil || !ran {
		return err
	}
	st, err := m.Status(ctx, name)
	if err != nil {
		return err
	}
	return a.printStatus(st)
}
