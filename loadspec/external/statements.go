package external

import (
	"strings"

	"cw/loadspec"
)

// Load is what the statements of a load are made of.
type Load struct {
	Target  *Target
	Mapping *Mapping
	From    string // name of the external table, in SQL

	// Of the modes update and merge.

	Staging   string   // name of the staging table, in SQL
	Match     []string // columns that identify a row
	Update    []string // columns that are overwritten
	Condition string   // SQL on the target's columns; "" all matching rows
}

// Check tells whether the columns of the modes update and merge exist, are
// loaded, and may be updated.
func (l *Load) Check() error {
	for _, list := range []struct {
		key   string
		names []string
	}{{"UPDATE_COLUMNS", l.Update}, {"MATCH_COLUMNS", l.Match}} {
		for _, name := range list.names {
			col := l.Target.Column(name)
			switch {
			case col == nil:
				return l.Target.columnError(list.key, name, NotInTarget)
			case l.assign(name) == nil:
				return l.Target.columnError(list.key, name, NotMapped)
			case col.Key && list.key == "UPDATE_COLUMNS":
				return l.Target.columnError(list.key, name, IsKey)
			}
		}
	}
	return nil
}

func (l *Load) assign(name string) *Assign {
	for i := range l.Mapping.Assign {
		if l.Mapping.Assign[i].Column.Name == name {
			return &l.Mapping.Assign[i]
		}
	}
	return nil
}

// Insert puts the rows of the external table into the target.
func (l *Load) Insert() string { return l.insert(l.Target.Name()) }

// Fill puts the rows of the external table into the staging table.
func (l *Load) Fill() string { return l.insert(l.Staging) }

func (l *Load) insert(into string) string {
	exprs := make([]string, len(l.Mapping.Assign))
	for i, a := range l.Mapping.Assign {
		exprs[i] = a.Expr
	}
	return "INSERT INTO " + into + " (" + idents(l.loaded()) + ") SELECT " + strings.Join(exprs, ",") + " FROM " + l.From
}

func (l *Load) loaded() []string {
	names := make([]string, len(l.Mapping.Assign))
	for i, a := range l.Mapping.Assign {
		names[i] = a.Column.Name
	}
	return names
}

// StagingColumns are the columns of the staging table: those of the target
// that are loaded.
func (l *Load) StagingColumns() []loadspec.Column {
	cols := make([]loadspec.Column, len(l.Mapping.Assign))
	for i, a := range l.Mapping.Assign {
		cols[i] = loadspec.Column{Name: a.Column.Name, Type: a.Column.Type}
	}
	return cols
}

// StagingKey is the distribution key of the staging table: the target's, or
// else the columns to match on; none when neither is loaded in full.
func (l *Load) StagingKey() []string {
	for _, key := range [][]string{l.Target.Key, l.Match} {
		all := len(key) > 0
		for _, name := range key {
			all = all && l.assign(name) != nil
		}
		if all {
			return key
		}
	}
	return nil
}

// CreateStaging makes the staging table; temp makes it one of the session,
// dropped at its end.
func (l *Load) CreateStaging(temp bool) string {
	var cols []string
	for _, c := range l.StagingColumns() {
		cols = append(cols, loadspec.QuoteIdent(c.Name)+" "+c.Type)
	}
	kind := "CREATE TABLE "
	if temp {
		kind = "CREATE TEMP TABLE "
	}
	sql := kind + l.Staging + " (" + strings.Join(cols, ",") + ")"
	if key := l.StagingKey(); len(key) > 0 {
		return sql + " DISTRIBUTED BY (" + idents(key) + ")"
	}
	return sql + " DISTRIBUTED RANDOMLY"
}

// UpdateRows overwrites the rows of the target that match a staged row.
func (l *Load) UpdateRows() string {
	sets := make([]string, len(l.Update))
	for i, name := range l.Update {
		q := loadspec.QuoteIdent(name)
		sets[i] = q + "=from_table." + q
	}
	sql := "update " + l.Target.Name() + " into_table set " + strings.Join(sets, ",") + " from " + l.Staging + " from_table where " + l.matching(" and ")
	if l.Condition != "" {
		// The line end keeps a comment at the condition's end from eating the rest.
		sql += " and  " + aliasColumns(l.Condition, "into_table", l.Target.names()) + " "
	}
	return sql
}

func (l *Load) matching(and string) string {
	on := make([]string, len(l.Match))
	for i, name := range l.Match {
		q := loadspec.QuoteIdent(name)
		on[i] = "into_table." + q + "=from_table." + q
	}
	return strings.Join(on, and)
}

// DeleteMatched takes the staged rows out that match a row of the target, so
// that the rest is new. This is how Greenplum 7 merges; gpload 6's outer join
// takes rows whose key is an empty text for missing.
func (l *Load) DeleteMatched() string {
	return "DELETE FROM " + l.Staging + " from_table USING " + l.Target.Name() + " into_table WHERE " + l.matching(" AND ")
}

// InsertRest puts what is left in the staging table into the target, of
// several rows with the same key one.
func (l *Load) InsertRest() string {
	var from []string
	for _, name := range l.loaded() {
		from = append(from, "from_table."+loadspec.QuoteIdent(name))
	}
	return "INSERT INTO " + l.Target.Name() + " (" + idents(l.loaded()) + ") (SELECT " + strings.Join(from, ",") +
		" FROM (SELECT *, row_number() OVER (PARTITION BY " + idents(l.Match) + ") AS gpload_row_number FROM " + l.Staging +
		") AS from_table WHERE gpload_row_number=1)"
}
