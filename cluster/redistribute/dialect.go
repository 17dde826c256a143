package redistribute

import (
	"context"
	"fmt"
)

// dialect is what the catalogues of an engine's generation make different.
type dialect struct {
	modern    bool
	relations string // lists the tables of a database that have a distribution policy
	sizes     string // what tables take on each segment, with their indexes
	lag       string // how far behind the last mirror is
	grow      string // the function that moves a table to all segments
}

// dialectOf asks the catalogue itself: engines made from PostgreSQL 12 (Greenplum
// 7, Cloudberry) have access methods in place of pg_class.relstorage.
func dialectOf(ctx context.Context, s Session) (dialect, error) {
	out, err := one(ctx, s, "select count(*) from pg_catalog.pg_attribute where attrelid = 'pg_catalog.pg_class'::regclass and attname = 'relstorage' and not attisdropped;")
	if err != nil {
		return dialect{}, fmt.Errorf("reading what the database's catalogue is like: %w", err)
	}
	if out == "1" {
		return dialect{relations: relations6, sizes: sizes6, lag: lag6, grow: grow6}, nil
	}
	return dialect{modern: true, relations: relations7, sizes: sizes7, lag: lag7, grow: grow7}, nil
}

// Temporary tables are their sessions' own; those of schema cw_expand are ours.
const (
	always = `coalesce((select 'trigger ' || t.tgname from pg_catalog.pg_trigger t where c.relhastriggers and t.tgrelid = c.oid and t.tgenabled in ('A', 'R') limit 1),
    (select 'rule ' || r.rulename from pg_catalog.pg_rewrite r where c.relhasrules and r.ev_class = c.oid and r.ev_type <> '1' and r.ev_enabled in ('A', 'R') limit 1), '') as always,
  exists (select 1 from pg_catalog.pg_opclass o where o.oid = any(p.distclass) and o.opcname like 'cdbhash\_%') as legacy`

	relations6 = `select row_to_json(x) from (
select c.oid::int8 as oid, coalesce(q.parrelid, case when exists (select 1 from pg_catalog.pg_partition a where a.parrelid = c.oid) then c.oid end, 0)::int8 as root,
  n.nspname as schema, c.relname as relation, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as name,
  c.relkind as kind, c.relstorage as storage, p.policytype as policy, p.numsegments as segments, c.relhasoids as oids, c.relkind = 'm' and not c.relispopulated as unpopulated,
  ` + always + `
from pg_catalog.gp_distribution_policy p
join pg_catalog.pg_class c on c.oid = p.localoid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_partition_rule r on r.parchildrelid = c.oid
left join pg_catalog.pg_partition q on q.oid = r.paroid
where c.relpersistence <> 't' and n.nspname <> 'cw_expand') x;`

	relations7 = `select row_to_json(x) from (
select c.oid::int8 as oid, coalesce(case when c.relkind = 'p' or c.relispartition then pg_catalog.pg_partition_root(c.oid)::oid end, 0)::int8 as root,
  n.nspname as schema, c.relname as relation, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) as name,
  c.relkind as kind, case when c.relkind = 'f' then 'x' when a.amname = 'ao_row' then 'a' when a.amname = 'ao_column' then 'c' else 'h' end as storage,
  p.policytype as policy, p.numsegments as segments, false as oids, c.relkind = 'm' and not c.relispopulated as unpopulated,
  ` + always + `
from pg_catalog.gp_distribution_policy p
join pg_catalog.pg_class c on c.oid = p.localoid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_am a on a.oid = c.relam
where c.relpersistence <> 't' and n.nspname <> 'cw_expand') x;`

	sizes6 = `select oid::int8, seg, size from (
select c.oid, c.gp_segment_id as seg, pg_catalog.pg_total_relation_size(c.oid) as size from gp_dist_random('pg_catalog.pg_class') c
where c.oid >= 16384 and c.relkind in ('r', 'm') and c.relpersistence <> 't' and c.relstorage <> 'x') x where size > 0;`

	sizes7 = `select oid::int8, seg, size from (
select c.oid, c.gp_segment_id as seg, pg_catalog.pg_total_relation_size(c.oid) as size from gp_dist_random('pg_catalog.pg_class') c
where c.oid >= 16384 and c.relkind in ('r', 'm') and c.relpersistence <> 't') x where size > 0;`

	lag6 = `select coalesce(max(pg_catalog.pg_xlog_location_diff(sent_location, flush_location)), 0)::int8 from pg_catalog.gp_stat_replication where gp_segment_id >= 0 and state = 'streaming';`
	lag7 = `select coalesce(max(pg_catalog.pg_wal_lsn_diff(sent_lsn, flush_lsn)), 0)::int8 from pg_catalog.gp_stat_replication where gp_segment_id >= 0 and state = 'streaming';`

	grow6 = `create or replace function pg_temp.cw_grow(rel oid, target int4) returns text language plpgsql volatile as $cw$
declare c record;
begin
  select k.relkind, k.relstorage, k.relispopulated, p.numsegments into c
    from pg_catalog.pg_class k join pg_catalog.gp_distribution_policy p on p.localoid = k.oid where k.oid = rel;
  if not found then return 'gone'; end if;
  if c.numsegments >= target then return 'done'; end if;
  if c.relkind = 'm' and not c.relispopulated then
    execute format('refresh materialized view %s with no data', rel::regclass);
    perform pg_temp.cw_policy(rel, target);
  else
    execute format('alter %s table %s %s expand table', case when c.relstorage = 'x' then 'external' else '' end,
      case when exists (select 1 from pg_catalog.pg_partition q where q.parrelid = rel) then '' else 'only' end, rel::regclass);
  end if;
  return 'moved';
end $cw$;`

	grow7 = `create or replace function pg_temp.cw_grow(rel oid, target int4) returns text language plpgsql volatile as $cw$
declare c record;
begin
  select k.relkind, p.numsegments into c
    from pg_catalog.pg_class k join pg_catalog.gp_distribution_policy p on p.localoid = k.oid where k.oid = rel;
  if not found then return 'gone'; end if;
  if c.numsegments >= target then return 'done'; end if;
  execute format('alter %s table %s %s expand table', case when c.relkind = 'f' then 'external' else '' end, case when c.relkind = 'p' then '' else 'only' end, rel::regclass);
  return 'moved';
end $cw$;`
)
