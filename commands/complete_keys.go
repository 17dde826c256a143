package commands

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cw/schema"
)

// keyWords are the kinds of files and, of cw explain, the dotted keys below
// them.
func keyWords(_ *App, c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, none
	}
	kinds := explained()
	if c.Name() == "schema" {
		return schemaKinds(), none
	}
	path := strings.Split(word, ".")
	if len(path) == 1 {
		return append([]cobra.Completion{"events"}, slices.Sorted(maps.Keys(kinds))...), none | cobra.ShellCompDirectiveNoSpace
	}
	key, ok := kinds[path[0]]
	for i := 1; ok && i < len(path)-1; i++ {
		sub, err := childKey(key, path[i], strings.Join(path[:i], "."))
		key, ok = sub, err == nil
	}
	if !ok {
		return nil, none
	}
	if key.Elem != nil && (key.Type == schema.List || len(key.Keys) == 0) {
		key = *key.Elem
	}
	directive := none
	var words []cobra.Completion
	before := strings.Join(path[:len(path)-1], ".") + "."
	for _, k := range key.Keys {
		if !strings.HasPrefix(strings.ToLower(k.Name), strings.ToLower(path[len(path)-1])) {
			continue
		}
		if len(k.Keys) > 0 || k.Elem != nil && len(k.Elem.Keys) > 0 {
			directive |= cobra.ShellCompDirectiveNoSpace // there is more below
		}
		words = append(words, cobra.CompletionWithDesc(before+k.Name, k.Doc))
	}
	return words, directive
}

// helpWords are the commands and topics of cw help.
func helpWords(_ *App, c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	at := c.Root()
	for _, name := range args {
		if at = child(at, name); at == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	var words []cobra.Completion
	for _, sub := range at.Commands() {
		if !sub.Hidden {
			words = append(words, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	if len(args) == 0 {
		for _, t := range topics() {
			words = append(words, cobra.CompletionWithDesc(t.name, t.short))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
