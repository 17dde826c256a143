package inspect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/gptest"
	"cw/playground/pgtest"
)

func rules(t *testing.T) []Rule {
	t.Helper()
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func server(t *testing.T, srv *pgtest.Server) *Postgres {
	t.Helper()
	p := &Postgres{Connect: func(ctx context.Context, db string) (*pgx.Conn, error) {
		if db == "" {
			db = "postgres"
		}
		return pgx.Connect(ctx, srv.DSN(db))
	}}
	t.Cleanup(func() { p.Close(t.Context()) })
	return p
}

// A fresh server has nothing to say, and no question fails.
func TestNothingIsWrong(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, "fsync=on", "password_encryption='scram-sha-256'")
	withChecksums(t, srv, func() {})
	srv.Exec(t, "postgres", "revoke create on schema public from public; alter role cw password 'Xk3!vv0qLm'")
	connections := 0
	p := &Postgres{Connect: func(ctx context.Context, db string) (*pgx.Conn, error) {
		connections++
		c, err := pgx.ParseConfig(srv.DSN(cmpOr(db, "postgres")))
		if err != nil {
			return nil, err
		}
		c.Password = "Xk3!vv0qLm"
		return pgx.ConnectConfig(ctx, c)
	}}
	defer p.Close(t.Context())
	r, err := Run(t.Context(), p, "postgres", rules(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Errorf("finding %+v", f)
	}
	for _, o := range r.Omitted {
		t.Errorf("omitted %+v", o)
	}
	if connections > 3 { // the usual one before and after, and one to the database
		t.Errorf("%d connections were made", connections)
	}
	if r.Asked < 20 {
		t.Errorf("only %d rules were asked", r.Asked)
	}
}

// withChecksums gives a server's pages checksums, and does something while it
// does not run.
func withChecksums(t *testing.T, srv *pgtest.Server, stopped func()) {
	t.Helper()
	srv.StopServer(t, "fast")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(srv.BinDir, "pg_checksums"), "--enable", "--no-sync", "-D", srv.DataDir)
	c.SysProcAttr, c.Dir = &syscall.SysProcAttr{Credential: pgtest.Unprivileged(t)}, srv.Dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stopped()
	srv.StartServer(t)
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// TestPlanted plants a problem for nearly every rule; each is found, by its
// name and with its object, and nothing else is.
func TestPlanted(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, "max_prepared_transactions=5", "wal_level=replica", "archive_mode=on", "archive_command='false'", "autovacuum=off", "max_connections=20", "superuser_reserved_connections=1")
	ctx := t.Context()
	exec := func(sql string) { t.Helper(); srv.Exec(t, "postgres", sql) }
	exec("create database shop")
	shop := func(sql string) { t.Helper(); srv.Exec(t, "shop", sql) }
	hba := filepath.Join(srv.DataDir, "pg_hba.conf")
	text, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	write(t, hba, string(text)+"host all all 10.0.0.0/8 trust\n")

	exec("create role boss superuser login password 'h4rd-t0-guess'")
	exec("create role lazy login password 'lazy'")
	exec("create role gone login password 'Zz9-y8!' valid until '2001-01-01'")
	exec("set password_encryption = 'md5'; create role old login password 'Qq7-x6!'")
	exec("select pg_create_physical_replication_slot('nobody', true)")
	exec("create table filler as select repeat('x', 900) as t from generate_series(1, 90000)") // more log than the slot's bound
	shop("create table orders (id int primary key, customer int, note text)")
	shop("insert into orders select i, i % 7, repeat('n', 100) from generate_series(1, 20000) i")
	shop("delete from orders where id % 2 = 0")
	shop("create index o1 on orders (customer); create index o2 on orders (customer)")
	shop("create table lines (order_id int references orders, text text)")
	shop("insert into lines select 1, repeat('l', 1000) from generate_series(1, 3000) i")
	shop("create sequence almost maxvalue 1000; select setval('almost', 950)")
	shop("analyze orders")
	conn := srv.Connect(t, "shop")
	if _, err := conn.Exec(ctx, "create table twice (i int); insert into twice values (1), (1)"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "create unique index concurrently bad on twice (i)"); err == nil {
		t.Fatal("the index is valid")
	}
	if _, err := conn.Exec(ctx, "begin; insert into twice values (2); prepare transaction 'forgotten'"); err != nil {
		t.Fatal(err)
	}
	var open []*pgx.Conn
	for range 16 {
		open = append(open, srv.Connect(t, "postgres"))
	}
	if _, err := open[0].Exec(ctx, "begin; select pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	exec("select pg_switch_wal()") // something to archive, and to fail with
	deadline := time.Now().Add(time.Minute)
	for failed := false; !failed; {
		if err := open[1].QueryRow(ctx, "select failed_count > 0 from pg_stat_archiver").Scan(&failed); err != nil || time.Now().After(deadline) {
			t.Fatal("the archiver does not fail: ", err)
		}
	}

	// Bounds of time are lowered: a test does not wait for an hour.
	all := rules(t)
	zero := 0.0
	for i := range all {
		if all[i].Unit == Seconds {
			all[i].Warn = &zero
		}
	}
	p := server(t, srv)
	r, err := Run(ctx, p, "postgres", all)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"setting.dangerous/autovacuum": "", "access.trust/pg_hba.conf line": "10.0.0.0", "role.superuser/boss": "", "role.expired/gone": "2001-01-01", "role.md5/old": "",
		"setting.checksums/data_checksums": "off", "session.idle_in_transaction/pid": "pg_current_xact_id",
		"age.prepared/forgotten": "shop", "age.transaction/pid": "idle in transaction", "replication.slot/nobody": "MB", "wal.archive/archive_command": "failures",
		"connection.limit/max_connections": "of 20", "table.bloat/public.orders": "10000 dead rows, never vacuumed", "table.no_statistics/public.lines": "never analysed, 3000 rows",
		"table.no_key/lines": "kB", "index.invalid/bad": "of twice", "index.duplicate/o1, o2": "on orders", "key.no_index/lines lines_order_id_fkey": "on orders",
		"sequence.end/public.almost": "95", role("lazy"): "own name", "setting.dangerous/fsync": "", "table.no_key/filler": "MB", "table.no_statistics/public.filler": "", role("cw"): "own name",
		"schema.public_create/public": "",
	}
	for key, detail := range want {
		rule, object, _ := strings.Cut(key, "/")
		found := false
		for _, f := range r.Findings {
			if f.Rule == rule && strings.HasPrefix(f.Object, object) && strings.Contains(f.Text, detail) {
				found = true
				if f.Remedy == "" || strings.Contains(f.Remedy, "{") {
					t.Errorf("%s: remedy %q", key, f.Remedy)
				}
			}
		}
		major := 0
		if f, err := p.Facts(ctx); err == nil {
			major = f.Version / 10000
		}
		if !found && (rule != "schema.public_create" || major < 15) {
			t.Errorf("%s %q was not found", key, detail)
		}
	}
	for _, f := range r.Findings {
		expected := false
		for key := range want {
			rule, object, _ := strings.Cut(key, "/")
			expected = expected || f.Rule == rule && strings.HasPrefix(f.Object, object)
		}
		if !expected {
			t.Errorf("nobody planted %+v", f)
		}
	}
	for i := 1; i < len(r.Findings); i++ {
		if rank(r.Findings[i].Severity) > rank(r.Findings[i-1].Severity) {
			t.Error("the worst are not first")
		}
	}
	for _, o := range r.Omitted {
		t.Errorf("omitted %+v", o)
	}
}

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

func role(name string) string { return weakPassword + "/" + name }

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A question can change nothing, ends in time, and fails alone.
func TestQuestionsAreHarmless(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	p := server(t, srv)
	own := []Rule{
		{Name: "a.writes", SQL: "create table x (i int)", Remedy: "r", Severity: Notice},
		{Name: "b.wrong", SQL: "select 1 as something", Remedy: "r"},
		{Name: "c.text", SQL: "select 'x' as object, 'many' as value", Remedy: "r"},
		{Name: "d.needs", SQL: "select 'x' as object", Needs: "no_such_thing", Remedy: "r"},
		{Name: "e.fine", SQL: "select 'x' as object, null as value, 'y' as detail", Severity: Notice, Remedy: "see {object}"},
		{Name: "f.newer", SQL: "select", From: 990000},
		{Name: "g.other", SQL: "select", Engines: []string{"greenplum"}},
	}
	r, err := Run(t.Context(), p, "postgres", own)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range r.Omitted {
		got = append(got, o.Rule+": "+o.Reason)
	}
	for i, want := range []string{"a.writes: ERROR: cannot execute CREATE TABLE in a read-only transaction", "b.wrong: its answer has no column object", `c.text: value "many" is no number`, "d.needs: no_such_thing is not there"} {
		if i >= len(got) || !strings.Contains(got[i], want) {
			t.Fatalf("omitted %q, want %q", got, want)
		}
	}
	if len(got) != 4 || len(r.Findings) == 0 || r.Findings[len(r.Findings)-1].Remedy != "see x" {
		t.Errorf("%+v", r)
	}
	if _, err := p.Ask(t.Context(), "", "select pg_sleep(60)::text as object", 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a long question: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, p, "postgres", own); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: cw/v1\nkind: InspectionRules\nrules:\n"
	for text, want := range map[string]string{
		"  - {name: a, title: t, sql: 'select 1', remedy: r, warn: x}\n":                                          `x.yaml:4:59: rules[0].warn wants a number, found "x"`,
		"  - {name: a, title: t, sql: 'select 1; drop table x', remedy: r}\n":                                     "more than one statement",
		"  - {name: a, title: t, sql: 'select 1', remedy: r, warn: 5, critical: 2}\n":                             "critical is reached before warn",
		"  - {name: a, title: t, sql: s, remedy: r}\n  - {name: a, title: t, sql: s, remedy: r}\n":                "a rule a is there already",
		"  - {name: a, title: t, sql: s, remdy: r}\n":                                                             `did you mean "remedy"`,
		"  - {name: a, title: t, sql: s, remedy: r, scope: table}\n":                                              "cluster",
		"  - {name: a, title: t, sql: s;, remedy: r, below: true, warn: 0.5, critical: 0.1, unit: share}\n":       "",
		"  - {name: a, title: t, sql: s, remedy: r, engines: [postgres], from: 130000, severity: notice}\n":       "",
		"  - {name: a, title: t, sql: s, remedy: r, watch: true}\n":                                               "",
		"  - {name: a, title: t, sql: s, remedy: r, engines: [oracle]}\n":                                         "greenplum",
		"  - {name: a, title: t, sql: s, remedy: r, critical: 1e3, warn: 10, unit: seconds, scope: database}\n\n": "",
	} {
		got, err := Parse("x.yaml", []byte(head+text))
		switch {
		case want == "" && (err != nil || len(got) != 1):
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	base := []Rule{{Name: "a"}, {Name: "b", Watch: true}}
	if got := Watched(base); len(got) != 1 || got[0].Name != "b" {
		t.Errorf("watched %+v", got)
	}
	if got := Merge(base, []Rule{{Name: "a", Title: "own"}}); len(got) != 2 || got[0].Name != "b" || got[1].Title != "own" {
		t.Errorf("%+v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(builtin))
	f.Fuzz(func(_ *testing.T, text string) { _, _ = Parse("x.yaml", []byte(text)) })
}

func TestJudge(t *testing.T) {
	t.Parallel()
	num := func(v float64) *float64 { return &v }
	up, down := Rule{Warn: num(2), Critical: num(5)}, Rule{Warn: num(5), Critical: num(2), Below: true}
	for _, c := range []struct {
		rule  Rule
		value *float64
		want  Severity
	}{
		{up, num(1.9), ""},
		{up, num(2), Warning},
		{up, num(5), Critical},
		{up, nil, ""},
		{down, num(6), ""},
		{down, num(5), Warning},
		{down, num(1), Critical},
		{Rule{Severity: Notice}, nil, Notice},
		{Rule{Critical: num(1)}, num(0), ""},
	} {
		if got, bad := c.rule.judge(c.value); got != c.want || bad != (c.want != "") {
			t.Errorf("%+v %v: %s", c.rule, c.value, got)
		}
	}
}

// What a server stores is recognised, and nothing else is.
func TestVerifies(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t)
	c := srv.Connect(t, "postgres")
	for _, method := range []string{"md5", "scram-sha-256"} {
		for _, password := range []string{"kate", "ünï cödé", "x"} {
			if _, err := c.Exec(t.Context(), fmt.Sprintf("set password_encryption = '%s'; drop role if exists kate; create role kate login password '%s'", method, password)); err != nil {
				t.Fatal(err)
			}
			var stored string
			if err := c.QueryRow(t.Context(), "select rolpassword from pg_authid where rolname = 'kate'").Scan(&stored); err != nil {
				t.Fatal(err)
			}
			if !verifies(stored, "kate", password) || verifies(stored, "kate", password+"1") || verifies(stored, "kate", "") {
				t.Errorf("%s %q: %s", method, password, stored)
			}
		}
	}
	for _, odd := range []string{"", "md5", "SCRAM-SHA-256", "SCRAM-SHA-256$4096:x$y:z", "SCRAM-SHA-256$99999999:AAAA$AAAA:AAAA", "SCRAM-SHA-256$-1:AAAA$AAAA:AAAA"} {
		if verifies(odd, "kate", "kate") {
			t.Error(odd)
		}
	}
}

// The questions for Greenplum are understood by a real one, and find a
// skewed table, one without statistics and primaries without mirrors.
func TestGreenplum(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2, "gp_vmem_protect_limit=240")
	gp.Exec(t, "postgres", "create database shop")
	gp.Exec(t, "shop", "set gp_autostats_mode = none; create table skewed (k int, t text) distributed by (k); insert into skewed select 1, repeat('x', 1000) from generate_series(1, 12000) i; create table even (k int, t text) distributed by (k); insert into even select i, repeat('x', 1000) from generate_series(1, 12000) i; analyze even")
	gp.Exec(t, "shop", "create role loader login; create unlogged table gone (i int) distributed by (i)")
	gp.Exec(t, "shop", "create table parts (i int) distributed by (i) partition by range (i) (start (1) end (4) every (1))")
	gp.Exec(t, "shop", "create function risky() returns int language sql security definer as 'select 1'")
	gp.Exec(t, "shop", "set allow_system_table_mods = on; create schema pg_temp_77777")
	hba := filepath.Join(gp.Dir, "m", "pg_hba.conf")
	text, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	write(t, hba, string(text)+"host all all 10.9.0.0/16   trust # all of them\nhost all gpadmin 10.9.1.1/32 trust\n")
	ctx := t.Context()
	holder, waiter := gp.Connect(t, "shop"), gp.Connect(t, "shop")
	if _, err := holder.Exec(ctx, "begin; lock table even in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = waiter.Exec(ctx, "delete from even") }()
	defer func() { _ = holder.Close(context.WithoutCancel(ctx)); <-done }()
	deadline := time.Now().Add(30 * time.Second)
	for waits := false; !waits; {
		if err := gp.Connect(t, "postgres").QueryRow(ctx, "select exists (select 1 from pg_stat_activity where waiting)").Scan(&waits); err != nil || time.Now().After(deadline) {
			t.Fatal("nobody waits: ", err)
		}
	}
	all, zero, two := rules(t), 0.0, 2.0
	for i := range all {
		if all[i].Unit == Seconds {
			all[i].Warn = &zero
		}
		if all[i].Name == "table.many_partitions" {
			all[i].Warn = &two
		}
	}
	p := &Postgres{Connect: func(ctx context.Context, db string) (*pgx.Conn, error) {
		return gp.Connect(t, cmpOr(db, "postgres")), nil
	}}
	r, err := Run(t.Context(), p, "greenplum", all)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range r.Findings {
		found[f.Rule+" "+f.Object] = true
		if f.Rule == "table.skew" && (f.Object != "public.skewed" || f.Value == nil || *f.Value < 1.9 || *f.Value > 2.1) {
			t.Errorf("skew %+v", f)
		}
	}
	for _, want := range []string{
		"setting.dangerous_greenplum fsync", "segment.no_standby coordinator", "resource.default_queue pg_default", "resource.memory statement_mem", "access.trust_greenplum pg_hba.conf",
		"catalogue.temp_schemas pg_temp_77777", "table.many_partitions parts", "function.security_definer risky()", "table.unlogged gone",
	} {
		if !found[want] {
			t.Errorf("%s was not found", want)
		}
	}
	count := map[string]int{}
	for _, f := range r.Findings {
		count[f.Rule]++
		if strings.Contains(f.Text, "10.9.1.1") {
			t.Errorf("one host of the cluster's own is named: %+v", f)
		}
	}
	for _, rule := range []string{"session.idle_in_transaction", "session.waiting_greenplum", "age.transaction_greenplum"} {
		if count[rule] == 0 {
			t.Errorf("%s found nobody", rule)
		}
	}
	for _, want := range []string{"table.skew public.skewed", "table.no_statistics_greenplum public.skewed", "segment.no_mirrors content 0", "segment.no_mirrors content 1"} {
		if !found[want] {
			t.Errorf("%s was not found: %+v", want, r.Findings)
		}
	}
	for _, o := range r.Omitted {
		t.Errorf("omitted %+v", o)
	}
}
