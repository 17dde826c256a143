package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/commands"
	"cw/tui"
)

// commandsPage is docs/commands.md: all commands on one page.
func commandsPage(r *commands.Reference) []byte {
	var b strings.Builder
	b.WriteString("<!-- Made by cmd/gendocs: change the command, then run make docs. -->\n\n# Commands\n\n")
	b.WriteString(commands.About(r.Root) + "\n\n")
	programs := map[string]bool{}
	for _, p := range r.Programs {
		programs[p.Name] = true
	}
	var shown []*cobra.Command
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if !c.Hidden && (!programs[c.Name()] || c.Parent().HasParent()) {
			shown = append(shown, c)
			for _, sub := range c.Commands() {
				visit(sub)
			}
		}
	}
	for _, c := range r.Root.Commands() {
		visit(c)
	}
	writeTables(&b, r.Root)
	b.WriteString("## Global flags\n\n")
	writeFlagList(&b, commands.GlobalFlags(r.Root))
	for _, c := range shown {
		writeCommand(&b, c)
		if c.CommandPath() == "cw top" {
			b.WriteString(tui.KeysMarkdown())
		}
	}
	b.WriteString("## Other programs that cw is\n\n")
	for _, p := range r.Programs {
		fmt.Fprintf(&b, "### %s\n\n%s\n\n", p.Name, p.About)
		fence(&b, "text", strings.TrimSpace(p.Usage))
	}
	for _, t := range r.Topics {
		fmt.Fprintf(&b, "## %s\n\n", t.Short)
		fence(&b, "text", strings.TrimRight(t.Text, "\n"))
	}
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}

// writeTables is the overview: a table for each command with others below it,
// by its headings.
func writeTables(b *strings.Builder, c *cobra.Command) {
	if !c.HasAvailableSubCommands() || c.Name() == "completion" {
		return
	}
	fmt.Fprintf(b, "| %s | |\n|---|---|\n", c.CommandPath())
	row := func(group string) {
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.GroupID == group {
				fmt.Fprintf(b, "| [%s](#%s) | %s |\n", sub.Name(), anchor(sub), cell(sub.Short))
			}
		}
	}
	for _, g := range c.Groups() {
		fmt.Fprintf(b, "| **%s** | |\n", g.Title)
		row(g.ID)
	}
	if len(c.Groups()) > 0 && hasUngrouped(c) {
		b.WriteString("| **Other commands** | |\n")
	}
	row("")
	b.WriteString("\n")
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			writeTables(b, sub)
		}
	}
}

// anchor is what web pages make of a heading.
func anchor(c *cobra.Command) string {
	switch c.Name() {
	case "gpload", "gpfdist", "gpcheckperf":
		return c.Name()
	}
	return strings.ReplaceAll(c.CommandPath(), " ", "-")
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func writeCommand(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "## %s\n\n", c.CommandPath())
	about := commands.About(c)
	for _, part := range strings.Split(about, "\n\n") {
		prose, list := cutIndented(part)
		if strings.HasPrefix(part, "  ") {
			prose, list = "", part
		}
		if prose != "" {
			b.WriteString(escape(prose) + "\n\n")
		}
		if list != "" {
			fence(b, "text", list)
		}
	}
	if c.Example != "" {
		fence(b, "sh", dedent(c.Example))
	}
	fence(b, "text", strings.Join(commands.Usage(c), "\n"))
	writeFlagList(b, commands.OwnFlags(c))
	if exits := commands.ExitCodes(c); exits != "" {
		var codes []string
		for _, line := range strings.Split(strings.TrimSpace(exits), "\n") {
			code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
			codes = append(codes, code+" "+strings.TrimSpace(meaning))
		}
		b.WriteString("Exit codes: " + strings.Join(codes, " · ") + "\n\n")
	}
}

func writeFlagList(b *strings.Builder, flags *pflag.FlagSet) {
	rows := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if rows++; rows == 1 {
			b.WriteString("| flag | |\n|---|---|\n")
		}
		name, usage := pflag.UnquoteUsage(f)
		flag := "--" + f.Name
		if name != "" {
			flag += " " + name
		}
		if f.Shorthand != "" {
			flag = "-" + f.Shorthand + ", " + flag
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", flag, cell(escape(strings.ReplaceAll(usage, "\n", " ")+strings.TrimSuffix(strings.Replace(defaultOf(f), " Default:", "; default", 1), "."))))
	})
	if rows > 0 {
		b.WriteString("\n")
	}
}

func fence(b *strings.Builder, language, text string) {
	fmt.Fprintf(b, "```%s\n%s\n```\n\n", language, text)
}

func dedent(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n")
}

// escape keeps Markdown from reading signs of its own in prose.
func escape(text string) string {
	return strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`).Replace(text)
}
