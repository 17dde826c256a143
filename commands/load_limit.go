package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cw/loadspec/run"
	"cw/schema"
)

func newLoadLimit(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "limit JOB RATE|none", Short: "Change the speed of a load", Args: args(2, 2), Annotations: mutating(),
		Long: `Change the speed of a load, also while it runs: the new limit is in force within
a second. It counts bytes read from the source, all workers together.` + exitHelp(),
		Example: `  cw load limit l7q2mx4 50MB/s
  cw load limit l7q2mx4 none`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.loadLimit(cmd.Context(), args[0], args[1]) },
	}
}

func (a *App) loadLimit(ctx context.Context, id, rate string) error {
	limit, err := schema.ParseRate(rate)
	if err != nil {
		return usagef("", "%v", err)
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	j, err := run.SetLimit(ctx, st, id, limit)
	if err != nil {
		return err
	}
	if !j.Active() {
		a.infof("load %s is %s: limit %s is for when it is resumed", id, j.State, schema.FormatRate(limit))
		return nil
	}
	// The runner writes the limit it keeps: wait for that.
	for deadline := time.Now().Add(5 * time.Second); j.Limit != limit && j.Active() && time.Now().Before(deadline); {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if j, err = st.Job(ctx, id); err != nil {
			return err
		}
	}
	if j.Limit != limit && j.Active() {
		a.warnf("load %s has not taken up the limit yet; it looks for it several times a second", id)
		return nil
	}
	a.infof("limit of load %s is %s", id, schema.FormatRate(limit))
	return nil
}
