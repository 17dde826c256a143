package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/fault"
	"cw/schema"
	"cw/state"
)

// Main runs cw with the given arguments (argv[0] first) and returns its exit
// code. It is the only caller of the command tree.
func Main(ctx context.Context, streams *Streams, argv []string) int {
	return mainWith(ctx, streams, os.Getenv, argv)
}

func mainWith(ctx context.Context, streams *Streams, getenv func(string) string, argv []string) int {
	if p, args := findPersonality(argv); p != nil {
		// Before anything of cw's own: it has to run where cw has no home.
		return p.main(ctx, streams, getenv, args)
	}
	if completing(argv) {
		return completeMain(ctx, streams, getenv, argv)
	}
	started := time.Now()
	a, err := newApp(streams, getenv)
	if err != nil {
		_, _ = fmt.Fprintf(streams.Err, "cw: %v\n", err)
		return 1
	}
	defer a.close()
	a.argv = argv
	root := newRoot(a)
	root.SetArgs(argv[1:])
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCodeOf(ctx, err)
	a.Log.Info("command ended", "argv", argv, "exit_code", code, "error", errorText(err), "duration_ms", time.Since(started).Milliseconds())
	if cmd != nil && cmd.Annotations[mutates] != "" {
		a.audit(ctx, argv, code, err, time.Since(started))
	}
	a.printError(err, code)
	return code
}

// mutates is the annotation of commands that change something and are audited.
const mutates = "cw.mutates"

func mutating() map[string]string { return map[string]string{mutates: "yes"} }

func (a *App) audit(ctx context.Context, argv []string, code int, err error, took time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s, openErr := a.openStore(ctx)
	if openErr == nil {
		openErr = s.AddAudit(ctx, state.AuditRecord{Argv: redact(strings.Join(argv, " ")), ExitCode: code, Error: redact(errorText(err)), Duration: took})
	}
	if openErr != nil && code != 2 {
		a.warnf("record the command in the audit: %v", openErr)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// printError writes the error, its hint and where the log is.
func (a *App) printError(err error, code int) {
	if err == nil || errors.Is(err, errSilent) {
		return
	}
	for i, line := range strings.Split(redact(err.Error()), "\n") {
		prefix := "cw: "
		if i > 0 && strings.HasPrefix(line, " ") {
			prefix = ""
		}
		_, _ = fmt.Fprintln(a.IO.Err, prefix+line)
	}
	if hint := fault.HintOf(err); hint != "" {
		_, _ = fmt.Fprintln(a.IO.Err, "hint: "+hint)
	}
	if code != 2 && code != 130 && a.logFile != nil {
		_, _ = fmt.Fprintln(a.IO.Err, "log:  "+a.Paths.LogFile())
	}
}

// errSilent is an error whose exit code counts but whose text is printed
// already, as a table for instance.
var errSilent = errors.New("reported")

func silent(kind fault.Kind) error { return fault.Wrap(kind, "", errSilent) }

func newRoot(a *App) *cobra.Command {
	root := &cobra.Command{
		Use:   "cw",
		Short: "Run a cloud data warehouse on virtual machines, over SSH",
		Long: `cw runs a cloud data warehouse on virtual machines, over SSH: it builds and
runs the cluster, and moves data between object storage and its tables at a
speed you choose and change while it runs.` + exitHelp(3, 4, 5, 6, 7, 8),
		Example: `  cw playground up                            # three hosts on this machine to try things on
  cw cluster create -f cluster.yaml           # from machines to a running cluster
  cw load run lineitem.yaml --limit 200MB/s   # object storage into a table
  cw load limit l7q2mx4 50MB/s                # slower, while it runs`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.applyConfig(cmd.Flags()); err != nil {
				return err
			}
			return a.flags.validate()
		},
		Args: cobra.ArbitraryArgs, RunE: groupRun, // groupRun knows better suggestions than cobra
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.output, "output", "o", "table", "format of the result: table, wide, json, yaml, csv")
	f.StringVar(&a.flags.progress, "progress", "auto", "progress on standard error: auto, tty, plain, json, off")
	f.StringVar(&a.flags.store, "store", "", "where cw keeps clusters and jobs: a path or postgres://… (default "+a.Paths.StateDB()+")")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "only results and errors")
	f.BoolVar(&a.flags.noInput, "no-input", false, "never ask, fail instead")
	a.globalDefault = map[string]string{"output": "table", "progress": "auto", "store": ""}
	root.SetIn(a.IO.In)
	root.SetOut(a.IO.Out)
	root.SetErr(a.IO.Err)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(showHelp)
	root.AddGroup(&cobra.Group{ID: "work", Title: "Commands"})
	for _, c := range []*cobra.Command{newCluster(a), newLoad(a), newUnload(a), newServe(a), newPerf(a), newTop(a), newReport(a), newMonitor(a), newEvents(a), newPlayground(a)} {
		c.GroupID = "work"
		root.AddCommand(c)
	}
	root.CompletionOptions.DisableDefaultCmd = true // newCompletion is in its place
	root.SetHelpCommand(newHelp())
	root.AddCommand(newConfig(a), newExplain(a), newSchema(a), newCompletion(), newVersion(a), newAgent(a))
	root.AddGroup(&cobra.Group{ID: "as", Title: "Other programs that cw is"})
	for _, c := range []*cobra.Command{newGpload(), newGpfdist(), newGpcheckperf()} {
		c.GroupID = "as"
		root.AddCommand(c)
	}
	root.InitDefaultHelpCmd() // now, not when it is run: it is in lists and pages, too
	arrange(root)
	return root
}

// flagError says which flag was meant where one is wrong.
func flagError(c *cobra.Command, err error) error {
	hint := "see " + c.CommandPath() + " --help"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := schema.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			hint = "did you mean --" + near + "?"
		}
	}
	return usagef(hint, "%w", err)
}

func (f globalFlags) validate() error {
	if err := oneOf("--output", f.output, outputFormats()); err != nil {
		return err
	}
	return oneOf("--progress", f.progress, progressModes())
}

// group is a command that only holds others.
func group(use, short string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: short + "." + exitHelp(), Args: cobra.ArbitraryArgs, RunE: groupRun}
}

// groupRun runs when a group is called without one of its commands.
func groupRun(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		if err := c.Help(); err != nil {
			return err
		}
		return silent(fault.Usage)
	}
	names := childNames(c)
	hint := "see " + c.CommandPath() + " --help"
	if near := schema.Nearest(args[0], names); near != "" {
		hint = "did you mean: " + c.CommandPath() + " " + near
	}
	return usagef(hint, "unknown command %q for %s", args[0], c.CommandPath())
}

// noArgs, oneArg and maxOneArg are cobra's argument rules with errors of kind
// Usage.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("see "+c.CommandPath()+" --help", "%s takes no argument, found %q", c.CommandPath(), args[0])
	}
	return nil
}

func args(from, to int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < from:
			return usagef("see "+c.CommandPath()+" --help", "an argument is missing: %s", c.UseLine())
		case to >= 0 && len(args) > to:
			return usagef("see "+c.CommandPath()+" --help", "one argument too many: %q", args[to])
		}
		return nil
	}
}
