package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const (
	mostQueries = 15
	longQuery   = 300 // characters of a query's text that are kept
)

// queries are those that take the most time, where pg_stat_statements counts.
func (b *builder) queries(ctx context.Context) error {
	db, schema, columns, err := b.statements(ctx)
	if err != nil {
		return err
	}
	exec := "total_time"
	if slices.Contains(columns, "total_exec_time") { // since version 1.8 of the extension
		exec = "total_exec_time"
	}
	found, err := ask[Query](ctx, b.ask, db, fmt.Sprintf(`select s.query, coalesce(d.datname, '') as database, coalesce(r.rolname, '') as "user", s.calls,
  s.%[2]s / 1000 as total_seconds, s.%[2]s / nullif(sum(s.%[2]s) over (), 0) as share, s.%[2]s / 1000 / greatest(s.calls, 1) as mean_seconds, s.rows,
  s.shared_blks_hit::float8 / nullif(s.shared_blks_hit + s.shared_blks_read, 0) as hit_ratio
from %[1]s.pg_stat_statements s left join pg_database d on d.oid = s.dbid left join pg_roles r on r.oid = s.userid
order by s.%[2]s desc, s.query limit %[3]d`, schema, exec, mostQueries))
	if err != nil {
		return err
	}
	for _, q := range found {
		q.Query = shorten(b.o.Redact(q.Query))
		b.r.Queries = append(b.r.Queries, q)
	}
	if len(found) == 0 {
		return fmt.Errorf("pg_stat_statements has counted nothing yet")
	}
	return nil
}

// statements finds a database where the extension is; it counts for all of
// them.
func (b *builder) statements(ctx context.Context) (db, schema string, columns []string, err error) {
	type place struct {
		Schema  string
		Columns []string
	}
	why := fmt.Errorf("pg_stat_statements is in no database: shared_preload_libraries = 'pg_stat_statements', restart, create extension pg_stat_statements")
	for _, db := range b.databases {
		found, err := ask[place](ctx, b.ask, db, `select quote_ident(n.nspname) as schema, array_agg(a.attname::text) as columns
from pg_extension e join pg_namespace n on n.oid = e.extnamespace join pg_class c on c.relnamespace = n.oid and c.relname = 'pg_stat_statements'
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 where e.extname = 'pg_stat_statements' group by 1`)
		if err != nil {
			why = err
			continue
		}
		if len(found) > 0 {
			return db, found[0].Schema, found[0].Columns, nil
		}
	}
	return "", "", nil, why
}

// shorten makes a query one line that fits a table.
func shorten(q string) string {
	q = strings.Join(strings.Fields(strings.ToValidUTF8(q, "?")), " ")
	if r := []rune(q); len(r) > longQuery {
		return string(r[:longQuery-1]) + "…"
	}
	return q
}
