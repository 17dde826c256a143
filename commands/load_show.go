package commands

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newLoadShow(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "show JOB", Short: "Show one load with its error", Args: args(1, 1),
		Long:    "Show one load: how far it is, how fast it goes, and how it ended." + exitHelp(),
		Example: "  cw load show l7q2mx4 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			j, err := a.job(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.printJob(j); err != nil {
				return err
			}
			if j.Error != "" && a.flags.output == "table" {
				_, err = fmt.Fprintln(a.IO.Out, "error: "+redact(j.Error))
			}
			return err
		},
	}
}
