package commands

import (
	"context"

	"github.com/spf13/cobra"
)

func newClusterPlan(a *App) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "plan [NAME]", Short: "Show what create or resume would do", Args: args(0, 1),
		Long: "Show the steps that `cw cluster create -f FILE` would take, or, for a cluster that\nexists, those that `cw cluster resume NAME` would. Nothing is changed." + exitHelp(4, 5, 6),
		Example: `  cw cluster plan -f cluster.yaml
  cw cluster plan dw1 -o json`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterPlan(cmd.Context(), file, args) },
	}
	c.Flags().StringVarP(&file, "file", "f", "", "topology file")
	return c
}

func (a *App) clusterPlan(ctx context.Context, file string, args []string) error {
	name, err := nameOrFile(file, args)
	if err != nil {
		return err
	}
	if name == "" {
		return a.clusterCreate(ctx, file, changeOptions{dryRun: true})
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	op, err := m.Resume(ctx, name)
	if err != nil {
		return err
	}
	_, err = a.change(ctx, op, changeOptions{dryRun: true}, nil)
	return err
}
