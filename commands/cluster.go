package commands

import "github.com/spf13/cobra"

func newCluster(a *App) *cobra.Command {
	c := group("cluster", "Build and run clusters")
	c.AddCommand(
		newClusterInit(a), newClusterCheck(a), newClusterSize(a), newClusterPlan(a), newClusterCreate(a), newClusterStatus(a), newClusterList(a),
		newClusterStart(a), newClusterStop(a), newClusterRestart(a), newClusterReload(a), newClusterRecover(a), newClusterPromote(a), newClusterAdopt(a),
		newClusterExpand(a), newClusterShrink(a), newClusterConfig(a), newClusterLogs(a),
		newClusterDelete(a), newClusterResume(a), newClusterUnlock(a), newClusterExec(a), newClusterPush(a), newClusterPull(a),
	)
	return c
}
