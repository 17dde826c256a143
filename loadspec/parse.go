package loadspec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"cw/fault"
	"cw/schema"
)

// ReadFile reads the control file at path.
func ReadFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Usage, "write one: cw load init "+path, "read control file: %w", err)
	}
	if err != nil {
		return nil, fault.New(fault.Usage, "", "read control file: %w", err)
	}
	return data, nil
}

// Load reads and validates the control file at path.
func Load(path string) (*Spec, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse validates data as a control file; name stands in messages. The error
// is schema.Problems and lists everything that is wrong.
func Parse(name string, data []byte) (*Spec, error) {
	tree, problems := schema.Check(name, data, Root())
	if len(problems) > 0 {
		return nil, problems.Err()
	}
	s := &Spec{File: name, at: locator(name, tree)}
	if err := tree.Decode(&s.file); err != nil {
		return nil, fault.New(fault.Usage, "", "%s: %w", name, err)
	}
	v := &validator{spec: s}
	v.run()
	if len(v.problems) > 0 {
		return nil, v.problems.Err()
	}
	return s, nil
}

// locator finds the place of a key in the checked tree; a key that is absent
// gets the place of its nearest parent.
func locator(name string, tree *yaml.Node) func(string) schema.Problem {
	return func(path string) schema.Problem {
		n, p := tree, schema.Problem{File: name, Line: tree.Line, Col: tree.Column, Path: path}
		for part := range strings.SplitSeq(path, ".") {
			key, index, isIndex := strings.Cut(strings.TrimSuffix(part, "]"), "[")
			next := child(n, key)
			if next == nil {
				break
			}
			n = next
			if isIndex && n.Kind == yaml.SequenceNode {
				if i, err := strconv.Atoi(index); err == nil && i < len(n.Content) {
					n = n.Content[i]
				}
			}
			p.Line, p.Col = n.Line, n.Column
		}
		return p
	}
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// pair is one key: value of a mapping whose order matters.
type pair struct{ Key, Value string }

type orderedMapping []pair

// UnmarshalYAML keeps the order of the file, which a Go map would lose.
func (m *orderedMapping) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: wants a mapping", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		value := n.Content[i+1].Value
		if n.Content[i+1].Tag == "!!null" {
			value = ""
		}
		*m = append(*m, pair{n.Content[i].Value, value})
	}
	return nil
}

type sourceList []sourceFile

// UnmarshalYAML takes INPUT written as a plain mapping, where SOURCE cannot
// repeat, as a list of one.
func (l *sourceList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		var one sourceFile
		if err := n.Decode(&one); err != nil {
			return err
		}
		*l = sourceList{one}
		return nil
	}
	var all []sourceFile
	if err := n.Decode(&all); err != nil {
		return err
	}
	*l = all
	return nil
}
