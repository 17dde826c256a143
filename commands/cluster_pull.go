package commands

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"

	"github.com/spf13/cobra"

	"cw/remote"
)

func newClusterPull(a *App) *cobra.Command {
	var o hostOptions
	c := &cobra.Command{
		Use: "pull NAME PATH FOLDER", Short: "Copy a file from the hosts of a cluster", Args: args(2, 3),
		Long: `Copy a file from all hosts of a cluster, or from some, to FOLDER/HOST/ here,
compared by SHA-256.` + exitHelp(3, 4, 5),
		Example: `  cw cluster pull dw1 /var/log/syslog ./logs --as root`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clusterPull(cmd.Context(), &o, args)
		},
	}
	o.addFlags(c)
	return c
}

func (a *App) clusterPull(ctx context.Context, o *hostOptions, args []string) error {
	hosts, rest, err := o.choose(ctx, a, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return usagef("as: cw cluster pull dw1 /path/on/hosts ./folder", "a path on the hosts and a folder here are needed")
	}
	from, folder := rest[0], rest[1]
	results, err := remote.Each(ctx, hosts, 0, func(ctx context.Context, h *remote.Host) (copyResult, error) {
		local := filepath.Join(folder, h.Name(), path.Base(from))
		err := os.MkdirAll(filepath.Dir(local), 0o755)
		if err == nil {
			err = h.Pull(ctx, from, local, o.as)
		}
		return copied(h, local, from, err), err
	})
	return errors.Join(a.printCopies(results), err)
}
