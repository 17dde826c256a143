package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/loadspec/run"
	"cw/state"
)

func newLoadCancel(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "cancel JOB", Short: "End a load", Args: args(1, 1), Annotations: mutating(),
		Long: `End a load. Splits that are committed stay in the table; cw load resume JOB would
load the rest after all.` + exitHelp(5),
		Example: "  cw load cancel l7q2mx4",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.loadCancel(cmd.Context(), args[0]) },
	}
}

func (a *App) loadCancel(ctx context.Context, id string) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	j, err := run.Cancel(ctx, st, id)
	if err != nil {
		return err
	}
	a.asked(ctx, st, id, state.WantCancel)
	if !j.Active() { // nobody was there to ask
		a.infof("load %s is cancelled", id)
		return nil
	}
	for deadline := time.Now().Add(30 * time.Second); j.Active(); {
		if time.Now().After(deadline) {
			return fault.New(fault.Unreachable, "see it with: cw load show "+id, "load %s was asked to end and has not yet (%s)", id, j.Owner)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if j, err = st.Job(ctx, id); err != nil {
			return err
		}
	}
	a.infof("load %s is %s; %d rows are committed", id, j.State, j.Rows)
	return nil
}
