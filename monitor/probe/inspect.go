package probe

import (
	"fmt"
	"slices"
	"strings"

	"cw/monitor"
	"cw/monitor/inspect"
	"cw/state"
)

// Inspections are the rules of an inspection that a monitor asks, with the
// bounds that the configuration gives them.
func Inspections(all []inspect.Rule, rules Rules) []inspect.Rule {
	var out []inspect.Rule
	for _, r := range inspect.Watched(all) {
		own, _ := rules(monitor.InspectPrefix + r.Name)
		if own.Off {
			continue
		}
		if own.Warn != 0 {
			r.Warn = &own.Warn
		}
		if own.Critical != 0 {
			r.Critical = &own.Critical
		}
		out = append(out, r)
	}
	return out
}

// Findings makes conditions of what an inspection found: one a rule and
// database, which names the worst.
func Findings(cluster string, r *inspect.Result) (found []monitor.Condition, blind []monitor.Blind) {
	for _, o := range r.Omitted {
		blind = append(blind, monitor.Blind{Rule: monitor.InspectPrefix + o.Rule, Object: o.Database})
	}
	type key struct{ rule, database string }
	var order []key
	all := map[key][]inspect.Finding{}
	for _, f := range r.Findings {
		k := key{f.Rule, f.Database}
		if all[k] == nil {
			order = append(order, k)
		}
		all[k] = append(all[k], f)
	}
	for _, k := range order {
		list := all[k] // the worst are first
		c := monitor.Condition{Rule: monitor.InspectPrefix + k.rule, Severity: state.Warning, Cluster: cluster, Object: k.database, Remedy: list[0].Remedy}
		if slices.ContainsFunc(list, func(f inspect.Finding) bool { return f.Severity == inspect.Critical }) {
			c.Severity = state.Critical
		}
		const named = 3
		var parts []string
		for _, f := range list[:min(len(list), named)] {
			parts = append(parts, strings.TrimSuffix(f.Object+" ("+f.Text+")", " ()"))
		}
		if n := len(list) - named; n > 0 {
			parts = append(parts, fmt.Sprintf("%d more", n))
		}
		where := "cluster " + cluster
		if k.database != "" {
			where = "database " + k.database + " of " + where
		}
		c.Message = fmt.Sprintf("%s, %s: %s", where, lower(list[0].Title), strings.Join(parts, "; "))
		c.Remedy = strings.ReplaceAll(c.Remedy, "CLUSTER", cluster)
		found = append(found, c)
	}
	return found, blind
}

func lower(s string) string {
	if s == "" || s[0] < 'A' || s[0] > 'Z' || len(s) > 1 && s[1] >= 'A' && s[1] <= 'Z' {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
