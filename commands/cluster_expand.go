package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/cluster/redistribute"
)

type clusterExpandOptions struct {
	changeOptions
	moves  redistributeOptions
	file   string
	undo   bool
	forget bool
	later  bool
}

func newClusterExpand(a *App) *cobra.Command {
	var o clusterExpandOptions
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
by cw cluster resume NAME, or taken back by cw cluster expand NAME --undo.

Then the tables are moved onto all segments, one after the other or several at a
time, each in a transaction of its own, while everything else goes on: cw
cluster expand status, pause and continue look and steer, from any machine with
the same store. --no-redistribute leaves that for later.` + exitHelp(3, 4, 5, 6, 7),
		Example: `  cw cluster expand -f cluster.yaml --dry-run
  cw cluster expand dw1 -f cluster.yaml --yes
  cw cluster expand dw1 -f cluster.yaml --parallel 4 --window 22:00-06:00 --max-busy 80 --analyze
  cw cluster expand status dw1 --watch
  cw cluster expand dw1 --undo`,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if o.undo {
			return a.clusterUndoExpand(cmd.Context(), args, o)
		}
		return a.clusterExpand(cmd.Context(), cmd, args, o)
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "topology file with the new hosts, - for standard input")
	f.BoolVar(&o.undo, "undo", false, "take back an expand that has not reached its point of no return")
	f.BoolVar(&o.forget, "forget", false, "with --undo: forget the new nodes even when a host could not be cleaned")
	f.BoolVar(&o.later, "no-redistribute", false, "add the segments and move no table yet")
	o.moves.addFlags(c)
	o.addFlags(c)
	c.AddCommand(newClusterExpandStatus(a), newClusterExpandPause(a), newClusterExpandContinue(a))
	return c
}

func (a *App) clusterUndoExpand(ctx context.Context, args []string, o clusterExpandOptions) error {
	if o.file != "" || len(args) == 0 {
		return usagef("cw cluster expand NAME --undo", "--undo takes the name of a cluster, and no file")
	}
	return a.clusterChange(ctx, args[0], o.changeOptions, func(ctx context.Context, m *manage.Manager) (*manage.Operation, error) {
		op, err := m.UndoExpand(ctx, args[0])
		if err == nil {
			op.Forget = o.forget
		}
		return op, err
	})
}

func (a *App) clusterExpand(ctx context.Context, c *cobra.Command, args []string, o clusterExpandOptions) error {
	if o.file == "" {
		hint := "add the new hosts to the cluster's file, and -f cluster.yaml to the command"
		if len(args) > 0 {
			hint += "; to go on moving tables: cw cluster expand continue " + args[0]
		}
		return usagef(hint, "no topology was named")
	}
	moves, err := o.moves.options(c, redistribute.Options{}, a.Now())
	if err != nil {
		return err
	}
	top, err := a.loadTopology(o.file)
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] != top.Name {
		return usagef("cw cluster expand "+top.Name+" -f "+o.file, "%s describes cluster %s, not %s", o.file, top.Name, args[0])
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	op, err := m.Expand(ctx, top)
	if err != nil {
		return err
	}
	a.warnChecks(op)
	for _, line := range nodesByHost(op.Topology(), op.Nodes()) {
		a.infof("new: %s", line)
	}
	if !o.later {
		op.ThenMove(moves)
	}
	if op.Moves() == nil {
		a.warnNoMoves(o.moves.given(c))
	}
	if before, after := op.Segments(); before < after && op.Nothing == "" && !o.later {
		a.infof("then the tables are moved from %d to %d segments", before, after)
	}
	ran, err := a.changeAsk(ctx, op, o.changeOptions)
	if err != nil || !ran {
		return err
	}
	switch before, after := op.Segments(); {
	case op.Moves() != nil:
		if err := a.redistribute(ctx, m, top.Name, *op.Moves()); err != nil {
			return err
		}
	case before < after:
		a.infof("the tables are on %d of %d segments: cw cluster expand continue %s", before, after, top.Name)
	}
	st, err := m.Status(ctx, top.Name)
	if err != nil {
		return err
	}
	return a.printStatus(st)
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
