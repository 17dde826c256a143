package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cw/loadspec/run"
	"cw/schema"
	"cw/state"
)

func newLoadLimit(a *App) *cobra.Command {
	var group string
	c := &cobra.Command{
		Use: "limit JOB RATE|none", Short: "Change the speed of a load, or of a group of loads", Args: args(0, 2), Annotations: mutating(),
		Long: `Change the speed of a load, also while it runs: the new limit is in force within
a second. It counts bytes read from the source, all workers together.

With --group the limit is for all jobs of that group together (SPEED: GROUP, or
--group of cw load run): those that cannot use their share leave it to the
others. Without arguments the groups are listed.

The lowest of all limits holds: an operator's, the group's, that of SPEED:
SCHEDULE and that of SPEED: ADAPTIVE. cw load show JOB says which.` + exitHelp(5),
		Example: `  cw load limit l7q2mx4 50MB/s
  cw load limit l7q2mx4 none
  cw load limit --group nightly 200MB/s`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case group != "" && len(args) == 1:
				return a.groupLimit(cmd.Context(), group, args[0])
			case group == "" && len(args) == 2:
				return a.loadLimit(cmd.Context(), args[0], args[1])
			case group == "" && len(args) == 0:
				return a.groups(cmd.Context())
			}
			return usagef("cw load limit JOB RATE, or cw load limit --group NAME RATE", "wants a job and a rate, or --group and a rate")
		},
	}
	c.Flags().StringVar(&group, "group", "", "name of a group of jobs, whose limit it is")
	return c
}

// groupDoc is a group in JSON.
type groupDoc struct {
	Name  string `json:"name"`
	Limit int64  `json:"limit"` // bytes per second; 0 none
	Jobs  int64  `json:"jobs"`  // that are being worked on
}

func (a *App) groups(ctx context.Context) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	groups, err := st.Groups(ctx)
	if err != nil {
		return err
	}
	t, docs := table{cols: cols("GROUP", "LIMIT", "JOBS")}, []groupDoc{}
	for _, g := range groups {
		t.add(g.Name, schema.FormatRate(g.Limit), fmt.Sprint(g.Jobs))
		docs = append(docs, groupDoc(g))
	}
	if len(groups) == 0 {
		a.infof("there are no groups: a load is in one by SPEED: {GROUP: NAME} or --group NAME")
	}
	return a.print(list("GroupList", docs), t)
}

func (a *App) groupLimit(ctx context.Context, name, rate string) error {
	limit, err := schema.ParseRate(rate)
	if err != nil {
		return usagef("", "%v", err)
	}
	if _, err := groupFlag(name, ""); err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	if err := st.SetGroupLimit(ctx, name, limit); err != nil {
		return err
	}
	jobs, err := st.GroupJobs(ctx, name, run.PhaseLoad, run.PhaseUnload)
	if err != nil {
		return err
	}
	a.infof("limit of group %s is %s, shared by the %d of its jobs that move rows now", name, schema.FormatRate(limit), len(jobs))
	return nil
}

func (a *App) loadLimit(ctx context.Context, id, rate string) error {
	limit, err := schema.ParseRate(rate)
	if err != nil {
		return usagef("", "%v", err)
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	j, err := run.SetLimit(ctx, st, id, limit)
	if err != nil {
		return err
	}
	if !j.Active() {
		a.infof("load %s is %s: limit %s is for when it is resumed", id, j.State, schema.FormatRate(limit))
		return nil
	}
	// The runner writes the limit it keeps: wait for that.
	for deadline := time.Now().Add(5 * time.Second); !keeps(j, limit) && j.Active() && time.Now().Before(deadline); {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if j, err = st.Job(ctx, id); err != nil {
			return err
		}
	}
	switch {
	case !keeps(j, limit) && j.Active():
		a.warnf("load %s has not taken up the limit yet; it looks for it several times a second", id)
	case j.LimitReason != "" && j.Active():
		a.infof("limit of load %s is %s; it goes at %s now%s", id, schema.FormatRate(limit), schema.FormatRate(j.Limit), because(j.LimitReason))
	default:
		a.infof("limit of load %s is %s", id, schema.FormatRate(limit))
	}
	return nil
}

// keeps tells whether a job has taken up a limit: that is in force, or
// something that is lower.
func keeps(j state.Job, limit int64) bool {
	return j.Limit == limit || j.LimitReason != "" && (limit == 0 || j.Limit <= limit)
}
