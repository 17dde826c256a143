package commands

import (
	"context"

	"github.com/spf13/cobra"
)

func newClusterCreate(a *App) *cobra.Command {
	var file string
	var o changeOptions
	c := &cobra.Command{
		Use: "create -f FILE", Short: "Make a cluster out of bare hosts", Args: noArgs,
		Long: `Make a cluster out of bare hosts. The hosts are checked first, then the plan is
shown, then it is run. A create that was interrupted is finished by running it
again or by cw cluster resume; one that is finished changes nothing.` + exitHelp(4, 5, 6, 7),
		Example: `  cw cluster create -f cluster.yaml --dry-run
  cw cluster create -f cluster.yaml --yes`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.clusterCreate(cmd.Context(), file, o) },
	}
	c.Flags().StringVarP(&file, "file", "f", "", "topology file, - for standard input")
	o.addFlags(c)
	return c
}

func (a *App) clusterCreate(ctx context.Context, file string, o changeOptions) error {
	if file == "" {
		return usagef("add -f cluster.yaml; cw cluster init writes one", "no topology was named")
	}
	top, err := a.loadTopology(file)
	if err != nil {
		return err
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	op, err := m.Create(ctx, top)
	if err != nil {
		return err
	}
	a.warnChecks(op)
	ran, err := a.changeAsk(ctx, op, o)
	if err != nil || o.dryRun {
		return err
	}
	st, err := m.Status(ctx, top.Name)
	if err != nil {
		return err
	}
	if ran && top.Database.PasswordFile == "" {
		a.infof("password of %s: %s", st.Endpoint.User, st.Endpoint.PasswordFile)
	}
	return a.printStatus(st)
}
