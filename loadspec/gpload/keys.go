package gpload

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// key is a word of the control file.
type key struct {
	parents []string // where it may stand; "" at the top
	descend bool     // what is below it are words, too
}

// keys are the words and their places.
var keys = map[string]key{ //nolint:gochecknoglobals // constant table
	"version": {[]string{""}, true}, "database": {[]string{""}, true}, "user": {[]string{""}, true}, "host": {[]string{""}, true},
	"port": {[]string{"", "source"}, true}, "password": {[]string{""}, true}, "gpload": {[]string{""}, true},

	"input": {[]string{"gpload"}, true}, "source": {[]string{"input"}, true},
	"local_hostname": {[]string{"source"}, false}, "port_range": {[]string{"source"}, false}, "file": {[]string{"source"}, false},
	"ssl": {[]string{"source"}, false}, "certificates_path": {[]string{"source"}, false},
	"columns": {[]string{"input"}, false}, "transform": {[]string{"input"}, true}, "transform_config": {[]string{"input"}, true},
	"max_line_length": {[]string{"input"}, true}, "format": {[]string{"input"}, true}, "delimiter": {[]string{"input"}, true},
	"escape": {[]string{"input"}, true}, "null_as": {[]string{"input"}, true}, "newline": {[]string{"input"}, true},
	"quote": {[]string{"input"}, true}, "encoding": {[]string{"input"}, true}, "force_not_null": {[]string{"input"}, false},
	"fill_missing_fields": {[]string{"input"}, false}, "error_limit": {[]string{"input"}, true}, "error_percent": {[]string{"input"}, true},
	"error_table": {[]string{"input"}, true}, "log_errors": {[]string{"input"}, false}, "header": {[]string{"input"}, true},
	"fully_qualified_domain_name": {[]string{"input"}, false},

	"output": {[]string{"gpload"}, true}, "table": {[]string{"output"}, true}, "mode": {[]string{"output"}, true},
	"match_columns": {[]string{"output"}, false}, "update_columns": {[]string{"output"}, false},
	"update_condition": {[]string{"output"}, true}, "mapping": {[]string{"output"}, false},

	"preload": {[]string{"gpload"}, true}, "truncate": {[]string{"preload"}, false}, "reuse_tables": {[]string{"preload"}, false},
	"fast_match": {[]string{"preload"}, false}, "staging_table": {[]string{"preload"}, false},

	"sql": {[]string{"gpload"}, true}, "before": {[]string{"sql"}, false}, "after": {[]string{"sql"}, false},
	"external": {[]string{"gpload"}, true}, "schema": {[]string{"external"}, false},
}

// checkKeys finds the first word that is unknown or out of place.
func checkKeys(n *yaml.Node, parent string, depth int) error {
	if depth > maxDepth {
		return nil // convert has complained already
	}
	switch n.Kind {
	case yaml.AliasNode:
		return checkKeys(n.Alias, parent, depth+1)
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := strings.ToLower(n.Content[i].Value)
			k, err := checkKey(name, parent)
			if err != nil {
				return err
			}
			below := n.Content[i+1]
			if below.Kind == yaml.AliasNode {
				below = below.Alias
			}
			if k.descend && below.Kind != yaml.ScalarNode {
				if err := checkKeys(below, name, depth+1); err != nil {
					return err
				}
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode {
				if _, err := checkKey(item.Value, parent); err != nil {
					return err
				}
				continue
			}
			if err := checkKeys(item, parent, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkKey(name, parent string) (key, error) {
	k, ok := keys[name]
	if !ok {
		return key{}, fmt.Errorf("unrecognized key: \"%s\"", name) //nolint:misspell // gpload's word
	}
	for _, p := range k.parents {
		if p == parent {
			return k, nil
		}
	}
	return key{}, fmt.Errorf("unexpected key: \"%s\"", name)
}
