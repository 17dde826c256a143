package loadspec

import (
	"strings"

	"gopkg.in/yaml.v3"

	"cw/schema"
)

// Present is a key that a control file has.
type Present struct {
	schema.Problem        // its place, and what it means
	Value          string // on one line; "" for a mapping or list of keys
}

// PresentKeys lists the keys that a valid control file has, in the file's
// order, each with what it means.
func PresentKeys(name string, data []byte) []Present {
	tree, problems := schema.Check(name, data, Root())
	if len(problems) > 0 {
		return nil
	}
	var out []Present
	walkKeys(tree, Root(), "", func(n *yaml.Node, k schema.Key, path string, value string) {
		out = append(out, Present{schema.Problem{File: name, Line: n.Line, Col: n.Column, Path: path, Message: k.Doc}, value})
	})
	return out
}

func walkKeys(n *yaml.Node, k schema.Key, path string, each func(n *yaml.Node, k schema.Key, path, value string)) {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		for _, sub := range k.Keys {
			if sub.Name != name.Value {
				continue
			}
			at := strings.TrimPrefix(path+"."+sub.Name, ".")
			if len(sub.Keys) > 0 && value.Kind == yaml.MappingNode {
				walkKeys(value, sub, at, each)
				break
			}
			if inner := sub; sub.Repeat || sub.Type == schema.List && sub.Elem != nil && len(sub.Elem.Keys) > 0 {
				if sub.Elem != nil && !sub.Repeat {
					inner = *sub.Elem
				}
				for _, item := range value.Content {
					walkKeys(item, inner, at, each)
				}
				break
			}
			each(name, sub, at, oneLine(value))
		}
	}
}

// oneLine writes a value as it could stand behind its key.
func oneLine(n *yaml.Node) string {
	flow := *n
	flow.Style = yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		return strings.Join(strings.Fields(n.Value), " ")
	}
	data, err := yaml.Marshal(&flow)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
