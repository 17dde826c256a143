package commands

import (
	"github.com/spf13/cobra"

	"cw/loadspec"
)

type loadInitOptions struct {
	table, url string
	force      bool
}

func newLoadInit(a *App) *cobra.Command {
	var o loadInitOptions
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write a commented control file", Args: args(0, 1),
		Long: "Write a commented load control file to FILE (load.yaml), or to standard output\nwhen FILE is -. Every key is explained by cw explain loadspec." + exitHelp(),
		Example: `  cw load init
  cw load init orders.yaml --table public.orders --from 's3://bucket/orders/*.csv.gz'`,
		RunE: func(_ *cobra.Command, args []string) error {
			file := "load.yaml"
			if len(args) > 0 {
				file = args[0]
			}
			return a.loadInit(file, o)
		},
	}
	c.Flags().StringVar(&o.table, "table", "public.lineitem", "table to load")
	c.Flags().StringVar(&o.url, "from", "s3://bucket/lineitem/*.csv.gz", "objects or files to load")
	c.Flags().BoolVar(&o.force, "force", false, "overwrite FILE")
	return c
}

func (a *App) loadInit(file string, o loadInitOptions) error {
	text := loadspec.Template(o.table, o.url)
	if _, err := loadspec.Parse("the new file", []byte(text)); err != nil {
		return err
	}
	return a.writeSample(file, text, o.force, "cw load check")
}
