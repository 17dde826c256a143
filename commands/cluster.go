package commands

import (
	"strings"

	"github.com/spf13/cobra"
)

func newCluster(a *App) *cobra.Command {
	c := group("cluster", "Build and run clusters")
	c.AddCommand(
		newClusterInit(a), newClusterCheck(a), newClusterSize(a), newClusterPlan(a), newClusterCreate(a), newClusterStatus(a), newClusterList(a),
		newClusterStart(a), newClusterStop(a), newClusterRestart(a), newClusterReload(a), newClusterRecover(a), newClusterPromote(a), newClusterAdopt(a),
		newClusterExpand(a), newClusterShrink(a), newClusterConfig(a), newClusterLogs(a),
		newClusterDelete(a), newClusterResume(a), newClusterUnlock(a), newClusterExec(a), newClusterPush(a), newClusterPull(a),
	)
	a.completeClusters(c)
	return c
}

// completeClusters gives every command that takes a cluster's NAME the shell's
// completion of it.
func (a *App) completeClusters(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.completeClusters(sub)
		if sub.ValidArgsFunction == nil && strings.Contains(sub.Use, "NAME") {
			sub.ValidArgsFunction = a.clusterNames
		}
	}
}

func (a *App) clusterNames(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	m, err := a.manager(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	items, err := m.List(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, s := range items {
		names = append(names, cobra.CompletionWithDesc(s.Name, s.Engine+" "+s.Endpoint))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
