package format

import (
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	pqformat "github.com/parquet-go/parquet-go/format"

	"cw/loadspec/infer"
)

// ParquetTable is the table that takes all columns of a Parquet file, by its
// schema.
func ParquetTable(in Input, at io.ReaderAt, size int64) (t *infer.Table, err error) {
	defer recovered(in, 0, &err)
	at, size, err = unpacked(at, size)
	if err != nil {
		return nil, openError(in, err)
	}
	f, err := parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, openError(in, err)
	}
	var leaves []pqformat.SchemaElement
	for _, e := range f.Metadata().Schema {
		if e.NumChildren.V == 0 {
			leaves = append(leaves, e)
		}
	}
	t = &infer.Table{}
	names := fileNames(f.Root().Columns())
	for i, c := range f.Root().Columns() {
		if names[i] == "" {
			t.Notes = append(t.Notes, fmt.Sprintf("column %.100q cannot have its name in a table and is left out", c.Name()))
			continue
		}
		col := infer.Column{Name: names[i], Type: infer.JSONB}
		if c.Leaf() && c.MaxRepetitionLevel() == 0 {
			col.Type, err = parquetType(c.Type(), &leaves[c.Index()])
			col.NotNull = c.MaxDefinitionLevel() == 0
		} else {
			_, err = newNestedColumn(c, leaves)
		}
		if err != nil {
			t.Notes = append(t.Notes, fmt.Sprintf("column %s is left out: %v", c.Name(), err))
			err = nil
			continue
		}
		t.Columns = append(t.Columns, col)
	}
	return t, nil
}

// fileNames are the names that a file's columns have in a table: in lower case
// where that tells them apart; "" where there can be none.
func fileNames[C interface{ Name() string }](columns []C) []string {
	folded := map[string]int{}
	for _, c := range columns {
		folded[strings.ToLower(c.Name())]++
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		if names[i] = strings.ToLower(c.Name()); folded[names[i]] > 1 {
			names[i] = c.Name()
		}
		if len(names[i]) > 63 || strings.ContainsRune(names[i], 0) {
			names[i] = ""
		}
	}
	return names
}

// parquetType is the type of the database that holds all values of a leaf.
func parquetType(t parquet.Type, e *pqformat.SchemaElement) (string, error) {
	if _, err := valueWriter(t, e, ""); err != nil {
		return "", err
	}
	if e.ConvertedType.Valid && e.ConvertedType.V == deprecated.Interval && t.Length() == 12 {
		return "interval", nil
	}
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *pqformat.DecimalType:
			return fmt.Sprintf("numeric(%d,%d)", l.Precision, l.Scale), nil
		case *pqformat.DateType:
			return infer.Date, nil
		case *pqformat.TimeType:
			return "time", nil
		case *pqformat.TimestampType:
			if l.IsAdjustedToUTC {
				return infer.TimestampTZ, nil
			}
			return infer.Timestamp, nil
		case *pqformat.UUIDType:
			return infer.UUID, nil
		case *pqformat.JsonType:
			return infer.JSONB, nil
		case *pqformat.StringType, *pqformat.EnumType:
			return infer.Text, nil
		case *pqformat.IntType:
			return integerType(int(l.BitWidth), l.IsSigned), nil
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return infer.Boolean, nil
	case parquet.Int32:
		return infer.Integer, nil
	case parquet.Int64:
		return infer.BigInt, nil
	case parquet.Int96:
		return infer.TimestampTZ, nil
	case parquet.Float:
		return "real", nil
	case parquet.Double:
		return infer.Double, nil
	}
	if e.ConvertedType.Valid {
		return infer.Text, nil
	}
	return "bytea", nil
}

func integerType(bits int, signed bool) string {
	if !signed {
		bits++
	}
	switch {
	case bits <= 16:
		return "smallint"
	case bits <= 32:
		return infer.Integer
	case bits <= 64:
		return infer.BigInt
	}
	return "numeric(20,0)"
}
