package perfcheck

import (
	"bytes"
	"time"

	"gopkg.in/yaml.v3"

	"cw/schema"
)

const kindBaseline = "PerfBaseline"

// baselineFile is the file's form.
type baselineFile struct {
	APIVersion string                      `yaml:"apiVersion"`
	Kind       string                      `yaml:"kind"`
	Name       string                      `yaml:"name"`
	NodeType   string                      `yaml:"node_type,omitempty"`
	Created    string                      `yaml:"created,omitempty"`
	Engine     string                      `yaml:"engine,omitempty"`
	Profiles   []string                    `yaml:"profiles,omitempty,flow"`
	Runs       []string                    `yaml:"runs,omitempty,flow"`
	Hosts      []string                    `yaml:"hosts,omitempty,flow"`
	Tests      map[string]baselineTestFile `yaml:"tests"`
}

type baselineTestFile struct {
	Params  map[string]string             `yaml:"params,omitempty,flow"`
	Metrics map[string]baselineMetricFile `yaml:"metrics"`
}

type baselineMetricFile struct {
	Unit   string `yaml:"unit,omitempty"`
	Better string `yaml:"better,omitempty"`
	Median number `yaml:"median"`
	MAD    number `yaml:"mad"`
	N      int    `yaml:"n"`
	Low    number `yaml:"low"`
	High   number `yaml:"high"`
	Noise  number `yaml:"noise"`
	Spread number `yaml:"spread"`
}

// BaselineSchema is the table of the keys of a baseline's file.
func BaselineSchema() schema.Key {
	metric := schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "unit", Doc: "Unit of the metric: B/s, /s, s, ratio or count."},
		{Name: "better", Type: schema.Enum, Enum: []string{"higher", "lower", "neither"}, Doc: "In which direction the metric is good."},
		{Name: "median", Required: true, Example: "350e6", Doc: "Median of runs and hosts."},
		{Name: "mad", Doc: "Median absolute deviation of runs and hosts."},
		{Name: "n", Type: schema.Int, Doc: "How many results were pooled."},
		{Name: "low", Doc: "Least of the results."},
		{Name: "high", Doc: "Greatest of the results."},
		{Name: "noise", Doc: "Standard deviation of one repetition as a share of the median."},
		{Name: "spread", Doc: "Standard deviation between runs and hosts, beyond that noise, as a share of the median."},
	}}
	test := schema.Key{Type: schema.Map, Required: true, Keys: []schema.Key{
		{Name: "params", Type: schema.Map, Elem: &schema.Key{}, Doc: "Settings under which the numbers are comparable."},
		{Name: "metrics", Type: schema.Map, Required: true, Elem: &metric, Doc: "The metrics by name."},
	}}
	return schema.Key{Type: schema.Map, Keys: append(head(kindBaseline),
		schema.Key{Name: "node_type", Doc: "Type of the machines."},
		schema.Key{Name: "created", Doc: "When it was saved, RFC 3339."},
		schema.Key{Name: "engine", Doc: "Version of the workload engines."},
		schema.Key{Name: "profiles", Type: schema.List, Elem: &schema.Key{}, Doc: "Profiles of the runs."},
		schema.Key{Name: "runs", Type: schema.List, Elem: &schema.Key{}, Doc: "Ids of the runs."},
		schema.Key{Name: "hosts", Type: schema.List, Elem: &schema.Key{}, Doc: "Hosts that were measured."},
		schema.Key{Name: "tests", Type: schema.Map, Required: true, Elem: &test, Doc: "The tests by id."},
	)}
}

// ParseBaseline reads a baseline's file; everything wrong with it is told at
// once, with its place.
func ParseBaseline(file string, data []byte) (*Baseline, error) {
	node, problems := schema.Check(file, data, BaselineSchema())
	if problems.Err() != nil {
		return nil, problems.Err()
	}
	var in baselineFile
	if err := node.Decode(&in); err != nil {
		return nil, schema.Problems{{File: file, Message: err.Error()}}
	}
	b := &Baseline{Name: in.Name, NodeType: in.NodeType, Engine: in.Engine, Profiles: in.Profiles, Runs: in.Runs, Hosts: in.Hosts, Tests: map[string]BaselineTest{}}
	if in.Created != "" {
		created, err := time.Parse(time.RFC3339, in.Created)
		if err != nil {
			problems = append(problems, schema.Problem{File: file, Path: "created", Message: "created is no time: write 2026-01-31T12:00:00Z"})
		}
		b.Created = created
	}
	for id, t := range in.Tests {
		out := BaselineTest{Params: t.Params, Metrics: map[string]BaselineMetric{}}
		for name, m := range t.Metrics {
			path := "tests." + id + ".metrics." + name
			for _, n := range []struct {
				key string
				of  *number
			}{{"median", &m.Median}, {"mad", &m.MAD}, {"low", &m.Low}, {"high", &m.High}, {"noise", &m.Noise}, {"spread", &m.Spread}} {
				n.of.check(file, path+"."+n.key, &problems)
			}
			better := Better(m.Better)
			if m.Better == "neither" {
				better = Neither
			}
			out.Metrics[name] = BaselineMetric{
				Unit: m.Unit, Better: better, Median: m.Median.value, MAD: m.MAD.value, N: m.N,
				Low: m.Low.value, High: m.High.value, Noise: m.Noise.value, Spread: m.Spread.value,
			}
		}
		b.Tests[id] = out
	}
	return b, problems.Err()
}

// Marshal writes the baseline's file.
func (b *Baseline) Marshal() ([]byte, error) {
	out := baselineFile{
		APIVersion: fileVersion, Kind: kindBaseline, Name: b.Name, NodeType: b.NodeType, Engine: b.Engine,
		Created: b.Created.Format(time.RFC3339), Profiles: b.Profiles, Runs: b.Runs, Hosts: b.Hosts, Tests: map[string]baselineTestFile{},
	}
	for id, t := range b.Tests {
		to := baselineTestFile{Params: t.Params, Metrics: map[string]baselineMetricFile{}}
		for name, m := range t.Metrics {
			better := string(m.Better)
			if m.Better == Neither {
				better = "neither"
			}
			to.Metrics[name] = baselineMetricFile{
				Unit: m.Unit, Better: better, Median: number{value: m.Median}, MAD: number{value: m.MAD}, N: m.N,
				Low: number{value: m.Low}, High: number{value: m.High}, Noise: number{value: m.Noise}, Spread: number{value: m.Spread},
			}
		}
		out.Tests[id] = to
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return buf.Bytes(), enc.Close()
}
