package commands

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"cw/loadspec"
	"cw/loadspec/run"
	"cw/schema"
	"cw/state"
)

type loadRunOptions struct {
	limit  string
	detach bool
	yes    bool
	dryRun bool
	group  string
	create bool
	again  bool

	watch    bool
	interval time.Duration
}

func newLoadRun(a *App) *cobra.Command {
	var o loadRunOptions
	c := &cobra.Command{
		Use: "run FILE", Short: "Load what a control file describes", Args: args(1, 1), Annotations: mutating(),
		Long: `Load what a control file describes. Every split is committed with its row in the
table cw.load_ledger of the target database, so that a load that was interrupted
goes on with cw load resume and ends with exactly the rows of the source. The
speed can be changed while it runs: cw load limit JOB 50MB/s.

Into Greenplum the segments read from this machine, or from PARALLEL: HOSTS, a
statement for every PARALLEL: COMMIT bytes; with PRELOAD: TRUNCATE all of it is one
transaction. Rejected rows (ERROR_LIMIT) are shown by cw load errors JOB.

Objects that an earlier load has put into the same table, unchanged since, are
skipped and counted; --again loads them once more. What another load has begun and
not finished is its to finish: exit code 7 and the command to do it. A TRUNCATE by cw
makes earlier loads not count, and so does a table dropped and made again; one
emptied in another way is not noticed.

With --watch the load goes on when all is loaded: it looks for new objects every
--interval and loads each once. Every such round is like a load of its own: SQL
BEFORE and AFTER are run around its rows, ERROR_LIMIT counts its rows; TRUNCATE is done
at the very beginning only. It ends by cw load cancel JOB, or interrupted, and then
goes on with cw load resume JOB.

A question is asked only when the table is emptied first (PRELOAD: TRUNCATE).` + exitHelp(3, 4, 5, 7),
		Example: `  cw load run orders.yaml
  cw load run orders.yaml --limit 200MB/s --detach
  cw load run orders.yaml --create-table
  cw load run orders.yaml --watch --interval 30s --detach
  cw load run orders.yaml --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.loadRun(cmd.Context(), args[0], o) },
	}
	c.Flags().StringVar(&o.limit, "limit", "", "bytes read from the source per second: 200MB/s, 1GiB/s, none")
	c.Flags().StringVar(&o.group, "group", "", "name of a group of jobs that share one limit: cw load limit --group NAME RATE")
	c.Flags().BoolVarP(&o.detach, "detach", "d", false, "load in the background; cw load wait JOB waits for it")
	c.Flags().BoolVar(&o.create, "create-table", false, createTableHelp)
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&o.watch, "watch", false, "then load what appears, until cw load cancel JOB or Ctrl-C")
	c.Flags().DurationVar(&o.interval, "interval", 10*time.Second, "with --watch: how often to look, and how long a local file must have stood still")
	c.Flags().BoolVar(&o.again, "again", false, "load objects once more that an earlier load has put into this table")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and try the first rows, without changing anything")
	return c
}

func (a *App) loadRun(ctx context.Context, file string, o loadRunOptions) error {
	spec, data, err := a.readSpec(file, o.create)
	if err != nil {
		return err
	}
	if spec.Limit, err = limitFlag(o.limit, spec.Limit); err != nil {
		return err
	}
	if spec.Group, err = groupFlag(o.group, spec.Group); err != nil {
		return err
	}
	if err := onceOnly(spec, file, o); err != nil {
		return err
	}
	options := run.Options{Again: o.again}
	if o.watch {
		if options.Watch = o.interval; o.interval < 10*time.Millisecond {
			return usagef("--interval 10s", "--interval %s is too short", o.interval)
		}
	}
	if o.dryRun {
		return a.loadCheck(ctx, spec, o.again)
	}
	if spec.Truncate {
		if err := a.confirm(ctx, fmt.Sprintf("Table %s is emptied first. Go on?", targetName(spec)), o.yes); err != nil {
			return err
		}
	}
	if file == "-" && o.detach && spec.Conn.Password != "" {
		return usagef("put the password into ~/.pgpass, or the control file on disk", "a detached load cannot take its password from standard input")
	}
	j, err := a.newJob(ctx, state.Job{
		Kind: kindLoad, SpecFile: file, Target: targetName(spec), Options: run.StoreOptions(options),
		Control: state.Control{WantLimit: spec.Limit, Group: spec.Group},
	}, data)
	if err != nil {
		return err
	}
	if o.detach {
		return a.detachJob(ctx, j)
	}
	return a.runJob(ctx, j, jobSpec{load: spec})
}

// onceOnly refuses ways to run that need what can be had once only.
func onceOnly(spec *loadspec.Spec, file string, o loadRunOptions) error {
	for _, src := range spec.Sources {
		for _, l := range append(append([]string{}, src.Locations...), src.Manifest) {
			switch {
			case l == loadspec.Stdin && file == "-":
				return usagef("put the control file on disk", "standard input cannot be both the control file and the data (FILE: %s)", l)
			case l == loadspec.Stdin && (o.detach || o.watch || len(spec.Hosts) > 0):
				return usagef("load a file instead", "standard input (FILE: %s) goes with neither --detach nor --watch nor PARALLEL: HOSTS", l)
			case file == "-" && o.detach && loadspec.Secretive(l):
				return usagef("put the control file on disk", "a detached load cannot take what is secret in %s from standard input", loadspec.ShownURL(l))
			}
		}
	}
	return nil
}

// limitFlag is --limit where it is given, else the control file's limit.
func limitFlag(flag string, fromFile int64) (int64, error) {
	if flag == "" {
		return fromFile, nil
	}
	limit, err := schema.ParseRate(flag)
	if err != nil {
		return 0, usagef("", "--limit: %v", err)
	}
	return limit, nil
}

// groupFlag is --group where it is given, else the control file's group.
func groupFlag(flag, fromFile string) (string, error) {
	if flag == "" {
		return fromFile, nil
	}
	if !loadspec.GroupName(flag) {
		return "", usagef("", "--group: %q is no name: letters, digits, dots, dashes and underscores, 64 at most", flag)
	}
	return flag, nil
}

func targetName(s *loadspec.Spec) string {
	name := s.Output.Table
	if s.Output.Schema != "" {
		name = s.Output.Schema + "." + name
	}
	return name
}

// newJob writes the job down before anything is done for it.
func (a *App) newJob(ctx context.Context, j state.Job, data []byte) (state.Job, error) {
	st, err := a.openStore(ctx)
	if err != nil {
		return state.Job{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return state.Job{}, err
	}
	text, err := loadspec.ForStore(data, dir)
	if err != nil {
		return state.Job{}, err
	}
	if j.SpecFile != "-" && !filepath.IsAbs(j.SpecFile) {
		j.SpecFile = filepath.Join(dir, j.SpecFile)
	}
	j.Spec = string(text)
	return st.CreateJob(ctx, j)
}
