package run

import (
	"fmt"
	"strings"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/format"
)

// rowAlias is what a row is called in the statements; no column is called so.
const rowAlias = "cw_unloaded_row"

// rowShape is how rows are asked for and what is done to each.
type rowShape struct {
	u       *loadspec.Unload
	x       *copy.Extract
	list    string // the select list
	options string // of COPY
	prefix  string // SQL of the partition's key, the first column; "" for none
	newline []byte // instead of LF; nil for LF
	json    bool
	parquet *format.ParquetSchema // nil for rows of text
}

// Control characters that JSON never holds raw: with them as quote and
// delimiter csv leaves a JSON text as it is, but for the quotes around one
// with a line end.
const jsonQuote, jsonDelimiter = 0x01, 0x02

// newRowShape builds the statements. encoding is the objects'.
func newRowShape(u *loadspec.Unload, x *copy.Extract, encoding string) (*rowShape, []string, error) {
	s := &rowShape{u: u, x: x, list: rowAlias + ".*"}
	var notes []string
	f := u.Format
	names := map[string]int{}
	for _, c := range x.Columns {
		names[c.Name]++
	}
	if names[rowAlias] > 0 {
		return nil, nil, fault.New(fault.Usage, "", "column %s: this name is cw's own", rowAlias)
	}
	switch f.Kind {
	case loadspec.FormatJSON, loadspec.FormatParquet:
		for name, n := range names {
			if n > 1 {
				return nil, nil, fault.New(fault.Usage, "name them with AS", "%d columns are called %s, which %s cannot have", n, name, f.Kind)
			}
		}
	}
	switch f.Kind {
	case loadspec.FormatJSON:
		// The database's own JSON: exact for every type it has, nested ones too.
		s.json, s.list = true, "row_to_json("+rowAlias+")"
		s.options = fmt.Sprintf(`FORMAT csv, DELIMITER E'\x%02x', QUOTE E'\x%02x', ESCAPE E'\x%02x', ENCODING 'UTF8'`, jsonDelimiter, jsonQuote, jsonQuote)
	case loadspec.FormatParquet:
		schema, warnings, err := format.NewParquetSchema(parquetColumns(x), f.Compression)
		if err != nil {
			return nil, nil, err
		}
		s.parquet, s.list, s.options, notes = schema, schema.SelectList(rowAlias), "FORMAT binary", warnings
	default:
		force, err := known(u.ForceQuote, "FORCE_QUOTE", names)
		if err != nil {
			return nil, nil, err
		}
		s.options = format.CopyOptions(f, nil, encoding)
		if len(force) > 0 {
			s.options += ", FORCE_QUOTE (" + format.Columns(force) + ")"
		}
	}
	switch f.Newline {
	case loadspec.NewlineCR:
		s.newline = []byte("\r")
	case loadspec.NewlineCRLF:
		s.newline = []byte("\r\n")
	}
	keys, err := known(u.PartitionBy, "PARTITION_BY", names)
	if err != nil {
		return nil, nil, err
	}
	var parts []string
	for _, name := range keys {
		parts = append(parts, "coalesce(encode(convert_to(nullif("+rowAlias+"."+loadspec.QuoteIdent(name)+"::text, ''), 'UTF8'), 'hex'), '-')")
	}
	s.prefix = strings.Join(parts, " || '.' || ")
	return s, notes, nil
}

func parquetColumns(x *copy.Extract) []format.ParquetColumn {
	var out []format.ParquetColumn
	for _, c := range x.Columns {
		out = append(out, format.ParquetColumn{Name: c.Name, OID: c.OID, Typmod: c.Typmod, Type: c.Type})
	}
	return out
}

// known checks columns that a key names.
func known(wanted []string, key string, names map[string]int) ([]string, error) {
	for _, w := range wanted {
		if names[w] == 0 {
			all := make([]string, 0, len(names))
			for n := range names {
				all = append(all, n)
			}
			return nil, copy.UnknownColumn(key, w, all)
		}
		if names[w] > 1 {
			return nil, fault.New(fault.Usage, "name them with AS", "%s: %d columns are called %s", key, names[w], w)
		}
	}
	return wanted, nil
}

// statement is the COPY of a slice.
func (s *rowShape) statement(slice copy.Slice) string {
	if s.prefix == "" {
		return fmt.Sprintf("COPY (SELECT %s FROM (SELECT %s FROM %s) %s) TO STDOUT WITH (%s)", s.list, s.columns(), s.x.From(slice), rowAlias, s.options)
	}
	// Sorted, a worker has one partition's object open at a time.
	return fmt.Sprintf("COPY (SELECT %s, %s FROM (SELECT %s FROM %s) %s ORDER BY 1) TO STDOUT WITH (%s)", s.prefix, s.list, s.columns(), s.x.From(slice), rowAlias, s.options)
}

// header is the COPY of the heading alone.
func (s *rowShape) header() string {
	return fmt.Sprintf("COPY (SELECT * FROM (SELECT %s FROM %s) %s LIMIT 0) TO STDOUT WITH (%s, HEADER true)", s.columns(), s.x.From(copy.Slice{}), rowAlias, s.options)
}

// columns is the inner select list.
func (s *rowShape) columns() string {
	if s.x.Query != "" {
		return "*" // it may have several of one name
	}
	names := make([]string, len(s.x.Columns))
	for i, c := range s.x.Columns {
		names[i] = c.Name
	}
	return format.Columns(names)
}

// delimiter is what ends the partition's key in a row of text.
func (s *rowShape) delimiter() byte {
	if s.json {
		return jsonDelimiter
	}
	return s.u.Format.Delimiter
}
