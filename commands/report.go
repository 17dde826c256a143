package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/fault"
	"cw/monitor/inspect"
	"cw/monitor/report"
	"cw/schema"
	"cw/state"
)

// reportOptions are the flags of `cw report`.
type reportOptions struct {
	html, markdown string
	rules          []string
	skip, only     []string
	failOn         string
	exitCode       bool
	listRules      bool
}

func newReport(a *App) *cobra.Command {
	var o reportOptions
	c := &cobra.Command{
		Use: "report CLUSTER", Short: "Inspect a cluster and report what is wrong, or soon will be", Args: args(0, 1),
		Long: `Inspect a cluster: its health, disks and when they are full, what rules find in
its databases with what to do about it, largest tables, queries that take the
most time (where pg_stat_statements is), settings away from the profile, roles,
backups as far as they are known, loads and alerts of the last 30 days. Nothing
is changed: questions are asked in read-only transactions that end in time.

A forecast needs the samples that cw monitor keeps. What cannot be had is named
with its reason; a cluster that is down gives a report, too, and exit code 5.

Rules are a table: --list-rules prints it. A DBA's own file adds to them, and
one of the same name replaces a built-in rule (cw explain rules):

  apiVersion: cw/v1
  kind: InspectionRules
  rules:
    - name: orders.stuck
      title: Orders that nobody works on
      scope: database
      needs: public.orders
      sql: select state as object, count(*)::float8 as value from public.orders where state = 'new' group by 1
      warn: 100
      critical: 1000
      remedy: look at the workers of {database}` + exitHelp(5, 6, 8),
		Example: `  cw report dw1
  cw report dw1 --html dw1.html --markdown dw1.md
  cw report dw1 -o json | jq '.findings[] | select(.severity == "critical")'
  cw report dw1 --rules ours.yaml --skip 'index.*' --fail-on critical
  cw report dw1 --section capacity --section backup
  cw report --list-rules -o wide`,
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := o.read()
			if err != nil {
				return err
			}
			if o.listRules {
				return a.listRules(append(append(rules, inspect.Coded()...), report.Own()...))
			}
			if len(args) == 0 {
				return usagef("cw report CLUSTER; the names are in: cw cluster list", "name the cluster to report on")
			}
			return a.report(cmd.Context(), args[0], o, rules)
		},
	}
	f := c.Flags()
	f.StringVar(&o.html, "html", "", "write one page for the browser to this file, - for standard output")
	f.StringVar(&o.markdown, "markdown", "", "write Markdown to this file, - for standard output")
	f.StringArrayVar(&o.rules, "rules", nil, "a file of your own rules; may be given again")
	f.StringArrayVar(&o.skip, "skip", nil, "rules to leave out, as 'index.*'; may be given again")
	f.StringArrayVar(&o.only, "section", nil, "only this section: "+strings.Join(report.Sections(), ", ")+"; may be given again")
	f.StringVar(&o.failOn, "fail-on", "", "exit with 6 when there is a finding of this severity or a worse one: notice, warning, critical")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 8 when the cluster is degraded, 1 when it is down, 5 when unknown")
	f.BoolVar(&o.listRules, "list-rules", false, "print the rules with their bounds, and ask nobody")
	return c
}

// read checks the flags and reads the rules; what is wrong with several files
// is told at once.
func (o *reportOptions) read() ([]inspect.Rule, error) {
	for _, s := range o.only {
		if all := report.Sections(); !slices.Contains(all, s) {
			return nil, notKnown("--section", s, all...)
		}
	}
	for _, s := range o.skip {
		if _, err := path.Match(s, ""); err != nil {
			return nil, usagef("a pattern is like 'index.*'", "--skip %q: %v", s, err)
		}
	}
	if severities := []string{"", string(inspect.Notice), string(inspect.Warning), string(inspect.Critical)}; !slices.Contains(severities, o.failOn) {
		return nil, notKnown("--fail-on", o.failOn, severities...)
	}
	if o.html == "-" && o.markdown == "-" {
		return nil, usagef("write one of them to a file", "--html - and --markdown - both print to standard output")
	}
	for _, file := range []string{o.html, o.markdown} {
		if err := canWrite(strings.TrimPrefix(file, "-")); err != nil {
			return nil, err
		}
	}
	return inspectionRules(o.rules)
}

// inspectionRules are cw's rules with those of a DBA's own files.
func inspectionRules(files []string) ([]inspect.Rule, error) {
	rules, err := inspect.Builtin()
	if err != nil {
		return nil, err
	}
	var problems schema.Problems
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, usagef("name a file of rules: cw explain rules", "read the rules: %w", err)
		}
		own, err := inspect.Parse(file, data)
		var wrong schema.Problems
		switch {
		case errors.As(err, &wrong):
			problems = append(problems, wrong...)
		case err != nil:
			return nil, err
		}
		rules = inspect.Merge(rules, own)
	}
	if len(problems) > 0 {
		return nil, fault.Wrap(fault.Usage, "the keys are in: cw explain rules", problems)
	}
	return rules, nil
}

func (a *App) report(ctx context.Context, name string, o reportOptions, rules []inspect.Rule) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	record, err := m.Store.Cluster(ctx, name)
	if err != nil {
		return err
	}
	r, err := report.Build(ctx, report.Options{
		Cluster: name, Engine: record.Engine, Now: a.Now(), Rules: rules, Skip: o.skip, Only: o.only, Redact: redact, Store: m.Store,
		Status: bind(name, m.Status),
		Connect: func(ctx context.Context, database string) (*pgx.Conn, error) {
			return m.Connect(ctx, name, manage.ConnectOptions{Application: "cw report", Database: database, Log: a.Log})
		},
		Superuser: superuserOf(m, name, record.Engine),
		Differ:    func(ctx context.Context) ([]report.Setting, error) { return differingSettings(ctx, m, name) },
	})
	if err != nil {
		return err
	}
	if err := a.writeReport(r, o); err != nil {
		return err
	}
	return o.verdict(r)
}

// superuserOf asks the superuser of a PostgreSQL on its host, since the admin
// that cw makes is none. Of the other engines Connect is the owner already.
func superuserOf(m *manage.Manager, name, engine string) report.Superuser {
	if engine != cluster.Postgres {
		return nil
	}
	return func(ctx context.Context, database, sql string, limit time.Duration) ([]string, error) {
		// The server ends in time by itself; the way to it may not.
		ctx, cancel := context.WithTimeout(ctx, limit+10*time.Second)
		defer cancel()
		rows, _, err := m.Ask(ctx, name, database, sql, limit)
		return rows, err
	}
}

// bind gives a function of a cluster its name.
func bind[T any](name string, f func(context.Context, string) (T, error)) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) { return f(ctx, name) }
}

// verdict is the exit code that a report has.
func (o reportOptions) verdict(r *report.Report) error {
	if o.failOn != "" && r.AtLeast(inspect.Severity(o.failOn)) {
		return silent(fault.Check)
	}
	if o.exitCode && r.Health != nil {
		if err := degraded(r.Health.State); err != nil {
			return err
		}
	}
	if r.Unreachable != "" {
		return fault.New(fault.Unreachable, "cw cluster status "+r.Cluster, "the report of %s is not whole: %s", r.Cluster, r.Unreachable)
	}
	return nil
}

// differingSettings are what `cw cluster config diff` shows.
func differingSettings(ctx context.Context, m *manage.Manager, name string) ([]report.Setting, error) {
	_, lay, err := m.Topology(ctx, name)
	if err != nil {
		return nil, err
	}
	items, err := m.Settings(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	var silentNodes []string
	known := items[:0:0]
	for _, s := range items {
		if s.Error != "" {
			silentNodes = append(silentNodes, s.Node+" on "+s.Host+": "+s.Error)
			continue
		}
		known = append(known, s)
	}
	var out []report.Setting
	for _, d := range diffSettings(known, lay) {
		for _, same := range groupBy(d.Nodes, sameValue) {
			if d.Reason != diffNodes && same[0].Configured == "" && !same[0].PendingRestart {
				continue // these have what they are to have
			}
			s := report.Setting{Name: d.Name, Value: redact(same[0].Value), Reason: d.Reason, Nodes: someNodes(same)}
			if same[0].Configured != "" {
				s.Source = "in the file: " + redact(same[0].Configured)
			}
			out = append(out, s)
		}
	}
	if len(silentNodes) > 0 {
		err = fmt.Errorf("the settings of some nodes are not known: %s", strings.Join(silentNodes, "; "))
	}
	return out, err
}

// writeReport prints a report in all forms that were asked for.
func (a *App) writeReport(r *report.Report, o reportOptions) error {
	printed := false
	for _, f := range []struct {
		path  string
		write func(io.Writer, *report.Report) error
	}{{o.html, report.WriteHTML}, {o.markdown, report.WriteMarkdown}} {
		switch f.path {
		case "":
			continue
		case "-":
			printed = true
			if err := f.write(a.IO.Out, r); err != nil {
				return err
			}
			continue
		}
		file, err := os.OpenFile(f.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // it names roles and queries
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := errors.Join(f.write(file, r), file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
		a.infof("%s", f.path)
	}
	if printed {
		return nil
	}
	if f := a.flags.output; f == "table" || f == "wide" {
		return report.WriteText(a.IO.Out, r)
	}
	t := table{cols: cols("SEVERITY", "RULE", "DATABASE", "OBJECT", "TEXT", "REMEDY")}
	for _, f := range r.Findings {
		t.add(string(f.Severity), f.Rule, f.Database, f.Object, f.Text, f.Remedy)
	}
	return a.print(object(report.Kind, r), t)
}

// ruleDoc is a rule in JSON.
type ruleDoc struct {
	Name     string   `json:"name"`
	Title    string   `json:"title"`
	Engines  []string `json:"engines,omitempty"`
	Scope    string   `json:"scope"`
	Severity string   `json:"severity,omitempty"` // of all findings; those with bounds have none
	Warn     *float64 `json:"warn,omitempty"`
	Critical *float64 `json:"critical,omitempty"`
	Unit     string   `json:"unit,omitempty"`
	Below    bool     `json:"below,omitempty"`
	From     int      `json:"from,omitempty"`
	To       int      `json:"to,omitempty"`
	Needs    string   `json:"needs,omitempty"`
	SQL      string   `json:"sql,omitempty"`
	Remedy   string   `json:"remedy,omitempty"`
	File     string   `json:"file"`
}

func (a *App) listRules(rules []inspect.Rule) error {
	t := table{cols: cols("RULE", "SCOPE", "WARNING", "CRITICAL", "FINDS", "+ENGINES", "+REMEDY", "+FILE")}
	docs := make([]ruleDoc, 0, len(rules))
	for _, r := range rules {
		d := ruleDoc{
			Name: r.Name, Title: r.Title, Engines: r.Engines, Scope: string(r.Scope), Warn: r.Warn, Critical: r.Critical, Unit: string(r.Unit), Below: r.Below,
			From: r.From, To: r.To, Needs: r.Needs, SQL: r.SQL, Remedy: r.Remedy, File: r.File,
		}
		warn, worst := r.Unit.Text(r.Warn), r.Unit.Text(r.Critical)
		if r.Warn == nil && r.Critical == nil {
			d.Severity = string(r.Severity)
			switch r.Severity {
			case inspect.Warning:
				warn = "any"
			case inspect.Critical:
				worst = "any"
			case inspect.Notice:
				warn = "any (notice)"
			}
		}
		docs = append(docs, d)
		t.add(r.Name, string(r.Scope), warn, worst, r.Title, strings.Join(r.Engines, ","), r.Remedy, r.File)
	}
	return a.print(list("InspectionRuleList", docs), t)
}

var _ report.Store = (*state.Store)(nil)
