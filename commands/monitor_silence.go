package commands

import (
	"context"
	"fmt"
	"path"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/monitor/alert"
	"cw/schema"
	"cw/state"
)

type silenceOptions struct {
	cluster, host, rule, how, reason string
}

// silenceMost is how long a silence may last: one that is for ever is a rule
// that is off.
const silenceMost = 90 * 24 * time.Hour

func newMonitorSilence(a *App) *cobra.Command {
	var o silenceOptions
	c := &cobra.Command{
		Use: "silence", Short: "Keep alerts from being told for a while", Args: noArgs, Annotations: mutating(),
		Long: `Keep alerts from being told for a while. They fire all the same, as cw monitor
status and cw events show; what still fires when the silence is over is told then.
The end of an alert that was told before is told also while it is silenced.
Cluster, host and rule are names or patterns; those that are given all have to fit.` + exitHelp(5),
		Example: `  cw monitor silence --cluster dw1 --for 2h --reason 'new disks'
  cw monitor silence --host 'sdw[12]' --rule 'host.*' --for 30m --reason reboot
  cw monitor silence --rule node.lag --for 1d --reason 'known, ticket 4711'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.silence(cmd.Context(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.cluster, "cluster", "", "alerts of this cluster")
	f.StringVar(&o.host, "host", "", "alerts of this host")
	f.StringVar(&o.rule, "rule", "", "alerts of this rule")
	f.StringVar(&o.how, "for", "", "how long: 30m, 2h, 1d")
	f.StringVar(&o.reason, "reason", "", "why, for those who wonder")
	return c
}

func (a *App) silence(ctx context.Context, o silenceOptions) error {
	if o.cluster == "" && o.host == "" && o.rule == "" {
		return usagef("--cluster '*' is everything", "say what is to be silent: --cluster, --host or --rule")
	}
	for flag, p := range map[string]string{"--cluster": o.cluster, "--host": o.host, "--rule": o.rule} {
		if _, err := path.Match(p, ""); err != nil {
			return usagef("write a name, or * and ? for what may be there", "%s %q is not a pattern", flag, p)
		}
	}
	if o.how == "" {
		return usagef("add --for 2h", "say for how long")
	}
	d, err := schema.ParseSpan(o.how)
	if err != nil || d < time.Second || d > silenceMost {
		return usagef("write it as 30m, 2h or 1d", "--for %q: a second to %s", o.how, schema.FormatSpan(silenceMost))
	}
	if o.reason == "" {
		return usagef("add --reason 'new disks'", "say why")
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	q, err := st.AddSilence(ctx, state.Silence{Cluster: o.cluster, Host: o.host, Rule: o.rule, Reason: redact(o.reason)}, d)
	if err != nil {
		return err
	}
	firing, err := st.Alerts(ctx, state.AlertFilter{Firing: true})
	if err != nil {
		return err
	}
	n := 0
	for _, f := range firing {
		if alert.Silenced([]state.Silence{q}, f, q.CreatedAt) {
			n++
		}
	}
	a.infof("silence %s holds until %s; it is about %d of the %d alerts that fire now. To end it: cw monitor unsilence %s", q.ID, q.Until.Local().Format(time.DateTime), n, len(firing), q.ID)
	t := silenceTable()
	t.add(silenceCells(q)...)
	return a.print(object("Silence", q), t)
}

func newMonitorSilences(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "silences", Short: "List the silences that are in force", Args: noArgs,
		Long:    "List the silences that are in force, the next to end first." + exitHelp(5),
		Example: "  cw monitor silences -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			all, err := st.Silences(cmd.Context())
			if err != nil {
				return err
			}
			t := silenceTable()
			for _, q := range all {
				t.add(silenceCells(q)...)
			}
			return a.print(list("SilenceList", all), t)
		},
	}
}

func newMonitorUnsilence(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "unsilence ID", Short: "End a silence before its time", Args: args(1, 1), Annotations: mutating(),
		Long:    "End a silence before its time: what it was about and still fires is told within seconds." + exitHelp(5),
		Example: "  cw monitor unsilence s7q2mx4a",
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			if err := st.EndSilence(cmd.Context(), args[0]); err != nil {
				return fault.Wrap(fault.KindOf(err), fault.HintOf(err), err)
			}
			a.infof("silence %s is over", args[0])
			return nil
		},
	}
}

func silenceTable() table {
	return table{cols: cols("ID", "CLUSTER", "HOST", "RULE", "UNTIL", "BY", "REASON", "+SINCE")}
}

func silenceCells(q state.Silence) []string {
	any := func(s string) string {
		if s == "" {
			return "*"
		}
		return oneLine(s)
	}
	return []string{
		q.ID, any(q.Cluster), any(q.Host), any(q.Rule), q.Until.Local().Format(time.RFC3339), q.Owner, oneLine(redact(q.Reason)), q.CreatedAt.Local().Format(time.RFC3339),
	}
}

// count is a number with its word.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
