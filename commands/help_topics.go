package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cw/schema"
)

// topic is a page of help that belongs to no single command.
type topic struct {
	name  string
	short string
	text  func() string
}

func topics() []topic {
	return []topic{
		{"environment", "Variables that cw reads, and those it gives to commands", environmentText},
		{"exit-codes", "What each exit code means", exitCodesText},
		{"formats", "Forms of results, and of progress", formatsText},
		{"units", "How sizes, speeds and times are written", unitsText},
	}
}

func environmentText() string {
	var b strings.Builder
	for i, g := range environment() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(g.title + ":\n")
		for _, v := range g.vars {
			fmt.Fprintf(&b, "  %s\n        %s\n", v.name, v.meaning)
		}
	}
	return b.String()
}

func exitCodesText() string {
	var b strings.Builder
	b.WriteString("Scripts may rely on these: none of them ever gets another meaning. The help of\neach command lists those that it can end with.\n\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %-4d %s\n", e.code, e.meaning)
	}
	b.WriteString("\ngpload, gpfdist and gpcheckperf return the exit codes of the programs whose\nnames they have; see the help of each.\n")
	return b.String()
}

func formatsText() string {
	return `Results go to standard output, everything else to standard error. -o says how:

  table   columns for people; without a terminal there is no colour, nothing is
          cut off, and times are as of RFC 3339
  wide    table, with all columns
  json    one document with apiVersion: cw/v1 and its kind; lists are in items;
          streams (--follow, --watch) are a document per line. Keys are added,
          never renamed or removed. Sizes are bytes, speeds bytes per second,
          durations seconds
  yaml    the same document as YAML
  csv     all columns, with a heading

--progress says how standard error shows what goes on:

  auto    tty on a terminal, else plain
  tty     bars and counters on lines that change
  plain   a line for each change
  json    a JSON object for each change
  off     nothing

-q leaves only results and errors. CW_OUTPUT and CW_PROGRESS, or output and
progress in config.yaml, change the defaults: cw config show.
`
}

func unitsText() string {
	return `Sizes      512, 64MB, 1.5GB are decimal (1 MB is 1000000 bytes);
           64MiB, 1GiB are binary (1 MiB is 1048576 bytes)
Speeds     200MB/s, 200MiB/s, 1GB/s: bytes per second; none is no limit.
           Speed limits of loads count bytes read from the source, all
           workers together
Durations  300ms, 5s, 1m30s, 2h; where days make sense, 7d as well
Times      2026-11-21T08:00:00Z, or how long ago: 30m, 2h, 7d
Windows    22:00-06:00: a time of day, over midnight too
Memory     of machines is binary, as it is sold: --memory 128GB is 128GiB

Upper and lower case are the same in units.
`
}

// newHelp is cw help: the help of a command, or a topic.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND|TOPIC]", Short: "Show the help of a command, or of a topic",
		Long: "Show the help of a command, as its --help does, or of a topic:\n" + topicList() + exitHelp(),
		Example: `  cw help load run
  cw help environment`,
		Args: cobra.ArbitraryArgs,
		// A configuration that is wrong must not keep anybody from the help.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE:              func(c *cobra.Command, args []string) error { return helpOn(c, args) },
	}
}

func topicList() string {
	var b strings.Builder
	for _, t := range topics() {
		fmt.Fprintf(&b, "\n  %-12s %s", t.name, t.short)
	}
	return b.String()
}

func helpOn(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		for _, t := range topics() {
			if t.name == args[0] {
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s.\n\n%s", t.short, t.text())
				return err
			}
		}
	}
	at := c.Root()
	for i, name := range args {
		next := child(at, name)
		if next == nil || next.Hidden && next.Name() != agentVerb {
			return noHelp(at, args[:i], name)
		}
		at = next
	}
	at.InitDefaultHelpFlag() // cobra adds it when a command is run, which this one is not
	return at.Help()
}

// noHelp is the error of a word that is neither command nor topic.
func noHelp(at *cobra.Command, before []string, word string) error {
	names := childNames(at)
	if len(before) == 0 {
		for _, t := range topics() {
			names = append(names, t.name)
		}
		slices.Sort(names)
	}
	if len(names) == 0 {
		return usagef(at.CommandPath()+" --help", "%s has no commands, and so no help on %q", at.CommandPath(), word)
	}
	path := strings.Join(append([]string{"cw help"}, before...), " ")
	hint := "see: " + path
	if near := schema.Nearest(word, names); near != "" {
		hint = "did you mean: " + path + " " + near
	}
	return usagef(hint, "there is no help on %q", strings.Join(append(slices.Clone(before), word), " "))
}

// childNames are the commands below c that are shown.
func childNames(c *cobra.Command) []string {
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	return names
}
