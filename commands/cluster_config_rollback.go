package commands

import (
	"github.com/spf13/cobra"
)

func newClusterConfigRollback(a *App) *cobra.Command {
	var o configSetOptions
	c := &cobra.Command{
		Use: "rollback NAME", Short: "Take back the last change of settings", Args: args(1, 1),
		Long: `Take back the last change of settings that was made with cw: what was set gets
the value it had, or its default. A second rollback makes the change again.` + exitHelp(3, 4, 5, 6, 7),
		Example: `  cw cluster config rollback dw1 --dry-run
  cw cluster config rollback dw1 --restart --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			op, err := m.Rollback(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.configure(cmd.Context(), m, op, o)
		},
	}
	c.Flags().BoolVar(&o.restart, "restart", false, "restart the cluster if a setting needs it")
	o.addFlags(c)
	return c
}
