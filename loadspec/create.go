package loadspec

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// create checks PRELOAD: CREATE_TABLE.
func (v *validator) create() {
	load := &v.spec.file.Load
	v.spec.Create = load.Preload.Create
	if v.spec.Create && len(load.Output.Mapping) > 0 {
		v.fail("GPLOAD.PRELOAD.CREATE_TABLE", "cannot stand beside MAPPING: nothing tells the types of its expressions; create the table by hand")
	}
	if v.spec.Create && v.spec.Output.Mode == ModeUpdate {
		v.fail("GPLOAD.PRELOAD.CREATE_TABLE", "goes with MODE insert and merge only: there is nothing to update in a new table")
	}
}

// Tolerates tells whether rows may be rejected.
func (s *Spec) Tolerates() bool { return s.ErrorLimit > 0 || s.ErrorPercent > 0 }

// ErrorLimitText is ERROR_LIMIT as it is written.
func (s *Spec) ErrorLimitText() string {
	if s.ErrorPercent > 0 {
		return strconv.FormatFloat(s.ErrorPercent, 'f', -1, 64) + "%"
	}
	return strconv.Itoa(s.ErrorLimit)
}

// WithCreate is the control file's text with PRELOAD: CREATE_TABLE: true in it,
// for the option of that name. Comments stay.
func WithCreate(data []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read control file: %w", err)
	}
	if len(doc.Content) == 0 {
		return data, nil
	}
	load := member(doc.Content[0], "GPLOAD")
	if load == nil || load.Kind != yaml.MappingNode {
		return data, nil // Parse will say what is wrong
	}
	word := func(s, tag string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s, Tag: tag} }
	preload := member(load, "PRELOAD")
	switch {
	case preload == nil:
		preload = &yaml.Node{Kind: yaml.MappingNode}
		load.Content = append(load.Content, word("PRELOAD", "!!str"), preload)
	case preload.Kind == yaml.SequenceNode:
		section := &yaml.Node{Kind: yaml.MappingNode}
		for _, s := range preload.Content {
			if member(s, "CREATE_TABLE") != nil {
				section = nil
				preload = s
				break
			}
		}
		if section != nil {
			preload.Content = append(preload.Content, section)
			preload = section
		}
	case preload.Kind != yaml.MappingNode:
		preload.Kind, preload.Value, preload.Tag, preload.Style = yaml.MappingNode, "", "", 0
	}
	if value := member(preload, "CREATE_TABLE"); value != nil {
		value.SetString("true")
		value.Tag, value.Style = "!!bool", 0
	} else {
		preload.Content = append(preload.Content, word("CREATE_TABLE", "!!str"), word("true", "!!bool"))
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("write control file: %w", err)
	}
	return out.Bytes(), nil
}

// member is a key's value, whatever the key's case.
func member(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return n.Content[i+1]
		}
	}
	return nil
}

// writtenAs tells types apart of which a converter writes the values in
// another way. A column may become wider while its job waits.
func writtenAs(typ string) string {
	switch t := strings.ToLower(typ); {
	case t == "json" || t == "jsonb":
		return "json"
	case t == "bytea":
		return t
	case t == "boolean" || t == "bool":
		return "boolean"
	case t == "date" || strings.HasPrefix(t, "timestamp"):
		return "date"
	}
	return ""
}
