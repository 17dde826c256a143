package perfcheck

import (
	"strconv"

	"gopkg.in/yaml.v3"

	"cw/schema"
)

// fileVersion is the apiVersion of the files of this package.
const fileVersion = "cw/v1"

// head are the keys that every file begins with.
func head(kind string) []schema.Key {
	return []schema.Key{
		{Name: "apiVersion", Type: schema.Enum, Enum: []string{fileVersion}, Required: true, Example: fileVersion, Doc: "Version of the file format."},
		{Name: "kind", Type: schema.Enum, Enum: []string{kind}, Required: true, Example: kind, Doc: "What the file is."},
		{Name: "name", Required: true, Example: "mine", Doc: "How reports call it."},
	}
}

// number is a value of a file that knows where it stands.
type number struct {
	value     float64
	line, col int
	text      string
	bad       bool
}

// UnmarshalYAML keeps what is no number for number.check to tell.
func (n *number) UnmarshalYAML(node *yaml.Node) error {
	v, err := strconv.ParseFloat(node.Value, 64)
	*n = number{value: v, line: node.Line, col: node.Column, text: node.Value, bad: err != nil || !finite(v) || v < 0}
	return nil
}

// MarshalYAML writes the number alone.
func (n number) MarshalYAML() (any, error) { return n.value, nil }

// check adds a problem when the text was no number.
func (n *number) check(file, path string, ps *schema.Problems) {
	if n.bad {
		*ps = append(*ps, schema.Problem{File: file, Line: n.line, Col: n.col, Path: path, Message: path + " wants a number that is not negative, found " + strconv.Quote(n.text)})
	}
}
