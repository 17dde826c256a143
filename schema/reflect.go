package schema

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// OfType makes a JSON Schema of what encoding/json writes for a type: a field
// that is added to it is in the schema without anybody's doing. enums has the
// values of its named strings. Unknown keys are valid: documents only grow,
// and who checks an old schema against a new document shall not fail.
func OfType(t reflect.Type, enums map[reflect.Type][]string, id, title string) *JSONSchema {
	b := &typeBuilder{enums: enums, defs: map[string]*JSONSchema{}}
	s := b.object(t)
	s.Schema, s.ID, s.Title, s.Definitions = Draft, id, title, b.defs
	return s
}

type typeBuilder struct {
	enums map[reflect.Type][]string
	defs  map[string]*JSONSchema
}

func (b *typeBuilder) of(t reflect.Type) *JSONSchema {
	if values, ok := b.enums[t]; ok {
		return &JSONSchema{Type: "string", Enum: values}
	}
	marshaler := reflect.TypeFor[json.Marshaler]()
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &JSONSchema{Type: "string", Format: "date-time"}
	case t.Kind() == reflect.Pointer:
		return b.of(t.Elem())
	case t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler):
		return &JSONSchema{} // in its own words
	}
	switch t.Kind() {
	case reflect.Bool:
		return &JSONSchema{Type: "boolean"}
	case reflect.String:
		return &JSONSchema{Type: "string"}
	case reflect.Float32, reflect.Float64:
		return &JSONSchema{Type: "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return &JSONSchema{Type: "string"} // base64
		}
		return &JSONSchema{Type: []string{"array", "null"}, Items: b.of(t.Elem())}
	case reflect.Map:
		return &JSONSchema{Type: []string{"object", "null"}, Additional: b.of(t.Elem())}
	case reflect.Struct:
		name := strings.ReplaceAll(t.String(), "*", "")
		if t.Name() == "" {
			return b.object(t)
		}
		if b.defs[name] == nil {
			b.defs[name] = &JSONSchema{} // for types that hold themselves
			b.defs[name] = b.object(t)
		}
		return &JSONSchema{Ref: "#/definitions/" + name}
	case reflect.Interface:
		return &JSONSchema{}
	default:
		return &JSONSchema{Type: "integer"}
	}
}

func (b *typeBuilder) object(t reflect.Type) *JSONSchema {
	s := &JSONSchema{Type: "object", Properties: map[string]*JSONSchema{}}
	for _, f := range Fields(t) {
		p := b.of(f.Type)
		if f.Type.Kind() == reflect.Pointer && !f.Optional {
			p = &JSONSchema{AnyOf: []*JSONSchema{p, {Type: "null"}}}
		}
		s.Properties[f.Name] = p
		if !f.Optional {
			s.Required = append(s.Required, f.Name)
		}
	}
	slices.Sort(s.Required)
	return s
}

// Field is a field of a type as encoding/json sees it.
type Field struct {
	Name     string
	Type     reflect.Type
	Optional bool // left out when it is empty
}

// Fields lists the fields of a struct in their order, those of embedded ones
// in their place; none of what is no struct.
func Fields(t reflect.Type) []Field {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var out []Field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "":
			out = append(out, Fields(f.Type)...)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			out = append(out, Field{name, f.Type, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")})
		}
	}
	return out
}
