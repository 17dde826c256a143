package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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
	if file == "-" {
		_, err := fmt.Fprint(a.IO.Out, text)
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, flags, 0o644) //nolint:gosec // a topology holds no secrets
	if errors.Is(err, fs.ErrExist) {
		return usagef("name another file, or add --force", "%s exists already", file)
	}
	if err != nil {
		return fmt.Errorf("write the topology: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the topology: %w", err)
	}
	a.infof("wrote %s: edit it, then: cw cluster check -f %s", file, file)
	return nil
}
