package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/manage"
	"cw/cluster/step"
)

type clusterShrinkOptions struct {
	dryRun  bool
	confirm string
	hosts   []string
	// segments is how many are left; 0 is what the hosts leave.
	segments int
}

func newClusterShrink(a *App) *cobra.Command {
	var o clusterShrinkOptions
	c := &cobra.Command{
		Use: "shrink NAME --host HOST[,HOST…] | --segments N", Short: "Take hosts or segments out of a cluster", Args: args(1, 1),
		Long: `Take the nodes of some hosts out of a cluster and remove their data. The host
of the primary cannot be taken out: promote another node first. In clusters with
segments these go by number, the highest first, with their mirrors; a segment
that still has rows stops it before anything is touched.` + exitHelp(3, 4, 5, 6, 7),
		Example: `  cw cluster shrink dw1 --host db3 --dry-run
  cw cluster shrink dw1 --host db3,db4 --confirm dw1
  cw cluster shrink dw1 --segments 8`,
		Annotations: mutating(),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.clusterShrink(cmd.Context(), args[0], o) },
	}
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "the hosts to take out (repeat, or separate by commas)")
	c.Flags().IntVar(&o.segments, "segments", 0, "take out segments until so many are left")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the plan and change nothing")
	c.Flags().StringVar(&o.confirm, "confirm", "", "the cluster's name again, instead of typing it")
	return c
}

func (a *App) clusterShrink(ctx context.Context, name string, o clusterShrinkOptions) error {
	if o.confirm != "" && o.confirm != name {
		return a.confirmName(ctx, name, o.confirm)
	}
	switch {
	case len(o.hosts) > 0 && o.segments != 0:
		return usagef("give one of them", "both hosts and a number of segments were given")
	case len(o.hosts) == 0 && o.segments == 0:
		return usagef("add --host HOST or --segments N; cw cluster status "+name+" shows them", "no host was named")
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	if err := hostsOf(ctx, m, name, o.hosts); err != nil {
		return err
	}
	plan := func() (*manage.Operation, error) { return m.Shrink(ctx, name, o.hosts) }
	if o.segments != 0 {
		plan = func() (*manage.Operation, error) { return m.ShrinkTo(ctx, name, o.segments) }
	}
	op, err := plan()
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
