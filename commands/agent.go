package commands

import (
	"github.com/spf13/cobra"

	"cw/loadspec/run"
	perf "cw/perfcheck/run"
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
			switch args[0] {
			case run.AgentRole:
				return run.ServeAgent(cmd.Context(), a.IO.In, a.IO.Out, a.Log)
			case perf.AgentRole:
				return perf.ServeAgent(cmd.Context(), a.IO.In, a.IO.Out)
			}
			return usagef("", "agent %s is not known", args[0])
		},
	}
	return c
}
