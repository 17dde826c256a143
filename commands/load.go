package commands

import "github.com/spf13/cobra"

func newLoad(_ *App) *cobra.Command {
	c := group("load", "Load tables from object storage and files")
	return c
}
