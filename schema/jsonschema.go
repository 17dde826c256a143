package schema

import (
	"regexp"
	"strings"
	"unicode"
)

// JSONSchema is a JSON Schema, draft-07, in the order in which people read it.
type JSONSchema struct {
	Schema      string                 `json:"$schema,omitempty"`
	Ref         string                 `json:"$ref,omitempty"`
	ID          string                 `json:"$id,omitempty"`
	Title       string                 `json:"title,omitempty"`
	Description string                 `json:"description,omitempty"`
	Type        any                    `json:"type,omitempty"` // a string, or several
	Default     string                 `json:"default,omitempty"`
	Examples    []string               `json:"examples,omitempty"`
	Enum        []string               `json:"enum,omitempty"`
	Const       string                 `json:"const,omitempty"`
	Format      string                 `json:"format,omitempty"`
	Pattern     string                 `json:"pattern,omitempty"`
	Minimum     *int                   `json:"minimum,omitempty"`
	Maximum     *int                   `json:"maximum,omitempty"`
	Required    []string               `json:"required,omitempty"`
	AllOf       []*JSONSchema          `json:"allOf,omitempty"`
	AnyOf       []*JSONSchema          `json:"anyOf,omitempty"`
	Properties  map[string]*JSONSchema `json:"properties,omitempty"`
	// Patterns are Properties in other spellings: keys may have any case.
	Patterns      map[string]*JSONSchema `json:"patternProperties,omitempty"`
	Additional    any                    `json:"additionalProperties,omitempty"` // false, or of what
	MinProperties *int                   `json:"minProperties,omitempty"`
	Items         *JSONSchema            `json:"items,omitempty"`
	Contains      *JSONSchema            `json:"contains,omitempty"`
	// Definitions are the keys by their paths, each once.
	Definitions map[string]*JSONSchema `json:"definitions,omitempty"`
}

// Draft is the version of JSON Schema that editors know best.
const Draft = "http://json-schema.org/draft-07/schema#"

// ToJSONSchema makes a JSON Schema of a table of keys. What Check accepts is
// valid by it; it knows nothing of what goes beyond single values.
func ToJSONSchema(k Key, id, title string) *JSONSchema {
	b := &jsonBuilder{defs: map[string]*JSONSchema{}}
	s := b.key(k, "")
	s.Schema, s.ID, s.Title, s.Definitions = Draft, id, title, b.defs
	return s
}

type jsonBuilder struct{ defs map[string]*JSONSchema }

// ref is the key at a path, defined once.
func (b *jsonBuilder) ref(k Key, path string) *JSONSchema {
	if b.defs[path] == nil {
		s := b.key(k, path)
		if !k.Required && k.Type != Map { // written and left empty
			s.AnyOf, s.Type, s.Pattern = []*JSONSchema{{Type: s.Type, Pattern: s.Pattern, AnyOf: s.AnyOf}, {Type: "null"}}, nil, ""
		}
		b.defs[path] = s
	}
	return &JSONSchema{Ref: "#/definitions/" + path}
}

func (b *jsonBuilder) key(k Key, path string) *JSONSchema {
	s := b.value(k, path)
	s.Description, s.Default = k.Doc, k.Default
	if k.Example != "" {
		s.Examples = []string{k.Example}
	}
	return s
}

func (b *jsonBuilder) value(k Key, path string) *JSONSchema {
	text := func(pattern string, number *JSONSchema) *JSONSchema {
		number.Type = "number"
		return &JSONSchema{AnyOf: []*JSONSchema{{Type: "string", Pattern: pattern}, number}}
	}
	zero, one := 0, 1
	fromZero, nothing := &JSONSchema{Minimum: &zero}, &JSONSchema{Minimum: &zero, Maximum: &zero} // of a time 0 alone needs no unit
	switch k.Type {
	case Int:
		return &JSONSchema{Type: "integer"}
	case Bool:
		return &JSONSchema{AnyOf: []*JSONSchema{{Type: "boolean"}, {Type: "string", Pattern: anyCase("true", "false", "yes", "no", "on", "off")}}}
	case Enum:
		// The enum is what editors offer; the pattern is what is accepted.
		return &JSONSchema{AnyOf: []*JSONSchema{{Enum: k.Enum}, {Type: "string", Pattern: anyCase(k.Enum...)}}}
	case Size:
		return text(`^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]([iI]?[bB])?|[bB])?\s*$`, fromZero)
	case Rate:
		return text(`^\s*([nN][oO][nN][eE]|[oO][fF][fF]|[uU][nN][lL][iI][mM][iI][tT][eE][dD]|[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]([iI]?[bB])?|[bB])?(/[sS]([eE][cC])?|[pP][sS])?)\s*$`, &JSONSchema{Minimum: &one})
	case Count:
		return text(`^\s*([0-9]+|([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*%)\s*$`, fromZero)
	case Duration:
		return text(`^\s*([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+\s*$|^0$`, nothing)
	case Span:
		return text(`^\s*([0-9]+(\.[0-9]*)?d|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+|0)\s*$`, nothing)
	case List:
		elem := Key{}
		if k.Elem != nil {
			elem = *k.Elem
		}
		single := b.key(elem, path)
		items := single
		if elem.Type != Map && elem.Type != String { // a String is so already
			items = &JSONSchema{AnyOf: []*JSONSchema{single, {Type: "null"}}} // written and left empty
		}
		list := &JSONSchema{Type: "array", Items: items}
		if elem.Type == Map || elem.Type == List {
			return list
		}
		return &JSONSchema{AnyOf: []*JSONSchema{list, single}}
	case Map:
		return b.mapping(k, path)
	case Sections:
		item := b.mapping(k, path)
		item.AllOf = nil // which is for the items together
		least := 1
		item.MinProperties = &least
		list := &JSONSchema{Type: "array", Items: item}
		for _, sub := range k.Keys {
			if sub.Required {
				list.AllOf = append(list.AllOf, &JSONSchema{Contains: has(sub.Name)})
			}
		}
		return &JSONSchema{AnyOf: []*JSONSchema{list, b.mapping(k, path)}}
	default:
		if k.Required {
			return &JSONSchema{Type: []string{"string", "number", "boolean"}}
		}
		return &JSONSchema{Type: []string{"string", "number", "boolean", "null"}}
	}
}

// mapping has the keys in the table's spelling, for editors to offer, and in
// any other.
func (b *jsonBuilder) mapping(k Key, path string) *JSONSchema {
	s := &JSONSchema{Type: "object"}
	if len(k.Keys) == 0 {
		if k.Elem != nil {
			s.Additional = b.key(*k.Elem, path)
		}
		return s
	}
	s.Additional = false
	s.Properties, s.Patterns = map[string]*JSONSchema{}, map[string]*JSONSchema{}
	for _, sub := range k.Keys {
		ref := b.ref(sub, join(path, sub.Name))
		s.Properties[sub.Name], s.Patterns[anyCase(sub.Name)] = ref, ref
		if sub.Required {
			s.AllOf = append(s.AllOf, has(sub.Name))
		}
	}
	return s
}

// has wants a key in one of the spellings that occur.
func has(name string) *JSONSchema {
	s := &JSONSchema{}
	seen := map[string]bool{}
	for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ToUpper(name[:1]) + strings.ToLower(name[1:])} {
		if !seen[n] {
			seen[n] = true
			s.AnyOf = append(s.AnyOf, &JSONSchema{Required: []string{n}})
		}
	}
	return s
}

// anyCase is a pattern for one of words in any case; draft-07 has no flag for
// that.
func anyCase(words ...string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte('|')
		}
		for _, r := range w {
			lower, upper := unicode.ToLower(r), unicode.ToUpper(r)
			if lower != upper {
				b.WriteString("[" + string(lower) + string(upper) + "]")
			} else {
				b.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
	}
	return "^(" + b.String() + ")$"
}
