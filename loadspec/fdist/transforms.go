package fdist

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"cw/fault"
)

// transform is one entry of a transformation file.
type transform struct {
	name    string
	output  bool     // of writable tables
	command []string // argv; %filename% stands for the file
	console bool     // what it says on stderr is for the server's, not for the segment
	paths   bool     // the file holds the names of the files
	safe    *regexp.Regexp
}

// Transforms are the commands that rows go through on their way from or to a
// file: gpfdist's YAML file of -c.
type Transforms struct {
	dir     string // working directory of the commands
	entries []transform
}

// ReadTransforms reads a transformation file:
//
//	TRANSFORMATIONS:
//	  name:
//	    TYPE: input | output
//	    COMMAND: program and arguments; %filename% stands for the file
//	    STDERR: server | console
//	    CONTENT: data | paths
//	    SAFE: extended regular expression that the path has to match
//
// Commands run in dir, without a shell.
func ReadTransforms(file, dir string) (*Transforms, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "unable to open file %s: %w", file, err)
	}
	t, err := parseTransforms(file, data)
	if err != nil {
		return nil, fault.Wrap(fault.Usage, "", fmt.Errorf("failed to validate file: %s\n%w", file, err))
	}
	t.dir = dir
	return t, nil
}

func parseTransforms(file string, data []byte) (*Transforms, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var list *yaml.Node
	if len(doc.Content) > 0 {
		_, list = entry(doc.Content[0], "TRANSFORMATIONS")
	}
	if list == nil {
		return nil, fmt.Errorf("%s:0:0:failed to find TRANSFORMATIONS", file)
	}
	if list.Kind != yaml.MappingNode {
		return nil, at(file, list, "key 'TRANSFORMATIONS' is not a proper YAML map")
	}
	t := &Transforms{}
	var errs []error
	for i := 0; i+1 < len(list.Content); i += 2 {
		one, err := parseTransform(file, list.Content[i], list.Content[i+1])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.entries = append(t.entries, *one)
	}
	return t, errors.Join(errs...)
}

func at(file string, n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d:%s", file, n.Line, n.Column, fmt.Sprintf(format, args...))
}

// entry finds a key of a mapping.
func entry(m *yaml.Node, name string) (key, value *yaml.Node) {
	if m.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

func parseTransform(file string, key, m *yaml.Node) (*transform, error) {
	t := &transform{name: key.Value}
	bad := func(n *yaml.Node, format string, args ...any) error {
		return at(file, n, "transformation '%s': %s", t.name, fmt.Sprintf(format, args...))
	}
	if m.Kind != yaml.MappingNode {
		return nil, bad(key, "not a proper YAML map")
	}
	// one reads a key that has one of two values, the default first.
	one := func(name, def, other string, needed bool) (bool, error) {
		k, v := entry(m, name)
		switch {
		case k == nil && needed:
			return false, bad(key, "failed to find %s", name)
		case k == nil:
			return false, nil
		case v.Kind != yaml.ScalarNode:
			return false, bad(k, "%s not a scalar (expected %s:%s or %s:%s)", name, name, def, name, other)
		case strings.EqualFold(v.Value, other):
			return true, nil
		case strings.EqualFold(v.Value, def):
			return false, nil
		default:
			return false, bad(k, "invalid %s: '%s' (expected %s:%s or %s:%s)", name, v.Value, name, def, name, other)
		}
	}
	var errs [3]error
	t.output, errs[0] = one("TYPE", "input", "output", true)
	t.console, errs[1] = one("STDERR", "server", "console", false)
	t.paths, errs[2] = one("CONTENT", "data", "paths", false)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	k, v := entry(m, "COMMAND")
	switch {
	case k == nil:
		return nil, bad(key, "failed to find COMMAND")
	case v.Kind != yaml.ScalarNode || strings.TrimSpace(v.Value) == "":
		return nil, bad(k, "invalid COMMAND (expected a simple non-empty string)")
	}
	t.command = splitCommand(v.Value)
	if k, v := entry(m, "SAFE"); k != nil {
		if v.Kind != yaml.ScalarNode || v.Value == "" {
			return nil, bad(k, "SAFE not a scalar (expected a simple non-empty string)")
		}
		re, err := regexp.CompilePOSIX(v.Value)
		if err != nil {
			return nil, bad(k, "could not compile SAFE regex: %v", err)
		}
		t.safe = re
	}
	return t, nil
}

// splitCommand takes a command apart at blanks, with quotes and backslashes as
// in a shell, and nothing else of one.
func splitCommand(s string) []string {
	var words []string
	var word strings.Builder
	in := false
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && quote != '\'':
			i++
			word.WriteByte(s[i])
			in = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

// find is the entry that a request asks for, after the checks of its path.
func (t *Transforms) find(r *Request, output bool, names []string) (*transform, error) {
	kind := "input"
	if output {
		kind = "output"
	}
	for i := range t.entries {
		e := &t.entries[i]
		if e.name != r.Transform || e.output != output {
			continue
		}
		for _, n := range names {
			if e.safe != nil && !e.safe.MatchString(n) {
				return nil, bad("invalid request (path does not match safe regex)")
			}
		}
		return e, nil
	}
	return nil, bad("invalid request (unsupported " + kind + " #transform)")
}

// argv is the command for one file.
func (t *transform) argv(file string) []string {
	args := make([]string, len(t.command))
	for i, a := range t.command {
		if strings.EqualFold(a, "%filename%") {
			a = file
		}
		args[i] = strings.ReplaceAll(a, "%filename%", file)
	}
	return args
}
