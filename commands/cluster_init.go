package commands

import (
	"github.com/spf13/cobra"

	"cw/cluster"
)

type clusterInitOptions struct {
	cluster.SampleOptions
	force bool
}

func newClusterInit(a *App) *cobra.Command {
	var o clusterInitOptions
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write a commented topology", Args: args(0, 1),
		Long: `Write a commented topology to FILE (cluster.yaml), or to standard output when
FILE is -. Of --hosts the first becomes the primary and the others its standbys.
With --engine greenplum the first becomes the coordinator, the second with
--standby its standby, and the others carry segments.` + exitHelp(),
		Example: `  cw cluster init
  cw cluster init dw1.yaml --name dw1 --hosts 10.0.0.10,10.0.0.11,10.0.0.12
  cw cluster init --engine greenplum --standby --segments 2`,
		RunE: func(_ *cobra.Command, args []string) error {
			file := "cluster.yaml"
			if len(args) > 0 {
				file = args[0]
			}
			return a.clusterInit(file, o)
		},
	}
	c.Flags().StringVar(&o.Name, "name", "dw1", "name of the cluster")
	c.Flags().StringVar(&o.Kind, "engine", cluster.Postgres, "postgres or greenplum")
	c.Flags().StringSliceVar(&o.Hosts, "hosts", nil, "addresses of the hosts, the primary's (coordinator's) first")
	c.Flags().BoolVar(&o.Standby, "standby", false, "greenplum: a standby coordinator")
	c.Flags().IntVar(&o.Segments, "segments", 0, "greenplum: primaries per segment host (default: what the machines carry)")
	c.Flags().BoolVar(&o.force, "force", false, "overwrite FILE")
	return c
}

func (a *App) clusterInit(file string, o clusterInitOptions) error {
	if err := oneOf("--engine", o.Kind, []string{cluster.Postgres, cluster.Greenplum}); err != nil {
		return err
	}
	if o.Kind == cluster.Postgres && (o.Standby || o.Segments != 0) {
		return usagef("add --engine greenplum, or leave them out: with postgres every further host is a standby", "--standby and --segments are for greenplum")
	}
	if o.Segments < 0 {
		return usagef("", "--segments %d: at least 1", o.Segments)
	}
	text := cluster.SampleFor(o.SampleOptions)
	if _, err := cluster.Parse(file, []byte(text)); err != nil {
		return err
	}
	return a.writeSample("topology", file, text, o.force, "cw cluster check -f")
}
