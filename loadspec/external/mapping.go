package external

import (
	"fmt"
	"strings"

	"cw/fault"
	"cw/loadspec"
	"cw/schema"
)

// Reason says what is wrong with a column that a control file names.
type Reason int

// The reasons of a ColumnError.
const (
	NotInTarget Reason = iota // the target has no such column
	NotInFile                 // the file has no such column
	NoType                    // neither control file nor target give it a type
	NoTarget                  // a column of the file goes nowhere
	NotMapped                 // of the target, but nothing fills it
	IsGenerated               // computed by the database
	IsKey                     // of the distribution key, must not be updated
)

// ColumnError is a column that a control file names and that does not fit.
type ColumnError struct {
	Key    string // of the control file: COLUMNS, MAPPING, MATCH_COLUMNS …
	Column string
	Reason Reason
	Table  string   // target, as schema.table
	Known  []string // what could have been meant
}

func (e *ColumnError) Error() string {
	switch e.Reason {
	case NotInFile:
		return fmt.Sprintf("%s: column %s is not in the file", e.Key, e.Column)
	case NoType:
		return fmt.Sprintf("%s: column %s has no type and is not in table %s", e.Key, e.Column, e.Table)
	case NoTarget:
		return fmt.Sprintf("%s: column %s of the file is not in table %s", e.Key, e.Column, e.Table)
	case NotMapped:
		return fmt.Sprintf("%s: nothing is loaded into column %s of %s", e.Key, e.Column, e.Table)
	case IsGenerated:
		return fmt.Sprintf("%s: column %s of %s is computed by the database and cannot be loaded", e.Key, e.Column, e.Table)
	case IsKey:
		return fmt.Sprintf("%s: column %s is in the distribution key of %s and cannot be updated", e.Key, e.Column, e.Table)
	default:
		return fmt.Sprintf("%s: column %s is not in table %s", e.Key, e.Column, e.Table)
	}
}

// FaultKind says that the control file is wrong.
func (e *ColumnError) FaultKind() fault.Kind { return fault.Usage }

// FaultHint names the nearest column, or all.
func (e *ColumnError) FaultHint() string {
	if near := schema.Nearest(e.Column, e.Known); near != "" && near != e.Column {
		return "did you mean " + near + "?"
	}
	if e.Reason == NoTarget {
		return "give it a place with MAPPING, or add the column to the table"
	}
	if len(e.Known) > 0 {
		return "there are: " + strings.Join(e.Known, ", ")
	}
	return ""
}

// Assign fills a column of the target.
type Assign struct {
	Column Column
	Expr   string // SQL on the columns of the external table
}

// Mapping is how columns of the file become columns of the target.
type Mapping struct {
	Columns []loadspec.Column // of the external table, in order, with types
	Assign  []Assign          // in the target's order
}

// serials are types of columns that a file cannot have.
var serials = map[string]string{ //nolint:gochecknoglobals // constant table
	"serial": "int4", "serial4": "int4", "bigserial": "bigint", "serial8": "bigint", "smallserial": "smallint", "serial2": "smallint",
}

// NewMapping finds out what goes where. columns are the file's, empty for the
// target's without sequences; pairs are MAPPING: when there is one, only what
// it names is loaded, else columns of the same name.
func NewMapping(t *Target, columns []loadspec.Column, pairs []loadspec.Mapping) (*Mapping, error) {
	m := &Mapping{}
	if err := m.columns(t, columns); err != nil {
		return nil, err
	}
	exprs := map[string]string{}
	if len(pairs) > 0 {
		for _, p := range pairs {
			if t.Column(p.Target) == nil {
				return nil, t.columnError("MAPPING", p.Target, NotInTarget)
			}
			exprs[p.Target] = m.expr(p.Expr)
		}
	} else {
		for _, c := range m.Columns {
			if t.Column(c.Name) == nil {
				return nil, t.columnError("COLUMNS", c.Name, NoTarget)
			}
			exprs[c.Name] = loadspec.QuoteIdent(c.Name)
		}
	}
	for _, c := range t.Columns {
		expr, ok := exprs[c.Name]
		if !ok {
			continue
		}
		if c.Generated {
			key := "COLUMNS"
			if len(pairs) > 0 {
				key = "MAPPING"
			}
			return nil, t.columnError(key, c.Name, IsGenerated)
		}
		m.Assign = append(m.Assign, Assign{Column: c, Expr: expr})
	}
	if len(m.Assign) == 0 {
		return nil, fault.New(fault.Usage, "name columns in MAPPING or COLUMNS", "nothing would be loaded into %s.%s", t.Schema, t.Table)
	}
	return m, nil
}

func (m *Mapping) columns(t *Target, columns []loadspec.Column) error {
	if len(columns) == 0 {
		for _, c := range t.Columns {
			if !c.Sequence && !c.Generated {
				m.Columns = append(m.Columns, loadspec.Column{Name: c.Name, Type: c.Type})
			}
		}
		return nil
	}
	for _, c := range columns {
		if c.Type == "" {
			own := t.Column(c.Name)
			if own == nil {
				return t.columnError("COLUMNS", c.Name, NoType)
			}
			c.Type = own.Type
		}
		if plainType, ok := serials[strings.ToLower(c.Type)]; ok {
			c.Type = plainType
		}
		m.Columns = append(m.Columns, c)
	}
	return nil
}

// expr is SQL for what MAPPING says. A bare name of a column of the file is
// that column, whatever its case: YAML has taken away its quotes.
func (m *Mapping) expr(text string) string {
	for _, c := range m.Columns {
		if strings.TrimSpace(text) == c.Name {
			return Ident(c.Name)
		}
	}
	folded := loadspec.FoldName(text)
	for _, c := range m.Columns {
		if folded == c.Name {
			return Ident(c.Name)
		}
	}
	return text
}

func (t *Target) columnError(key, column string, reason Reason) error {
	return &ColumnError{Key: key, Column: column, Reason: reason, Table: t.Schema + "." + t.Table, Known: t.names()}
}
