package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The decoder of Avro is cw's own: the format is small, and a value goes from
// the block's bytes to COPY's text without a Go value in between, which no
// general library does.

// avroType is what a node of a schema is.
type avroType uint8

const (
	avroNull avroType = iota
	avroBoolean
	avroInt
	avroLong
	avroFloat
	avroDouble
	avroBytes
	avroString
	avroFixed
	avroEnum
	avroArray
	avroMap
	avroRecord
	avroUnion
)

// avroLogical is what a value means beyond its type.
type avroLogical uint8

const (
	plain avroLogical = iota
	avroDecimal
	avroUUID
	avroDate
	avroTime      // of unit
	avroTimestamp // an instant, of unit
	avroLocal     // a timestamp without a zone, of unit
	avroDuration
)

// avroNode is a node of a schema. Named types that contain themselves make a
// circle of it.
type avroNode struct {
	typ       avroType
	logical   avroLogical
	unit      int64 // per second
	scale     int
	precision int
	size      int // fixed
	symbols   []string
	fields    []avroField // record
	items     *avroNode   // array, map
	branches  []*avroNode // union
}

type avroField struct {
	name string
	node *avroNode
}

// Name is the field's name.
func (f avroField) Name() string { return f.name }

// avroSchema reads a schema.
type avroSchema struct {
	named map[string]*avroNode
	depth int
}

// avroPrimitives are the types without attributes.
var avroPrimitives = map[string]avroType{ //nolint:gochecknoglobals // constant table
	"null": avroNull, "boolean": avroBoolean, "int": avroInt, "long": avroLong, "float": avroFloat, "double": avroDouble,
	"bytes": avroBytes, "string": avroString,
}

func parseAvroSchema(text []byte) (*avroNode, error) {
	s := &avroSchema{named: map[string]*avroNode{}}
	n, err := s.parse(text, "")
	if err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	return n, nil
}

func (s *avroSchema) parse(text json.RawMessage, space string) (*avroNode, error) {
	if s.depth++; s.depth > maxAvroDepth {
		return nil, errors.New("it is nested too deep")
	}
	defer func() { s.depth-- }()
	var name string
	if json.Unmarshal(text, &name) == nil {
		return s.byName(name, space)
	}
	var branches []json.RawMessage
	if json.Unmarshal(text, &branches) == nil {
		n := &avroNode{typ: avroUnion}
		for _, b := range branches {
			branch, err := s.parse(b, space)
			if err != nil {
				return nil, err
			}
			n.branches = append(n.branches, branch)
		}
		if len(n.branches) == 0 {
			return nil, errors.New("a union has no branches")
		}
		return n, nil
	}
	var d avroDefinition
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	return s.define(&d, space)
}

func (s *avroSchema) byName(name, space string) (*avroNode, error) {
	if t, ok := avroPrimitives[name]; ok {
		return &avroNode{typ: t}, nil
	}
	for _, full := range []string{fullName(name, space), name} {
		if n := s.named[full]; n != nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("type %q is not known", name)
}

func fullName(name, space string) string {
	if space == "" || strings.Contains(name, ".") {
		return name
	}
	return space + "." + name
}

// avroDefinition is a type with attributes.
type avroDefinition struct {
	Type      json.RawMessage `json:"type"`
	Name      string          `json:"name"`
	Namespace *string         `json:"namespace"`
	Fields    []struct {
		Name string          `json:"name"`
		Type json.RawMessage `json:"type"`
	} `json:"fields"`
	Symbols   []string        `json:"symbols"`
	Items     json.RawMessage `json:"items"`
	Values    json.RawMessage `json:"values"`
	Size      int             `json:"size"`
	Logical   any             `json:"logicalType"`
	Precision json.Number     `json:"precision"`
	Scale     json.Number     `json:"scale"`
}

func (s *avroSchema) define(d *avroDefinition, space string) (*avroNode, error) {
	var kind string
	if json.Unmarshal(d.Type, &kind) != nil {
		return s.parse(d.Type, space) // {"type": {…}}
	}
	n := &avroNode{}
	switch kind {
	case "record", "error", "enum", "fixed":
		full := d.Name
		if d.Namespace != nil && !strings.Contains(full, ".") {
			full = fullName(full, *d.Namespace)
		} else {
			full = fullName(full, space)
		}
		if i := strings.LastIndexByte(full, '.'); i >= 0 {
			space = full[:i]
		}
		if s.named[full] != nil {
			return nil, fmt.Errorf("type %q is defined twice", full)
		}
		s.named[full] = n
	}
	var err error
	switch kind {
	case "record", "error":
		n.typ = avroRecord
		for _, f := range d.Fields {
			child, err := s.parse(f.Type, space)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
			n.fields = append(n.fields, avroField{f.Name, child})
		}
	case "enum":
		n.typ, n.symbols = avroEnum, d.Symbols
	case "fixed":
		if n.typ, n.size = avroFixed, d.Size; n.size < 0 || n.size > 1<<20 {
			return nil, fmt.Errorf("a fixed of %d bytes", n.size)
		}
	case "array":
		n.typ = avroArray
		n.items, err = s.parse(d.Items, space)
	case "map":
		n.typ = avroMap
		n.items, err = s.parse(d.Values, space)
	default:
		found, err := s.byName(kind, space)
		if err != nil {
			return nil, err
		}
		if d.Logical == nil {
			return found, nil
		}
		if _, ok := avroPrimitives[kind]; !ok {
			return found, nil // an attribute of a reference means nothing
		}
		n = found
	}
	if err != nil {
		return nil, err
	}
	n.means(d)
	return n, nil
}

// means takes a logical type that stands where it may; others are ignored, as
// the format wants it.
func (n *avroNode) means(d *avroDefinition) {
	name, _ := d.Logical.(string)
	set := func(ok bool, l avroLogical, unit int64) {
		if ok {
			n.logical, n.unit = l, unit
		}
	}
	switch name {
	case "decimal":
		precision, _ := d.Precision.Int64()
		scale, _ := d.Scale.Int64()
		if (n.typ == avroBytes || n.typ == avroFixed) && precision > 0 && scale >= 0 && scale <= precision && precision <= 1000 {
			n.logical, n.precision, n.scale = avroDecimal, int(precision), int(scale)
		}
	case "uuid":
		set(n.typ == avroString || n.typ == avroFixed && n.size == 16, avroUUID, 0)
	case "date":
		set(n.typ == avroInt, avroDate, 0)
	case "time-millis":
		set(n.typ == avroInt, avroTime, 1e3)
	case "time-micros":
		set(n.typ == avroLong, avroTime, 1e6)
	case "timestamp-millis":
		set(n.typ == avroLong, avroTimestamp, 1e3)
	case "timestamp-micros":
		set(n.typ == avroLong, avroTimestamp, 1e6)
	case "timestamp-nanos":
		set(n.typ == avroLong, avroTimestamp, 1e9)
	case "local-timestamp-millis":
		set(n.typ == avroLong, avroLocal, 1e3)
	case "local-timestamp-micros":
		set(n.typ == avroLong, avroLocal, 1e6)
	case "local-timestamp-nanos":
		set(n.typ == avroLong, avroLocal, 1e9)
	case "duration":
		set(n.typ == avroFixed && n.size == 12, avroDuration, 0)
	}
}

// nested tells whether values are written as JSON.
func (n *avroNode) nested() bool {
	switch n.typ {
	case avroArray, avroMap, avroRecord:
		return true
	case avroUnion:
		for _, b := range n.branches {
			if b.nested() {
				return true
			}
		}
	}
	return false
}
