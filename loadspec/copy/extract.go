package copy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
)

// Extract is what an unload reads: a query, or a table with the parts it can
// be read in side by side.
type Extract struct {
	Table     loadspec.Output // empty with Query
	Query     string
	Columns   []ResultColumn
	Relations []Relation // that hold the table's rows; none when it is read as one
	// Reason says why it is read as one stream; "" when it is not.
	Reason string
	Bytes  int64 // estimate of what is read

	ranges []string // conditions that divide the rows, instead of blocks
}

// ResultColumn is a column of what is read. Of a domain it has the base type.
type ResultColumn struct {
	Name, Type string
	OID        uint32
	Typmod     int32
}

// Relation is a table that holds rows itself: a plain one, or a partition.
type Relation struct {
	OID          uint32
	Schema, Name string
	Kind         string
	Blocks       int64
	BlockSize    int64
	Heap         bool // its blocks can be read by number
}

// SQLName is the relation's name in SQL.
func (r *Relation) SQLName() string {
	return loadspec.QuoteIdent(r.Schema) + "." + loadspec.QuoteIdent(r.Name)
}

// tidScans is the first version that reads a range of blocks without reading
// the others.
const tidScans = 140000

// FindExtract looks up what an unload reads. tx sees the state that will be
// read.
func FindExtract(ctx context.Context, tx pgx.Tx, table loadspec.Output, query string) (*Extract, error) {
	x := &Extract{Table: table, Query: query}
	if query != "" {
		x.Reason = "a query is read as one stream"
		return x, x.describe(ctx, tx, "SELECT * FROM ("+query+"\n) q")
	}
	var oid uint32
	var kind string
	var secured bool
	var version int
	err := tx.QueryRow(ctx, `select c.oid, n.nspname::text, c.relkind::text, row_security_active(c.oid), current_setting('server_version_num')::int
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relname = $1 and (n.nspname = $2 or $2 = '' and pg_table_is_visible(c.oid)) order by c.relkind in ('r', 'p') desc limit 1`, table.Table, table.Schema).
		Scan(&oid, &x.Table.Schema, &kind, &secured, &version)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, missingTable(ctx, tx.Conn(), table)
	}
	if err != nil {
		return nil, Explain(err)
	}
	if !strings.Contains("rpvmf", kind) {
		return nil, fault.New(fault.Usage, "", "%s is no table (relkind %s)", x.target(), kind)
	}
	names, err := plainColumns(ctx, tx, oid, version)
	if err != nil {
		return nil, err
	}
	if err := x.describe(ctx, tx, "SELECT "+names+" FROM "+x.target()); err != nil {
		return nil, err
	}
	switch {
	case kind == "v" || kind == "f":
		x.Reason = map[string]string{"v": "a view", "f": "a foreign table"}[kind] + " is read as one stream"
	case secured:
		x.Reason = "row security is in force, whose policies are the whole table's"
	default:
		err = x.relations(ctx, tx, oid, version)
	}
	return x, err
}

func (x *Extract) target() string {
	return loadspec.QuoteIdent(x.Table.Schema) + "." + loadspec.QuoteIdent(x.Table.Table)
}

// plainColumns is the list of a table's columns in SQL, without those that the
// database computes: COPY leaves them out, too.
func plainColumns(ctx context.Context, tx pgx.Tx, oid uint32, version int) (string, error) {
	plain := ""
	if version >= 120000 {
		plain = " and attgenerated = ''"
	}
	rows, err := tx.Query(ctx, "select quote_ident(attname) from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped"+plain+" order by attnum", oid)
	if err != nil {
		return "", Explain(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", Explain(err)
	}
	if len(names) == 0 {
		return "", fault.New(fault.Usage, "", "the table has no columns to unload")
	}
	return strings.Join(names, ", "), nil
}

// describe asks for the columns of a select, and how much it may give.
func (x *Extract) describe(ctx context.Context, tx pgx.Tx, query string) error {
	d, err := tx.Prepare(ctx, "", query)
	if err != nil && x.Query != "" {
		return Explain(fmt.Errorf("INPUT.QUERY: %w", err))
	}
	if err != nil {
		return Explain(err)
	}
	if len(d.Fields) == 0 {
		return fault.New(fault.Usage, "write a select", "INPUT.QUERY gives no rows to unload")
	}
	for _, f := range d.Fields {
		c := ResultColumn{Name: f.Name, OID: f.DataTypeOID, Typmod: f.TypeModifier}
		if err := tx.QueryRow(ctx, "select format_type($1::oid, $2::int)", c.OID, c.Typmod).Scan(&c.Type); err != nil {
			return Explain(err)
		}
		x.Columns = append(x.Columns, c)
	}
	var plans []struct {
		Plan struct {
			Rows  float64 `json:"Plan Rows"`
			Width float64 `json:"Plan Width"`
		} `json:"Plan"`
	}
	if err := tx.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+query).Scan(&plans); err != nil {
		return Explain(err)
	}
	if len(plans) == 1 {
		x.Bytes = int64(plans[0].Plan.Rows * (plans[0].Plan.Width + float64(len(x.Columns))))
	}
	return nil
}

// relations finds the tables that hold the rows.
func (x *Extract) relations(ctx context.Context, tx pgx.Tx, oid uint32, version int) error {
	detached, heap := "", "true"
	if version >= 140000 {
		detached = " and not i.inhdetachpending"
	}
	if version >= 120000 {
		heap = "coalesce((select amname = 'heap' from pg_am a where a.oid = c.relam), false)"
	}
	rows, err := tx.Query(ctx, `with recursive tree as (select $1::oid as oid union select i.inhrelid from pg_inherits i join tree t on t.oid = i.inhparent`+detached+`)
		select c.oid, n.nspname::text, c.relname::text, c.relkind::text, case when c.relkind in ('r', 'm') then pg_relation_size(c.oid) else 0 end,
			current_setting('block_size')::bigint, `+heap+`, has_table_privilege(c.oid, 'select') and not row_security_active(c.oid) and has_schema_privilege(n.oid, 'usage')
		from tree t join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm', 'f') order by 5 desc, 1`, oid)
	if err != nil {
		return Explain(err)
	}
	all := true
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (none struct{}, err error) {
		var r Relation
		var size int64
		var readable bool
		if err := row.Scan(&r.OID, &r.Schema, &r.Name, &r.Kind, &size, &r.BlockSize, &r.Heap, &readable); err != nil {
			return none, err
		}
		r.Blocks = size / r.BlockSize
		r.Heap = r.Heap && r.Kind != "f" && version >= tidScans
		all = all && (readable || r.OID == oid)
		x.Relations = append(x.Relations, r)
		return none, nil
	})
	if err != nil {
		return Explain(err)
	}
	if !all {
		x.Relations, x.Reason = nil, "the role may read the table, but not each of its partitions on its own"
		return nil
	}
	var bytes int64
	for _, r := range x.Relations {
		bytes += r.Blocks * r.BlockSize
	}
	if bytes > 0 {
		x.Bytes = bytes
	}
	if version < tidScans {
		x.Reason = fmt.Sprintf("PostgreSQL %d reads a table as one stream; from 14 on it is read in ranges of blocks", version/10000)
	}
	return nil
}

// Slice is what one COPY reads: a range of a relation's blocks, or all of it.
type Slice struct {
	Relation    *Relation // nil: the whole extract
	First, Last int64     // blocks [First, Last); Last 0 is to the end
	where       string    // of a range of values
}

// Blocks is how much the slice is.
func (s Slice) Blocks() int64 {
	if s.Relation == nil {
		return 0
	}
	if s.Last == 0 {
		return max(s.Relation.Blocks-s.First, 0)
	}
	return s.Last - s.First
}

const (
	sliceMin   = 256   // blocks: 2 MiB, less is not worth a statement
	sliceMax   = 32768 // blocks: 256 MiB
	slicesEach = 8     // per worker, so that all end at about the same time
)

// Slices cuts an extract for so many workers. With whole there is one slice
// for each worker where a relation is large enough.
func (x *Extract) Slices(workers int, whole bool) []Slice {
	if len(x.ranges) > 0 {
		var slices []Slice
		for _, r := range x.ranges {
			slices = append(slices, Slice{where: r})
		}
		return slices
	}
	if len(x.Relations) == 0 {
		return []Slice{{}}
	}
	var blocks int64
	for _, r := range x.Relations {
		blocks += r.Blocks
	}
	size := min(max(blocks/int64(workers*slicesEach), sliceMin), sliceMax)
	if whole {
		size = max((blocks+int64(workers)-1)/int64(workers), sliceMin)
	}
	var slices []Slice
	for i := range x.Relations {
		r := &x.Relations[i]
		at := int64(0)
		for r.Heap && at+size < r.Blocks {
			slices = append(slices, Slice{Relation: r, First: at, Last: at + size})
			at += size
		}
		slices = append(slices, Slice{Relation: r, First: at})
	}
	return slices
}

// From is the slice's FROM and WHERE.
func (x *Extract) From(s Slice) string {
	switch {
	case s.where != "":
		return x.whole("cw_by") + " WHERE " + s.where
	case x.Query != "":
		return x.whole("q")
	case s.Relation == nil:
		return x.target()
	}
	from := "ONLY " + s.Relation.SQLName()
	var where []string
	if s.First > 0 {
		where = append(where, fmt.Sprintf("ctid >= '(%d,0)'::tid", s.First))
	}
	if s.Last > 0 {
		where = append(where, fmt.Sprintf("ctid < '(%d,0)'::tid", s.Last))
	}
	if len(where) > 0 {
		from += " WHERE " + strings.Join(where, " AND ")
	}
	return from
}
