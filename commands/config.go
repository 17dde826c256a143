package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/schema"
)

// configKeys are the keys of config.yaml: the defaults of the global flags.
func configKeys() schema.Key {
	return schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "store", Doc: "where clusters, runs and jobs are kept: a path, or postgres://… to share", Example: "postgres://cw@db/cw"},
		{Name: "output", Type: schema.Enum, Enum: outputFormats(), Default: "table", Doc: "how results are printed"},
		{Name: "progress", Type: schema.Enum, Enum: progressModes(), Default: "auto", Doc: "how progress is shown"},
	}}
}

// setting is the value of a global flag and where it came from.
type setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// applyConfig gives every global flag that is not on the command line its
// value from CW_* or from config.yaml, in that order.
func (a *App) applyConfig(flags *pflag.FlagSet) error {
	file, err := a.readConfig()
	if err != nil {
		return err
	}
	a.settings = nil
	var bad error
	flags.VisitAll(func(f *pflag.Flag) {
		if _, global := a.globalDefault[f.Name]; !global || bad != nil {
			return
		}
		origin := "default"
		env := "CW_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		switch {
		case f.Changed:
			origin = "--" + f.Name
		case a.Getenv(env) != "":
			origin = env
			bad = setFlag(f, a.Getenv(env), env)
		case file[f.Name] != "":
			origin = a.Paths.ConfigFile()
			bad = setFlag(f, file[f.Name], origin)
		}
		a.settings = append(a.settings, setting{f.Name, f.Value.String(), origin})
	})
	sort.Slice(a.settings, func(i, j int) bool { return a.settings[i].Name < a.settings[j].Name })
	return bad
}

func setFlag(f *pflag.Flag, value, origin string) error {
	if err := f.Value.Set(value); err != nil {
		return usagef("correct it, or unset it", "%s: %v", origin, err)
	}
	return nil
}

func (a *App) readConfig() (map[string]string, error) {
	data, err := os.ReadFile(a.Paths.ConfigFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	node, problems := schema.Check(a.Paths.ConfigFile(), data, configKeys())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	values := map[string]string{}
	return values, node.Decode(&values)
}

func newConfig(a *App) *cobra.Command {
	c := group("config", "Show cw's own settings and folders")
	show := &cobra.Command{
		Use: "show", Short: "Show every setting and where it comes from", Args: noArgs,
		Long:    "Show every setting and where it comes from.\nPrecedence: flag, CW_* variable, cluster or control file, config.yaml, default." + exitHelp(),
		Example: "  cw config show\n  CW_OUTPUT=json cw config show",
		RunE: func(*cobra.Command, []string) error {
			t := table{cols: cols("NAME", "VALUE", "ORIGIN")}
			for _, s := range a.settings {
				t.add(s.Name, s.Value, s.Origin)
			}
			return a.print(list("SettingList", a.settings), t)
		},
	}
	paths := &cobra.Command{
		Use: "paths", Short: "Show the files and folders cw uses", Args: noArgs,
		Long: "Show the files and folders cw uses." + exitHelp(), Example: "  cw config paths\n  less \"$(cw config paths -o json | jq -r .log)\"",
		RunE: func(*cobra.Command, []string) error {
			t := table{cols: cols("WHAT", "PATH")}
			items := [][2]string{
				{"config", a.Paths.ConfigFile()},
				{"store", a.storeDSN()},
				{"log", a.Paths.LogFile()},
				{"clusters", a.Paths.ClusterDir("")},
				{"cache", a.Paths.Cache},
				{"schema", a.Paths.SchemaDir()},
			}
			doc := map[string]string{}
			for _, i := range items {
				t.add(i[0], i[1])
				doc[i[0]] = i[1]
			}
			return a.print(object("Paths", doc), t)
		},
	}
	c.AddCommand(show, paths)
	return c
}
