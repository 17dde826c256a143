package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/schema"
	"cw/state"
)

type eventsOptions struct {
	cluster  string
	job      string
	kinds    []string
	severity string
	since    string
	limit    int
	follow   bool
}

func newEvents(a *App) *cobra.Command {
	var o eventsOptions
	c := &cobra.Command{
		Use: "events", Short: "Show what happened to clusters and loads", Args: noArgs,
		Long: `Show what happened to clusters and loads, the newest last: clusters created,
started, recovered, checks that failed, loads with their progress and limits, and
what operators did. cw explain events tells what each type means. --follow goes
on with new ones, within a second, until Ctrl-C; with -o json each event is then
one line.` + exitHelp(5),
		Example: `  cw events --since 1h
  cw events --cluster dw1 --severity warning
  cw events --job l7q2mx4 --type 'load-*' -o json
  cw events --follow -o json | jq -r 'select(.severity == "critical").message'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := o.filter(a.Now())
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("limit") && o.follow && o.since == "" {
				f.Limit = 10 // what a look at the end of something begins with
			}
			return a.events(cmd.Context(), f, o.follow)
		},
	}
	f := c.Flags()
	f.StringVar(&o.cluster, "cluster", "", "only of this cluster")
	f.StringVar(&o.job, "job", "", "only of this load or unload")
	f.StringSliceVar(&o.kinds, "type", nil, "only these types, as fault or load-* (repeat, or separate by commas)")
	f.StringVar(&o.severity, "severity", state.Info, "the mildest severity to show: "+strings.Join(state.Severities(), ", "))
	f.StringVar(&o.since, "since", "", "only those since then: 30m, 2h, 7d, or a time as 2026-11-21T08:00:00Z")
	f.IntVarP(&o.limit, "limit", "n", 100, "at most the newest N, 0 for all (with --follow, to begin with: 10)")
	f.BoolVar(&o.follow, "follow", false, "go on with new events until Ctrl-C")
	return c
}

// filter turns the flags into what the store is asked.
func (o eventsOptions) filter(now time.Time) (state.EventFilter, error) {
	f := state.EventFilter{Cluster: o.cluster, Job: o.job, Limit: o.limit}
	if o.limit < 0 {
		return f, usagef("0 shows all", "--limit %d: at least 0", o.limit)
	}
	least := slices.Index(state.Severities(), o.severity)
	if least < 0 {
		return f, notKnown("--severity", o.severity, state.Severities()...)
	}
	if least > 0 {
		f.Severities = state.Severities()[least:]
	}
	for _, want := range o.kinds {
		kinds, err := eventKinds(want)
		if err != nil {
			return f, err
		}
		f.Kinds = append(f.Kinds, kinds...)
	}
	var err error
	if o.since != "" {
		f.Since, err = parseSince(o.since, now)
	}
	return f, err
}

// eventKinds are the kinds that a --type means: itself, or all that begin so.
func eventKinds(want string) ([]string, error) {
	prefix, open := strings.CutSuffix(want, "*")
	var all, found []string
	for _, k := range state.EventKinds() {
		all = append(all, k.Kind)
		if k.Kind == want || open && strings.HasPrefix(k.Kind, prefix) {
			found = append(found, k.Kind)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	hint := "see the types with: cw explain events"
	if near := schema.Nearest(want, all); near != "" {
		hint = "did you mean " + near + "?"
	}
	return nil, usagef(hint, "--type %q is not known", want)
}

// parseSince reads a time, or how long ago it was.
func parseSince(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 100_000 {
			return now.Add(-time.Duration(n * 24 * float64(time.Hour))), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return now, usagef("write it as 30m, 2h, 7d or 2026-11-21T08:00:00Z", "--since %q is neither a duration nor a time", text)
}

func (a *App) events(ctx context.Context, f state.EventFilter, follow bool) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	if follow {
		return a.followEvents(ctx, st, f)
	}
	found, err := st.Events(ctx, f)
	if err != nil {
		return err
	}
	docs, t := make([]state.Event, 0, len(found)), eventTable()
	for _, e := range found {
		e = shown(e)
		docs = append(docs, e)
		t.add(eventCells(e)...)
	}
	return a.print(list("EventList", docs), t)
}

// shown is an event as it may be shown: events hold what others said, such as
// the text of an error.
func shown(e state.Event) state.Event {
	e.Message = redact(e.Message)
	for k, v := range e.Data {
		e.Data[k] = shownValue(v)
	}
	return e
}

func shownValue(v any) any {
	switch v := v.(type) {
	case string:
		return redact(v)
	case []any:
		for i := range v {
			v[i] = shownValue(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = shownValue(v[k])
		}
	}
	return v
}

func eventTable() table {
	return table{cols: cols("TIME", "SEVERITY", "TYPE", "CLUSTER", "JOB", "HOST", "MESSAGE", "+ID", "+DATA")}
}

func eventCells(e state.Event) []string {
	data := ""
	if len(e.Data) > 0 {
		text, err := json.Marshal(e.Data)
		if err == nil {
			data = string(text)
		}
	}
	return []string{
		e.At.Local().Format(time.RFC3339), e.Severity, e.Kind, e.Cluster, e.Job, e.Host, oneLine(e.Message), strconv.FormatInt(e.ID, 10), data,
	}
}

// oneLine makes what would move the cursor or end the line visible.
func oneLine(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r < ' ' || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
