package perfcheck

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"cw/fault"
	"cw/schema"
)

const kindRequirements = "PerfRequirements"

// requirementHint shows how a requirement is written.
const requirementHint = "write disk.randread.8k.qd32.iops>=5000, net.tcp.s4.throughput>=1.1GB/s, disk.fdatasync.8k.service_p99<=10ms; warn: before it only warns"

// ParseRequirement reads one requirement: a test's id or a pattern, a metric,
// >= or <=, and a value with its unit: 350MB/s, 5000, 10ms, 90%. "warn:"
// before it makes missing it a warning. The definitions are those that a run
// may have; nil accepts every name.
func ParseRequirement(text string, known []Definition) (Bound, error) {
	refuse := func(format string, args ...any) (Bound, error) {
		return Bound{}, fault.New(fault.Usage, requirementHint, "requirement %q: "+format, append([]any{text}, args...)...)
	}
	b := Bound{Level: GateFail}
	rest := strings.TrimSpace(text)
	for word, level := range map[string]Gate{"warn:": GateWarn, "fail:": GateFail} {
		if r, ok := strings.CutPrefix(rest, word); ok {
			rest, b.Level = strings.TrimSpace(r), level
			break
		}
	}
	var value string
	var ok bool
	for sign, direction := range map[string]Better{">=": Higher, "<=": Lower} {
		var name string
		if name, value, ok = strings.Cut(rest, sign); ok {
			rest, b.Direction = strings.TrimSpace(name), direction
			break
		}
	}
	if !ok {
		return refuse("it has neither >= nor <=")
	}
	if b.Test, b.Metric, ok = splitMetric(rest); !ok || strings.ContainsAny(rest, " \t") {
		return refuse("%q is no metric of a test", rest)
	}
	if _, err := path.Match(b.Test, ""); err != nil {
		return refuse("%q is no pattern", b.Test)
	}
	unit, err := knownMetric(b, known)
	if err != nil {
		return refuse("%w", err)
	}
	if b.Value, err = parseValue(strings.TrimSpace(value), unit); err != nil {
		return refuse("%w", err)
	}
	return b, nil
}

// knownMetric finds the unit of what a requirement names.
func knownMetric(b Bound, known []Definition) (unit string, err error) {
	if known == nil {
		return "", nil
	}
	var ids, metrics []string
	for _, d := range known {
		ids = append(ids, d.ID)
		if ok, _ := path.Match(b.Test, d.ID); !ok && b.Test != d.ID {
			continue
		}
		for _, m := range d.Metrics {
			if m.Name == b.Metric {
				return m.Unit, nil
			}
			metrics = append(metrics, m.Name)
		}
	}
	if len(metrics) == 0 {
		if near := schema.Nearest(b.Test, ids); near != "" {
			return "", fmt.Errorf("no test is called %s: did you mean %s?", b.Test, near)
		}
		return "", fmt.Errorf("no test is called %s: see cw perf list", b.Test)
	}
	if near := schema.Nearest(b.Metric, metrics); near != "" {
		return "", fmt.Errorf("%s has no metric %s: did you mean %s?", b.Test, b.Metric, near)
	}
	return "", fmt.Errorf("%s has no metric %s, but %s", b.Test, b.Metric, strings.Join(insert(nil, metrics...), ", "))
}

// parseValue reads a value as people write it; unit "" takes any.
func parseValue(text, unit string) (float64, error) {
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		if !finite(v) || v < 0 {
			return 0, fmt.Errorf("%q is no value", text)
		}
		return v, nil
	}
	is := func(u string) bool { return unit == "" || unit == u }
	if number, ok := strings.CutSuffix(text, "%"); ok && is(Ratio) {
		if v, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil && v >= 0 && finite(v) {
			return v / 100, nil
		}
	}
	if d, err := time.ParseDuration(strings.ReplaceAll(text, " ", "")); err == nil && d >= 0 && is(Seconds) {
		return d.Seconds(), nil
	}
	lower := strings.ToLower(text)
	if strings.HasSuffix(lower, "b/s") && is(BytesPerSecond) {
		if v, err := schema.ParseRate(text); err == nil {
			return float64(v), nil
		}
	}
	for suffix, times := range map[string]float64{"k": 1e3, "m": 1e6} {
		if number, ok := strings.CutSuffix(strings.TrimSuffix(lower, "/s"), suffix); ok && is(PerSecond) {
			if v, err := strconv.ParseFloat(number, 64); err == nil && v >= 0 && finite(v) {
				return v * times, nil
			}
		}
	}
	if unit == Bytes || unit == "" {
		if v, err := schema.ParseSize(text); err == nil {
			return float64(v), nil
		}
	}
	if unit == "" {
		return 0, fmt.Errorf("%q is no value", text)
	}
	return 0, fmt.Errorf("%q is no value in %s", text, unit)
}

// RequirementSchema is the table of the keys of a file of requirements.
func RequirementSchema() schema.Key {
	return schema.Key{Type: schema.Map, Keys: append(head(kindRequirements),
		schema.Key{Name: "fail", Type: schema.List, Elem: &schema.Key{}, Doc: "Requirements that fail a run, as disk.randread.8k.qd32.iops>=5000."},
		schema.Key{Name: "warn", Type: schema.List, Elem: &schema.Key{}, Doc: "Requirements that only warn."},
	)}
}

// ParseRequirements reads a file of requirements.
func ParseRequirements(file string, data []byte, known []Definition) (Reference, error) {
	tree, problems := schema.Check(file, data, RequirementSchema())
	if problems.Err() != nil {
		return Reference{}, problems.Err()
	}
	var in struct {
		Name string      `yaml:"name"`
		Fail []yaml.Node `yaml:"fail"`
		Warn []yaml.Node `yaml:"warn"`
	}
	if err := tree.Decode(&in); err != nil {
		return Reference{}, schema.Problems{{File: file, Message: err.Error()}}
	}
	r := Reference{ID: in.Name, Kind: KindRequirement}
	for _, list := range []struct {
		level string
		lines []yaml.Node
	}{{"fail", in.Fail}, {"warn", in.Warn}} {
		for _, n := range list.lines {
			b, err := ParseRequirement(list.level+":"+n.Value, known)
			if err != nil {
				message := strings.Replace(err.Error(), list.level+":", "", 1)
				problems = append(problems, schema.Problem{File: file, Line: n.Line, Col: n.Column, Path: list.level, Message: message})
				continue
			}
			r.Bounds = append(r.Bounds, b)
		}
	}
	return r, problems.Err()
}
