package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"cw/cluster"
)

// settings that are away from what the profile has, not in force, set for
// some only, or changed from the default.
func (b *builder) settings(ctx context.Context) error {
	var all []Setting
	if b.o.Differ != nil {
		got, err := b.o.Differ(ctx)
		b.missing(SectionSettings, "", err)
		for _, d := range got {
			// What tells nodes apart has to differ.
			if d.Reason != ReasonDiffers || !cluster.OwnsSetting(d.Name) && d.Name != "log_directory" {
				all = append(all, d)
			}
		}
	}
	queries := []string{scopedQuery, changedQuery}
	switch {
	case b.version >= 100000:
		queries = append(queries, profileQuery)
	case b.greenplum():
		b.missing(SectionSettings, "", fmt.Errorf("away from the profile: Greenplum 6 does not tell which line of which file is in force: cw cluster config diff %s", b.o.Cluster))
	}
	for _, q := range queries {
		got, err := ask[Setting](ctx, b.ask, "", q)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.missing(SectionSettings, "", err)
		for _, s := range got {
			// What is said already in other words is not said twice.
			if s.Reason != ReasonScope && slices.ContainsFunc(all, func(o Setting) bool { return o.Name == s.Name && o.Reason != ReasonScope && s.Reason == ReasonChanged }) {
				continue
			}
			all = append(all, s)
		}
	}
	for i := range all {
		all[i].Value, all[i].Default, all[i].Profile = b.o.Redact(all[i].Value), b.o.Redact(all[i].Default), b.o.Redact(all[i].Profile)
	}
	// One that is away from the profile is changed, too: said once.
	away := map[string]bool{}
	for _, s := range all {
		away[s.Name] = away[s.Name] || s.Reason == ReasonProfile
	}
	all = slices.DeleteFunc(all, func(s Setting) bool { return s.Reason == ReasonChanged && away[s.Name] })
	order := []string{ReasonDiffers, ReasonRestart, ReasonReload, ReasonProfile, ReasonScope, ReasonChanged}
	slices.SortStableFunc(all, func(x, y Setting) int {
		return cmp.Or(cmp.Compare(slices.Index(order, x.Reason), slices.Index(order, y.Reason)), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Source, y.Source))
	})
	b.r.Settings = append(b.r.Settings, all...)
	return nil
}

// scopedQuery are those that ALTER DATABASE and ALTER ROLE set. Values of what
// may hold a secret are not read.
const scopedQuery = `select split_part(c.line, '=', 1) as name,
  case when split_part(c.line, '=', 1) ~* 'passw|secret|token|key' then '(not shown)' else substr(c.line, strpos(c.line, '=') + 1) end as value,
  btrim(coalesce('database ' || d.datname, '') || coalesce(' role ' || r.rolname, '')) as source, 'for-some' as reason
from (select setdatabase, setrole, unnest(setconfig) as line from pg_db_role_setting) c
left join pg_database d on d.oid = c.setdatabase left join pg_roles r on r.oid = c.setrole
where not (split_part(c.line, '=', 1) = 'search_path' and r.rolname is null and d.datname is null)`

// changedQuery are those that matter to speed and safety and are not the
// server's default.
const changedQuery = `select name, current_setting(name) as value,
  case when boot_val !~ '^[0-9]+$' then boot_val when unit ~ '^[0-9]*(B|kB|MB)$' then pg_size_pretty(boot_val::bigint * coalesce(nullif(substring(unit from '^[0-9]+'), ''), '1')::bigint
    * case when unit like '%MB' then 1048576 when unit like '%kB' then 1024 else 1 end) else boot_val || coalesce(unit, '') end as "default",
  case when sourcefile like '%/conf.d/cw-%' then 'profile of cw' when sourcefile is not null then regexp_replace(sourcefile, '^.*/', '') || coalesce(':' || sourceline, '') else source end as source, 'changed' as reason
from pg_settings
where setting is distinct from boot_val and source not in ('default', 'override', 'client', 'session') and name in (
  'shared_buffers', 'work_mem', 'maintenance_work_mem', 'autovacuum_work_mem', 'effective_cache_size', 'huge_pages', 'temp_buffers', 'hash_mem_multiplier',
  'max_connections', 'max_worker_processes', 'max_parallel_workers', 'max_parallel_workers_per_gather', 'max_prepared_transactions', 'shared_preload_libraries',
  'fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'wal_level', 'wal_compression', 'max_wal_size', 'min_wal_size', 'checkpoint_timeout',
  'checkpoint_completion_target', 'archive_mode', 'archive_command', 'archive_timeout', 'max_slot_wal_keep_size', 'wal_keep_size', 'hot_standby_feedback',
  'random_page_cost', 'seq_page_cost', 'effective_io_concurrency', 'default_statistics_target', 'jit', 'enable_seqscan', 'enable_nestloop', 'enable_hashjoin', 'enable_mergejoin', 'enable_indexscan', 'enable_bitmapscan',
  'autovacuum', 'autovacuum_max_workers', 'autovacuum_naptime', 'autovacuum_vacuum_cost_limit', 'autovacuum_vacuum_cost_delay', 'autovacuum_vacuum_scale_factor', 'autovacuum_analyze_scale_factor', 'autovacuum_freeze_max_age',
  'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout', 'default_transaction_isolation',
  'log_min_duration_statement', 'log_statement', 'log_lock_waits', 'log_temp_files', 'log_checkpoints', 'log_autovacuum_min_duration', 'track_counts', 'track_io_timing', 'ssl', 'password_encryption', 'listen_addresses',
  'gp_vmem_protect_limit', 'statement_mem', 'max_statement_mem', 'gp_resource_manager', 'gp_resource_group_memory_limit', 'gp_resource_group_cpu_limit', 'gp_workfile_limit_per_query', 'gp_workfile_limit_per_segment', 'gp_workfile_compression',
  'optimizer', 'gp_autostats_mode', 'gp_autostats_on_change_threshold', 'gp_interconnect_type', 'gp_fts_probe_interval', 'gp_fts_probe_timeout', 'gp_segment_connect_timeout', 'gp_default_storage_options', 'max_resource_queues', 'runaway_detector_activation_percent')
order by name`

// profileQuery are those of cw's profile file that another file overrules.
const profileQuery = `with last as (select distinct on (lower(name)) lower(name) as name, setting, sourcefile, sourceline from pg_file_settings where error is null order by lower(name), seqno desc)
select s.name, current_setting(s.name) as value, p.setting as profile, l.sourcefile || ':' || l.sourceline as source, 'away-from-profile' as reason
from pg_file_settings p join last l on l.name = lower(p.name) join pg_settings s on lower(s.name) = l.name
where p.sourcefile like '%/conf.d/cw-20-profile.conf' and l.sourcefile <> p.sourcefile and l.setting is distinct from p.setting
order by s.name`
