package gpload

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// dict is a mapping of the control file, in the order of the file. A key that
// stands twice has its last value, as in PyYAML.
type dict struct {
	keys   []string
	values []any // dict, []any, string, int64, float64, bool, or nil
}

func (d *dict) set(key string, value any) {
	for i, k := range d.keys {
		if k == key {
			d.values[i] = value
			return
		}
	}
	d.keys, d.values = append(d.keys, key), append(d.values, value)
}

// get finds a key without regard to case; nil when there is none or its value
// is nothing.
func (d *dict) get(key string) any {
	for i, k := range d.keys {
		if strings.EqualFold(k, key) {
			return d.values[i]
		}
	}
	return nil
}

// Bounds on what aliases can blow a file up to.
const (
	maxNodes = 100_000
	maxDepth = 100
)

// parseYAML reads a document: the tree for the check of its keys, and its
// values as gpload's YAML 1.1 takes them.
func parseYAML(data []byte) (*yaml.Node, any, error) {
	if err := checkText(data); err != nil {
		return nil, nil, err
	}
	var doc yaml.Node
	err := yaml.Unmarshal(data, &doc)
	if err == nil && len(doc.Content) == 0 {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, syntaxError(data, err)
	}
	left := maxNodes
	value, err := convert(doc.Content[0], 0, &left)
	return doc.Content[0], value, err
}

// checkText refuses what PyYAML's reader refuses, in its words.
func checkText(data []byte) error {
	for i, position := 0, 0; i < len(data); position++ {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("'utf8' codec can't decode byte #x%02x: invalid start byte position %d", data[i], i)
		}
		ok := r == '\t' || r == '\n' || r == '\r' || r == 0x85 || r >= ' ' && r <= '~' || r >= 0xa0 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000
		if !ok {
			return fmt.Errorf("unacceptable character #x%04x at byte %d: special characters are not allowed", r, position)
		}
		i += size
	}
	return nil
}

// pyYAML are the words of PyYAML for the mistakes that yaml.v3, a child of
// libyaml, words differently.
var pyYAML = map[string]string{ //nolint:gochecknoglobals // constant table
	"did not find expected key":                              "expected <block end>, but found '<scalar>'",
	"did not find expected '-' indicator":                    "expected <block end>, but found '?'",
	"did not find expected ',' or ']'":                       "expected ',' or ']', but got '<scalar>'",
	"did not find expected ',' or '}'":                       "expected ',' or '}', but got '<scalar>'",
	"did not find expected node content":                     "expected the node content, but found '<block end>'",
	"mapping values are not allowed in this context":         "mapping values are not allowed here",
	"found character that cannot start any token":            "found character '\\t' that cannot start any token",
	"block sequence entries are not allowed in this context": "sequence entries are not allowed here",
	"did not find expected <document start>":                 "expected '<document start>', but found '<scalar>'",
}

var yamlPlace = regexp.MustCompile(`^yaml: (?:line \d+: )?`)

// syntaxError says what is wrong and where, in PyYAML's words and with its
// count of lines from 0. yaml.v3 tells the line where the broken block begins;
// the line that breaks it is the one after the longest beginning of the file
// that can be read.
func syntaxError(data []byte, err error) error {
	text := yamlPlace.ReplaceAllString(err.Error(), "")
	if words, ok := pyYAML[text]; ok {
		text = words
	}
	lines := strings.SplitAfter(string(data), "\n")
	const most = 2000 // lines that are tried
	at := len(lines)
	for tried := 0; at > 0 && tried < most; tried++ {
		at--
		var doc yaml.Node
		e := yaml.NewDecoder(strings.NewReader(strings.Join(lines[:at], ""))).Decode(&doc)
		if e == nil || errors.Is(e, io.EOF) {
			break
		}
	}
	return fmt.Errorf("configuration file error: %s, line %d", text, at)
}

func convert(n *yaml.Node, depth int, left *int) (any, error) {
	if *left--; *left < 0 || depth > maxDepth {
		return nil, errors.New("configuration file error: too large, or an alias refers to itself, line 0")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return convert(n.Alias, depth+1, left)
	case yaml.MappingNode:
		d := &dict{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := convert(n.Content[i+1], depth+1, left)
			if err != nil {
				return nil, err
			}
			d.set(n.Content[i].Value, v)
		}
		return d, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			v, err := convert(c, depth+1, left)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	default:
		return scalar(n), nil
	}
}

var (
	yamlInt   = regexp.MustCompile(`^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	yamlFloat = regexp.MustCompile(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

// timestamp stands for a scalar that YAML 1.1 takes for a date.
type timestamp string

var yamlDate = regexp.MustCompile(`^\d{4}-\d\d-\d\d$|^\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d`)

// scalar resolves a plain scalar by the rules of YAML 1.1.
func scalar(n *yaml.Node) any {
	v := n.Value
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Style&yaml.TaggedStyle != 0 && n.Tag == "!!str" {
		return v
	}
	switch v {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return false
	}
	switch {
	case yamlInt.MatchString(v):
		return integer(v)
	case yamlFloat.MatchString(v):
		f, _ := strconv.ParseFloat(strings.ReplaceAll(v, "_", ""), 64)
		return f
	case yamlDate.MatchString(v):
		return timestamp(v)
	}
	return v
}

func integer(v string) any {
	text := strings.ReplaceAll(v, "_", "")
	if strings.Contains(text, ":") {
		var n int64
		for part := range strings.SplitSeq(strings.TrimLeft(text, "+-"), ":") {
			d, _ := strconv.ParseInt(part, 10, 32)
			n = n*60 + d
		}
		if strings.HasPrefix(text, "-") {
			n = -n
		}
		return n
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		return v
	}
	return n
}
