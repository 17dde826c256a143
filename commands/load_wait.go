package commands

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/loadspec/run"
	"cw/state"
)

func newLoadWait(a *App) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use: "wait JOB", Short: "Wait for the end of a load", Args: args(1, 1),
		Long: `Wait for the end of a load, wherever it runs, and end with its exit code. Ctrl-C
ends the waiting, not the load.` + exitHelp(3, 5),
		Example: "  cw load wait l7q2mx4 --timeout 1h",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, timeout, fault.New(fault.Unreachable, "see it with: cw load show "+args[0], "load %s has not ended within %s", args[0], timeout))
				defer cancel()
			}
			return a.loadWait(ctx, args[0])
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 0, "give up waiting after this time")
	return c
}

func (a *App) loadWait(ctx context.Context, id string) error {
	show := a.newProgress()
	for {
		j, err := a.job(ctx, id)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if !j.Active() {
			show.Close()
			if err := a.printJob(j); err != nil {
				return err
			}
			return jobEnd(j)
		}
		show.Status(progressText(run.Progress{
			Bytes: j.Bytes, BytesTotal: j.BytesTotal, Rows: j.Rows, Rate: j.Rate, Limit: j.Limit, ETASeconds: j.ETASeconds, Paused: j.State == state.Paused, LimitReason: j.LimitReason,
		}), newJobDoc(j))
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// jobEnd gives a finished job's exit code to the command that waited for it.
func jobEnd(j state.Job) error {
	kind := fault.Failed
	switch j.State {
	case state.Done:
		return nil
	case state.Partial:
		kind = fault.Partial
	case state.Cancelled, state.Interrupted:
		kind = fault.Interrupted
	}
	hint := "cw load resume " + j.ID + " goes on where it ended"
	if kind == fault.Partial {
		hint = "see them with: cw load errors " + j.ID
	}
	if j.Error != "" {
		return fault.New(kind, hint, "load %s %s: %s", j.ID, j.State, j.Error)
	}
	return fault.New(kind, hint, "load %s is %s", j.ID, j.State)
}
