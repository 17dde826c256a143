package commands

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"cw/cluster/redistribute"
	"cw/fault"
	"cw/schema"
)

type expandStatusOptions struct {
	tables bool
	watch  bool
}

func newClusterExpandStatus(a *App) *cobra.Command {
	var o expandStatusOptions
	c := &cobra.Command{
		Use: "status NAME", Short: "Show how far the move of a cluster's tables is", Args: args(1, 1),
		Long: `Show how far the move of a cluster's tables to another number of segments is,
wherever its controller runs: after expand to more, before shrink to fewer.
Without one it tells which tables are on which number of segments. The exit code
is 3 while tables are given up or refused.` + exitHelp(3, 4, 5),
		Example: `  cw cluster expand status dw1
  cw cluster expand status dw1 --tables -o json
  cw cluster expand status dw1 --watch`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.expandStatus(cmd.Context(), args[0], o) },
	}
	c.Flags().BoolVar(&o.tables, "tables", false, "list all tables")
	c.Flags().BoolVar(&o.watch, "watch", false, "look every two seconds while a controller is at work")
	return c
}

// redistribution is the result of expand status.
type redistribution struct {
	Cluster string `json:"cluster"`
	redistribute.Progress
	Items []redistribute.Table `json:"items,omitempty"`
}

const watchInterval = 2 * time.Second

func (a *App) expandStatus(ctx context.Context, name string, o expandStatusOptions) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	p, tables, err := m.RedistributionStatus(ctx, name)
	if err != nil {
		return err
	}
	show := redistributeProgress{p: a.newProgress(), given: map[string]bool{}}
	for o.watch && p.Active {
		show.report(p)
		select {
		case <-time.After(watchInterval):
		case <-ctx.Done():
			show.p.Close()
			return context.Cause(ctx)
		}
		if p, tables, err = m.RedistributionStatus(ctx, name); err != nil {
			show.p.Close()
			return err
		}
	}
	show.p.Close()
	doc := redistribution{Cluster: name, Progress: p}
	if o.tables {
		doc.Items = tables
	}
	if err := a.printRedistribution(doc); err != nil {
		return err
	}
	if len(p.Quarantined)+len(p.Refused) > 0 {
		return silent(fault.Partial)
	}
	return nil
}

// printRedistribution prints a line about the whole, and the tables that were
// asked for, else those that need somebody.
func (a *App) printRedistribution(r redistribution) error {
	t := table{cols: cols("DATABASE", "TABLE", "SIZE", "RANK", "STATE", "SEGMENTS", "ATTEMPTS", "ERROR")}
	rows := r.Items
	if rows == nil {
		rows = append(append(append(rows, r.Moving...), r.Quarantined...), r.Refused...)
	}
	for _, x := range rows {
		t.add(x.Database, x.Name, schema.FormatSize(x.Bytes), strconv.Itoa(x.Rank), x.State, strconv.Itoa(x.Segments), strconv.Itoa(x.Attempts), redact(x.Error))
	}
	if f := a.flags.output; f != "table" && f != "wide" {
		return a.print(object("Redistribution", r), t)
	}
	who := "no controller is at work"
	switch {
	case r.Done():
		who = "done"
	case r.Active && r.Paused:
		who = "paused"
	case r.Active:
		who = "at work"
	}
	line := fmt.Sprintf("%s to %d segments: %s, %s", r.Cluster, r.Target, who, redistributeLine(r.Progress))
	if n := len(r.Quarantined); n > 0 {
		line += fmt.Sprintf("; %d given up", n)
	}
	if n := len(r.Refused); n > 0 {
		line += fmt.Sprintf("; %d refused", n)
	}
	if _, err := fmt.Fprintln(a.IO.Out, line); err != nil {
		return err
	}
	if len(t.rows) > 0 {
		if err := printTable(a.IO.Out, t, a.flags.output == "wide"); err != nil {
			return err
		}
	}
	if !r.Done() && (!r.Active || r.Paused) {
		_, err := fmt.Fprintf(a.IO.Out, "next: cw cluster expand continue %s\n", r.Cluster)
		return err
	}
	return nil
}
