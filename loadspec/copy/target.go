package copy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/schema"
)

// Column is a column of the target table.
type Column struct {
	Name, Type string
	Sequence   bool // filled by a sequence or identity unless the load names it
	Generated  bool // computed by the database, cannot be loaded
}

// Target is the table that is loaded.
type Target struct {
	OID           uint32
	Schema, Table string
	Columns       []Column
	DropsRows     bool // a row trigger may leave rows out, so that counts need not match
}

// Name is the table's name in SQL.
func (t *Target) Name() string {
	return loadspec.QuoteIdent(t.Schema) + "." + loadspec.QuoteIdent(t.Table)
}

func (t *Target) column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

func (t *Target) names() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// Find looks the target up, on the search path when no schema is given.
func Find(ctx context.Context, c *pgx.Conn, o loadspec.Output) (*Target, error) {
	t := &Target{Table: o.Table}
	var kind string
	err := c.QueryRow(ctx, `select c.oid, n.nspname::text, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relname = $1 and (n.nspname = $2 or $2 = '' and pg_table_is_visible(c.oid)) order by c.relkind in ('r', 'p') desc limit 1`, o.Table, o.Schema).Scan(&t.OID, &t.Schema, &kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, missingTable(ctx, c, o)
	}
	if err != nil {
		return nil, Explain(err)
	}
	if kind != "r" && kind != "p" && kind != "v" && kind != "f" {
		return nil, fault.New(fault.Usage, "", "%s is no table (relkind %s)", t.Name(), kind)
	}
	// attgenerated came with PostgreSQL 12, attidentity with 10.
	rows, err := c.Query(ctx, `select a.attname::text, format_type(a.atttypid, a.atttypmod), a.attidentity <> '' or coalesce(pg_get_expr(d.adbin, d.adrelid) like 'nextval(%', false),
		a.attgenerated <> '' from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
		where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`, t.OID)
	if err != nil {
		return nil, Explain(err)
	}
	t.Columns, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (col Column, err error) {
		return col, r.Scan(&col.Name, &col.Type, &col.Sequence, &col.Generated)
	})
	if err != nil {
		return nil, Explain(err)
	}
	// tgtype: 1 row, 2 before, 4 insert, 64 instead of.
	err = c.QueryRow(ctx, `select exists (select from pg_trigger where tgrelid = $1 and not tgisinternal and tgenabled <> 'D'
		and tgtype & 1 <> 0 and tgtype & 66 <> 0 and tgtype & 4 <> 0)`, t.OID).Scan(&t.DropsRows)
	if err != nil {
		return nil, Explain(err)
	}
	return t, nil
}

func missingTable(ctx context.Context, c *pgx.Conn, o loadspec.Output) error {
	want, where := o.Table, "on the search path"
	if o.Schema != "" {
		want, where = o.Schema+"."+o.Table, "here"
	}
	rows, err := c.Query(ctx, `select case when n.nspname = 'public' or pg_table_is_visible(c.oid) then c.relname::text else n.nspname || '.' || c.relname end, n.nspname || '.' || c.relname
		from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'cw') and n.nspname not like 'pg_toast%' limit 5000`)
	if err != nil {
		return Explain(err)
	}
	var names []string
	var short, full string
	_, err = pgx.ForEachRow(rows, []any{&short, &full}, func() error {
		names = append(names, full)
		if o.Schema == "" {
			names = append(names, short)
		}
		return nil
	})
	if err != nil {
		return Explain(err)
	}
	cfg := c.Config()
	hint := fmt.Sprintf("see the tables: psql -h %s -p %d -d %s -c '\\d'", cfg.Host, cfg.Port, cfg.Database)
	if near := schema.Nearest(want, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return fault.New(fault.Usage, hint, "table %s does not exist %s (database %s on %s:%d)", want, where, cfg.Database, cfg.Host, cfg.Port)
}
