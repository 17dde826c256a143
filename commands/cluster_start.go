package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
)

func newClusterStart(a *App) *cobra.Command {
	var o changeOptions
	c := &cobra.Command{
		Use: "start NAME", Short: "Start all nodes of a cluster", Args: args(1, 1),
		Long:    "Start all nodes of a cluster and see the standbys follow." + exitHelp(4, 5, 7),
		Example: "  cw cluster start dw1 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clusterChange(cmd.Context(), args[0], o, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
				return m.Start(ctx, args[0])
			})
		},
	}
	o.addFlags(c)
	return c
}

// clusterChange runs a verb of an existing cluster and shows how it is then.
func (a *App) clusterChange(ctx context.Context, name string, o changeOptions, plan func(context.Context, *manage.Manager) (*manage.Operation, error)) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	op, err := plan(ctx, m)
	if err != nil {
		return err
	}
	ran, err := a.changeAsk(ctx, op, o)
	if err != nil || !ran || op.Verb == manage.VerbDelete {
		return err
	}
	st, err := m.Status(ctx, name)
	if err != nil {
		return err
	}
	return a.printStatus(st)
}

// stopMode reads --mode.
func stopMode(text string) (cluster.StopMode, error) {
	for _, m := range []cluster.StopMode{cluster.Smart, cluster.Fast, cluster.Immediate} {
		if text == string(m) {
			return m, nil
		}
	}
	return "", notKnown("--mode", text, "smart", "fast", "immediate")
}

const modeHelp = "smart waits for clients, fast ends their sessions, immediate drops everything"
