package report

import (
	"context"
	"slices"
	"strings"
)

const (
	mostTables    = 20
	mostMeasured  = 3000  // relations of a Greenplum database whose sizes are fetched
	manyRelations = 20000 // from which on only the largest by estimate are measured
)

// tables are the largest of all databases.
func (b *builder) tables(ctx context.Context) error {
	for _, db := range b.databases {
		found, err := b.tablesOf(ctx, db)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.missing(SectionTables, db, err)
		for _, t := range found {
			t.Database = db
			b.r.Tables = append(b.r.Tables, t)
		}
	}
	slices.SortStableFunc(b.r.Tables, func(x, y Table) int { return int(max(-1, min(1, y.Size-x.Size))) })
	b.r.Tables = b.r.Tables[:min(len(b.r.Tables), mostTables)]
	return nil
}

// tablesOf asks for the largest tables of a database. Looking at the size of
// every file is cheap until there are very many: then the catalogue's own
// estimate says which ones to look at.
func (b *builder) tablesOf(ctx context.Context, db string) ([]Table, error) {
	if b.greenplum() {
		return b.segmentTables(ctx, db)
	}
	type number struct{ N int }
	n, err := ask[number](ctx, b.ask, db, "select count(*) as n from pg_class where relkind in ('r', 'm') and oid >= 16384")
	if err != nil {
		return nil, err
	}
	some := ""
	if len(n) == 1 && n[0].N > manyRelations {
		some = " and c.oid in (select oid from pg_class where relkind in ('r', 'm') and oid >= 16384 order by relpages desc limit 2000)"
	}
	return ask[Table](ctx, b.ask, db, strings.ReplaceAll(tablesQuery, "{some}", some))
}

// rootsCTE finds the root of every partition (PostgreSQL 10 and later).
const rootsCTE = `with recursive up(oid, root, depth) as (
  select c.oid, c.oid, 0 from pg_class c where c.relkind in ('r', 'p', 'm') and not c.relispartition and c.oid >= 16384
  union all
  select i.inhrelid, up.root, up.depth + 1 from up join pg_inherits i on i.inhparent = up.oid join pg_class c on c.oid = i.inhrelid and c.relispartition)
`

const kindOf = `case r.relkind when 'p' then 'partitioned table' when 'm' then 'materialised view' else 'table' end as kind`

const tablesQuery = rootsCTE + `select n.nspname as schema, r.relname as name, ` + kindOf + `,
  x.size, x.indexes, x.toast, x.rows, x.partitions
from (
  select up.root, sum(pg_total_relation_size(c.oid))::bigint as size, sum(pg_indexes_size(c.oid))::bigint as indexes,
    coalesce(sum(pg_total_relation_size(nullif(c.reltoastrelid, 0))), 0)::bigint as toast, 
    case when bool_and(c.reltuples < 0) filter (where c.relkind <> 'p') then null else sum(greatest(c.reltuples, 0)) end as rows,
    count(*) filter (where up.depth > 0 and c.relkind <> 'p') as partitions
  from up join pg_class c on c.oid = up.oid{some} where c.relpersistence <> 't' group by up.root) x
join pg_class r on r.oid = x.root join pg_namespace n on n.oid = r.relnamespace
where n.nspname not in ('information_schema') and n.nspname not like 'pg\_%'
order by x.size desc, 1, 2 limit 20`
