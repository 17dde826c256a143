package commands

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
)

func newLoadLogs(a *App) *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use: "logs JOB", Short: "Show what a load in the background has printed", Args: args(1, 1),
		Long: `Show what a load that was started with --detach has printed, on the machine where
it was started. With --follow it goes on until the load ends, and then exits with
the load's exit code.` + exitHelp(3, 5),
		Example: `  cw load logs l7q2mx4
  cw load logs l7q2mx4 --follow`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.loadLogs(cmd.Context(), args[0], follow) },
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the load ends")
	return c
}

// jobLog is where a detached job's output is.
func (a *App) jobLog(id string) string {
	return filepath.Join(filepath.Dir(a.Paths.LogFile()), "load-"+id+".log")
}

func (a *App) loadLogs(ctx context.Context, id string, follow bool) error {
	j, err := a.job(ctx, id)
	if err != nil {
		return err
	}
	f, err := os.Open(a.jobLog(j.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, "what happened to it: cw events --job "+id, "%s %s has no output here: it was not started with --detach on this machine; it was run by %s", j.Kind, id, j.Owner)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for {
		// Whether it has ended is asked first: what it printed before is there.
		j, err := a.job(ctx, id)
		if err != nil {
			return err
		}
		if _, err := io.Copy(a.IO.Out, f); err != nil {
			return err
		}
		switch {
		case !follow:
			return nil
		case !j.Active():
			return jobEnd(j)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
