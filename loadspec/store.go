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
// run from anywhere: without its PASSWORD key and what is secret in URLs, and
// with relative paths and programs (NOTIFY) made absolute below dir. Comments
// stay.
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

// hideSecrets takes user names, passwords and signatures out of the URLs of
// objects and manifests.
func hideSecrets(n *yaml.Node) (changed bool) {
	for i, c := range n.Content {
		key := ""
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			key = n.Content[i-1].Value
		}
		if strings.EqualFold(key, "URL") || strings.EqualFold(key, "MANIFEST") {
			for _, item := range append([]*yaml.Node{c}, c.Content...) {
				if item.Kind == yaml.ScalarNode && IsHTTP(item.Value) && Secretive(item.Value) {
					item.SetString(ShownURL(item.Value))
					changed = true
				}
			}
			continue
		}
		if hideSecrets(c) {
			changed = true
		}
	}
	return changed
}

// localFiles are the keys that name files of this machine; MANIFEST may.
var localFiles = []string{"FILE", "MANIFEST", "CA_FILE", "SSE_C_KEY_FILE", "CERTIFICATES_PATH", keyWebhookFile, keyExec} //nolint:gochecknoglobals // constant table

func isFileKey(name string) bool {
	return slices.ContainsFunc(localFiles, func(k string) bool { return strings.EqualFold(k, name) })
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
