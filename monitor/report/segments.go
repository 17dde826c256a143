package report

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// segmentSizes is the size of each relation on each segment. Segments answer
// for themselves: asked on the coordinator, every single size would be a
// question to all of them. There is no CTE in it: Greenplum 6 fails on some
// that are read twice.
const segmentSizes = `select oid, sum(size)::bigint as size, sum(indexes)::bigint as indexes, sum(toast)::bigint as toast, array_agg(rows_size order by segment) as segments
from (select c.oid::bigint as oid, c.gp_segment_id as segment, pg_total_relation_size(c.oid) as size, pg_indexes_size(c.oid) as indexes,
    coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0) as toast, pg_relation_size(c.oid) as rows_size
  from gp_dist_random('pg_class') c where c.relkind in ('r', 'm') and c.oid >= 16384 and c.relpersistence <> 't') s
group by oid order by 2 desc limit {most}`

// The relations with their roots: of Greenplum 6 from its own catalogues of
// partitions, later as PostgreSQL has it.
const (
	roots6 = `select c.oid::bigint as oid, coalesce(p.root, c.oid)::bigint as root, n.nspname as schema, r.relname as name, 'table' as kind, greatest(c.reltuples, 0) as rows
from pg_class c left join (select u.parchildrelid as child, max(t.parrelid::bigint)::oid as root from pg_partition_rule u join pg_partition t on t.oid = u.paroid group by 1) p on p.child = c.oid
join pg_class r on r.oid = coalesce(p.root, c.oid) join pg_namespace n on n.oid = r.relnamespace
where c.relkind in ('r', 'm') and c.oid >= 16384 and n.nspname not in ('information_schema', 'gp_toolkit') and n.nspname !~ '^pg_'`
	roots7 = rootsCTE + `select c.oid::bigint as oid, up.root::bigint as root, n.nspname as schema, r.relname as name, ` + kindOf + `, greatest(c.reltuples, 0) as rows
from up join pg_class c on c.oid = up.oid join pg_class r on r.oid = up.root join pg_namespace n on n.oid = r.relnamespace
where c.relkind in ('r', 'm') and n.nspname not in ('information_schema', 'gp_toolkit') and n.nspname !~ '^pg_'`
)

// segmentTables are the largest tables of a database over all segments.
func (b *builder) segmentTables(ctx context.Context, db string) ([]Table, error) {
	type relation struct {
		OID, Size, Indexes, Toast int64
		Segments                  []int64
	}
	sizes, err := ask[relation](ctx, b.ask, db, strings.ReplaceAll(segmentSizes, "{most}", strconv.Itoa(mostMeasured)))
	if err != nil {
		return nil, err
	}
	type rooted struct {
		OID, Root          int64
		Schema, Name, Kind string
		Rows               float64
	}
	roots := roots6
	if b.version >= 120000 {
		roots = roots7
	}
	names, err := ask[rooted](ctx, b.ask, db, roots)
	if err != nil {
		return nil, err
	}
	of := map[int64]rooted{}
	for _, n := range names {
		of[n.OID] = n
	}
	type sum struct {
		Table
		segments []int64
	}
	sums := map[int64]*sum{}
	for _, s := range sizes {
		n, ok := of[s.OID]
		if !ok {
			continue // of the system, or new
		}
		t := sums[n.Root]
		if t == nil {
			t = &sum{Table: Table{Schema: n.Schema, Name: n.Name, Kind: n.Kind, Rows: new(float64)}, segments: make([]int64, len(s.Segments))}
			sums[n.Root] = t
		}
		t.Size, t.Indexes, t.Toast = t.Size+s.Size, t.Indexes+s.Indexes, t.Toast+s.Toast
		*t.Rows += n.Rows
		if n.OID != n.Root {
			t.Partitions++
			t.Kind = "partitioned table"
		}
		for i := range min(len(t.segments), len(s.Segments)) {
			t.segments[i] += s.Segments[i]
		}
	}
	out := make([]Table, 0, len(sums))
	for _, s := range sums {
		s.Skew = skewOf(s.segments)
		out = append(out, s.Table)
	}
	slices.SortFunc(out, func(x, y Table) int { return strings.Compare(x.Schema+"."+x.Name, y.Schema+"."+y.Name) })
	slices.SortStableFunc(out, func(x, y Table) int { return int(max(-1, min(1, y.Size-x.Size))) })
	return out[:min(len(out), mostTables)], nil
}

// skewOf is how much the fullest segment has beyond its part; of what is small
// it says nothing.
func skewOf(segments []int64) *float64 {
	var sum, most int64
	for _, n := range segments {
		sum, most = sum+n, max(most, n)
	}
	if sum < 1<<20 {
		return nil
	}
	v := float64(most) * float64(len(segments)) / float64(sum)
	return &v
}
