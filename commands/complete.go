package commands

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/state"
)

// completer gives the words that may stand at a place. args are those that
// stand before it.
type completer func(a *App, c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective)

// completing tells whether a shell asks for words, not a person for work.
func completing(argv []string) bool {
	return len(argv) > 1 && (argv[1] == cobra.ShellCompRequestCmd || argv[1] == cobra.ShellCompNoDescRequestCmd)
}

// completeMain answers a shell that asks while somebody types: from what is
// on this machine, without a trace in log or store, and in silence when there
// is nothing to say.
func completeMain(ctx context.Context, streams *Streams, getenv func(string) string, argv []string) int {
	paths, err := newPaths(getenv)
	if err != nil {
		return 0
	}
	quiet := *streams
	quiet.Err = io.Discard // where cobra says how it went
	a := &App{IO: &quiet, Getenv: getenv, Now: time.Now, Log: slog.New(slog.DiscardHandler), Paths: paths}
	root := newRoot(a)
	a.completeAll(root)          // here alone: nobody else should pay for it
	root.PersistentPreRunE = nil // a configuration that is wrong is no reason to know no names
	root.SetArgs(argv[1:])
	_ = root.ExecuteContext(ctx)
	return 0
}

// completeAll gives all commands their words: those of arguments by what the
// use line calls them, those of flags by name.
func (a *App) completeAll(root *cobra.Command) {
	rules := flagRules()
	walk(root, func(c *cobra.Command) {
		if c.ValidArgsFunction == nil && !c.DisableFlagParsing {
			c.ValidArgsFunction = a.words(argumentWords(c))
		}
		complete := func(f *pflag.Flag) {
			if _, done := c.GetFlagCompletionFunc(f.Name); done || f.NoOptDefVal != "" {
				return
			}
			if words := flagWords(rules, c.CommandPath(), f); words != nil {
				_ = c.RegisterFlagCompletionFunc(f.Name, a.words([]completer{words}))
			}
		}
		c.LocalNonPersistentFlags().VisitAll(complete)
		c.PersistentFlags().VisitAll(complete)
	})
}

// words asks the completer of the next argument, the last one for all that
// follow.
func (a *App) words(by []completer) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(by) == 0 || c.Flags().Lookup("help") == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return by[min(len(args), len(by)-1)](a, c, args, word)
	}
}

// argumentWords are the completers of a command's arguments, in their order,
// by their names in the use line: NAME, [JOB], FILE, RUN…
func argumentWords(c *cobra.Command) []completer {
	var by []completer
	fields := strings.Fields(c.Use)
	last := completer(nil)
	for i := 1; i < len(fields); i++ {
		f := fields[i]
		if f == "--" || f == "|" {
			break
		}
		if strings.HasPrefix(f, "-") {
			i++ // and its value
			continue
		}
		more := strings.HasSuffix(strings.TrimSuffix(f, "]"), "…") || strings.HasSuffix(f, "...")
		f = strings.TrimRight(strings.Trim(f, "[]"), ".…")
		if f == "flags" {
			continue
		}
		last = argumentWord(c.CommandPath(), f)
		by = append(by, last)
		if more {
			return by
		}
	}
	if last != nil {
		by = append(by, noWords) // after the last one there is nothing
	}
	return by
}

func argumentWord(path, name string) completer {
	switch {
	case strings.HasPrefix(path, "cw perf baseline") && name == "NAME":
		return baselineWords
	case name == "NAME" && strings.HasPrefix(path, "cw cluster"), name == "CLUSTER":
		return clusterWords
	case name == "JOB":
		return jobWords
	case name == "RUN", name == "A", name == "B", name == "REPORT":
		return runWords
	case name == "FILE":
		return yamlWords
	case name == "LOCAL":
		return fileWords
	case name == "FOLDER":
		return folderWords
	case strings.HasPrefix(name, "FILE-KIND"):
		return keyWords
	case name == "COMMAND|TOPIC":
		return helpWords
	case name == "RATE|none":
		return fixed("none")
	case name == "ID":
		return silenceWords
	}
	return noWords
}

func noWords(*App, *cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func fileWords(*App, *cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func folderWords(*App, *cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// yamlWords are the YAML files here; the shell itself finds them.
func yamlWords(*App, *cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

func fixed(words ...cobra.Completion) completer {
	return func(*App, *cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// peek opens the store to look into it, nil where that cannot be done at once
// and without a trace. The caller closes it.
func (a *App) peek(ctx context.Context) *state.Store {
	dsn := a.flags.store
	if dsn == "" {
		dsn = a.Getenv("CW_STORE")
	}
	if dsn == "" {
		if file, err := a.readConfig(); err == nil {
			dsn = file["store"]
		}
	}
	if dsn == "" {
		dsn = a.Paths.StateDB()
	}
	s, err := state.Peek(ctx, dsn)
	if err != nil {
		return nil
	}
	return s
}
