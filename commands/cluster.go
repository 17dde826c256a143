package commands

import "github.com/spf13/cobra"

func newCluster(_ *App) *cobra.Command {
	c := group("cluster", "Build and run clusters")
	return c
}
