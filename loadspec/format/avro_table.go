package format

import (
	"fmt"
	"io"

	"cw/loadspec/infer"
)

// AvroTable is the table that takes all columns of an Avro file, by its schema.
func AvroTable(in Input, r io.Reader) (*infer.Table, error) {
	_, root, err := openAvro(in, r)
	if err != nil {
		return nil, err
	}
	t := &infer.Table{}
	for i, name := range fileNames(root.fields) {
		if name == "" {
			t.Notes = append(t.Notes, fmt.Sprintf("column %.100q cannot have its name in a table and is left out", root.fields[i].name))
			continue
		}
		typ, null := root.fields[i].node.sql()
		t.Columns = append(t.Columns, infer.Column{Name: name, Type: typ, NotNull: !null})
	}
	return t, nil
}

// sql is the type of the database that holds all values; null says that NULL
// is among them.
func (n *avroNode) sql() (typ string, null bool) {
	if n.typ == avroUnion {
		for _, b := range n.branches {
			t, isNull := b.sql()
			if null = null || isNull; b.typ == avroNull {
				continue
			}
			if typ != "" && typ != t {
				t = wider(typ, t)
			}
			typ = t
		}
		if n.nested() {
			typ = infer.JSONB
		}
		return typ, null
	}
	switch n.logical {
	case avroDecimal:
		return fmt.Sprintf("numeric(%d,%d)", n.precision, n.scale), false
	case avroUUID:
		return infer.UUID, false
	case avroDate:
		return infer.Date, false
	case avroTime:
		return "time", false
	case avroTimestamp:
		return infer.TimestampTZ, false
	case avroLocal:
		return infer.Timestamp, false
	case avroDuration:
		return "interval", false
	}
	return [...]string{
		avroNull: infer.Text, avroBoolean: infer.Boolean, avroInt: infer.Integer, avroLong: infer.BigInt, avroFloat: "real", avroDouble: infer.Double,
		avroBytes: "bytea", avroString: infer.Text, avroFixed: "bytea", avroEnum: infer.Text, avroArray: infer.JSONB, avroMap: infer.JSONB, avroRecord: infer.JSONB,
	}[n.typ], n.typ == avroNull
}

// wider is a type for the values of two.
func wider(a, b string) string {
	if a == infer.Integer && b == infer.BigInt || a == infer.BigInt && b == infer.Integer {
		return infer.BigInt
	}
	if a == "real" && b == infer.Double || a == infer.Double && b == "real" {
		return infer.Double
	}
	return infer.Text
}
