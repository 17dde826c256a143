package state

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"cw/fault"
)

// migrations are applied in order and never edited after a release; the
// store's version is how many of them it has. AUTOID is the one word in which
// the dialects differ.
var migrations = []string{ //nolint:gochecknoglobals // constant table
	`create table clusters (
		name text primary key, engine text not null, topology text not null, layout text not null,
		facts text not null, state text not null, created_at bigint not null, updated_at bigint not null);
	create table runs (
		id text primary key, cluster text not null, verb text not null, plan text not null, state text not null,
		owner text not null, error text not null, started_at bigint not null, finished_at bigint not null);
	create index runs_by_cluster on runs (cluster, started_at);
	create table steps (
		run text not null, step text not null, host text not null, state text not null, observed text not null,
		error text not null, started_at bigint not null, finished_at bigint not null, primary key (run, step));
	create table jobs (
		id text primary key, kind text not null, spec_file text not null, spec text not null, target text not null,
		state text not null, phase text not null, error text not null, owner text not null, pid bigint not null,
		started_at bigint not null, finished_at bigint not null, updated_at bigint not null,
		bytes bigint not null, bytes_total bigint not null, rows_loaded bigint not null, rejected bigint not null,
		objects bigint not null, objects_total bigint not null,
		rate bigint not null, rate_limit bigint not null, eta_seconds bigint not null,
		want_limit bigint not null, want text not null);
	create index jobs_by_time on jobs (started_at);
	create table events (
		id AUTOID, at bigint not null, kind text not null, severity text not null, cluster text not null,
		job text not null, host text not null, message text not null, data text not null);
	create index events_by_time on events (at);
	create table audit (
		id AUTOID, at bigint not null, operator text not null, host text not null, argv text not null,
		cluster text not null, exit_code bigint not null, error text not null, duration_ms bigint not null);
	create table leases (
		name text primary key, owner text not null, machine text not null, pid bigint not null, born text not null,
		purpose text not null, since bigint not null, expires bigint not null)`,
	`alter table jobs add column limit_reason text not null default '';
	alter table jobs add column speed_group text not null default '';
	alter table jobs add column skipped bigint not null default 0;
	alter table jobs add column skipped_by text not null default '';
	alter table jobs add column options text not null default '';
	alter table jobs add column timing text not null default '';
	create table speed_groups (name text primary key, rate_limit bigint not null, updated_at bigint not null)`,
	`create index events_by_cluster on events (cluster, id);
	create index events_by_job on events (job, id);
	create index events_by_kind on events (kind, cluster, at);
	create index jobs_by_state on jobs (state);
	create index jobs_by_change on jobs (updated_at);
	create table members (
		kind text not null, name text not null, cluster text not null, host text not null, owner text not null,
		state text not null, detail text not null, since bigint not null, seen bigint not null, expires bigint not null,
		primary key (kind, name));
	create table alerts (
		id text primary key, mark text not null, rule text not null, severity text not null, cluster text not null,
		host text not null, object text not null, job text not null, message text not null, remedy text not null,
		began_at bigint not null, fired_at bigint not null, updated_at bigint not null, resolved_at bigint not null);
	create unique index alerts_firing on alerts (mark) where resolved_at = 0;
	create index alerts_by_time on alerts (fired_at);
	create index alerts_by_end on alerts (resolved_at);
	create table deliveries (
		notice text not null, receiver text not null, state text not null, tries bigint not null, error text not null,
		at bigint not null, primary key (notice, receiver));
	create index deliveries_by_time on deliveries (at);
	create table silences (
		id text primary key, cluster text not null, host text not null, rule text not null, reason text not null,
		owner text not null, created_at bigint not null, until bigint not null);
	create table samples (
		cluster text not null, host text not null, object text not null, metric text not null, at bigint not null,
		value double precision not null);
	create index samples_by_metric on samples (cluster, metric, at);
	create index samples_by_time on samples (at)`,
}

func (s *Store) migrate(ctx context.Context) error {
	autoID := "integer primary key autoincrement"
	if s.shared {
		autoID = "bigint generated always as identity primary key"
		if _, err := s.db.ExecContext(ctx, "create schema if not exists cw_state"); err != nil && !strings.Contains(err.Error(), "23505") {
			return err
		}
	}
	tx, err := s.db.BeginTx(ctx, nil) // immediate on SQLite: one migrator at a time
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if s.shared {
		if _, err := tx.ExecContext(ctx, "select pg_advisory_xact_lock(hashtext('cw_state.migrate'))"); err != nil {
			return err
		}
	}
	version, err := version(ctx, tx)
	if err != nil {
		return err
	}
	if version > len(migrations) {
		return fault.New(fault.Failed, "use the newer cw, or another store with --store", "it was made by a newer cw (version %d, this one knows %d)", version, len(migrations))
	}
	for i := version; i < len(migrations); i++ {
		for _, stmt := range strings.Split(strings.ReplaceAll(migrations[i], "AUTOID", autoID), ";") {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("upgrade to version %d: %w", i+1, err)
			}
		}
	}
	if version < len(migrations) {
		if _, err := tx.ExecContext(ctx, s.rebind("insert into versions (version) values (?)"), len(migrations)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func version(ctx context.Context, tx *sql.Tx) (int, error) {
	if _, err := tx.ExecContext(ctx, "create table if not exists versions (version bigint primary key)"); err != nil {
		return 0, err
	}
	var v sql.NullInt64
	err := tx.QueryRowContext(ctx, "select max(version) from versions").Scan(&v)
	return int(v.Int64), err
}
