package commands

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/monitor/alert"
	"cw/monitor/run"
	"cw/schema"
	"cw/state"
)

func newMonitorStatus(a *App) *cobra.Command {
	var exitCode bool
	c := &cobra.Command{
		Use: "status", Short: "Show who watches, what fires, and who could not be told", Args: noArgs,
		Long: `Show which monitor acts and which stand by, the clusters and how they were seen
last, the alerts that fire, and the receivers that could not be told within the
last day. All of it is in the store: no host is asked.` + exitHelp(5, 8),
		Example: `  cw monitor status
  cw monitor status -o json | jq -r '.alerts[].message'
  cw monitor status --exit-code || page-the-dba`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.monitorStatus(cmd.Context(), exitCode) },
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 8 when an alert fires, or no monitor acts")
	return c
}

// watcherDoc is a monitor.
type watcherDoc struct {
	Name   string    `json:"name"`
	Role   string    `json:"role"`
	Since  time.Time `json:"since"`
	SeenAt time.Time `json:"seen_at"`
}

// watchedDoc is a cluster as a monitor saw it.
type watchedDoc struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Detail  string    `json:"detail,omitempty"`
	Watched bool      `json:"watched"`
	Since   time.Time `json:"since,omitzero"`
	SeenAt  time.Time `json:"seen_at,omitzero"`
}

// alertDoc is an alert that fires.
type alertDoc struct {
	state.Alert
	Silenced bool `json:"silenced"`
}

// untoldDoc is a receiver that could not be told.
type untoldDoc struct {
	Receiver string    `json:"receiver"`
	State    string    `json:"state"`   // later, failed
	Notices  int       `json:"notices"` // how many
	Tries    int       `json:"tries"`   // the most
	Error    string    `json:"error"`   // the newest
	At       time.Time `json:"at"`
}

type monitorStatusDoc struct {
	Monitors []watcherDoc    `json:"monitors"`
	Clusters []watchedDoc    `json:"clusters"`
	Alerts   []alertDoc      `json:"alerts"`
	Untold   []untoldDoc     `json:"untold"`
	Silences []state.Silence `json:"silences"`
}

func (d monitorStatusDoc) acting() bool {
	return slices.ContainsFunc(d.Monitors, func(w watcherDoc) bool { return w.Role == run.Leading })
}

func (a *App) monitorStatus(ctx context.Context, exitCode bool) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	d, err := readMonitorStatus(ctx, st)
	if err != nil {
		return err
	}
	if a.flags.output == "table" || a.flags.output == "wide" {
		err = a.monitorStatusText(d)
	} else {
		err = a.print(object("MonitorStatus", d), alertTable(d.Alerts))
	}
	if err == nil && exitCode && (len(d.Alerts) > 0 || !d.acting()) {
		return silent(fault.Degraded)
	}
	return err
}

func readMonitorStatus(ctx context.Context, st *state.Store) (monitorStatusDoc, error) {
	d := monitorStatusDoc{Monitors: []watcherDoc{}, Clusters: []watchedDoc{}, Alerts: []alertDoc{}, Untold: []untoldDoc{}}
	now, err := st.Now(ctx)
	if err != nil {
		return d, err
	}
	members, err := st.Members(ctx, "")
	if err != nil {
		return d, err
	}
	seen := map[string]state.Member{}
	for _, m := range members {
		switch m.Kind {
		case state.MemberMonitor:
			d.Monitors = append(d.Monitors, watcherDoc{m.Name, m.State, m.Since, m.SeenAt})
		case state.MemberCluster:
			seen[m.Name] = m
		}
	}
	slices.SortStableFunc(d.Monitors, func(a, b watcherDoc) int { return cmp.Compare(a.Role, b.Role) }) // leading, standby
	clusters, err := st.Clusters(ctx)
	if err != nil {
		return d, err
	}
	for _, c := range clusters {
		w := watchedDoc{Name: c.Name, State: "unknown"}
		if m, ok := seen[c.Name]; ok {
			w = watchedDoc{c.Name, m.State, redact(m.Detail), true, m.Since, m.SeenAt}
		}
		d.Clusters = append(d.Clusters, w)
	}
	if d.Silences, err = st.Silences(ctx); err != nil {
		return d, err
	}
	firing, err := st.Alerts(ctx, state.AlertFilter{Firing: true})
	if err != nil {
		return d, err
	}
	for _, f := range firing {
		f.Message, f.Remedy = redact(f.Message), redact(f.Remedy)
		d.Alerts = append(d.Alerts, alertDoc{f, alert.Silenced(d.Silences, f, now)})
	}
	worstFirst(d.Alerts, func(x alertDoc) state.Alert { return x.Alert })
	sent, err := st.Deliveries(ctx, now.Add(-24*time.Hour))
	d.Untold = untold(sent)
	return d, err
}

func worstFirst[T any](list []T, of func(T) state.Alert) {
	rank := func(x T) int { return slices.Index(state.Severities(), of(x).Severity) }
	slices.SortStableFunc(list, func(a, b T) int {
		return cmp.Or(rank(b)-rank(a), of(a).FiredAt.Compare(of(b).FiredAt), cmp.Compare(of(a).Mark, of(b).Mark))
	})
}

// untold counts what did not arrive, by receiver and what becomes of it. all
// is newest first.
func untold(all []state.Delivery) []untoldDoc {
	out := []untoldDoc{}
	for _, x := range all {
		if x.State != state.TryLater && x.State != state.GivenUp {
			continue
		}
		i := slices.IndexFunc(out, func(u untoldDoc) bool { return u.Receiver == x.Receiver && u.State == x.State })
		if i < 0 {
			i, out = len(out), append(out, untoldDoc{Receiver: x.Receiver, State: x.State, Error: redact(x.Error), At: x.At})
		}
		out[i].Notices++
		out[i].Tries = max(out[i].Tries, x.Tries)
	}
	slices.SortFunc(out, func(a, b untoldDoc) int {
		return cmp.Or(cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.State, b.State))
	})
	return out
}

// monitorStatusText is for people: who watches, then what is wrong, then what
// to do.
func (a *App) monitorStatusText(d monitorStatusDoc) error {
	wide := a.flags.output == "wide"
	w := &textLines{out: a.IO.Out}
	for _, m := range d.Monitors {
		what := "stands by"
		if m.Role == run.Leading {
			what = "acts"
		}
		w.line("monitor %s %s since %s", m.Name, what, m.Since.Local().Format(time.DateTime))
	}
	if !d.acting() {
		w.line("! no monitor acts: start one with cw monitor, or for good with cw monitor --print-unit")
	}
	section := func(title string, t table) {
		if w.err == nil && len(t.rows) > 0 {
			w.line("")
			w.line("%s", title)
			if w.err == nil {
				w.err = printTable(a.IO.Out, t, wide)
			}
		}
	}
	ct := table{cols: cols("CLUSTER", "STATE", "SINCE", "SEEN", "DETAIL")}
	for _, c := range d.Clusters {
		if !c.Watched {
			ct.add(c.Name, "not watched", "", "", "")
			continue
		}
		ct.add(c.Name, c.State, c.Since.Local().Format(time.DateTime), c.SeenAt.Local().Format(time.TimeOnly), oneLine(c.Detail))
	}
	section("Clusters", ct)
	section(count(len(d.Alerts), "alert fires", "alerts fire"), alertTable(d.Alerts))
	if len(d.Alerts) == 0 {
		w.line("")
		w.line("no alert fires")
	}
	ut := table{cols: cols("RECEIVER", "NOTICES", "WHAT NOW", "TRIES", "LAST", "ERROR")}
	for _, u := range d.Untold {
		ut.add(u.Receiver, fmt.Sprint(u.Notices), map[string]string{state.TryLater: "tried again", state.GivenUp: "given up"}[u.State], fmt.Sprint(u.Tries), u.At.Local().Format(time.DateTime), oneLine(u.Error))
	}
	section("Not told within a day (cw monitor test tries a receiver)", ut)
	if n := len(d.Silences); n > 0 {
		w.line("")
		w.line("%s in force: cw monitor silences", count(n, "silence is", "silences are"))
	}
	a.remedies(w, d.Alerts)
	return w.err
}

// remedies says what comes next, once for each.
func (a *App) remedies(w *textLines, alerts []alertDoc) {
	var seen []string
	for _, f := range alerts {
		if f.Remedy != "" && !f.Silenced && !slices.Contains(seen, f.Remedy) {
			if len(seen) == 0 {
				w.line("")
			}
			seen = append(seen, f.Remedy)
			w.line("next: %s", oneLine(f.Remedy))
		}
	}
}

// printAlerts prints alerts that fire.
func (a *App) printAlerts(firing []state.Alert) error {
	docs := []alertDoc{}
	for _, f := range firing {
		f.Message, f.Remedy = redact(f.Message), redact(f.Remedy)
		docs = append(docs, alertDoc{Alert: f})
	}
	worstFirst(docs, func(x alertDoc) state.Alert { return x.Alert })
	human := a.flags.output == "table" || a.flags.output == "wide"
	if human && len(docs) == 0 {
		_, err := fmt.Fprintln(a.IO.Out, "nothing is wrong")
		return err
	}
	if err := a.print(list("AlertList", docs), alertTable(docs)); err != nil || !human {
		return err
	}
	w := &textLines{out: a.IO.Out}
	a.remedies(w, docs)
	return w.err
}

func alertTable(alerts []alertDoc) table {
	t := table{cols: cols("ALERT", "SEVERITY", "RULE", "CLUSTER", "HOST", "FOR", "MESSAGE", "+OBJECT", "+JOB", "+SILENCED", "+FIRED", "+REMEDY")}
	for _, f := range alerts {
		message := oneLine(f.Message)
		silenced := ""
		if f.Silenced {
			silenced, message = "yes", "(silenced) "+message
		}
		t.add(f.ID, f.Severity, f.Rule, f.Cluster, f.Host, schema.FormatSpan(time.Since(f.BeganAt).Round(time.Second)), message, oneLine(f.Object), f.Job, silenced, f.FiredAt.Local().Format(time.RFC3339), oneLine(f.Remedy))
	}
	return t
}

// textLines writes lines until one cannot be written.
type textLines struct {
	out interface{ Write([]byte) (int, error) }
	err error
}

func (w *textLines) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintln(w.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}
