package commands

import (
	"context"

	"github.com/spf13/cobra"

	"cw/cluster/hostprep"
	"cw/fault"
)

func newClusterCheck(a *App) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "check [NAME]", Short: "Check whether the hosts can carry the cluster", Args: args(0, 1),
		Long: "Check whether the hosts of a topology can carry its cluster. Nothing is changed.\nRequired checks that fail keep `cw cluster create` from beginning." + exitHelp(4, 5, 6),
		Example: `  cw cluster check -f cluster.yaml
  cw cluster check dw1 -o wide`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterCheck(cmd.Context(), file, args) },
	}
	c.Flags().StringVarP(&file, "file", "f", "", "topology file")
	return c
}

func (a *App) clusterCheck(ctx context.Context, file string, args []string) error {
	name, err := nameOrFile(file, args)
	if err != nil {
		return err
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	var report hostprep.Report
	if name != "" {
		report, err = m.CheckNamed(ctx, name)
	} else {
		top, lerr := a.loadTopology(file)
		if lerr != nil {
			return lerr
		}
		report, err = m.Check(ctx, top)
	}
	if err != nil {
		return err
	}
	t := table{cols: cols("HOST", "CHECK", "RESULT", "OBSERVED", "+EXPECTED", "REMEDY")}
	for _, c := range report.Checks {
		result := "ok"
		if !c.OK && c.Severity == hostprep.Required {
			result = "FAILED"
		} else if !c.OK {
			result = "advice"
		}
		t.add(c.Host, c.ID, result, redact(c.Observed), c.Expected, c.Remedy)
	}
	if err := a.print(object("CheckReport", report), t); err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return silent(fault.KindOf(err))
	}
	return nil
}
