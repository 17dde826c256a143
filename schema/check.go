package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Check parses data and compares it with root, a Map. Keys are matched
// without regard to case and rewritten in the tree to the table's spelling;
// single scalars where a list is wanted become lists; gpload's Sections become
// mappings whose repeated keys are sequences. The tree it returns therefore
// decodes into plain structs with yaml tags in the table's spelling. The
// second result holds everything wrong; the tree is nil only when the text is
// not YAML at all.
func Check(file string, data []byte, root Key) (*yaml.Node, Problems) {
	c := &checker{file: file}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, Problems{{File: file, Message: "the file is empty"}}
		}
		return nil, Problems{yamlProblem(file, err)}
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		c.add(&more, "", "more than one document in the file: keep one")
	} else if !errors.Is(err, io.EOF) {
		c.problems = append(c.problems, yamlProblem(file, err))
	}
	node := doc.Content[0]
	c.check(node, root, "")
	return node, c.problems
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

func yamlProblem(file string, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		return Problem{File: file, Line: line, Col: 1, Message: "not valid YAML: " + m[2]}
	}
	return Problem{File: file, Message: "not valid YAML: " + text}
}

type checker struct {
	file     string
	problems Problems
	visited  int
	gaveUp   bool
}

// maxNodes and maxPath bound the work on files whose aliases refer to
// themselves or multiply; no file a person writes comes near them.
const (
	maxNodes    = 20_000
	maxPath     = 1000 // bytes
	maxProblems = 200
)

func (c *checker) add(n *yaml.Node, path, format string, args ...any) {
	c.problems = append(c.problems, Problem{File: c.file, Line: n.Line, Col: n.Column, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) check(n *yaml.Node, k Key, path string) {
	if c.visited++; c.visited > maxNodes || len(path) > maxPath || len(c.problems) > maxProblems {
		if !c.gaveUp {
			c.add(n, "", "giving up: the file is too large, has too many mistakes, or an alias refers to itself")
		}
		c.gaveUp, c.visited = true, maxNodes
		return
	}
	if n.Kind == yaml.AliasNode {
		*n = *n.Alias
	}
	isNull := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	if isNull && !k.Required && k.Type != Map {
		return
	}
	switch k.Type {
	case Map:
		c.checkMap(n, k, path)
	case Sections:
		c.checkSections(n, k, path)
	case List:
		if n.Kind == yaml.ScalarNode && !isNull {
			wrapped := *n
			*n = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line, Column: n.Column, Content: []*yaml.Node{&wrapped}}
		}
		if n.Kind != yaml.SequenceNode {
			c.add(n, path, "%s wants a list, found %s", label(path), describe(n))
			return
		}
		if k.Elem != nil {
			for i, e := range n.Content {
				c.check(e, *k.Elem, fmt.Sprintf("%s[%d]", path, i))
			}
		}
	default:
		if n.Kind != yaml.ScalarNode || isNull {
			c.add(n, path, "%s wants %s, found %s", label(path), article(k), describe(n))
			return
		}
		c.checkScalar(n, k, path)
	}
}

func (c *checker) checkMap(n *yaml.Node, k Key, path string) {
	if n.Kind != yaml.MappingNode {
		c.add(n, path, "%s wants a mapping (key: value), found %s", label(path), describe(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		sub, known := c.key(name, k, path)
		if !known {
			continue
		}
		if line, dup := seen[sub.Name]; dup {
			c.add(name, join(path, sub.Name), "%s is given twice, first in line %d", join(path, sub.Name), line)
			continue
		}
		seen[sub.Name] = name.Line
		c.check(value, sub, join(path, sub.Name))
	}
	c.missing(n, k, path, func(name string) bool { _, ok := seen[name]; return ok })
}

// checkSections turns the sequence into a mapping in place.
func (c *checker) checkSections(n *yaml.Node, k Key, path string) {
	if n.Kind == yaml.MappingNode {
		// gpload insists on the sequence; a plain mapping says the same.
		c.checkMap(n, k, path)
		return
	}
	if n.Kind != yaml.SequenceNode {
		c.add(n, path, "%s wants a list of one-key mappings (- KEY: value), found %s", label(path), describe(n))
		return
	}
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	seen := map[string]*yaml.Node{}
	for _, item := range n.Content {
		if item.Kind != yaml.MappingNode || len(item.Content) == 0 {
			c.add(item, path, "%s wants - KEY: value here, found %s", label(path), describe(item))
			continue
		}
		for i := 0; i < len(item.Content); i += 2 {
			name, value := item.Content[i], item.Content[i+1]
			sub, known := c.key(name, k, path)
			if !known {
				continue
			}
			c.check(value, sub, join(path, sub.Name))
			first, dup := seen[sub.Name]
			switch {
			case dup && !sub.Repeat:
				c.add(name, join(path, sub.Name), "%s is given twice, first in line %d", join(path, sub.Name), first.Line)
			case dup:
				first.Content = append(first.Content, value)
			case sub.Repeat:
				seq := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: name.Line, Column: name.Column, Content: []*yaml.Node{value}}
				seen[sub.Name] = seq
				out.Content = append(out.Content, name, seq)
			default:
				seen[sub.Name] = name
				out.Content = append(out.Content, name, value)
			}
		}
	}
	*n = *out
	c.missing(n, k, path, func(name string) bool { _, ok := seen[name]; return ok })
}

// key resolves a key's name, rewriting it to the table's spelling.
func (c *checker) key(name *yaml.Node, k Key, path string) (Key, bool) {
	if len(k.Keys) == 0 && k.Elem != nil { // free keys
		sub := *k.Elem
		sub.Name = name.Value
		return sub, true
	}
	for _, sub := range k.Keys {
		if strings.EqualFold(sub.Name, name.Value) {
			name.Value, name.Tag = sub.Name, "!!str"
			return sub, true
		}
	}
	names := make([]string, len(k.Keys))
	for i, sub := range k.Keys {
		names[i] = sub.Name
	}
	msg := fmt.Sprintf("unknown key %q", name.Value)
	if path != "" {
		msg += " in " + path
	}
	if near := Nearest(name.Value, names); near != "" {
		msg += fmt.Sprintf(": did you mean %q?", near)
	} else {
		msg += ": known keys are " + strings.Join(names, ", ")
	}
	c.add(name, join(path, name.Value), "%s", msg)
	return Key{}, false
}

func (c *checker) missing(n *yaml.Node, k Key, path string, has func(string) bool) {
	for _, sub := range k.Keys {
		if sub.Required && !has(sub.Name) {
			msg := fmt.Sprintf("%s is missing", join(path, sub.Name))
			if sub.Example != "" {
				msg += ": add " + sub.Name + ": " + sub.Example
			}
			c.add(n, join(path, sub.Name), "%s", msg)
		}
	}
}

func (c *checker) checkScalar(n *yaml.Node, k Key, path string) {
	switch k.Type {
	case Int:
		if _, err := strconv.ParseInt(n.Value, 10, 64); err != nil {
			c.add(n, path, "%s wants an integer, found %q", label(path), n.Value)
		}
	case Count:
		if _, _, err := ParseCount(n.Value); err != nil {
			c.add(n, path, "%s wants a number or a percentage (100, 5%%), found %q", label(path), n.Value)
		}
	case Bool:
		switch strings.ToLower(n.Value) {
		case "true", "yes", "on":
			n.Value, n.Tag = "true", "!!bool"
		case "false", "no", "off":
			n.Value, n.Tag = "false", "!!bool"
		default:
			c.add(n, path, "%s wants true or false, found %q", label(path), n.Value)
		}
	case Enum:
		for _, e := range k.Enum {
			if strings.EqualFold(e, n.Value) {
				n.Value, n.Tag = e, "!!str"
				return
			}
		}
		msg := fmt.Sprintf("%s is %q, but must be one of %s", label(path), n.Value, strings.Join(k.Enum, ", "))
		if near := Nearest(n.Value, k.Enum); near != "" {
			msg += fmt.Sprintf(": did you mean %q?", near)
		}
		c.add(n, path, "%s", msg)
	case Size:
		if _, err := ParseSize(n.Value); err != nil {
			c.add(n, path, "%s: %v", label(path), err)
		}
		n.Tag = "!!str"
	case Rate:
		if _, err := ParseRate(n.Value); err != nil {
			c.add(n, path, "%s: %v", label(path), err)
		}
		n.Tag = "!!str"
	case Duration:
		if _, err := time.ParseDuration(n.Value); err != nil {
			c.add(n, path, "%s: %q is not a duration: write 300ms, 5s or 1m", label(path), n.Value)
		}
		n.Tag = "!!str"
	case Span:
		if _, err := ParseSpan(n.Value); err != nil {
			c.add(n, path, "%s: %v", label(path), err)
		}
		n.Tag = "!!str"
	default:
		n.Tag = "!!str"
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func label(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func article(k Key) string {
	switch k.Type {
	case Int:
		return "an integer"
	case Enum:
		return "one of " + strings.Join(k.Enum, ", ")
	default:
		return "a " + k.Type.String()
	}
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		if n.Tag == "!!null" {
			return "nothing"
		}
		// The whole of a file that is no YAML is one value, and none of it
		// has to be shown to say that.
		const most = 40
		if text := []rune(n.Value); len(text) > most {
			return fmt.Sprintf("%q…", string(text[:most]))
		}
		return fmt.Sprintf("%q", n.Value)
	}
}
