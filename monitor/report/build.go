package report

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/monitor/inspect"
	"cw/state"
)

// Store is what a report reads from cw's store.
type Store interface {
	Samples(ctx context.Context, cluster, metric string, since time.Time) ([]state.Sample, error)
	Alerts(ctx context.Context, f state.AlertFilter) ([]state.Alert, error)
	RecentJobs(ctx context.Context, since time.Time) ([]state.Job, error)
	Who() string
}

// Options say what a report is about and who answers its questions.
type Options struct {
	Cluster string
	Engine  string // postgres, greenplum, cloudberry: what the store says
	Now     time.Time
	Limit   time.Duration // for the whole report; 0 is DefaultLimit
	Rules   []inspect.Rule
	Skip    []string // patterns of rules, as of path.Match
	Only    []string // sections; none is all
	Redact  func(string) string

	Status  func(ctx context.Context) (cluster.Status, error)
	Connect Connect
	// Superuser is asked what Connect's user may not; nil is none.
	Superuser Superuser
	Store     Store
	// Differ tells settings that are not in force or not the same on all nodes.
	Differ func(ctx context.Context) ([]Setting, error)
}

// DefaultLimit is how long a report may take.
const DefaultLimit = 5 * time.Minute

// Back is how far loads and alerts are looked back at, and HistoryDays how far
// samples are.
const (
	BackDays    = 30
	historyDays = 90
)

var clusterWord = regexp.MustCompile(`(\bcw [a-z]+(?: [a-z]+)* )CLUSTER\b`)

// builder is a report that is being made.
type builder struct {
	o   Options
	r   *Report
	ask *inspect.Postgres
	// version is the server's; 0 until it answered.
	version   int
	databases []string
	noAnswer  error // why the database cannot be asked
}

// Build makes a report. A section that cannot be had carries its reason and
// fails nothing; the error is only that of ctx.
func Build(ctx context.Context, o Options) (*Report, error) {
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	b := &builder{o: o, ask: &inspect.Postgres{Connect: o.Connect, Superuser: o.Superuser}, r: &Report{
		Cluster: o.Cluster, Engine: cluster.EngineStatus{Kind: o.Engine}, MadeAt: o.Now.UTC().Truncate(time.Second), By: o.Store.Who(),
		Missing: []Missing{}, Findings: []inspect.Finding{}, Omitted: []inspect.Omitted{}, Tables: []Table{}, Queries: []Query{},
		Settings: []Setting{}, Roles: []Role{}, Alerts: []state.Alert{},
	}}
	whole := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("the report was to take %s at most", o.Limit))
	defer cancel()
	defer b.ask.Close(whole)
	b.health(ctx)
	b.facts(ctx)
	b.capacity(ctx)
	b.loads(ctx)
	b.alerts(ctx)
	for _, s := range []struct {
		name string
		fill func(context.Context) error
	}{
		{SectionBackup, b.backup},
		{SectionSettings, b.settings},
		{SectionRoles, b.roles},
		{SectionQueries, b.queries},
		{SectionTables, b.tables},
		{SectionFindings, b.findings},
	} {
		b.section(ctx, s.name, s.fill)
	}
	b.own()
	b.r.summarise()
	return b.r, context.Cause(whole)
}

func (b *builder) wants(section string) bool {
	return len(b.o.Only) == 0 || slices.Contains(b.o.Only, section)
}

// section fills one that asks the database.
func (b *builder) section(ctx context.Context, name string, fill func(context.Context) error) {
	if !b.wants(name) {
		return
	}
	err := b.noAnswer
	if err == nil {
		err = fill(ctx)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		b.missing(name, "", err)
	}
	if name == SectionBackup && err != nil && b.r.Backup == nil {
		b.r.Backup = &Backup{WhyNot: b.o.Redact(err.Error())}
	}
}

func (b *builder) missing(section, database string, err error) {
	if err != nil {
		b.r.Missing = append(b.r.Missing, Missing{section, database, b.o.Redact(err.Error())})
	}
}

// health is asked also where its section is not wanted: it says the version.
func (b *builder) health(ctx context.Context) {
	st, err := b.o.Status(ctx)
	if err != nil {
		b.missing(SectionHealth, "", err)
		return
	}
	b.r.Engine = st.Engine
	h := &Health{State: st.State, Endpoint: st.Endpoint, Problems: []string{}, Nodes: st.Nodes, Hosts: st.Hosts}
	for _, p := range st.Problems {
		h.Problems = append(h.Problems, b.o.Redact(p))
	}
	h.Endpoint.PasswordFile = "" // of no use to whom a report is sent
	b.r.Health = h
}

// facts tell whether the database can be asked at all.
func (b *builder) facts(ctx context.Context) {
	s, stop := b.server()
	defer stop(ctx)
	facts, err := s.Facts(ctx)
	if err != nil {
		b.noAnswer = err
		b.r.Unreachable = b.o.Redact(err.Error())
		return
	}
	b.version, b.databases = facts.Version, facts.Databases
}

func (b *builder) server() (s *inspect.Postgres, stop func(context.Context)) {
	p := &inspect.Postgres{Connect: b.o.Connect, Superuser: b.o.Superuser}
	return p, p.Close
}

func (b *builder) greenplum() bool { return b.r.Engine.Kind != cluster.Postgres }

// skipped tells whether a rule is not wanted.
func (b *builder) skipped(rule string) bool {
	return slices.ContainsFunc(b.o.Skip, func(pattern string) bool {
		ok, err := path.Match(pattern, rule)
		return ok || err != nil && pattern == rule
	})
}

// findings asks the rules.
func (b *builder) findings(ctx context.Context) error {
	rules := slices.DeleteFunc(slices.Clone(b.o.Rules), func(r inspect.Rule) bool { return b.skipped(r.Name) })
	s, stop := b.server()
	defer stop(ctx)
	got, err := inspect.Run(ctx, s, b.r.Engine.Kind, rules)
	if got != nil {
		for _, f := range got.Findings {
			if b.skipped(f.Rule) {
				continue
			}
			f.Object, f.Text, f.Remedy = b.o.Redact(f.Object), b.o.Redact(f.Text), b.o.Redact(b.named(f.Remedy))
			b.r.Findings = append(b.r.Findings, f)
		}
		for _, o := range got.Omitted {
			o.Reason = b.o.Redact(o.Reason)
			b.r.Omitted = append(b.r.Omitted, o)
		}
		b.r.Asked = got.Asked
	}
	return err
}

// named puts the cluster's name where a rule's remedy has a command of cw.
func (b *builder) named(remedy string) string {
	return clusterWord.ReplaceAllString(remedy, "${1}"+strings.ReplaceAll(b.o.Cluster, "$", "$$"))
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
