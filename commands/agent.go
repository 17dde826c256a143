package commands

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"cw/loadspec/run"
	perf "cw/perfcheck/run"
	"cw/remote/agent"
)

// agentVerb is the command that an agent is.
const agentVerb = "agent"

// newAgent is the far side of commands that work on other hosts. cw starts it
// there; nobody types it.
func newAgent(a *App) *cobra.Command {
	c := &cobra.Command{
		Use: agentVerb + " ROLE", Short: "Work on a host for cw elsewhere", Args: args(1, 1), Hidden: true,
		Long:    "Work on a host for cw elsewhere, which speaks to it on standard input and output." + exitHelp(),
		Example: "  cw agent load",
		RunE: func(cmd *cobra.Command, args []string) error {
			defer func() { _ = agent.RemoveSelf() }()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			switch args[0] {
			case run.AgentRole:
				return run.ServeAgent(ctx, a.IO.In, a.IO.Out, a.Log)
			case perf.AgentRole:
				return perf.ServeAgent(ctx, a.IO.In, a.IO.Out)
			}
			return usagef("", "agent %s is not known", args[0])
		},
	}
	return c
}
