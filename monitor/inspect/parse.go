package inspect

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"cw/schema"
)

//go:embed rules.yaml
var builtin []byte

// Builtin are the rules that cw comes with.
func Builtin() ([]Rule, error) { return Parse("cw's rules.yaml", builtin) }

// Keys describe a file of rules.
func Keys() schema.Key {
	rule := schema.Key{Type: schema.Map, Required: true, Keys: []schema.Key{
		{Name: "name", Required: true, Example: "table.bloat", Doc: "How reports and --skip call it; a rule of a later file replaces one of the same name."},
		{Name: "title", Required: true, Example: "Tables with many dead rows", Doc: "What it finds, for people."},
		{Name: "engines", Type: schema.List, Elem: &schema.Key{Type: schema.Enum, Enum: []string{"postgres", "greenplum", "cloudberry"}}, Doc: "Where it applies; left out: everywhere."},
		{Name: "scope", Type: schema.Enum, Enum: []string{string(Cluster), string(Database)}, Default: string(Cluster), Doc: "Asked once, or in every database."},
		{Name: "sql", Required: true, Example: "select relname as object, 0.3 as value from pg_class", Doc: "A question whose rows have object, and if they like value (a number) and detail."},
		{Name: "needs", Example: "pg_stat_statements", Doc: "A relation or extension without which it is left out."},
		{Name: "superuser", Type: schema.Bool, Default: "false", Doc: "Asked as the superuser where the usual connection is not: for what others see only in part. What is refused to it is asked so anyway."},
		{Name: "from", Type: schema.Int, Example: "130000", Doc: "The least server version, as server_version_num."},
		{Name: "to", Type: schema.Int, Example: "170000", Doc: "The first server version for which it is not."},
		{Name: "warn", Example: "0.2", Doc: "From this value on it is a warning."},
		{Name: "critical", Example: "0.5", Doc: "From this value on it is critical."},
		{Name: "below", Type: schema.Bool, Default: "false", Doc: "Small values are the bad ones."},
		{Name: "unit", Type: schema.Enum, Enum: []string{string(Bytes), string(Seconds), string(Share), "count"}, Default: "count", Doc: "What value is."},
		{Name: "severity", Type: schema.Enum, Enum: []string{string(Notice), string(Warning), string(Critical)}, Default: string(Warning), Doc: "Of every row, where there are no bounds."},
		{Name: "remedy", Required: true, Example: "vacuum analyze {object}", Doc: "The next step; {object}, {database} and {value} are replaced."},
		{Name: "watch", Type: schema.Bool, Default: "false", Doc: "A monitor asks it every minute, and alerts; rules that do have to be cheap."},
	}}
	return schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "apiVersion", Type: schema.Enum, Enum: []string{"cw/v1"}, Required: true, Example: "cw/v1", Doc: "Version of the file format."},
		{Name: "kind", Type: schema.Enum, Enum: []string{"InspectionRules"}, Required: true, Example: "InspectionRules", Doc: "What the file is."},
		{Name: "rules", Type: schema.List, Required: true, Elem: &rule, Doc: "The rules, in the order in which they are asked."},
	}}
}

type ruleFile struct {
	Rules []ruleEntry `yaml:"rules"`
}

type ruleEntry struct {
	Name, Title, SQL, Needs, Remedy string
	Scope                           Scope
	Severity                        Severity
	Unit                            Unit
	Engines                         []string
	From, To                        int
	Below, Watch, Superuser         bool
	Warn, Critical                  yaml.Node
}

// Parse reads a file of rules; all that is wrong with it is told at once.
func Parse(file string, data []byte) ([]Rule, error) {
	node, problems := schema.Check(file, data, Keys())
	if problems.Err() != nil {
		return nil, problems.Err()
	}
	var in ruleFile
	if err := node.Decode(&in); err != nil {
		return nil, schema.Problems{{File: file, Message: err.Error()}}
	}
	var out []Rule
	seen := map[string]bool{}
	for i, e := range in.Rules {
		path := "rules[" + strconv.Itoa(i) + "]"
		r := Rule{
			Name: e.Name, Title: e.Title, Engines: e.Engines, Scope: e.Scope, SQL: strings.TrimSpace(e.SQL), Needs: e.Needs, From: e.From, To: e.To,
			Below: e.Below, Superuser: e.Superuser, Unit: e.Unit, Severity: e.Severity, Remedy: strings.TrimSpace(e.Remedy), Watch: e.Watch, File: file,
		}
		if r.Scope == "" {
			r.Scope = Cluster
		}
		if r.Severity == "" {
			r.Severity = Warning
		}
		if r.Unit == "count" {
			r.Unit = Plain
		}
		r.Warn = bound(file, path+".warn", &e.Warn, &problems)
		r.Critical = bound(file, path+".critical", &e.Critical, &problems)
		add := func(message string) {
			problems = append(problems, schema.Problem{File: file, Path: path, Message: path + ": " + message})
		}
		if seen[r.Name] {
			add("a rule " + r.Name + " is there already")
		}
		seen[r.Name] = true
		if strings.Contains(strings.TrimSuffix(r.SQL, ";"), ";") {
			add("sql has more than one statement")
		}
		if r.Warn != nil && r.Critical != nil && (*r.Warn > *r.Critical) != r.Below && *r.Warn != *r.Critical {
			add("critical is reached before warn: exchange them, or say below: true")
		}
		out = append(out, r)
	}
	return out, problems.Err()
}

func bound(file, path string, n *yaml.Node, problems *schema.Problems) *float64 {
	if n.IsZero() {
		return nil
	}
	v, err := strconv.ParseFloat(n.Value, 64)
	if err != nil {
		*problems = append(*problems, schema.Problem{File: file, Line: n.Line, Col: n.Column, Path: path, Message: path + " wants a number, found " + strconv.Quote(n.Value)})
	}
	return &v
}

// Merge puts a DBA's rules after the built-in ones; one of the same name takes
// its place.
func Merge(base, own []Rule) []Rule {
	out := make([]Rule, 0, len(base)+len(own))
	for _, r := range base {
		replaced := false
		for _, o := range own {
			replaced = replaced || o.Name == r.Name
		}
		if !replaced {
			out = append(out, r)
		}
	}
	return append(out, own...)
}

// Watched are the rules that a monitor asks.
func Watched(all []Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(all), func(r Rule) bool { return !r.Watch })
}
