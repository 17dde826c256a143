package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cw/loadspec"
	"cw/loadspec/run"
)

func newLoadErrors(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "errors JOB", Short: "Show the rows that a load has rejected", Args: args(1, 1),
		Long: `Show the rows that a load has rejected, with object, line, reason and text. They
are kept in the table cw.load_errors of the target database. Those of a load
that failed because there were too many are shown as not loaded around: nothing
of their statement was committed.` + exitHelp(4, 5),
		Example: `  cw load errors l7q2mx4
  cw load errors l7q2mx4 -o csv > rejected.csv`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.loadErrors(cmd.Context(), args[0]) },
	}
}

// rejectedDoc is a rejected row in JSON.
type rejectedDoc struct {
	Object string `json:"object"`
	Line   int64  `json:"line"`
	Offset int64  `json:"offset"`           // bytes
	Column string `json:"column,omitempty"` // where it is about one
	Reason string `json:"reason"`
	Row    string `json:"row"`
	Loaded bool   `json:"loaded_around"` // the rows around it are in the table
}

func (a *App) loadErrors(ctx context.Context, id string) error {
	j, err := a.job(ctx, id)
	if err != nil {
		return err
	}
	if j.Kind == kindUnload {
		return usagef("cw load show "+id, "%s is an unload: it rejects no rows", id)
	}
	var spec *loadspec.Spec
	if spec, err = run.StoredSpec(j); err != nil {
		return err
	}
	rows, err := run.Rejected(ctx, spec, id)
	if err != nil {
		return err
	}
	t, docs := table{cols: cols("OBJECT", "LINE", "REASON", "ROW", "+COLUMN", "+OFFSET", "+LOADED AROUND")}, []rejectedDoc{}
	for _, r := range rows {
		t.add(r.Object, fmt.Sprint(r.Line), r.Reason, r.Row, r.Column(), fmt.Sprint(r.Offset), fmt.Sprint(r.Loaded))
		docs = append(docs, rejectedDoc{r.Object, r.Line, r.Offset, r.Column(), r.Reason, r.Row, r.Loaded})
	}
	if len(rows) == 0 {
		a.infof("load %s has rejected no rows", id)
	}
	return a.print(list("RejectedRowList", docs), t)
}
