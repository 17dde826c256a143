package external

import (
	"strconv"
	"strings"

	"cw/fault"
	"cw/loadspec"
)

// Table is an external table.
type Table struct {
	Schema, Name string // schema "" for the search path
	Writable     bool
	Temp         bool
	Columns      []loadspec.Column // with types
	Locations    []string          // gpfdist:// or gpfdists://
	Format       Format
	Encoding     string // "" the database's
	LogErrors    bool   // keep rejected rows; readable
	RejectLimit  int    // rows per segment; 0 none: the first bad row stops the statement; readable
	Percent      bool   // RejectLimit is one of a segment's rows

	DistributedBy []string // writable; none: randomly

	// PlainText writes texts as gpload does, without the E'' form. The
	// statement then means what it should only where
	// standard_conforming_strings is on.
	PlainText bool
}

// SQLName is the table's name in SQL.
func (t *Table) SQLName() string { return Qualified(t.Schema, t.Name) }

// Create is the statement that makes the table. Column types are SQL that the
// control file gives; one that is more than a type is an error.
func (t *Table) Create() (string, error) {
	if len(t.Columns) == 0 {
		return "", fault.New(fault.Usage, "", "external table %s would have no column", t.Name)
	}
	var b strings.Builder
	b.WriteString("create ")
	if t.Writable {
		b.WriteString("writable ")
	}
	b.WriteString("external ")
	if t.Temp {
		b.WriteString("temp ")
	}
	b.WriteString("table " + t.SQLName() + "(")
	for i, c := range t.Columns {
		if err := checkType(c); err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(loadspec.QuoteIdent(c.Name) + " " + c.Type)
	}
	b.WriteString(")location(")
	for i, l := range t.Locations {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(literal(l, t.PlainText))
	}
	b.WriteString(") format " + literal(t.Format.Kind, t.PlainText) + " (" + t.Format.clause(t.PlainText) + ") ")
	if t.Encoding != "" {
		b.WriteString("encoding" + literal(t.Encoding, t.PlainText) + " ")
	}
	switch {
	case t.Writable && len(t.DistributedBy) > 0:
		b.WriteString("distributed by (" + idents(t.DistributedBy) + ")")
	case t.Writable:
		b.WriteString("distributed randomly")
	default:
		if t.LogErrors {
			b.WriteString("log errors ")
		}
		if t.RejectLimit > 0 {
			b.WriteString("segment reject limit " + strconv.Itoa(t.RejectLimit) + " ")
			if t.Percent {
				b.WriteString("percent ")
			}
		}
	}
	return b.String(), nil
}

// Drop is the statement that removes the table.
func (t *Table) Drop() string { return "drop external table if exists " + t.SQLName() }

// checkType lets through what a type can be made of: names, quoted or not,
// with modifiers and brackets.
func checkType(c loadspec.Column) error {
	bad := func(what string) error {
		return fault.New(fault.Usage, "write a type, as numeric(10,2)", "column %s: %q is no type: %s", c.Name, c.Type, what)
	}
	depth, quoted := 0, false
	for _, r := range c.Type {
		switch {
		case r == 0:
			return bad("it has a zero byte")
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			return bad("unexpected comma")
		case strings.ContainsRune(`;'\/-+*=<>!@#%^&|?~:{}`+"`", r):
			return bad("unexpected " + strconv.QuoteRune(r))
		}
		if depth < 0 {
			return bad("unexpected )")
		}
	}
	switch {
	case quoted:
		return bad("a quote is not closed")
	case depth > 0:
		return bad("a parenthesis is not closed")
	case strings.TrimSpace(c.Type) == "":
		return bad("it is empty")
	}
	return nil
}
