package commands

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newClusterList(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the clusters that cw knows", Args: noArgs,
		Long: `List the clusters in the store, those of all who share it. LAST is what cw did
last with a cluster, HEALTH how a monitor (cw monitor) saw it within the last
minute. No host is asked; see cw cluster status for that.` + exitHelp(5),
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
			t := table{cols: cols("NAME", "ENGINE", "VERSION", "LAST", "HEALTH", "HOSTS", "NODES", "ENDPOINT", "LOCKED BY", "+CREATED", "+SEEN")}
			for _, s := range items {
				t.add(s.Name, s.Engine, s.Version, s.State, s.Health, fmt.Sprint(s.Hosts), fmt.Sprint(s.Nodes), s.Endpoint, s.LockedBy, s.CreatedAt, s.SeenAt)
			}
			return a.print(list("ClusterList", items), t)
		},
	}
}
