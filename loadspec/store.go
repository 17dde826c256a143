package loadspec

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// ForStore returns the control file's text as it may be kept in the store and
// run from anywhere: without its PASSWORD key and what is secret in URLs, and
// with relative paths made absolute below dir. Comments stay.
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
	if hideSecrets(doc.Content[0]) {
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

// hideSecrets takes user names, passwords and signatures out of all URLs.
func hideSecrets(n *yaml.Node) (changed bool) {
	if n.Kind == yaml.ScalarNode && IsHTTP(n.Value) && Secretive(n.Value) {
		n.SetString(ShownURL(n.Value))
		return true
	}
	for _, c := range n.Content {
		if hideSecrets(c) {
			changed = true
		}
	}
	return changed
}

// localFiles are the keys that name files of this machine; MANIFEST may.
var localFiles = map[string]bool{"FILE": true, "MANIFEST": true, "CA_FILE": true, "SSE_C_KEY_FILE": true, "CERTIFICATES_PATH": true} //nolint:gochecknoglobals // constant table

// absoluteFiles looks for these keys in every mapping: only SOURCE has them.
func absoluteFiles(n *yaml.Node, dir string) (changed bool) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && localFiles[strings.ToUpper(c.Value)] && i+1 < len(n.Content) {
			value := n.Content[i+1]
			for _, item := range append([]*yaml.Node{value}, value.Content...) {
				if item.Kind == yaml.ScalarNode && item.Value != "" && item.Value != Stdin && !strings.Contains(item.Value, "://") && !filepath.IsAbs(item.Value) {
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
