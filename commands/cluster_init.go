package commands

import (
	"github.com/spf13/cobra"

	"cw/cluster"
)

type clusterInitOptions struct {
	name  string
	hosts []string
	force bool
}

func newClusterInit(a *App) *cobra.Command {
	var o clusterInitOptions
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write a commented topology", Args: args(0, 1),
		Long: "Write a commented topology to FILE (cluster.yaml), or to standard output when\nFILE is -. The first of --hosts becomes the primary, the others its standbys." + exitHelp(),
		Example: `  cw cluster init
  cw cluster init dw1.yaml --name dw1 --hosts 10.0.0.10,10.0.0.11,10.0.0.12`,
		RunE: func(_ *cobra.Command, args []string) error {
			file := "cluster.yaml"
			if len(args) > 0 {
				file = args[0]
			}
			return a.clusterInit(file, o)
		},
	}
	c.Flags().StringVar(&o.name, "name", "dw1", "name of the cluster")
	c.Flags().StringSliceVar(&o.hosts, "hosts", nil, "addresses of the hosts, the primary's first")
	c.Flags().BoolVar(&o.force, "force", false, "overwrite FILE")
	return c
}

func (a *App) clusterInit(file string, o clusterInitOptions) error {
	text := cluster.SampleFor(o.name, o.hosts)
	if _, err := cluster.Parse(file, []byte(text)); err != nil {
		return err
	}
	return a.writeSample(file, text, o.force, "cw cluster check -f")
}
