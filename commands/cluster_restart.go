package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/manage"
)

func newClusterRestart(a *App) *cobra.Command {
	var o changeOptions
	var mode string
	c := &cobra.Command{
		Use: "restart NAME", Short: "Restart all nodes of a cluster", Args: args(1, 1),
		Long:    "Restart all nodes of a cluster, the primary first." + exitHelp(4, 5, 7),
		Example: "  cw cluster restart dw1 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			how, err := stopMode(mode)
			if err != nil {
				return err
			}
			return a.clusterChange(cmd.Context(), args[0], o, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
				return m.Restart(ctx, args[0], how)
			})
		},
	}
	c.Flags().StringVar(&mode, "mode", "fast", modeHelp)
	o.addFlags(c)
	return c
}
