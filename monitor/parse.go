package monitor

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"cw/fault"
	"cw/schema"
)

// The file as it is written; what is left out is nil.
type configFile struct {
	Clusters []string                  `yaml:"clusters"`
	Interval *string                   `yaml:"interval"`
	Listen   string                    `yaml:"listen"`
	Rules    map[string]ruleChangeFile `yaml:"rules"`
	Inspect  []string                  `yaml:"inspections"`
	Heal     struct {
		Enabled  bool    `yaml:"enabled"`
		Attempts *int    `yaml:"attempts"`
		Window   *string `yaml:"window"`
		Wait     *string `yaml:"wait"`
	} `yaml:"auto_recover"`
	Keep struct {
		Events, Alerts, Samples, Jobs, Audit *string
	} `yaml:"retention"`
	Receivers []receiverFile `yaml:"receivers"`
	Routes    []routeFile    `yaml:"routes"`
}

type ruleChangeFile struct {
	Off                            bool
	Warn, Critical, Confirm, Clear *string
}

type receiverFile struct {
	Name    string
	Webhook *struct {
		URL       string `yaml:"url"`
		URLFile   string `yaml:"url_file"`
		TokenFile string `yaml:"token_file"`
		JSON      string `yaml:"json"`
		CAFile    string `yaml:"ca_file"`
		Insecure  bool   `yaml:"insecure_skip_verify"`
	}
	SMTP *struct {
		Server, From, User, TLS string
		To                      []string
		PasswordFile            string `yaml:"password_file"`
		CAFile                  string `yaml:"ca_file"`
	} `yaml:"smtp"`
	Exec *struct {
		Command string
		Timeout *string
	}
	Title, Body string
	Resolved    *bool
}

type routeFile struct {
	Receivers, Severities, Clusters, Rules []string
	GroupBy                                []string `yaml:"group_by"`
	GroupWait                              *string  `yaml:"group_wait"`
	Repeat                                 *string
}

// Read reads a configuration file, and sees that the files it names are there
// and that its secrets are only their owner's. Relative names are looked for
// beside it.
func Read(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, fault.Wrap(fault.Usage, "write one with: cw monitor init "+file, fmt.Errorf("read the configuration: %w", err))
	}
	return parse(file, data, os.Stat)
}

// Parse reads a configuration without looking for the files it names; all that
// is wrong with it is told at once.
func Parse(file string, data []byte) (Config, error) { return parse(file, data, nil) }

func parse(file string, data []byte, stat func(string) (os.FileInfo, error)) (Config, error) {
	node, problems := schema.Check(file, data, Keys())
	if node == nil {
		return Config{}, problems.Err()
	}
	var in configFile
	if err := node.Decode(&in); err != nil {
		if problems.Err() == nil {
			problems = schema.Problems{{File: file, Message: err.Error()}}
		}
		return Config{}, problems.Err()
	}
	r := &reader{file: file, root: node, stat: stat}
	c := r.config(in)
	// All that is wrong is told at once, and nothing twice.
	found := slices.Clone(problems)
	for _, p := range r.problems {
		if !slices.ContainsFunc(problems, func(q schema.Problem) bool { return q.Line == p.Line && q.Col == p.Col }) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b schema.Problem) int { return cmp.Or(a.Line-b.Line, a.Col-b.Col) })
	return c, found.Err()
}

// reader makes a Config of a file and collects what is wrong.
type reader struct {
	file     string
	root     *yaml.Node
	stat     func(string) (os.FileInfo, error) // nil: nobody looks
	problems schema.Problems
}

// fail says what is wrong with the key at a path, as routes[0].repeat.
func (r *reader) fail(path, format string, args ...any) {
	p := schema.Problem{File: r.file, Path: path, Message: path + ": " + fmt.Sprintf(format, args...)}
	if n := locate(r.root, path); n != nil {
		p.Line, p.Col = n.Line, n.Column
	}
	r.problems = append(r.problems, p)
}

// locate finds the value at a path, or what of the path is there.
func locate(n *yaml.Node, path string) *yaml.Node {
	for path != "" && n != nil {
		var next *yaml.Node
		switch n.Kind {
		case yaml.SequenceNode:
			number, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
			i, err := strconv.Atoi(number)
			if !ok || err != nil || i >= len(n.Content) {
				return n
			}
			next, path = n.Content[i], strings.TrimPrefix(rest, ".")
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				name := n.Content[i].Value // rules have names with dots
				if rest, ok := strings.CutPrefix(path, name); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
					next, path = n.Content[i+1], strings.TrimPrefix(rest, ".")
					break
				}
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// span is a duration between bounds; most 0 is none.
func (r *reader) span(path string, text *string, def, least, most time.Duration) time.Duration {
	if text == nil {
		return def
	}
	d, err := schema.ParseSpan(*text)
	switch {
	case err != nil:
		r.fail(path, "%v", err)
		return def
	case d < least:
		r.fail(path, "%s is too short: at least %s", *text, schema.FormatSpan(least))
	case most > 0 && d > most:
		r.fail(path, "%s is too long: at most %s", *text, schema.FormatSpan(most))
	}
	return d
}

// bound is a value of a rule: a share as 80%, a time as 7d, a size as 1GB, or
// a number. Times are seconds, sizes bytes.
func (r *reader) bound(path string, text *string, rule Rule) *float64 {
	if text == nil {
		return nil
	}
	v, unit, err := parseBound(*text)
	inspection := strings.HasPrefix(rule.Name, InspectPrefix) // whose unit is in its own file
	switch {
	case err != nil:
		r.fail(path, "%v", err)
		return nil
	case !inspection && rule.Warn == 0 && rule.Critical == 0:
		r.fail(path, "%s has no bounds: it is so or it is not; off, confirm and clear can be set", rule.Name)
	case !inspection && unit != "" && unit != rule.Unit:
		r.fail(path, "%q is no value of %s, which counts in %s", *text, rule.Name, rule.Unit)
	case rule.Unit == UnitShare && v > 1:
		r.fail(path, "%s is more than everything: write %s%%", *text, strings.TrimSpace(*text))
	}
	return &v
}

// parseBound also tells the unit, "" where the text has none.
func parseBound(text string) (v float64, unit string, err error) {
	t := strings.TrimSpace(text)
	if p, ok := strings.CutSuffix(t, "%"); ok {
		if v, err := strconv.ParseFloat(strings.TrimSpace(p), 64); err == nil && v >= 0 && v <= 100 {
			return v / 100, UnitShare, nil
		}
		return 0, "", fmt.Errorf("%q is no share between 0%% and 100%%", text)
	}
	if v, err := strconv.ParseFloat(t, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) && v >= 0 {
		return v, "", nil
	}
	if d, err := schema.ParseSpan(t); err == nil {
		return d.Seconds(), UnitSeconds, nil
	}
	if n, err := schema.ParseSize(t); err == nil {
		return float64(n), UnitBytes, nil
	}
	return 0, "", fmt.Errorf("%q is no value: write 80%%, 30s, 7d, 1GB or a number", text)
}

// beside is a file's name, from the configuration's folder.
func (r *reader) beside(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// named is a file that the configuration names, and a secret one where only
// its owner may read it.
func (r *reader) named(path, name string, secret bool) string {
	name = r.beside(name)
	if name == "" || r.stat == nil {
		return name
	}
	st, err := r.stat(name)
	switch {
	case err != nil:
		r.fail(path, "%v", err)
	case st.IsDir():
		r.fail(path, "%s is a folder", name)
	case secret && st.Mode().Perm()&0o077 != 0:
		r.fail(path, "%s holds a secret and others may read it (mode %04o): chmod 600 %s", name, st.Mode().Perm(), name)
	}
	return name
}
