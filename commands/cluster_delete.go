package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/step"
)

type clusterDeleteOptions struct {
	dryRun  bool
	confirm string
	forget  bool
}

func newClusterDelete(a *App) *cobra.Command {
	var o clusterDeleteOptions
	c := &cobra.Command{
		Use: "delete NAME", Short: "Remove a cluster and all its data", Args: args(1, 1),
		Long: `Remove a cluster and all its data from its hosts, in whatever state it is. Only
folders that cw marked as this cluster's are touched. What cannot be removed,
because a host is down, is named; the cluster stays in the list then, and delete
can be repeated. OS users and packages stay.` + exitHelp(3, 4, 5, 7),
		Example: `  cw cluster delete dw1
  cw cluster delete dw1 --confirm dw1`,
		Annotations: mutating(),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.clusterDelete(cmd.Context(), args[0], o) },
	}
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the plan and change nothing")
	c.Flags().BoolVar(&o.forget, "forget", false, "drop the cluster from the list even when a host could not be cleaned")
	c.Flags().StringVar(&o.confirm, "confirm", "", "the cluster's name again, instead of typing it")
	return c
}

func (a *App) clusterDelete(ctx context.Context, name string, o clusterDeleteOptions) error {
	if o.confirm != "" && o.confirm != name {
		return a.confirmName(ctx, name, o.confirm)
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	op, err := m.Delete(ctx, name)
	if err != nil {
		return err
	}
	op.Forget = o.forget
	_, err = a.change(ctx, op, changeOptions{dryRun: o.dryRun}, func(step.View) error {
		return a.confirmName(ctx, name, o.confirm)
	})
	return err
}
