package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func newClusterExpandContinue(a *App) *cobra.Command {
	var o redistributeOptions
	c := &cobra.Command{
		Use: "continue NAME", Short: "Go on moving tables", Args: args(1, 1), Annotations: mutating(),
		Long: `Go on moving a cluster's tables to another number of segments. A controller that
is paused goes on where it runs, with the options that it has; where none runs
this command is one, until all tables are moved or its time is over. Options
that are not given are those of the last time; tables that were given up are
tried again.` + exitHelp(3, 4, 5, 6, 7),
		Example: `  cw cluster expand continue dw1
  cw cluster expand continue dw1 --parallel 4 --window 22:00-06:00 --max-busy 80 --analyze`,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error { return a.expandContinue(cmd.Context(), cmd, args[0], o) }
	o.addFlags(c)
	return c
}

func (a *App) expandContinue(ctx context.Context, c *cobra.Command, name string, o redistributeOptions) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	base, _, err := m.UnfinishedRedistribution(ctx, name)
	if err != nil {
		return err
	}
	base.Until = time.Time{} // was the last attempt's
	options, err := o.options(c, base, a.Now())
	if err != nil {
		return err
	}
	p, _, err := m.RedistributionStatus(ctx, name)
	if err != nil {
		return err
	}
	if p.Active || p.Paused {
		active, err := m.ContinueRedistribution(ctx, name)
		if err != nil {
			return err
		}
		if active {
			a.infof("the controller of cluster %s goes on; see cw cluster expand status %s --watch", name, name)
			return nil
		}
	}
	return a.redistribute(ctx, m, name, options)
}
