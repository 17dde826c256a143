package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/schema"
)

// questionLimit is how long one question may take: an inspection must not
// become the load that it reports.
const questionLimit = 30 * time.Second

// most is how many findings of one rule are kept in each database; the rest is
// counted.
const most = 50

// Run asks all rules that fit the engine and the version, and tries how good
// the passwords are. A question that fails is left out with its reason; only a
// server that does not answer at all is an error.
func Run(ctx context.Context, s Server, engine string, rules []Rule) (*Result, error) {
	r, err := Questions(ctx, s, engine, rules)
	if err != nil {
		return r, err
	}
	weak, err := passwords(ctx, s)
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case err != nil:
		r.Omitted = append(r.Omitted, Omitted{Rule: weakPassword, Reason: err.Error()})
	default:
		r.Asked++
		r.Findings = append(r.Findings, weak...)
	}
	worstFirst(r.Findings)
	return r, nil
}

func worstFirst(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(rank(b.Severity), rank(a.Severity)) })
}

// Questions is Run without the passwords: what may be asked every minute.
func Questions(ctx context.Context, s Server, engine string, rules []Rule) (*Result, error) {
	facts, err := s.Facts(ctx)
	if err != nil {
		return nil, err
	}
	// A database is gone through with all its rules before the next one: it is
	// a connection each. Answers come in the order of the rules.
	got := make([]Result, len(rules))
	for _, db := range append([]string{""}, facts.Databases...) {
		for i, rule := range rules {
			if (rule.Scope == Database) == (db == "") || !rule.fits(engine, facts.Version) || ctx.Err() != nil {
				continue
			}
			found, reason := ask(ctx, s, rule, db)
			if reason != "" {
				got[i].Omitted = append(got[i].Omitted, Omitted{rule.Name, db, reason})
				continue
			}
			got[i].Asked = 1
			got[i].Findings = append(got[i].Findings, found...)
		}
	}
	r := &Result{Findings: []Finding{}}
	for _, g := range got {
		r.Findings, r.Omitted, r.Asked = append(r.Findings, g.Findings...), append(r.Omitted, g.Omitted...), r.Asked+g.Asked
	}
	worstFirst(r.Findings)
	return r, context.Cause(ctx)
}

// fits tells whether a rule is for this engine and version.
func (r Rule) fits(engine string, version int) bool {
	return (len(r.Engines) == 0 || slices.Contains(r.Engines, engine)) && version >= r.From && (r.To == 0 || version < r.To)
}

func rank(s Severity) int { return slices.Index([]Severity{Notice, Warning, Critical}, s) }

// ask asks one rule in one database.
func ask(ctx context.Context, s Server, rule Rule, db string) (found []Finding, omitted string) {
	if rule.Needs != "" {
		ok, err := s.Has(ctx, db, rule.Needs)
		if err != nil {
			return nil, err.Error()
		}
		if !ok {
			return nil, rule.Needs + " is not there"
		}
	}
	question := s.Ask
	if more, ok := s.(interface {
		AskSuperuser(ctx context.Context, database, sql string, limit time.Duration) ([]Answer, error)
	}); ok && rule.Superuser {
		question = more.AskSuperuser
	}
	answers, err := question(ctx, db, rule.SQL, questionLimit)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Sprintf("it took longer than %s", questionLimit)
	}
	if err != nil {
		return nil, err.Error()
	}
	for _, a := range answers {
		severity, bad := rule.judge(a.Value)
		if !bad {
			continue
		}
		f := Finding{
			Rule: rule.Name, Title: rule.Title, Severity: severity, Database: db, Object: a.Object, Value: a.Value, Unit: rule.Unit,
			Text: strings.TrimSpace(strings.Join(nonEmpty(rule.Unit.Text(a.Value), a.Detail), ", ")),
		}
		f.Remedy = strings.NewReplacer("{object}", a.Object, "{database}", db, "{value}", rule.Unit.Text(a.Value)).Replace(rule.Remedy)
		found = append(found, f)
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return worse(rule, a, b) })
	if n := len(found); n > most {
		found = found[:most]
		found[most-1].Text += fmt.Sprintf(" (and %d more)", n-most)
	}
	return found, ""
}

// worse orders findings of a rule: the worst first.
func worse(rule Rule, a, b Finding) int {
	if c := cmp.Compare(rank(b.Severity), rank(a.Severity)); c != 0 || a.Value == nil || b.Value == nil {
		return c
	}
	if rule.Below {
		return cmp.Compare(*a.Value, *b.Value)
	}
	return cmp.Compare(*b.Value, *a.Value)
}

// judge says how bad a value is.
func (r Rule) judge(v *float64) (Severity, bool) {
	if r.Warn == nil && r.Critical == nil {
		return r.Severity, true
	}
	if v == nil {
		return "", false
	}
	beyond := func(bound *float64) bool {
		return bound != nil && (!r.Below && *v >= *bound || r.Below && *v <= *bound)
	}
	switch {
	case beyond(r.Critical):
		return Critical, true
	case beyond(r.Warn):
		return Warning, true
	}
	return "", false
}

// Text writes a value for people.
func (u Unit) Text(v *float64) string {
	if v == nil {
		return ""
	}
	switch u {
	case Bytes:
		return schema.FormatSize(int64(*v))
	case Seconds:
		return (time.Duration(*v) * time.Second).String()
	case Share:
		return fmt.Sprintf("%.3g %%", 100**v)
	}
	return fmt.Sprintf("%.6g", *v)
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
