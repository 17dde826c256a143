package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newClusterUnlock(a *App) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use: "unlock NAME", Short: "Take a cluster's lock away from a run", Args: args(1, 1),
		Long: `Take a cluster's lock away from the run that holds it. A run whose process is gone
loses it by itself; this is for one that hangs, or runs on a machine that cannot
be seen. A run that is alive notices and stops.` + exitHelp(5),
		Example: "  cw cluster unlock dw1",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.clusterUnlock(cmd.Context(), args[0], yes) },
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Annotations = mutating()
	return c
}

func (a *App) clusterUnlock(ctx context.Context, name string, yes bool) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	held, err := m.Holder(ctx, name)
	if err != nil {
		return err
	}
	if held == nil {
		a.infof("cluster %s is not locked", name)
		return nil
	}
	if err := a.confirm(ctx, fmt.Sprintf("%v: take the lock away?", held), yes); err != nil {
		return err
	}
	if err := m.Unlock(ctx, name); err != nil {
		return err
	}
	a.infof("unlocked; go on with: cw cluster resume %s", name)
	return nil
}
