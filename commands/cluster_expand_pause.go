package commands

import (
	"context"

	"github.com/spf13/cobra"
)

func newClusterExpandPause(a *App) *cobra.Command {
	var now bool
	c := &cobra.Command{
		Use: "pause NAME", Short: "Begin no further move of a table", Args: args(1, 1), Annotations: mutating(),
		Long: `Begin no further move of a table, wherever the controller runs, until cw cluster
expand continue NAME. Moves that run end in their own time; with --now they are
cancelled, and their tables are as they were.` + exitHelp(4, 5),
		Example: `  cw cluster expand pause dw1
  cw cluster expand pause dw1 --now`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.expandPause(cmd.Context(), args[0], now) },
	}
	c.Flags().BoolVar(&now, "now", false, "cancel the moves that run")
	return c
}

func (a *App) expandPause(ctx context.Context, name string, now bool) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	if err := m.PauseRedistribution(ctx, name, now); err != nil {
		return err
	}
	a.infof("no further table of cluster %s is moved until: cw cluster expand continue %s", name, name)
	return nil
}
