package commands

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"cw/cluster"
	"cw/loadspec"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/monitor/report"
	"cw/perfcheck"
	"cw/schema"
)

// validators are all of cw's schemas as somebody else's validator reads them.
func validators(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	all := map[string]*jsonschema.Schema{}
	for _, kind := range schemaKinds() {
		var text bytes.Buffer
		if err := writeSchema(&text, schemaOf(kind)); err != nil {
			t.Fatal(err)
		}
		all[kind] = validator(t, text.Bytes())
	}
	return all
}

func validator(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("s.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is what an editor gives to its validator; false for YAML that is no
// JSON, as with keys that are lists.
func asJSON(t *testing.T, node *yaml.Node) (any, bool) {
	t.Helper()
	var v any
	if err := node.Decode(&v); err != nil {
		return nil, false
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	return doc, err == nil
}

var fence = regexp.MustCompile("(?ms)^ *```ya?ml\n(.*?)^ *```")

// yamlSamples are the YAML files of the repository: what cw writes itself, what
// the pages show and what tests use.
func yamlSamples(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{
		"cluster init":           cluster.Sample(),
		"cluster init greenplum": cluster.SampleFor(cluster.SampleOptions{Kind: cluster.Greenplum, Standby: true, Segments: 2, Hosts: []string{"a", "b", "c", "d"}}),
		"cluster init one host":  cluster.SampleFor(cluster.SampleOptions{Name: "x", Hosts: []string{"10.0.0.1"}}),
		"load init":              loadspec.Template("public.t", "s3://b/*.csv"),
		"monitor init":           monitor.Sample(),
		"config":                 "store: postgres://cw@db/cw\noutput: json\nprogress: plain\n",
	}
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	rules := string(read("../monitor/inspect/rules.yaml"))
	all["rules.yaml"] = strings.Join(strings.SplitAfterN(rules, "\n  - name:", 7)[:6], "")
	all["rules.yaml"] = strings.TrimSuffix(all["rules.yaml"], "\n  - name:")
	scripts, _ := filepath.Glob("testdata/*/*.txtar")
	for _, path := range scripts {
		for _, f := range txtar.Parse(read(path)).Files {
			if strings.HasSuffix(f.Name, ".yaml") || strings.HasSuffix(f.Name, ".yml") {
				all[path+" "+f.Name] = string(f.Data)
			}
		}
	}
	pages, _ := filepath.Glob("../docs/*.md")
	for _, path := range append(pages, "../README.md") {
		for i, m := range fence.FindAllSubmatch(read(path), -1) {
			all[path+" block "+string(rune('a'+i))] = string(m[1])
		}
	}
	return all
}

// mostVariants bounds what one sample costs.
const mostVariants = 60

// TestSchemasAgreeWithTheParser gives every sample, and every sample with one
// thing changed, to the parser's table and to the schema: what the one
// refuses, the other has to refuse.
func TestSchemasAgreeWithTheParser(t *testing.T) {
	t.Parallel()
	schemas := validators(t)
	valid, changed, refused := map[string]int{}, 0, 0
	for name, text := range yamlSamples(t) {
		for kind, key := range explained() {
			if _, problems := schema.Check(name, []byte(text), key); len(problems) > 0 {
				agree(t, schemas[kind], key, kind+" "+name, []byte(text))
				continue
			}
			valid[kind]++
			agree(t, schemas[kind], key, kind+" "+name, []byte(text))
			all := variants(t, text)
			// Of the long ones not every line: they are of one kind.
			step := 1 + len(all)/mostVariants
			for i := 0; i < len(all); i += step {
				v := all[i]
				changed++
				if !agree(t, schemas[kind], key, kind+" "+name, v) {
					refused++
				}
			}
		}
	}
	for _, kind := range []string{"topology", "loadspec", "unloadspec", "monitor", "rules", "config"} {
		if valid[kind] == 0 {
			t.Errorf("no sample of %s is valid", kind)
		}
	}
	t.Logf("valid samples %v; %d changed ones, %d of them refused by both", valid, changed, refused)
	if changed < 500 || refused < 200 {
		t.Errorf("%d changed samples, %d refused: that is too few to say much", changed, refused)
	}
}

// agree tells what both say.
func agree(t *testing.T, s *jsonschema.Schema, key schema.Key, what string, text []byte) bool {
	t.Helper()
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return false
	}
	v, ok := asJSON(t, doc.Content[0])
	if !ok {
		return false // no editor gets as far as the schema
	}
	_, problems := schema.Check(what, text, key)
	err := s.Validate(v)
	if (err == nil) != (len(problems) == 0) {
		t.Errorf("%s\nparser: %v\nschema: %v\n%s", what, problems, err, text)
	}
	return err == nil
}

// variants are a sample with one thing changed: a key misspelt, left out, in
// upper or lower case, or a value of another type.
func variants(t *testing.T, text string) [][]byte {
	t.Helper()
	var out [][]byte
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	emit := func() {
		data, err := yaml.Marshal(&root)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			for i := 0; i < len(n.Content); i += 2 {
				name := n.Content[i].Value
				for _, other := range []string{name + "x", strings.ToUpper(name), strings.ToLower(name)} {
					n.Content[i].Value = other
					emit()
				}
				n.Content[i].Value = name
				all := n.Content
				n.Content = append(append([]*yaml.Node{}, all[:i]...), all[i+2:]...)
				emit()
				n.Content = all
			}
		}
		for i, c := range n.Content {
			if c.Kind == yaml.ScalarNode && (n.Kind != yaml.MappingNode || i%2 == 1) {
				for _, value := range []*yaml.Node{
					{Kind: yaml.ScalarNode, Tag: "!!str", Value: "no such thing"},
					{Kind: yaml.ScalarNode, Tag: "!!int", Value: "7"},
					{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"},
					{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"},
					{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "x"}}},
					{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "x"}, {Kind: yaml.ScalarNode, Tag: "!!str", Value: "y"}}},
				} {
					n.Content[i] = value
					emit()
				}
				n.Content[i] = c
			}
			visit(c)
		}
	}
	visit(root.Content[0])
	return out
}

// TestWhatSchemasCannotSay is the list of what the parsers refuse and a schema
// takes, because it needs more than one value, or the world, to be judged.
func TestWhatSchemasCannotSay(t *testing.T) {
	t.Parallel()
	schemas := validators(t)
	topology := func(hosts, more string) string {
		return "apiVersion: cw/v1\nkind: Cluster\nname: dw1\nengine: {kind: postgres, version: 15}\ndatabase: {name: w, admin: a}\nssh: {user: u}\n" + more + "hosts:\n" + hosts
	}
	load := func(more string) string {
		return "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: [/x]}\n  OUTPUT:\n    - TABLE: t\n" + more
	}
	const one = "  - {name: a, address: 10.0.0.1, roles: [coordinator]}\n"
	for _, c := range []struct {
		kind, why, text string
		schemaSays      bool
	}{
		{"topology", "valid", topology(one, ""), false},
		{"topology", "a key that is not known", topology(one, "colour: red\n"), true},
		{"topology", "an enum", topology(one, "node_type: fast\n"), true},
		{"topology", "two hosts of one name", topology(one+one, ""), false},
		{"topology", "no coordinator", topology("  - {name: a, address: 10.0.0.1, roles: [standby]}\n", ""), false},
		{"topology", "a role that there is not", topology("  - {name: a, address: 10.0.0.1, roles: [king]}\n", ""), true},
		{"topology", "a name that is no file name", strings.Replace(topology(one, ""), "name: dw1", "name: ../dw1", 1), false},
		{"topology", "a port that there is not", strings.Replace(topology(one, ""), "name: w,", "name: w, port: 99999,", 1), false},
		{"loadspec", "a time of day that there is not", load("  SPEED: {SCHEDULE: [{FROM: '25:00', TO: '08:00', LIMIT: 1MB/s}]}\n"), false},
		{"loadspec", "a rate of nothing", load("  SPEED: {LIMIT: 0MB/s}\n"), false},
		{"loadspec", "a list where a mapping belongs", load("  SPEED: [LIMIT]\n"), true},
		{"loadspec", "merge without its columns", "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: [/x]}\n  OUTPUT:\n    - TABLE: t\n    - MODE: merge\n", false},
		{"monitor", "a route to nobody", "apiVersion: cw/v1\nkind: Monitor\nroutes:\n  - receivers: [nobody]\n", false},
		{"monitor", "a key that is not known", "apiVersion: cw/v1\nkind: Monitor\nroute: []\n", true},
		{"rules", "a rule of its own without a question", "apiVersion: cw/v1\nkind: InspectionRules\nrules:\n  - {name: a.b, title: T}\n", true},
	} {
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(c.text), &doc); err != nil {
			t.Fatal(err)
		}
		v, _ := asJSON(t, doc.Content[0])
		parsed, said := parseKind(c.kind, c.text), schemas[c.kind].Validate(v)
		if (parsed != nil) != (c.why != "valid") {
			t.Errorf("%s, %s: the parser says %v", c.kind, c.why, parsed)
		}
		if (said != nil) != c.schemaSays {
			t.Errorf("%s, %s: the schema says %v; if it can say that now, write so here", c.kind, c.why, said)
		}
	}
}

// parseKind is the parser with all its rules.
func parseKind(kind, text string) error {
	var err error
	switch kind {
	case "topology":
		_, err = cluster.Parse("x", []byte(text))
	case "loadspec":
		_, err = loadspec.Parse("x", []byte(text))
	case "monitor":
		_, err = monitor.Parse("x", []byte(text))
	case "rules":
		_, err = inspect.Parse("x", []byte(text))
	}
	return err
}

// TestReportSchemas validates reports as they are printed, full and nearly
// empty, and refuses what no report says.
func TestReportSchemas(t *testing.T) {
	t.Parallel()
	schemas := validators(t)
	perf := func() perfcheck.Report {
		return perfcheck.Report{
			APIVersion: apiVersion, Kind: "PerfReport", Verdict: perfcheck.Warn,
			Hosts: []perfcheck.Host{{Name: "h"}},
			Tests: []perfcheck.Test{{ID: "cpu.x", Area: perfcheck.CPU, Verdict: perfcheck.Pass, Metrics: map[string]perfcheck.Metric{"ops": {Unit: "1/s", Better: perfcheck.Higher}}}},
		}
	}
	wrong := perf()
	wrong.Tests[0].Verdict = "splendid"
	inspected := &report.Report{Cluster: "dw1", MadeAt: time.Unix(0, 0), Findings: []inspect.Finding{{Rule: "r", Severity: inspect.Critical}}}
	badly := &report.Report{Findings: []inspect.Finding{{Severity: "dreadful"}}}
	for _, c := range []struct {
		kind string
		doc  any
		ok   bool
	}{
		{"perf-report", perf(), true},
		{"perf-report", perfcheck.Report{APIVersion: apiVersion, Kind: "PerfReport", Verdict: perfcheck.Skipped}, true},
		{"perf-report", wrong, false},
		{"perf-report", object("PerfPlan", struct{}{}), false},
		{"report", object(report.Kind, inspected), true},
		{"report", object(report.Kind, badly), false},
		{"report", inspected, false}, // without apiVersion and kind
	} {
		data, err := json.Marshal(c.doc)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schemas[c.kind].Validate(v); (err == nil) != c.ok {
			t.Errorf("%s: %v\n%s", c.kind, err, data)
		}
	}
}
