package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/schema"
)

type clusterRecoverOptions struct {
	changeOptions
	hosts     []string
	full      bool
	rate      string
	rebalance bool
}

func newClusterRecover(a *App) *cobra.Command {
	var o clusterRecoverOptions
	c := &cobra.Command{
		Use: "recover NAME", Short: "Bring back nodes that are down or do not follow", Args: args(1, 1),
		Long: `Bring back nodes that are down or do not follow: start them, wind back what they
wrote alone (pg_rewind), or copy them anew (pg_basebackup) where that cannot be
done. Nodes that are well are not touched. Segments whose mirror took over keep
working meanwhile; --rebalance gives primaries and mirrors their preferred roles
back afterwards, which ends the queries that run on them.` + exitHelp(4, 5, 6, 7),
		Example: `  cw cluster recover dw1
  cw cluster recover dw1 --host sdw3 --rebalance
  cw cluster recover dw1 --full --rate 100MB/s`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterRecover(cmd.Context(), args[0], o) },
	}
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "only nodes on these hosts (repeat, or separate by commas)")
	c.Flags().BoolVar(&o.full, "full", false, "copy nodes anew, not only what differs")
	c.Flags().StringVar(&o.rate, "rate", "none", "what a copy may read per second and node, as 100MB/s")
	c.Flags().BoolVar(&o.rebalance, "rebalance", false, "give every node its preferred role again")
	o.addFlags(c)
	return c
}

func (a *App) clusterRecover(ctx context.Context, name string, o clusterRecoverOptions) error {
	rate, err := schema.ParseRate(o.rate)
	if err != nil {
		return usagef("", "--rate: %w", err)
	}
	return a.clusterChange(ctx, name, o.changeOptions, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
		if err := hostsOf(ctx, m, name, o.hosts); err != nil {
			return nil, err
		}
		return m.Recover(ctx, name, cluster.RecoverOptions{Hosts: o.hosts, Full: o.full, Rate: rate, Rebalance: o.rebalance})
	})
}

// hostsOf fails when a cluster lacks one of the hosts.
func hostsOf(ctx context.Context, m *manage.Manager, name string, hosts []string) error {
	top, _, err := m.Topology(ctx, name)
	if err != nil {
		return err
	}
	for _, want := range hosts {
		if _, ok := top.Host(want); !ok {
			return noHost(want, hostNames(top))
		}
	}
	return nil
}

func hostNames(t *cluster.Topology) []string {
	names := make([]string, len(t.Hosts))
	for i, h := range t.Hosts {
		names[i] = h.Name
	}
	return names
}
