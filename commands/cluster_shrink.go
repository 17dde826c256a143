package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cw/cluster/manage"
	"cw/cluster/redistribute"
	"cw/cluster/step"
	"cw/schema"
)

type clusterShrinkOptions struct {
	changeOptions
	moves   redistributeOptions
	confirm string
	hosts   []string
	// segments is how many are left; 0 is what the hosts leave.
	segments int
	only     bool
}

func newClusterShrink(a *App) *cobra.Command {
	var o clusterShrinkOptions
	c := &cobra.Command{
		Use: "shrink NAME --host HOST[,HOST…] | --segments N", Short: "Take hosts or segments out of a cluster", Args: args(1, 1),
		Long: `Take the nodes of some hosts out of a cluster and remove their data. The host
of the primary cannot be taken out: promote another node first.

In clusters with segments these go by number, the highest first, with their
mirrors. First the tables are moved off them, as cw cluster expand moves them
on, with the same options; --move-only ends there. Then, as a step of its own
that is asked about, the segments are taken out: when under the catalogue's lock
no table is on them any more and no row is found there. A table that could not
be moved, or an end of the time that was given, ends it before that.` + exitHelp(3, 4, 5, 6, 7),
		Example: `  cw cluster shrink dw1 --host db3 --dry-run
  cw cluster shrink dw1 --host db3,db4 --confirm dw1
  cw cluster shrink dw1 --segments 8 --parallel 4 --move-only --yes`,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return a.clusterShrink(cmd.Context(), cmd, args[0], o)
	}
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "the hosts to take out (repeat, or separate by commas)")
	c.Flags().IntVar(&o.segments, "segments", 0, "take out segments until so many are left")
	c.Flags().StringVar(&o.confirm, "confirm", "", "the cluster's name again, instead of typing it")
	c.Flags().BoolVar(&o.only, "move-only", false, "move the tables off the segments and take nothing out")
	o.moves.addFlags(c)
	o.addFlags(c)
	return c
}

func (a *App) clusterShrink(ctx context.Context, c *cobra.Command, name string, o clusterShrinkOptions) error {
	if o.confirm != "" && o.confirm != name {
		return a.confirmName(ctx, name, o.confirm)
	}
	switch {
	case len(o.hosts) > 0 && o.segments != 0:
		return usagef("give one of them", "both hosts and a number of segments were given")
	case len(o.hosts) == 0 && o.segments == 0:
		return usagef("add --host HOST or --segments N; cw cluster status "+name+" shows them", "no host was named")
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	if err := hostsOf(ctx, m, name, o.hosts); err != nil {
		return err
	}
	plan := func() (*manage.Operation, error) { return m.Shrink(ctx, name, o.hosts) }
	if o.segments != 0 {
		plan = func() (*manage.Operation, error) { return m.ShrinkTo(ctx, name, o.segments) }
	}
	op, err := plan()
	if err != nil {
		return err
	}
	before, after := op.Segments()
	moving := after < before && op.Nothing == ""
	if !moving {
		a.warnNoMoves(o.moves.given(c))
	}
	if moving {
		moves, err := o.moves.options(c, redistribute.Options{}, a.Now())
		if err != nil {
			return err
		}
		moves.Target = after
		if err := a.moveOff(ctx, m, name, before, moves, o); err != nil {
			return err
		}
		if o.only {
			if !o.dryRun {
				a.infof("the segments are still there: cw cluster shrink %s without --move-only takes them out", name)
			}
			return nil
		}
		if op, err = plan(); err != nil { // that may have taken days
			return err
		}
	} else if o.only {
		return usagef("leave --move-only out", "no segment of cluster %s goes, so no table is to be moved", name)
	}
	for _, line := range nodesByHost(op.Topology(), op.Nodes()) {
		a.infof("goes: %s, with its data", line)
	}
	ran, err := a.change(ctx, op, o.changeOptions, func(step.View) error {
		return a.confirmName(ctx, name, o.confirm)
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

// moveOff moves the tables off the segments that go.
func (a *App) moveOff(ctx context.Context, m *manage.Manager, name string, before int, moves redistribute.Options, o clusterShrinkOptions) error {
	tables, err := m.PlanRedistribution(ctx, name, moves)
	if err != nil {
		return err
	}
	var left, refused int
	var bytes int64
	for _, t := range tables {
		switch t.State {
		case redistribute.Refused:
			refused++
			a.warnf("%s %s cannot be moved: %s", t.Database, t.Name, t.Error)
		case redistribute.Moved:
		default:
			left++
			bytes += t.Bytes
		}
	}
	a.infof("%d of %d tables (%s) are to be moved from %d to %d segments", left, len(tables), schema.FormatSize(bytes), before, moves.Target)
	if o.dryRun {
		return nil
	}
	// With no table left to move, what the controller keeps in the database
	// itself may still be on all segments.
	if o.confirm != name && left+refused > 0 { // who has confirmed the end has agreed to the way
		if err := a.confirm(ctx, fmt.Sprintf("move %d tables of cluster %s?", left, name), o.yes); err != nil {
			return err
		}
	}
	return a.redistribute(ctx, m, name, moves)
}
