package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/loadspec"
	"cw/state"
)

func newUnload(a *App) *cobra.Command {
	c := group("unload", "Unload tables and queries into object storage and files")
	c.AddCommand(newUnloadRun(a))
	return c
}

func newUnloadRun(a *App) *cobra.Command {
	var o loadRunOptions
	c := &cobra.Command{
		Use: "run FILE", Short: "Unload what a control file describes", Args: args(1, 1), Annotations: mutating(),
		Long: `Unload what a control file describes: a table or query into objects of an
S3-compatible store or files, as csv, text, JSON lines or Parquet. They appear when
all of them are complete, the manifest last, which lists them with their rows, bytes
and SHA-256.

From PostgreSQL, PARALLEL: WORKERS sessions read ranges of the table side by side in
one snapshot: the result is the table as it was at one moment. A query or view is one
stream, in its order. Of Greenplum the segments write in parallel through this machine.

An unload that was interrupted leaves nothing and starts over: cw load resume JOB. Its
speed can be changed while it runs: cw load limit JOB 50MB/s; cw load pause, continue
and cancel work as well. The keys of the file: cw explain unloadspec.` + exitHelp(4, 5, 7),
		Example: `  cw unload run orders-out.yaml
  cw unload run orders-out.yaml --dry-run
  cw unload run orders-out.yaml --limit 50MB/s --detach`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.unloadRun(cmd.Context(), args[0], o) },
	}
	c.Flags().StringVar(&o.limit, "limit", "", "bytes taken from the database per second: 200MB/s, 1GiB/s, none")
	c.Flags().BoolVarP(&o.detach, "detach", "d", false, "unload in the background; cw load wait JOB waits for it")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be done, without changing anything")
	return c
}

func (a *App) unloadRun(ctx context.Context, file string, o loadRunOptions) error {
	name, data, err := file, []byte(nil), error(nil)
	if file == "-" {
		name, data, err = readFileArg(a.IO, file)
	} else {
		data, err = loadspec.ReadFile(file)
	}
	if err != nil {
		return err
	}
	u, err := loadspec.ParseUnload(name, data)
	if err != nil {
		return err
	}
	for _, w := range u.Warnings {
		a.warnf("%s", w)
	}
	if u.Limit, err = limitFlag(o.limit, u.Limit); err != nil {
		return err
	}
	if o.dryRun {
		return a.unloadPlan(ctx, u)
	}
	if file == "-" && o.detach && u.Conn.Password != "" {
		return usagef("put the password into ~/.pgpass, or the control file on disk", "a detached unload cannot take its password from standard input")
	}
	j, err := a.newJob(ctx, state.Job{Kind: kindUnload, SpecFile: file, Target: u.Subject(), Control: state.Control{WantLimit: u.Limit, Group: u.Group}}, data)
	if err != nil {
		return err
	}
	if o.detach {
		return a.detachJob(ctx, j)
	}
	return a.runJob(ctx, j, jobSpec{unload: u})
}
