package loadspec

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// ForStore returns the control file's text as it may be kept in the store and
// run from anywhere: without its PASSWORD key, and with relative FILE paths
// and programs (NOTIFY) made absolute below dir. Comments stay.
func ForStore(data []byte, dir string) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read control file: %w", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return data, nil
	}
	changed := dropPassword(doc.Content[0])
	if absoluteFiles(doc.Content[0], dir) {
		changed = true
	}
	if !changed {
		return data, nil
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("write control file: %w", err)
	}
	return out.Bytes(), nil
}

func dropPassword(root *yaml.Node) bool {
	var kept []*yaml.Node
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !strings.EqualFold(root.Content[i].Value, "PASSWORD") {
			kept = append(kept, root.Content[i], root.Content[i+1])
		}
	}
	changed := len(kept) != len(root.Content)
	root.Content = kept
	return changed
}

func isFileKey(name string) bool {
	return slices.ContainsFunc([]string{"FILE", keyWebhookFile, keyExec}, func(k string) bool { return strings.EqualFold(k, name) })
}

// absoluteFiles looks for FILE and the like in every mapping: no key of another
// meaning is called so. A command is made absolute when it is told where it is.
func absoluteFiles(n *yaml.Node, dir string) (changed bool) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && isFileKey(c.Value) && i+1 < len(n.Content) {
			value, command := n.Content[i+1], strings.EqualFold(c.Value, keyExec)
			for _, item := range append([]*yaml.Node{value}, value.Content...) {
				if command && !strings.HasPrefix(item.Value, "./") && !strings.HasPrefix(item.Value, "../") {
					continue
				}
				if item.Kind == yaml.ScalarNode && item.Value != "" && item.Value != "-" && !filepath.IsAbs(item.Value) {
					item.SetString(filepath.Join(dir, item.Value))
					changed = true
				}
			}
			continue
		}
		if absoluteFiles(c, dir) {
			changed = true
		}
	}
	return changed
}
