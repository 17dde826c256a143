package loadspec

import (
	"bytes"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// WithoutPassword returns the control file's text with its PASSWORD key taken
// out, for keeping in the store; comments stay.
func WithoutPassword(data []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read control file: %w", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return data, nil
	}
	root, kept := doc.Content[0], []*yaml.Node(nil)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if !strings.EqualFold(root.Content[i].Value, "PASSWORD") {
			kept = append(kept, root.Content[i], root.Content[i+1])
		}
	}
	if len(kept) == len(root.Content) {
		return data, nil
	}
	root.Content = kept
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("write control file: %w", err)
	}
	return out.Bytes(), nil
}
