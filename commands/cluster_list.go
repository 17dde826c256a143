package commands

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newClusterList(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the clusters that cw knows", Args: noArgs,
		Long:    "List the clusters in the store. No host is asked; see cw cluster status for that." + exitHelp(),
		Example: "  cw cluster list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			items, err := m.List(cmd.Context())
			if err != nil {
				return err
			}
			t := table{cols: cols("NAME", "ENGINE", "VERSION", "LAST", "HOSTS", "NODES", "ENDPOINT", "LOCKED BY", "+CREATED")}
			for _, s := range items {
				t.add(s.Name, s.Engine, s.Version, s.State, fmt.Sprint(s.Hosts), fmt.Sprint(s.Nodes), s.Endpoint, s.LockedBy, s.CreatedAt)
			}
			return a.print(list("ClusterList", items), t)
		},
	}
}
