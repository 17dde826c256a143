package commands

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// showHelp prints a command's help: what it does, examples first, then how it
// is called, its commands and flags, and its exit codes.
func showHelp(c *cobra.Command, _ []string) {
	about, exits, _ := strings.Cut(c.Long, exitHeading)
	if about == "" {
		about = c.Short
	}
	var b strings.Builder
	fmt.Fprintln(&b, strings.TrimSpace(about))
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n "); text != "" {
			fmt.Fprintf(&b, "\n%s:\n%s\n", title, text)
		}
	}
	section("Examples", c.Example)
	section("Usage", "  "+strings.TrimSuffix(c.UseLine(), " [flags]")+usageTail(c))
	for _, g := range c.Groups() {
		section(g.Title, subcommands(c, g.ID))
	}
	title := "Commands"
	if len(c.Groups()) > 0 {
		title = "Other commands"
	}
	section(title, subcommands(c, ""))
	section("Flags", flagUsages(c.LocalNonPersistentFlags()))
	if c.HasParent() {
		section("Global flags", flagUsages(c.InheritedFlags()))
	} else {
		section("Global flags", flagUsages(c.PersistentFlags()))
	}
	section("Exit codes", exits)
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore about a command: %s COMMAND --help\n", c.CommandPath())
	}
	_, _ = c.OutOrStdout().Write([]byte(b.String()))
}

func usageTail(c *cobra.Command) string {
	switch {
	case c.HasAvailableSubCommands() && hasOwnFlags(c):
		return " [flags]\n  " + c.CommandPath() + " COMMAND"
	case c.HasAvailableSubCommands():
		return " COMMAND"
	case c.HasAvailableLocalFlags():
		return " [flags]"
	}
	return ""
}

// hasOwnFlags tells whether a command has flags beside --help.
func hasOwnFlags(c *cobra.Command) bool {
	found := false
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { found = found || f.Name != "help" })
	return found
}

func subcommands(c *cobra.Command, group string) string {
	var b strings.Builder
	width := 0
	for _, sub := range c.Commands() {
		width = max(width, len(sub.Name()))
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.GroupID == group {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, sub.Name(), sub.Short)
		}
	}
	return b.String()
}

func flagUsages(f *pflag.FlagSet) string {
	if !f.HasAvailableFlags() {
		return ""
	}
	return f.FlagUsages()
}
