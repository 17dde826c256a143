package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/commands"
)

// manPages makes all pages, by their paths.
func manPages(r *commands.Reference) map[string][]byte {
	pages := map[string][]byte{}
	programs := map[string]bool{}
	for _, p := range r.Programs {
		programs[p.Name] = true
		pages["man/"+p.Name+".1"] = programPage(p)
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden || programs[c.Name()] && !c.Parent().HasParent() {
			return
		}
		pages["man/"+pageName(c)+".1"] = commandPage(r, c)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(r.Root)
	for kind, key := range r.Files {
		pages["man/cw-"+kind+".5"] = filePage(kind, key)
	}
	for _, t := range r.Topics {
		pages["man/cw-"+t.Name+".7"] = topicPage(t)
	}
	return pages
}

// pageName is the name of a command's page: cw-load-run.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func commandPage(r *commands.Reference, c *cobra.Command) []byte {
	p := newPage(pageName(c), "1", lowerFirst(c.Short))
	p.heading("SYNOPSIS")
	for i, line := range commands.Usage(c) {
		if i > 0 {
			p.b.WriteString(".br\n")
		}
		command, rest := c.CommandPath(), strings.TrimPrefix(line, c.CommandPath())
		p.b.WriteString(bold(command) + inline(rest) + "\n")
	}
	p.heading("DESCRIPTION")
	p.text(commands.About(c))
	if c.Example != "" {
		p.heading("EXAMPLES")
		p.verbatim(c.Example)
	}
	if c.CommandPath() == "cw top" {
		writeKeyTable(p, r)
	}
	writeCommands(p, c)
	if f := commands.OwnFlags(c); f.HasAvailableFlags() {
		p.heading("OPTIONS")
		writeFlags(p, f)
	}
	p.heading("GLOBAL OPTIONS")
	writeFlags(p, commands.GlobalFlags(c))
	if exits := commands.ExitCodes(c); exits != "" {
		p.heading("EXIT STATUS")
		writeExits(p, exits)
	}
	p.heading("ENVIRONMENT")
	p.item(bold("CW_STORE")+", "+bold("CW_OUTPUT")+", "+bold("CW_PROGRESS"), "The values of --store, --output and --progress where the command line does not give them.")
	p.text("All variables are in cw-environment(7).")
	p.heading("FILES")
	p.item(italic("~/.config/cw/config.yaml"), "Settings: cw-config(5).")
	p.item(italic("~/.local/state/cw/state.db"), "The store: clusters, runs, jobs, events and audit.")
	p.item(italic("~/.local/state/cw/log/cw.log"), "The log.")
	writeSeeAlso(p, r, c)
	return p.bytes()
}

// writeKeyTable is the keys of cw top.
func writeKeyTable(p *page, r *commands.Reference) {
	p.heading("KEYS")
	group := ""
	for _, k := range r.Keys {
		if k.Group != group {
			group = k.Group
			p.sub(group)
		}
		does := sentence(k.Does)
		if k.Acts {
			does += " Not with --read-only."
		}
		p.item(bold(k.Keys), does)
	}
}

// writeCommands lists what is below a command, under its headings.
func writeCommands(p *page, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	p.heading("COMMANDS")
	list := func(group string) {
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.GroupID == group {
				p.item(bold(sub.Name()), sub.Short+".")
			}
		}
	}
	for _, g := range c.Groups() {
		p.sub(g.Title)
		list(g.ID)
	}
	if len(c.Groups()) > 0 && hasUngrouped(c) {
		p.sub("Other commands")
	}
	list("")
}

func hasUngrouped(c *cobra.Command) bool {
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.GroupID == "" {
			return true
		}
	}
	return false
}

func writeFlags(p *page, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		term := ""
		if f.Shorthand != "" {
			term = bold("-"+f.Shorthand) + ", "
		}
		name, usage := pflag.UnquoteUsage(f)
		term += bold("--" + f.Name)
		if name != "" {
			term += " " + italic(name)
		}
		p.item(term, sentence(usage)+defaultOf(f))
	})
}

// defaultOf is the default where it says something.
func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "0s", "false", "[]", "none":
		return ""
	}
	return " Default: " + f.DefValue + "."
}

// writeExits makes items of the lines of exit codes.
func writeExits(p *page, exits string) {
	for _, line := range strings.Split(strings.TrimSpace(exits), "\n") {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), " ")
		p.item(bold(code), sentence(strings.TrimSpace(meaning)))
	}
}

func writeSeeAlso(p *page, r *commands.Reference, c *cobra.Command) {
	p.heading("SEE ALSO")
	var see []string
	if c.HasParent() {
		see = append(see, pageName(c.Parent())+"(1)")
		for _, sub := range c.Parent().Commands() {
			if c.Parent().HasParent() && sub != c && !sub.Hidden {
				see = append(see, pageName(sub)+"(1)")
			}
		}
	} else {
		for _, prog := range r.Programs {
			see = append(see, prog.Name+"(1)")
		}
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden && (c.HasParent() || sub.GroupID != "as") {
			see = append(see, pageName(sub)+"(1)")
		}
	}
	for _, file := range filesOf(c) {
		see = append(see, "cw-"+file+"(5)")
	}
	for _, t := range r.Topics {
		see = append(see, "cw-"+t.Name+"(7)")
	}
	for i, s := range see {
		name, section, _ := strings.Cut(s, "(")
		comma := ","
		if i == len(see)-1 {
			comma = ""
		}
		p.b.WriteString(".BR " + inline(name) + " (" + section + comma + "\n")
	}
}

// filesOf are the kinds of files that a command works with.
func filesOf(c *cobra.Command) []string {
	path := c.CommandPath() + " "
	for _, f := range []struct{ under, files string }{
		{"cw cluster ", "topology"},
		{"cw load ", "loadspec"},
		{"cw unload ", "unloadspec"},
		{"cw monitor ", "monitor"},
		{"cw report ", "rules"},
		{"cw config ", "config"},
	} {
		if strings.HasPrefix(path, f.under) {
			return []string{f.files}
		}
	}
	return nil
}
