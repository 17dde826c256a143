package external

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/schema"
)

// Policy is how a table's rows are spread over the segments.
type Policy int

// The distribution policies.
const (
	Random Policy = iota
	Hash
	Replicated
	None // not distributed: a view, or a foreign table
)

// Column is a column of the target table.
type Column struct {
	Name, Type string // type as format_type gives it
	Sequence   bool   // filled by a sequence or identity unless the load names it
	Generated  bool   // computed by the database, cannot be loaded
	Key        bool   // of the distribution key
}

// Target is the table that is loaded or unloaded.
type Target struct {
	Engine      Engine
	OID         uint32
	Schema      string
	Table       string
	Columns     []Column
	Policy      Policy
	Key         []string // columns of the hash key, in its order
	Partitioned bool
}

// MissingError is a target that does not exist.
type MissingError struct {
	Schema, Table string // schema as asked for; "" search path
	Database      string
	Hint          string
}

func (e *MissingError) Error() string {
	if e.Schema == "" {
		return fmt.Sprintf("table %s does not exist on the search path of database %s", e.Table, e.Database)
	}
	return fmt.Sprintf("table %s.%s does not exist in database %s", e.Schema, e.Table, e.Database)
}

// FaultKind says that the control file is wrong.
func (e *MissingError) FaultKind() fault.Kind { return fault.Usage }

// FaultHint names the nearest table.
func (e *MissingError) FaultHint() string { return e.Hint }

// Name is the table's name in SQL.
func (t *Target) Name() string {
	// gpload's messages have the schema public unquoted and the rest quoted.
	if t.Schema == "public" {
		return "public." + loadspec.QuoteIdent(t.Table)
	}
	return loadspec.QuoteIdent(t.Schema) + "." + loadspec.QuoteIdent(t.Table)
}

// Column finds a column by its name as stored; nil when there is none.
func (t *Target) Column(name string) *Column {
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

// Describe looks the target up, on the search path when no schema is given.
// One that does not exist is a *MissingError.
func Describe(ctx context.Context, c *pgx.Conn, o loadspec.Output) (*Target, error) {
	engine, err := Probe(ctx, c)
	if err != nil {
		return nil, err
	}
	t := &Target{Engine: engine, Table: o.Table}
	var kind string
	err = c.QueryRow(ctx, `select c.oid, n.nspname::text, c.relkind::text from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relname = $1::text and (n.nspname = $2::text or $2::text = '' and pg_catalog.pg_table_is_visible(c.oid)) and c.relkind not in ('i', 'c', 't', 'S')
		order by c.relkind in ('r', 'p') desc limit 1`, o.Table, o.Schema).Scan(&t.OID, &t.Schema, &kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, missing(ctx, c, o)
	}
	if err != nil {
		return nil, err
	}
	if err := t.columns(ctx, c); err != nil {
		return nil, err
	}
	if err := t.distribution(ctx, c); err != nil {
		return nil, err
	}
	query := `select exists (select 1 from pg_catalog.pg_partition where parrelid = $1)`
	if engine.foreign() {
		query = `select relkind = 'p' from pg_catalog.pg_class where oid = $1`
	}
	return t, c.QueryRow(ctx, query, t.OID).Scan(&t.Partitioned)
}

func (t *Target) columns(ctx context.Context, c *pgx.Conn) error {
	extra := "false, false" // attidentity came with PostgreSQL 10, attgenerated with 12
	if t.Engine.foreign() {
		extra = "a.attidentity <> '', a.attgenerated <> ''"
	}
	rows, err := c.Query(ctx, `select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
		coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) like 'nextval(%::regclass)%', false), `+extra+`
		from pg_catalog.pg_attribute a left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
		where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`, t.OID)
	if err != nil {
		return err
	}
	t.Columns, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (col Column, err error) {
		var identity bool
		err = r.Scan(&col.Name, &col.Type, &col.Sequence, &identity, &col.Generated)
		col.Sequence = col.Sequence || identity
		return col, err
	})
	return err
}

func (t *Target) distribution(ctx context.Context, c *pgx.Conn) error {
	var kind string
	err := c.QueryRow(ctx, `select policytype::text, array(select a.attname::text
			from (select k, row_number() over () as n from unnest(p.distkey::int2[]) as k) as keys
			join pg_catalog.pg_attribute a on a.attrelid = p.localoid and a.attnum = keys.k order by keys.n)
		from pg_catalog.gp_distribution_policy p where p.localoid = $1`, t.OID).Scan(&kind, &t.Key)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		t.Policy = None
		return nil
	case err != nil:
		return err
	case kind == "r":
		t.Policy = Replicated
	case len(t.Key) > 0:
		t.Policy = Hash
	default:
		t.Policy = Random
	}
	for _, name := range t.Key {
		if col := t.Column(name); col != nil {
			col.Key = true
		}
	}
	return nil
}

func missing(ctx context.Context, c *pgx.Conn, o loadspec.Output) error {
	e := &MissingError{Schema: o.Schema, Table: o.Table, Database: c.Config().Database}
	rows, err := c.Query(ctx, `select case when pg_catalog.pg_table_is_visible(c.oid) and $1::text = '' then c.relname::text else n.nspname || '.' || c.relname end
		from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'gp_toolkit', 'cw') and n.nspname not like 'pg!_%' escape '!' limit 5000`, o.Schema)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	want := o.Table
	if o.Schema != "" {
		want = o.Schema + "." + o.Table
	}
	e.Hint = fmt.Sprintf("see the tables: psql -h %s -p %d -d %s -c '\\d'", c.Config().Host, c.Config().Port, e.Database)
	if near := schema.Nearest(want, names); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	return e
}
