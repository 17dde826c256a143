package commands

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/loadspec/run"
	"cw/state"
)

func newLoadResume(a *App) *cobra.Command {
	var o loadRunOptions
	c := &cobra.Command{
		Use: "resume [JOB]", Short: "Go on with a load that has not finished", Args: args(0, 1), Annotations: mutating(),
		Long: `Go on with a load that failed, was interrupted or killed: the newest unfinished
one when none is named. What the ledger in the database says is committed is not
loaded again. The objects must be those of the first run, unchanged.` + exitHelp(3, 4, 5, 7),
		Example: `  cw load resume
  cw load resume l7q2mx4 --limit none`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return a.loadResume(cmd.Context(), id, o)
		},
	}
	c.Flags().StringVar(&o.limit, "limit", "", "another limit than the load had: 200MB/s, none")
	c.Flags().BoolVarP(&o.detach, "detach", "d", false, "load in the background")
	c.Flags().BoolVar(&o.again, "again", false, "load what is left even where another load has put it into the table meanwhile")
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask (nothing is asked now)")
	return c
}

func (a *App) loadResume(ctx context.Context, id string, o loadRunOptions) error {
	j, err := a.unfinished(ctx, id)
	if err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	if j.State == state.Done || j.State == state.Partial {
		a.infof("load %s is done: nothing to do", j.ID)
		return a.printJob(j)
	}
	limit, err := limitFlag(o.limit, j.WantLimit)
	if err != nil {
		return err
	}
	if limit != j.WantLimit {
		if err := st.SetJobLimit(ctx, j.ID, limit); err != nil {
			return err
		}
		j.WantLimit = limit
	}
	if o.again {
		var kept run.Options
		if err := run.StoredOptions(j, &kept); err != nil {
			return err
		}
		kept.Again = true
		if err := st.SetJobOptions(ctx, j.ID, run.StoreOptions(kept)); err != nil {
			return err
		}
		j.Options = run.StoreOptions(kept)
	}
	if o.detach {
		return a.detachJob(ctx, j)
	}
	return a.runJob(ctx, j, jobSpec{})
}

// unfinished finds the named job, or the newest one that has not come to its
// end and is not running.
func (a *App) unfinished(ctx context.Context, id string) (state.Job, error) {
	if id != "" {
		j, err := a.job(ctx, id)
		return j, err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return state.Job{}, err
	}
	jobs, err := st.Jobs(ctx)
	if err != nil {
		return state.Job{}, err
	}
	for _, j := range jobs {
		if j.State == state.Failed || j.State == state.Interrupted {
			return j, nil
		}
	}
	return state.Job{}, fault.Wrap(fault.Usage, "see all of them with: cw load list", errNoUnfinished)
}

// replaceJob puts the job's id into a hint that was written without knowing it.
func replaceJob(hint, id string) string {
	return strings.ReplaceAll(hint, "resume JOB", "resume "+id)
}
