package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/step"
	"cw/schema"
)

type clusterPromoteOptions struct {
	changeOptions
	node  string
	host  string
	force bool
}

func newClusterPromote(a *App) *cobra.Command {
	var o clusterPromoteOptions
	c := &cobra.Command{
		Use: "promote NAME", Short: "Make a standby the primary (the coordinator)", Args: args(1, 1),
		Long: `Make a standby the primary of the cluster, or the standby coordinator the
coordinator: the only one, the one named, or the one that has received most.
The old primary is stopped first; when its host does not answer nothing is
done, since two primaries would both take writes. --force goes on all the same,
on your word that the host is off. Afterwards cw cluster recover makes the old
primary a standby.` + exitHelp(4, 5, 6, 7),
		Example: `  cw cluster promote dw1
  cw cluster promote dw1 --node n3
  cw cluster promote dw1 --host db2 --force`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterPromote(cmd.Context(), args[0], o) },
	}
	c.Flags().StringVar(&o.node, "node", "", "the standby to promote, as n2 (see cw cluster status)")
	c.Flags().StringVar(&o.host, "host", "", "the host of the standby to promote")
	c.Flags().BoolVar(&o.force, "force", false, "go on when the old primary's host does not answer: it must be off")
	o.addFlags(c)
	return c
}

func (a *App) clusterPromote(ctx context.Context, name string, o clusterPromoteOptions) error {
	if o.node != "" && o.host != "" {
		return usagef("give one of them", "both a node (%s) and a host (%s) were given", o.node, o.host)
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	top, lay, err := m.Topology(ctx, name)
	if err != nil {
		return err
	}
	if o.node, err = standbyOf(name, top, lay, o); err != nil {
		return err
	}
	op, err := m.Promote(ctx, name, cluster.PromoteOptions{Node: o.node, Force: o.force})
	if err != nil {
		return err
	}
	ran, err := a.change(ctx, op, o.changeOptions, func(step.View) error {
		if o.yes {
			return nil
		}
		unseen := false
		if o.force {
			st, err := m.Status(ctx, name)
			if err != nil {
				return err
			}
			unseen = !reachable(st, lay.Primary().Host)
		}
		return a.confirm(ctx, promoteQuestion(top, lay.Primary(), op.Nodes()[0], unseen), false)
	})
	if err != nil || !ran {
		return err
	}
	st, err := m.Status(ctx, name)
	if err != nil {
		return err
	}
	return a.printStatus(st)
}

// standbyOf is the node that --node or --host names; "" when neither is given.
func standbyOf(name string, top *cluster.Topology, lay *cluster.Layout, o clusterPromoteOptions) (string, error) {
	var standbys []string
	for _, n := range lay.Standbys() {
		if o.host != "" && n.Host == o.host {
			return n.Name(), nil
		}
		standbys = append(standbys, fmt.Sprintf("%s on %s", n.Name(), n.Host))
	}
	hint := "standbys: " + strings.Join(standbys, ", ")
	if len(standbys) == 0 {
		hint = "add one: cw cluster expand " + name + " -f cluster.yaml"
	}
	switch {
	case o.host != "":
		if _, ok := top.Host(o.host); !ok {
			return "", noHost(o.host, hostNames(top))
		}
		return "", usagef(hint, "host %s carries no standby of cluster %s", o.host, name)
	case len(standbys) == 0:
		return "", usagef(hint, "cluster %s has no standby", name)
	case o.node == "":
		return "", nil
	}
	n, ok := lay.Node(o.node)
	switch {
	case !ok:
		return "", usagef(hint, "cluster %s has no node %q", name, o.node)
	case n.Role != cluster.NodeStandby:
		return "", usagef(hint, "node %s of cluster %s is no standby, but %s", o.node, name, n.Role)
	}
	return o.node, nil
}

// promoteQuestion says what happens to clients, and what could go wrong.
func promoteQuestion(top *cluster.Topology, old, to cluster.Node, unseen bool) string {
	at := func(n cluster.Node) string {
		h, _ := top.Host(n.Host)
		return fmt.Sprintf("%s:%d", h.Address, n.Port)
	}
	text := fmt.Sprintf("%s on %s becomes the %s of %s. Sessions on %s end; clients must connect to %s from now on.\n", to.Name(), to.Host, old.Role, top.Name, at(old), at(to))
	if unseen {
		text += fmt.Sprintf("Host %s of %s does not answer. If %s still runs there, two primaries both take\nwrites, and those of one will be lost: make sure that %s is off.\n", old.Host, old.Name(), old.Name(), old.Host)
	}
	return text + fmt.Sprintf("promote %s?", to.Name())
}

func reachable(st cluster.Status, host string) bool {
	for _, h := range st.Hosts {
		if h.Name == host {
			return h.Reachable
		}
	}
	return false
}

// noHost is the error about a host that a cluster lacks.
func noHost(want string, names []string) error {
	hint := "hosts: " + strings.Join(names, ", ")
	if near := schema.Nearest(want, names); near != "" {
		hint = "did you mean --host " + near + "?"
	}
	return usagef(hint, "the cluster has no host %q", want)
}
