package commands

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/loadspec"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/schema"
	"cw/state"
)

// explained are the files that cw can explain, by name.
func explained() map[string]schema.Key {
	return map[string]schema.Key{"config": configKeys(), "topology": cluster.Keys(), "loadspec": loadspec.Root(), "unloadspec": loadspec.UnloadRoot(), "monitor": monitor.Keys(), "rules": inspect.Keys()}
}

func newExplain(a *App) *cobra.Command {
	return &cobra.Command{
		Use:   "explain FILE-KIND[.KEY…]",
		Short: "Explain the keys of cw's files",
		Long: `Explain the keys of cw's files, from the tables the parser itself uses; and, with
cw explain events, the types of events.` + exitHelp(),
		Example: `  cw explain topology
  cw explain events
  cw explain topology.layout
  cw explain loadspec.gpload.input
  cw explain rules`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path := strings.Split(args[0], ".")
			if strings.EqualFold(args[0], "events") {
				return a.explainEvents()
			}
			kinds := explained()
			names := []string{"events"}
			for n := range kinds {
				names = append(names, n)
			}
			key, ok := kinds[path[0]]
			if !ok {
				slices.Sort(names)
				hint := "known kinds: " + strings.Join(names, ", ")
				if near := schema.Nearest(path[0], names); near != "" {
					hint = "did you mean: cw explain " + near
				}
				return usagef(hint, "there is no file kind %q", path[0])
			}
			for i, p := range path[1:] {
				sub, err := childKey(key, p, strings.Join(path[:i+1], "."))
				if err != nil {
					return err
				}
				key = sub
			}
			return a.explain(args[0], key)
		},
	}
}

// explainEvents prints what each type of event means.
func (a *App) explainEvents() error {
	kinds, t := state.EventKinds(), table{cols: cols("TYPE", "SEVERITY", "MEANING")}
	for _, k := range kinds {
		t.add(k.Kind, k.Severity, k.Meaning)
	}
	return a.print(list("EventTypeList", kinds), t)
}

func childKey(key schema.Key, name, under string) (schema.Key, error) {
	if key.Elem != nil && (key.Type == schema.List || len(key.Keys) == 0) { // of free keys: what each of them has
		key = *key.Elem
	}
	var names []string
	for _, k := range key.Keys {
		if strings.EqualFold(k.Name, name) {
			return k, nil
		}
		names = append(names, k.Name)
	}
	hint := "see: cw explain " + under
	if near := schema.Nearest(name, names); near != "" {
		hint = "did you mean: cw explain " + under + "." + near
	}
	return key, usagef(hint, "%s has no key %q", under, name)
}

// keyDoc is a key in JSON.
type keyDoc struct {
	Path     string   `json:"path"`
	Type     string   `json:"type"`
	Enum     []string `json:"enum,omitempty"`
	Required bool     `json:"required"`
	Default  string   `json:"default,omitempty"`
	Doc      string   `json:"doc,omitempty"`
	Example  string   `json:"example,omitempty"`
}

func (a *App) explain(path string, key schema.Key) error {
	var docs []keyDoc
	var walk func(path string, k schema.Key)
	walk = func(path string, k schema.Key) {
		docs = append(docs, keyDoc{path, TypeName(k), k.Enum, k.Required, k.Default, k.Doc, k.Example})
		switch {
		case k.Type == schema.List && k.Elem != nil:
			k = *k.Elem
		case len(k.Keys) == 0 && k.Elem != nil && len(k.Elem.Keys) > 0: // free keys
			k, path = *k.Elem, path+".NAME"
		}
		for _, sub := range k.Keys {
			walk(path+"."+sub.Name, sub)
		}
	}
	walk(path, key)
	t := table{cols: cols("KEY", "TYPE", "DEFAULT", "MEANING", "+EXAMPLE")}
	for _, d := range docs {
		def := d.Default
		if d.Required {
			def = "(required)"
		}
		t.add(d.Path, d.Type, def, d.Doc, d.Example)
	}
	if a.flags.output == "table" {
		return explainText(a.IO.Out, docs)
	}
	return a.print(list("KeyList", docs), t)
}

// explainText is for reading: the meaning on a line of its own.
func explainText(w io.Writer, docs []keyDoc) error {
	for i, d := range docs {
		line := d.Path + "  <" + d.Type + ">"
		if d.Required {
			line += "  required"
		}
		if d.Default != "" {
			line += "  default " + d.Default
		}
		if i > 0 {
			line = "  " + line
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
		for _, text := range []string{d.Doc, example(d.Example)} {
			if text == "" {
				continue
			}
			if _, err := fmt.Fprintln(w, "        "+text); err != nil {
				return err
			}
		}
	}
	return nil
}

func example(e string) string {
	if e == "" {
		return ""
	}
	return "example: " + e
}

// TypeName says what a key takes, for people.
func TypeName(k schema.Key) string {
	switch {
	case k.Type == schema.Enum:
		return strings.Join(k.Enum, "|")
	case k.Type == schema.List && k.Elem != nil:
		return "list of " + TypeName(*k.Elem)
	default:
		return k.Type.String()
	}
}
