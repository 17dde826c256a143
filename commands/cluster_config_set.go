package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/cluster/step"
)

type configSetOptions struct {
	changeOptions
	reset   []string
	scope   string
	profile string
	restart bool
}

func newClusterConfigSet(a *App) *cobra.Command {
	var o configSetOptions
	c := &cobra.Command{
		Use: "set NAME [SETTING=VALUE…]", Short: "Change settings on all nodes", Args: args(1, -1),
		Long: `Change settings on all nodes. Names and values are checked by the running server
before anything is written; then the files are written and read again. Settings
that wait for a restart are named, with the command; --restart does it. The
change is taken back by cw cluster config rollback.` + exitHelp(3, 4, 5, 6, 7),
		Example: `  cw cluster config set dw1 work_mem=64MB
  cw cluster config set dw1 shared_buffers=8GB --restart
  cw cluster config set dw1 --reset work_mem --profile loading
  cw cluster config set dw1 statement_mem=250MB --scope segments`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clusterConfigSet(cmd.Context(), args[0], args[1:], o)
		},
	}
	c.Flags().StringSliceVar(&o.reset, "reset", nil, "settings that go back to their default (repeat, or separate by commas)")
	c.Flags().StringVar(&o.scope, "scope", cluster.ScopeAll, "which nodes: all, coordinator (and its standby), segments")
	c.Flags().StringVar(&o.profile, "profile", "", "a configuration group to apply first: "+strings.Join(cluster.ProfileNames(), ", "))
	c.Flags().BoolVar(&o.restart, "restart", false, "restart the cluster if a setting needs it")
	o.addFlags(c)
	return c
}

func (a *App) clusterConfigSet(ctx context.Context, name string, args []string, o configSetOptions) error {
	change, err := o.change(args)
	if err != nil {
		return err
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	op, err := m.Configure(ctx, name, change)
	if err != nil {
		return err
	}
	return a.configure(ctx, m, op, o)
}

// change reads the arguments; mistakes that need no server are found here.
func (o configSetOptions) change(args []string) (cluster.ConfigChange, error) {
	c := cluster.ConfigChange{Scope: o.scope, Set: map[string]string{}, Reset: o.reset, Profile: o.profile}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return c, usagef("as work_mem=64MB; a default comes back with --reset work_mem", "%q is not SETTING=VALUE", arg)
		}
		if old, dup := c.Set[name]; dup && old != value {
			return c, usagef("", "setting %s is given twice, as %q and %q", name, old, value)
		}
		c.Set[name] = value
	}
	for _, name := range o.reset {
		if _, dup := c.Set[name]; dup {
			return c, usagef("", "setting %s is both set and reset", name)
		}
	}
	if err := oneOf("--scope", o.scope, []string{cluster.ScopeAll, cluster.ScopeCoordinator, cluster.ScopeSegments}); err != nil {
		return c, err
	}
	if o.profile != "" {
		if err := oneOf("--profile", o.profile, cluster.ProfileNames()); err != nil {
			return c, err
		}
	}
	if len(c.Set)+len(c.Reset) == 0 && o.profile == "" {
		return c, usagef("add SETTING=VALUE, --reset SETTING or --profile NAME", "no change of settings was named")
	}
	return c, nil
}

// configure changes settings, restarts the cluster if that is wanted and
// needed, and shows what the nodes say then.
func (a *App) configure(ctx context.Context, m *manage.Manager, op *manage.Operation, o configSetOptions) error {
	ran, err := a.change(ctx, op, o.changeOptions, func(step.View) error {
		question := fmt.Sprintf("change settings of cluster %s?", op.Cluster)
		if o.restart {
			question = fmt.Sprintf("change settings of cluster %s, and restart it if they need that, which ends all sessions?", op.Cluster)
		}
		return a.confirm(ctx, question, o.yes)
	})
	if err != nil || !ran {
		return err
	}
	items, err := m.Settings(ctx, op.Cluster, op.Settings())
	if err != nil {
		return err
	}
	waiting := pendingRestart(items)
	switch {
	case o.restart && len(waiting) == 0:
		a.infof("no setting needs a restart")
	case o.restart:
		again, err := m.Restart(ctx, op.Cluster, cluster.Fast)
		if err != nil {
			return err
		}
		if _, err := a.changeAsk(ctx, again, changeOptions{yes: true}); err != nil {
			return err
		}
		if items, err = m.Settings(ctx, op.Cluster, op.Settings()); err != nil {
			return err
		}
	}
	if err := a.printSettings(items); err != nil {
		return err
	}
	if waiting = pendingRestart(items); len(waiting) > 0 {
		a.infof("waiting for a restart: %s\nnext: cw cluster restart %s", strings.Join(waiting, ", "), op.Cluster)
	}
	return nil
}
