package commands

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cw/schema"
)

func newSchema(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "schema FILE-KIND", Short: "Print the JSON Schema of one of cw's files", Args: args(1, 1),
		Long: `Print the JSON Schema (draft-07) of one of cw's files, made from the table that
the parser uses, for editors that complete and check YAML by it.` + exitHelp(),
		Example: `  cw schema loadspec > ~/.config/cw/loadspec.schema.json
  # then, as the first line of a control file:
  # yaml-language-server: $schema=/home/me/.config/cw/loadspec.schema.json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.schema(args[0]) },
	}
}

func (a *App) schema(kind string) error {
	kinds := explained()
	key, ok := kinds[strings.ToLower(kind)]
	if !ok {
		var names []string
		for n := range kinds {
			names = append(names, n)
		}
		slices.Sort(names)
		hint := "known kinds: " + strings.Join(names, ", ")
		if near := schema.Nearest(kind, names); near != "" {
			hint = "did you mean: cw schema " + near
		}
		return usagef(hint, "there is no file kind %q", kind)
	}
	enc := json.NewEncoder(a.IO.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(schema.ToJSONSchema(key, "https://cw.invalid/schema/"+strings.ToLower(kind)+".json", "cw "+strings.ToLower(kind)))
}
