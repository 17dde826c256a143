package commands

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/perfcheck/gpcheckperf"
	"cw/schema"
	"cw/tui"
)

// Reference is everything that the reference pages are made of, from the
// tables that the program itself works with. cmd/gendocs prints it.
type Reference struct {
	Root *cobra.Command
	// Kinds are the kinds of files and reports with a schema, Files those of
	// them that have a table of keys.
	Kinds []string
	Files map[string]schema.Key
	// Topics are the pages of cw help TOPIC.
	Topics []ReferenceTopic
	// Programs are the other programs that cw is.
	Programs []ReferenceProgram
	// Keys are those of cw top.
	Keys []tui.KeyHelp
	// Scripts are the completion scripts.
	Scripts []ReferenceScript
}

// ReferenceTopic is a page of cw help TOPIC.
type ReferenceTopic struct{ Name, Short, Text string }

// ReferenceProgram is another program that cw is, with its own usage text.
type ReferenceProgram struct{ Name, Short, About, Examples, Usage string }

// ReferenceScript is a completion script and the name of its file.
type ReferenceScript struct {
	File  string
	Write func(io.Writer) error
}

// NewReference builds the reference. Paths in it are those of a home folder
// that is nobody's, so that it is the same on every machine.
func NewReference(ctx context.Context) *Reference {
	streams := &Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
	none := func(string) string { return "" }
	a := &App{
		IO: streams, Getenv: none, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Paths: Paths{Config: "~/.config/cw", State: "~/.local/state/cw", Cache: "~/.cache/cw", Data: "~/.local/share/cw"},
	}
	root := newRoot(a)
	walk(root, func(c *cobra.Command) { c.InitDefaultHelpFlag() })
	r := &Reference{Root: root, Kinds: schemaKinds(), Files: explained(), Keys: tui.KeyList()}
	for _, t := range topics() {
		r.Topics = append(r.Topics, ReferenceTopic{t.name, t.short, t.text()})
	}
	for _, name := range []string{"gpcheckperf", "gpfdist", "gpload"} {
		c := child(root, name)
		r.Programs = append(r.Programs, ReferenceProgram{name, c.Short, About(c), c.Example, usageOf(ctx, name)})
	}
	for _, s := range shells() {
		r.Scripts = append(r.Scripts, ReferenceScript{s.file, func(w io.Writer) error { return s.write(root, w) }})
	}
	return r
}

// usageOf is what a personality prints when it is asked for help. It makes no
// file: gpcheckperf is asked past its front, which opens a log.
func usageOf(ctx context.Context, name string) string {
	var out bytes.Buffer
	ask := []string{"-?"}
	if name == "gpcheckperf" {
		gpcheckperf.Run(ctx, gpcheckperf.Env{Out: &out, Err: &out, Argv0: name, Now: time.Now}, ask)
	} else {
		none := func(string) string { return "" }
		personalities()[name].main(ctx, &Streams{In: strings.NewReader(""), Out: &out, Err: &out}, none, ask)
	}
	return out.String()
}

// WriteSchema prints the JSON Schema of a kind.
func (r *Reference) WriteSchema(kind string, w io.Writer) error {
	return writeSchema(w, schemaOf(kind))
}

// About is what a command's help says before its exit codes.
func About(c *cobra.Command) string {
	about, _, _ := strings.Cut(c.Long, exitHeading)
	if about == "" {
		about = c.Short + "."
	}
	return strings.TrimSpace(about)
}

// ExitCodes is the part of a command's help that tells them.
func ExitCodes(c *cobra.Command) string {
	_, exits, _ := strings.Cut(c.Long, exitHeading)
	return exits
}

// Usage is how a command is called, a line for each way.
func Usage(c *cobra.Command) []string {
	lines := strings.Split(usageLine(c), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return lines
}

// OwnFlags are the flags of a command itself, GlobalFlags those that it has
// from the root.
func OwnFlags(c *cobra.Command) *pflag.FlagSet { return c.LocalNonPersistentFlags() }

// GlobalFlags are the flags that all commands have.
func GlobalFlags(c *cobra.Command) *pflag.FlagSet { return c.Root().PersistentFlags() }
