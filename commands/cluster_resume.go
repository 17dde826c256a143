package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/manage"
)

func newClusterResume(a *App) *cobra.Command {
	var o changeOptions
	c := &cobra.Command{
		Use: "resume NAME", Short: "Finish what an interrupted run began", Args: args(1, 1),
		Long: `Finish what an interrupted run began; the move of tables to another number of
segments, too. What is left to do is seen on the hosts, whatever happened to cw.
A delete was confirmed when it began and is not asked about again with --yes.` + exitHelp(3, 4, 5, 6, 7),
		Example: "  cw cluster resume dw1 --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clusterResume(cmd.Context(), args[0], o)
		},
	}
	o.addFlags(c)
	return c
}

func (a *App) clusterResume(ctx context.Context, name string, o changeOptions) error {
	var op *manage.Operation
	err := a.clusterChange(ctx, name, o, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
		var err error
		op, err = m.Resume(ctx, name)
		return op, err
	})
	if err != nil || op.Verb == manage.VerbDelete || o.dryRun {
		return err
	}
	return a.resumeMoves(ctx, name)
}
