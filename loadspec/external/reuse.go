package external

import (
	"context"
	"crypto/md5" //nolint:gosec // a name, the same as gpload's, not a secret
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
)

// ReusablePrefix begins the names of external tables that are kept between
// loads, gpload's and cw's alike.
const ReusablePrefix = "ext_gpload_reusable_"

// existing is an external table as the catalogue has it.
type existing struct {
	oid       uint32
	schema    string
	name      string
	locations []string
	code      string // fmttype
	options   string // fmtopts
	limit     int32  // 0 none
	percent   bool
	log       bool
	encoding  string
	writable  bool
	columns   []loadspec.Column
}

// query reads external tables; the condition may use c (pg_class), n
// (pg_namespace) and e (pg_exttable).
const existingQuery = `select c.oid, n.nspname::text, c.relname::text, coalesce(e.urilocation, '{}')::text[], e.fmttype::text, coalesce(e.fmtopts, ''),
	coalesce(e.rejectlimit, 0)::int, coalesce(e.rejectlimittype::text = 'p', false), coalesce(e.logerrors, false), coalesce(pg_catalog.pg_encoding_to_char(e.encoding)::text, ''), e.writable,
	array(select a.attname::text from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum),
	array(select pg_catalog.format_type(a.atttypid, a.atttypmod) from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
	from pg_catalog.pg_exttable e join pg_catalog.pg_class c on c.oid = e.reloid join pg_catalog.pg_namespace n on n.oid = c.relnamespace where `

func find(ctx context.Context, c *pgx.Conn, where string, args ...any) ([]existing, error) {
	rows, err := c.Query(ctx, existingQuery+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (x existing, err error) {
		var names, types []string
		err = r.Scan(&x.oid, &x.schema, &x.name, &x.locations, &x.code, &x.options, &x.limit, &x.percent, &x.log, &x.encoding, &x.writable, &names, &types)
		for i := range names {
			x.columns = append(x.columns, loadspec.Column{Name: names[i], Type: types[i]})
		}
		return x, err
	})
}

// Difference is what two external tables differ in: location, format,
// options, error limit, error log, encoding or columns.
type Difference struct{ What, Has, Wants string }

// differences compares everything but columns, whose types only the database
// can compare.
func (x *existing) differences(t *Table, e Engine, encoding string) []Difference {
	var out []Difference
	add := func(what, has, wants string) {
		if has != wants {
			out = append(out, Difference{what, has, wants})
		}
	}
	add("location", strings.Join(x.locations, " "), strings.Join(t.Locations, " "))
	add("format", x.code, t.Format.code())
	if !t.Format.sameStored(x.options, e.foreign()) {
		out = append(out, Difference{"options", x.options, t.Format.stored()})
	}
	add("error limit", fmt.Sprintf("%d %v", x.limit, x.percent), fmt.Sprintf("%d false", t.RejectLimit))
	add("error log", fmt.Sprint(x.log), fmt.Sprint(t.LogErrors))
	add("encoding", x.encoding, encoding)
	add("writable", fmt.Sprint(x.writable), fmt.Sprint(t.Writable))
	return out
}

// sameColumns compares names and order, and types as the database prints
// them.
func (x *existing) sameColumns(want []loadspec.Column) bool { return slices.Equal(x.columns, want) }

// Reusable finds a table that was made for reuse and is the same as t in
// everything: locations, format, options, encoding, limits, and columns unless
// fast. It returns nil when there is none, and else t with the found schema
// and name; a table found on the search path keeps an empty schema.
func Reusable(ctx context.Context, c *pgx.Conn, e Engine, t *Table, fast bool) (*Table, error) {
	where := `c.relname like 'ext!_gpload!_reusable!_%' escape '!' and not e.writable and (n.nspname = $1::text or $1::text = '' and pg_catalog.pg_table_is_visible(c.oid)) order by c.oid`
	found, err := find(ctx, c, where, t.Schema)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	encoding, columns, err := normalise(ctx, c, e, t)
	if err != nil {
		return nil, err
	}
	for _, x := range found {
		if len(x.differences(t, e, encoding)) > 0 || !fast && !x.sameColumns(columns) {
			continue
		}
		reused := *t
		reused.Name = x.name
		return &reused, nil
	}
	return nil, nil
}

// StagingError is a table with the name of STAGING_TABLE that is not what
// this load needs.
type StagingError struct {
	Table       string
	Differences []Difference // none: it is no external table
}

func (e *StagingError) Error() string {
	if len(e.Differences) == 0 {
		return fmt.Sprintf("STAGING_TABLE %s exists and is no external table", e.Table)
	}
	var what []string
	for _, d := range e.Differences {
		what = append(what, fmt.Sprintf("%s is %s, this load needs %s", d.What, d.Has, d.Wants))
	}
	return fmt.Sprintf("STAGING_TABLE %s is made for another load: %s", e.Table, strings.Join(what, "; "))
}

// FaultKind says that the control file does not fit the database.
func (e *StagingError) FaultKind() fault.Kind { return fault.Usage }

// FaultHint is how to get rid of it.
func (e *StagingError) FaultHint() string {
	return "drop it (drop external table " + e.Table + "), choose another name, or leave STAGING_TABLE out"
}

// Staged looks for the table that STAGING_TABLE names and tells whether it
// exists. One that reads from somewhere else or in another way is a
// *StagingError: gpload uses it unseen, and then reads from an old host, or
// reads wrong columns. Columns that the table lacks are the INSERT's to
// complain about.
func Staged(ctx context.Context, c *pgx.Conn, e Engine, t *Table) (bool, error) {
	var exists bool
	where := `c.relname = $1::text and (n.nspname = $2::text or $2::text = '' and pg_catalog.pg_table_is_visible(c.oid))`
	err := c.QueryRow(ctx, `select exists (select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where `+where+`)`, t.Name, t.Schema).Scan(&exists)
	if err != nil || !exists {
		return false, err
	}
	found, err := find(ctx, c, where, t.Name, t.Schema)
	if err != nil {
		return true, err
	}
	if len(found) == 0 {
		return true, &StagingError{Table: t.SQLName()}
	}
	encoding, _, err := normalise(ctx, c, e, t)
	if err != nil {
		return true, err
	}
	if diff := found[0].differences(t, e, encoding); len(diff) > 0 {
		return true, &StagingError{Table: t.SQLName(), Differences: diff}
	}
	return true, nil
}

// normalise gives the encoding and the columns as the catalogue would have
// them: UTF8 for utf-8, integer for int4.
func normalise(ctx context.Context, c *pgx.Conn, e Engine, t *Table) (string, []loadspec.Column, error) {
	encoding := t.Encoding
	if encoding == "" {
		encoding = e.Encoding
	}
	// An unknown encoding is -1, and no table has it.
	if err := c.QueryRow(ctx, `select pg_catalog.pg_encoding_to_char(pg_catalog.pg_char_to_encoding($1::name))::text`, encoding).Scan(&encoding); err != nil {
		return "", nil, err
	}
	columns, err := catalogueTypes(ctx, c, t.Columns)
	return encoding, columns, err
}

// catalogueTypes has the database read the types, with their modifiers, by
// describing a statement that is never run.
func catalogueTypes(ctx context.Context, c *pgx.Conn, columns []loadspec.Column) ([]loadspec.Column, error) {
	nulls := make([]string, len(columns))
	for i, col := range columns {
		if err := checkType(col); err != nil {
			return nil, err
		}
		nulls[i] = "cast(null as " + col.Type + ")"
	}
	d, err := c.Prepare(ctx, "", "select "+strings.Join(nulls, ", "))
	if err != nil {
		return nil, fmt.Errorf("types of the file's columns: %w", err)
	}
	oids, mods := make([]uint32, len(columns)), make([]int32, len(columns))
	for i, f := range d.Fields {
		oids[i], mods[i] = f.DataTypeOID, f.TypeModifier
	}
	var types []string
	err = c.QueryRow(ctx, `select array(select pg_catalog.format_type(o, m) from (select row_number() over () as n, o, m from (select unnest($1::oid[]) as o, unnest($2::int[]) as m) as u) as t order by n)`, oids, mods).Scan(&types)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(columns)
	for i := range out {
		out[i].Type = types[i]
	}
	return out, nil
}

// ReusableStaging is the name of a staging table that is kept between loads:
// the same for the same target, columns, types and key.
func (l *Load) ReusableStaging() string {
	var cols, key []string
	for _, c := range l.StagingColumns() {
		cols = append(cols, literal(c.Name, true)+"-"+literal(c.Type, true))
	}
	for _, k := range l.StagingKey() {
		key = append(key, literal(k, true))
	}
	sum := md5.Sum(fmt.Appendf(nil, "%s.%s:%d:%s:%s", l.Target.Schema, l.Target.Table, len(cols), strings.Join(cols, "-"), strings.Join(key, "-"))) //nolint:gosec // as above
	return "staging_gpload_reusable_" + hex.EncodeToString(sum[:])
}
