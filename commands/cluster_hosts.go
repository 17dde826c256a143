package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/hostprep"
	"cw/remote"
)

// hostOptions choose hosts of a cluster, for exec, push and pull.
type hostOptions struct {
	file  string
	hosts []string
	as    string
}

func (o *hostOptions) addFlags(c *cobra.Command) {
	c.Flags().StringVarP(&o.file, "file", "f", "", "topology file, for hosts that are no cluster yet (then without NAME)")
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "only these hosts of the cluster (repeat, or separate by commas)")
	c.Flags().StringVar(&o.as, "as", "", "OS user to act as (default: the SSH user)")
	c.Annotations = mutating()
}

// choose connects to nothing; it returns the chosen hosts and what is left of
// the arguments after the cluster's name.
func (o *hostOptions) choose(ctx context.Context, a *App, args []string) ([]*remote.Host, []string, error) {
	m, err := a.manager(ctx)
	if err != nil {
		return nil, nil, err
	}
	var fleet *hostprep.Fleet
	if o.file != "" {
		top, err := a.loadTopology(o.file)
		if err != nil {
			return nil, nil, err
		}
		fleet, err = m.FleetOf(top)
		if err != nil {
			return nil, nil, err
		}
	} else {
		if len(args) == 0 {
			return nil, nil, usagef("add the name of a cluster (cw cluster list), or -f cluster.yaml", "no cluster was named")
		}
		if fleet, err = m.Fleet(ctx, args[0]); err != nil {
			return nil, nil, err
		}
		args = args[1:]
	}
	if len(o.hosts) == 0 {
		return fleet.Hosts(), args, nil
	}
	var names []string
	for _, h := range fleet.Hosts() {
		names = append(names, h.Name())
	}
	var chosen []*remote.Host
	for _, want := range o.hosts {
		h := fleet.Host(want)
		if h == nil {
			return nil, nil, noHost(want, names)
		}
		chosen = append(chosen, h)
	}
	return chosen, args, nil
}
