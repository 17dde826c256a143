package commands

import "github.com/spf13/cobra"

func newPlayground(_ *App) *cobra.Command {
	c := group("playground", "Hosts on this machine for a first try")
	return c
}
