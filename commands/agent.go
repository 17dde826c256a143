package commands

import (
	"github.com/spf13/cobra"

	"cw/loadspec/run"
	"cw/remote/agent"
)

// newAgent is the far side of commands that work on other hosts. cw starts it
// there; nobody types it.
func newAgent(a *App) *cobra.Command {
	c := &cobra.Command{
		Use: "agent ROLE", Short: "Work on a host for cw elsewhere", Args: args(1, 1), Hidden: true,
		Long:    "Work on a host for cw elsewhere, which speaks to it on standard input and output." + exitHelp(),
		Example: "  cw agent load",
		RunE: func(cmd *cobra.Command, args []string) error {
			defer func() { _ = agent.RemoveSelf() }()
			if args[0] != run.AgentRole {
				return usagef("", "agent %s is not known", args[0])
			}
			return run.ServeAgent(cmd.Context(), a.IO.In, a.IO.Out, a.Log)
		},
	}
	return c
}
