package redistribute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a move tells.
const (
	saidMoved = "moved"
	saidDone  = "done" // somebody else was quicker
	saidGone  = "gone"
)

// prepare makes a session one that moves tables. Triggers and rules of the
// tables do not fire in it. The search path stays the database's own: functions
// that an index or a view calls may depend on it. The functions live in the
// session's temporary schema. A move is one statement and so one transaction,
// however its client ends.
func prepare(ctx context.Context, s Session, lockTimeout time.Duration) error {
	settings := []string{
		"set client_min_messages = error;", "set statement_timeout = 0;", "set default_transaction_read_only = off;",
		fmt.Sprintf("set lock_timeout = %d;", lockTimeout.Milliseconds()),
		"set application_name = '" + moverName + "';", "set optimizer = off;", "set gp_autostats_mode = none;",
		"set session_replication_role = replica;", "set allow_system_table_mods = on;", "set allow_segment_DML = on;",
		"set gp_default_storage_options = '';", "set default_tablespace = '';",
	}
	d, err := dialectOf(ctx, s)
	if err != nil {
		return err
	}
	if d.modern {
		settings = append(settings, d.grow)
	} else {
		settings = append(append(settings, functions...), d.grow)
	}
	if err := all(ctx, s, settings...); err != nil {
		return fmt.Errorf("preparing a session that moves tables: %w", err)
	}
	return nil
}

// moverName is the application_name of sessions that move tables.
const moverName = "cw redistribute"

// functions are what does the work, on Greenplum 6.
//
// To more segments the engine has ALTER TABLE … EXPAND TABLE, which makes the
// table anew. To fewer it has nothing. There the rows of the segments that go
// are kept aside, deleted, and inserted again under a policy of fewer
// segments: jump consistent hashing (cdbhash.c) leaves every other row where it
// is. Tables hashed the way of Greenplum 5 have no such luck and are kept whole.
// The policy is in the catalogue of the coordinator, which plans by it, and in
// that of every segment (gp_policy.h); one distributed transaction changes
// both, and invalidates what other sessions have cached (inval.c).
//
// An UPDATE that a client sends to the coordinator locks the catalogue against
// all DDL until its transaction ends (CdbOpenRelation in heapam.c, unless the
// global deadlock detector is on). What a WITH changes through a view gets the
// ordinary row lock, like the engine's own DDL: hence cw_policies.
var functions = []string{ //nolint:gochecknoglobals // constant table
	`create or replace temporary view cw_policies as select localoid, policytype, numsegments from pg_catalog.gp_distribution_policy;`,

	`create or replace function pg_temp.cw_policy_here(rel oid, target int4) returns int4 language sql volatile as
$cw$ update pg_catalog.gp_distribution_policy set numsegments = target where localoid = rel; select 1 $cw$;`,

	`create or replace function pg_temp.cw_policy(rel oid, target int4) returns void language plpgsql volatile as $cw$
declare n int8;
begin
  execute format('with p as (update pg_temp.cw_policies set numsegments = %s where localoid = %s returning 1) select count(*) from p', target, rel) into n;
  if n <> 1 then raise exception 'table % has % distribution policies', rel::regclass, n; end if;
  perform pg_temp.cw_policy_here(rel, target) from gp_dist_random('pg_catalog.gp_id');
end $cw$;`,

	`create or replace function pg_temp.cw_rows(rel oid, target int4, every_row bool) returns void language plpgsql volatile as $cw$
declare kept int8; deleted int8; inserted int8; name text := rel::regclass::text; which text := '';
begin
  if not every_row then which := 'where gp_segment_id >= ' || target; end if;
  execute format('select 1 from only %s %s limit 1', name, which);
  get diagnostics kept = row_count;
  if kept = 0 then
    perform pg_temp.cw_policy(rel, target);
    return;
  end if;
  execute format('create temporary table cw_kept as select * from only %s %s %s', name, which, pg_catalog.pg_get_table_distributedby(rel));
  get diagnostics kept = row_count;
  execute format('delete from only %s %s', name, which);
  get diagnostics deleted = row_count;
  perform pg_temp.cw_policy(rel, target);
  execute format('insert into %s select * from pg_temp.cw_kept', name);
  get diagnostics inserted = row_count;
  if kept <> deleted or kept <> inserted then
    raise exception 'moving % kept % rows, deleted % and inserted %', name, kept, deleted, inserted;
  end if;
  execute 'drop table pg_temp.cw_kept';
end $cw$;`,

	// The segments that go keep no copy of a replicated table: for one statement
	// the coordinator takes its copies for parts.
	`create or replace function pg_temp.cw_copies(rel oid, target int4) returns void language plpgsql volatile as $cw$
declare n int8; as_parts text := $q$with p as (update pg_temp.cw_policies set policytype = '%s' where localoid = %s returning 1) select count(*) from p$q$;
begin
  execute format(as_parts, 'p', rel) into n;
  execute format('delete from only %s where gp_segment_id >= %s', rel::regclass, target);
  execute format(as_parts, 'r', rel) into n;
  perform pg_temp.cw_policy(rel, target);
end $cw$;`,

	`create or replace function pg_temp.cw_shrink(rel oid, target int4) returns text language plpgsql volatile as $cw$
declare c record; name text; moved bool := false;
begin
  select k.relkind, k.relispopulated, p.numsegments into c
    from pg_catalog.pg_class k join pg_catalog.gp_distribution_policy p on p.localoid = k.oid where k.oid = rel;
  if not found then return 'gone'; end if;
  name := rel::regclass::text;
  if c.relkind = 'm' then
    if c.numsegments <= target then return 'done'; end if;
    execute format('refresh materialized view %s with no data', name); -- takes the lock
    perform pg_temp.cw_policy(rel, target);
    if c.relispopulated then execute format('refresh materialized view %s', name); end if;
    return 'moved';
  end if;
  execute format('lock table %s %s in access exclusive mode', case when exists (select 1 from pg_catalog.pg_partition q where q.parrelid = rel) then '' else 'only' end, name);
  if to_regclass(name::cstring) is distinct from rel::regclass then
    raise exception using errcode = '40001', message = 'table ' || name || ' was renamed or dropped meanwhile';
  end if;
  for c in
    with recursive part as (
      select rel as oid
      union all select r.parchildrelid from part join pg_catalog.pg_partition q on q.parrelid = rel join pg_catalog.pg_partition_rule r on r.paroid = q.oid where part.oid = rel and not q.paristemplate)
    select k.oid, k.relkind, k.relstorage, k.relhassubclass, k.relhasoids, p.policytype, p.numsegments,
        exists (select 1 from pg_catalog.pg_partition_rule r where r.parchildrelid = k.oid and exists (select 1 from pg_catalog.pg_partition_rule s where s.parparentrule = r.oid))
        or exists (select 1 from pg_catalog.pg_partition q where q.parrelid = k.oid) as inner_part,
        exists (select 1 from pg_catalog.pg_opclass o where o.oid = any(p.distclass) and o.opcname like 'cdbhash\_%') as legacy
      from part join pg_catalog.pg_class k on k.oid = part.oid join pg_catalog.gp_distribution_policy p on p.localoid = k.oid
      where p.numsegments > target
  loop
    moved := true;
    if c.policytype = 'r' then
      perform pg_temp.cw_copies(c.oid, target);
    elsif c.relstorage = 'x' or c.inner_part then
      perform pg_temp.cw_policy(c.oid, target);
    elsif c.relhasoids then
      raise exception using errcode = '0A000', message = 'the rows of ' || c.oid::regclass || ' have OIDs, which moving them would change';
    else
      perform pg_temp.cw_rows(c.oid, target, c.legacy);
    end if;
  end loop;
  return case when moved then 'moved' else 'done' end;
end $cw$;`,
}

// moveOf is the statement that moves a unit.
func moveOf(u *unit, target int, down bool) string {
	verb := "cw_grow"
	if down {
		verb = "cw_shrink"
	}
	return fmt.Sprintf("select pg_temp.%s(%d::pg_catalog.oid, %d);", verb, u.OID, target)
}

// analyzeOf is the statement that gathers statistics of a unit.
func analyzeOf(u *unit) string { return "analyze " + u.Name + ";" }

// refusal says why a unit cannot be moved; "" when it can.
func refusal(u *unit, target int, down bool) string {
	for _, r := range u.parts {
		if r.Segments <= target && down || r.Segments >= target && !down {
			continue
		}
		switch {
		case r.Policy != "p" && r.Policy != "r":
			return fmt.Sprintf("%s has a distribution policy of an unknown kind, %q", r.Name, r.Policy)
		case r.OIDs && down:
			return fmt.Sprintf("%s has OIDs, which moving its rows would change: alter table %s set without oids", r.Name, r.Name)
		case r.Always != "" && down:
			return fmt.Sprintf("%s of %s is enabled always and would fire for the rows that move: alter table %s enable it in the ordinary way", r.Always, r.Name, r.Name)
		}
	}
	return ""
}

// The ways a move can fail.
type failure int

const (
	failed    failure = iota // may get better: tried again after a pause
	hopeless                 // will not
	busy                     // others hold the table
	exhausted                // the cluster has not enough of something
	lost                     // the session ended: says nothing about the table
)

// classify tells what an error of a move means (errcodes.txt of the server).
func classify(err error) failure {
	var e *StatementError
	if !errors.As(err, &e) {
		return lost
	}
	switch {
	case e.Code == "55P03", e.Code == "40P01", e.Code == "40001":
		return busy
	case strings.HasPrefix(e.Code, "53"):
		return exhausted
	case strings.HasPrefix(e.Code, "57P"):
		return lost
	case strings.HasPrefix(e.Code, "22"), strings.HasPrefix(e.Code, "23"), strings.HasPrefix(e.Code, "42"), strings.HasPrefix(e.Code, "0A"):
		return hopeless
	}
	return failed
}
