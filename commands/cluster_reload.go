package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/manage"
)

func newClusterReload(a *App) *cobra.Command {
	var o changeOptions
	c := &cobra.Command{
		Use: "reload NAME", Short: "Have all nodes read their configuration files again", Args: args(1, 1),
		Long: `Have all nodes read their configuration files again, pg_hba.conf among them.
Sessions go on. Settings that need a restart are named by cw cluster config diff.` + exitHelp(4, 5, 7),
		Example: "  cw cluster reload dw1 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clusterChange(cmd.Context(), args[0], o, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
				return m.Reload(ctx, args[0])
			})
		},
	}
	o.addFlags(c)
	return c
}
