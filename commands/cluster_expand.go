package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
)

func newClusterExpand(a *App) *cobra.Command {
	var file string
	var o changeOptions
	var undo, forget bool
	c := &cobra.Command{
		Use: "expand [NAME] -f FILE", Short: "Add the nodes that a topology has and the cluster lacks", Args: args(0, 1),
		Long: `Add to a running cluster the nodes that a topology has and the cluster lacks:
new hosts, and in clusters with segments also more segments per host, mirrors
and a standby. What is there keeps its place, port and folder. New hosts are
checked first. A topology that differs in anything else is refused, with the
command for each difference.

New segments are made beside the running cluster and become part of it at one
point, which the plan names. While they are made, tables can be read and
written, but not made or changed. An expand that did not get there is finished
by cw cluster resume NAME, or taken back by cw cluster expand NAME --undo.` + exitHelp(4, 5, 6, 7),
		Example: `  cw cluster expand -f cluster.yaml --dry-run
  cw cluster expand dw1 -f cluster.yaml --yes
  cw cluster expand dw1 --undo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if undo {
				return a.clusterUndoExpand(cmd.Context(), file, args, forget, o)
			}
			return a.clusterExpand(cmd.Context(), file, args, o)
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "topology file with the new hosts, - for standard input")
	c.Flags().BoolVar(&undo, "undo", false, "take back an expand that has not reached its point of no return")
	c.Flags().BoolVar(&forget, "forget", false, "with --undo: forget the new nodes even when a host could not be cleaned")
	o.addFlags(c)
	c.AddCommand(newClusterExpandStatus(a), newClusterExpandPause(a), newClusterExpandContinue(a))
	return c
}

func (a *App) clusterUndoExpand(ctx context.Context, file string, args []string, forget bool, o changeOptions) error {
	if file != "" || len(args) == 0 {
		return usagef("cw cluster expand NAME --undo", "--undo takes the name of a cluster, and no file")
	}
	return a.clusterChange(ctx, args[0], o, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
		op, err := m.UndoExpand(ctx, args[0])
		if err == nil {
			op.Forget = forget
		}
		return op, err
	})
}

func (a *App) clusterExpand(ctx context.Context, file string, args []string, o changeOptions) error {
	if file == "" {
		return usagef("add the new hosts to the cluster's file, and -f cluster.yaml to the command", "no topology was named")
	}
	top, err := a.loadTopology(file)
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] != top.Name {
		return usagef("cw cluster expand "+top.Name+" -f "+file, "%s describes cluster %s, not %s", file, top.Name, args[0])
	}
	return a.clusterChange(ctx, top.Name, o, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
		op, err := m.Expand(ctx, top)
		if err != nil {
			return nil, err
		}
		a.warnChecks(op)
		for _, line := range nodesByHost(op.Topology(), op.Nodes()) {
			a.infof("new: %s", line)
		}
		return op, nil
	})
}

// nodesByHost says which nodes are on which host, one line per host.
func nodesByHost(top *cluster.Topology, nodes []cluster.Node) []string {
	var hosts, lines []string
	on := map[string][]string{}
	for _, n := range nodes {
		if on[n.Host] == nil {
			hosts = append(hosts, n.Host)
		}
		on[n.Host] = append(on[n.Host], n.Role+" "+n.Name())
	}
	for _, name := range hosts {
		h, _ := top.Host(name)
		lines = append(lines, fmt.Sprintf("%s (%s): %s", name, h.Address, strings.Join(on[name], ", ")))
	}
	return lines
}
