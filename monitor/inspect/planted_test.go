package inspect

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
)

// TestPlantedMore plants what the first server cannot have: damage, slots
// without a log, a missing standby, sessions in each other's way. Bounds that a
// test cannot reach are lowered.
func TestPlantedMore(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, "shared_buffers=1MB", "password_encryption='md5'", "listen_addresses='127.0.0.1,ip6-localhost'", "synchronous_standby_names='nobody'", "synchronous_commit=local",
		"max_slot_wal_keep_size=1MB", "max_wal_size=32MB", "min_wal_size=32MB", "autovacuum=off", "deadlock_timeout=50ms", "temp_buffers=800kB")
	ctx := t.Context()
	srv.Exec(t, "postgres", "create database shop")
	shop := func(sql string) { t.Helper(); srv.Exec(t, "shop", sql) }
	shop("create table damaged as select i, repeat('d', 500) as t from generate_series(1, 100) i")
	var file string
	if err := srv.Connect(t, "shop").QueryRow(ctx, "select pg_relation_filepath('damaged')").Scan(&file); err != nil {
		t.Fatal(err)
	}
	withChecksums(t, srv, func() {
		f, err := os.OpenFile(filepath.Join(srv.DataDir, file), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("not what was written"), 5000)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	})
	c := srv.Connect(t, "shop")
	if _, err := c.Exec(ctx, "select * from damaged"); err == nil {
		t.Fatal("the page is not damaged")
	}
	_ = c.Close(ctx)
	hba := filepath.Join(srv.DataDir, "pg_hba.conf")
	text, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	write(t, hba, string(text)+"host all all 10.0.0.0/8 password\nhost all all 0.0.0.0/0 scram-sha-256\n")
	shop("create function risky() returns int language sql security definer as 'select 1'; create function fine() returns int language sql security definer set search_path = pg_catalog as 'select 1'")
	shop("create unlogged table gone (i int); create table still (i int) with (autovacuum_enabled = off)")
	shop("create table parts (i int) partition by list (i); create table p1 partition of parts for values in (1); create table p2 partition of parts for values in (2)")
	shop("create table checked (i int); alter table checked add constraint positive check (i > 0) not valid")
	shop("create table slow (i int primary key); do $$ begin for i in 1..20 loop execute 'create index on slow ((i + ' || i || '))'; end loop; end $$")
	shop(`create table sorted (t text collate "und-x-icu"); create extension amcheck version '1.2'`)
	shop("update pg_collation set collversion = '1' where collname = 'und-x-icu'; update pg_database set datcollversion = '1.0' where datname = 'shop'")
	shop("create role open login; create role almighty login password 'Hh5-t4!'; grant pg_execute_server_program to almighty")
	shop("create table wide as select i as a, i as b from generate_series(1, 60000) i; create index narrow on wide (a); create index broad on wide (a, b)")
	shop("set work_mem = '64kB'; select count(*) from (select i from generate_series(1, 50000) i order by random()) x")
	shop("select pg_create_physical_replication_slot('lost', true); create table filler as select repeat('x', 900) as t from generate_series(1, 60000)")
	for range 21 {
		shop("checkpoint")
	}
	shop("create table two (i int primary key, n int); insert into two values (1, 0), (2, 0)")
	a, b := srv.Connect(t, "shop"), srv.Connect(t, "shop")
	exec := func(c *pgx.Conn, sql string) error { _, err := c.Exec(ctx, sql); return err }
	if err := errors.Join(exec(a, "begin; update two set n = 1 where i = 1"), exec(b, "begin; update two set n = 1 where i = 2")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- exec(a, "update two set n = 2 where i = 2") }()
	if err := errors.Join(exec(b, "update two set n = 2 where i = 1"), <-done); err == nil {
		t.Fatal("there was no deadlock")
	}
	_, _ = a.Close(ctx), b.Close(ctx)
	holder, waiter := srv.Connect(t, "shop"), srv.Connect(t, "shop")
	if err := exec(holder, "begin; lock table two in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	go func() { defer close(waited); _ = exec(waiter, "update two set n = 3") }()
	defer func() { _ = holder.Close(context.WithoutCancel(ctx)); <-waited }()

	lowered := map[string]float64{
		"setting.memory_default": 10, "age.multixact": 0, "age.table": 1e-10, "session.blocked": 0, "database.cache_hit": 1, "database.temp_files": 1, "database.deadlocks": 1e-3, "table.many_partitions": 2,
	}
	all := rules(t)
	for i, r := range all {
		if bound, ok := lowered[r.Name]; ok {
			all[i].Warn = &bound
			all[i].SQL = strings.ReplaceAll(r.SQL, "1000000", "1")
		}
		if r.Name == "version.old" {
			all[i].To = 0
		}
	}
	want := []string{
		"setting.memory_default/shared_buffers/1MB for", "setting.password_encryption/password_encryption/md5", "setting.no_tls/listen_addresses/ssl is off", "version.old/PostgreSQL/",
		"access.cleartext/pg_hba.conf line/10.0.0.0", "access.anywhere/pg_hba.conf line/0.0.0.0", "function.security_definer/risky()/of cw", "age.multixact/shop/", "age.table//transactions old",
		"session.blocked/pid/waits for pid", "replication.slot_lost/lost/wal_status", "replication.no_sync/synchronous_standby_names/nobody", "checkpoint.frequent/max_wal_size/32MB",
		"database.cache_hit/shop/", "database.temp_files/shop/work_mem", "database.deadlocks/shop/1 in all", "database.checksum_failures/shop/1 failures", "database.collation/shop/1.0",
		`collation.version/pg_catalog."und-x-icu"/made with 1`, "extension.update/amcheck/is 1.2", "table.unlogged/gone/", "table.autovacuum_off/still/off", "table.many_partitions/parts/2",
		"role.no_password/open/", "role.server_access/almighty/pg_execute_server_program", "index.redundant/narrow/broad begins",
		"constraint.not_valid/checked positive/CHECK", "index.many/slow/beside",
	}
	p := server(t, srv)
	deadline := time.Now().Add(30 * time.Second)
	for { // statistics come a moment later
		r, err := Run(ctx, p, "postgres", all)
		if err != nil {
			t.Fatal(err)
		}
		var lacks []string
		for _, w := range want {
			part := strings.SplitN(w, "/", 3)
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
				return f.Rule == part[0] && strings.HasPrefix(f.Object, part[1]) && strings.Contains(f.Text, part[2]) && f.Remedy != "" && !strings.Contains(f.Remedy, "{")
			}) {
				lacks = append(lacks, w)
			}
		}
		for _, f := range r.Findings {
			if f.Object == "fine()" {
				t.Errorf("nobody planted %+v", f)
			}
		}
		if len(lacks) == 0 && len(r.Omitted) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, f := range r.Findings {
				t.Logf("%s %s: %s", f.Rule, f.Object, f.Text)
			}
			t.Fatalf("not found: %q, omitted %+v", lacks, r.Omitted)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
