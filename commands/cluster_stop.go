package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/manage"
)

func newClusterStop(a *App) *cobra.Command {
	var o changeOptions
	var mode string
	c := &cobra.Command{
		Use: "stop NAME", Short: "Stop all nodes of a cluster", Args: args(1, 1),
		Long:    "Stop all nodes of a cluster: the primary first, so that its standbys get all it wrote." + exitHelp(4, 5, 7),
		Example: "  cw cluster stop dw1 --mode smart",
		RunE: func(cmd *cobra.Command, args []string) error {
			how, err := stopMode(mode)
			if err != nil {
				return err
			}
			return a.clusterChange(cmd.Context(), args[0], o, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
				return m.Stop(ctx, args[0], how)
			})
		},
	}
	c.Flags().StringVar(&mode, "mode", "fast", modeHelp)
	o.addFlags(c)
	return c
}
