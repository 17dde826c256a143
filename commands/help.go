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
	var b strings.Builder
	fmt.Fprintln(&b, About(c))
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n "); text != "" {
			fmt.Fprintf(&b, "\n%s:\n%s\n", title, text)
		}
	}
	section("Examples", c.Example)
	section("Usage", "  "+usageLine(c))
	for _, g := range c.Groups() {
		section(g.Title, subcommands(c, g.ID))
	}
	title := "Commands"
	if len(c.Groups()) > 0 {
		title = "Other commands"
	}
	section(title, subcommands(c, ""))
	if !c.HasParent() {
		section("Topics, with cw help TOPIC", strings.TrimPrefix(topicList(), "\n"))
	}
	section("Flags", flagUsages(c.LocalNonPersistentFlags()))
	section("Global flags", flagUsages(globalFlagsOf(c)))
	section("Exit codes", ExitCodes(c))
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore about a command: %s COMMAND --help\n", c.CommandPath())
	}
	_, _ = c.OutOrStdout().Write([]byte(b.String()))
}

// globalFlagsOf are the flags that c has from the root.
func globalFlagsOf(c *cobra.Command) *pflag.FlagSet {
	if c.HasParent() {
		return c.InheritedFlags()
	}
	return c.PersistentFlags()
}

// usageLine is how a command is called.
func usageLine(c *cobra.Command) string {
	return strings.TrimSuffix(c.UseLine(), " [flags]") + usageTail(c)
}

// usageTail is what follows the use line: cobra puts [flags] at its end, where
// it is wrong for commands that take another program's arguments after --.
func usageTail(c *cobra.Command) string {
	switch {
	case c.HasAvailableSubCommands() && hasOwnFlags(c):
		return " [flags]\n  " + c.CommandPath() + " COMMAND"
	case c.HasAvailableSubCommands():
		return " COMMAND"
	case c.HasAvailableLocalFlags() && !strings.Contains(c.Use, "[flags]"):
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
		if sub.IsAvailableCommand() && sub.GroupID == group || sub.Name() == "help" && !c.HasParent() && group == "" {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, sub.Name(), sub.Short)
		}
	}
	return b.String()
}

func flagUsages(f *pflag.FlagSet) string {
	if !f.HasAvailableFlags() {
		return ""
	}
	return f.FlagUsagesWrapped(helpWidth)
}

// helpWidth is how wide the lines of flags get; what is longer goes on below.
const helpWidth = 100
