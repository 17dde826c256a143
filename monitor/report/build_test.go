package report

import (
	"context"
	"database/sql"
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

	"cw/cluster"
	"cw/monitor/inspect"
	"cw/playground/gptest"
	"cw/playground/pgtest"
	"cw/state"
)

func store(t *testing.T) *state.Store {
	t.Helper()
	st, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// options are those of a server that is up.
func options(t *testing.T, engine string, connect Connect) Options {
	t.Helper()
	rules, err := inspect.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Cluster: "dw1", Engine: engine, Now: time.Now(), Rules: rules, Store: store(t), Connect: connect,
		Redact: func(s string) string { return strings.ReplaceAll(s, "hunter2", "[redacted]") },
		Status: func(context.Context) (cluster.Status, error) {
			return cluster.Status{Name: "dw1", Engine: cluster.EngineStatus{Kind: engine}, State: cluster.Up, Hosts: []cluster.HostStatus{{Name: "h1", Reachable: true}}}, nil
		},
	}
}

func build(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// Statements are counted, their passwords and lengths cut; a base backup is
// known by the file that it leaves; what is not there says why.
func TestPostgres(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, "shared_preload_libraries='pg_stat_statements'", "archive_mode=on", "archive_command='true'", "track_io_timing=on", "pg_stat_statements.track_utility=on")
	connect := func(ctx context.Context, db string) (*pgx.Conn, error) {
		return pgx.Connect(ctx, srv.DSN(cmpOr(db, "postgres")))
	}
	o := options(t, "postgres", connect)
	o.Only = []string{SectionQueries, SectionBackup}
	r := build(t, o)
	if len(r.Queries) != 0 || !strings.Contains(fmt.Sprint(r.Missing), "create extension pg_stat_statements") {
		t.Errorf("there is no pg_stat_statements yet: %+v %+v", r.Queries, r.Missing)
	}
	if r.Backup == nil || r.Backup.Known || r.Backup.WhyNot == "" || r.Backup.Archive == nil || r.Backup.Archive.Mode != "on" {
		t.Errorf("backup %+v", r.Backup)
	}

	srv.Exec(t, "postgres", "create schema ext; create extension pg_stat_statements schema ext")
	srv.Exec(t, "postgres", "create role carol login password 'hunter2'")
	long := "select count(*) /* " + strings.Repeat("long ", 200) + "*/ from pg_class"
	for range 50 {
		srv.Exec(t, "postgres", long)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dump := exec.CommandContext(ctx, filepath.Join(srv.BinDir, "pg_basebackup"), "-d", srv.DSN("postgres"), "-D", filepath.Join(srv.Dir, "backup"), "-X", "none", "-c", "fast", "--no-sync", "-l", "nightly of ours")
	dump.SysProcAttr = &syscall.SysProcAttr{Credential: pgtest.Unprivileged(t)}
	dump.Dir = srv.Dir
	if out, err := dump.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r = build(t, o)
	if !r.Backup.Known || *r.Backup.AgeSeconds > 600 || !strings.Contains(r.Backup.By, "nightly of ours") {
		t.Errorf("backup %+v", r.Backup)
	}
	i := slices.IndexFunc(r.Queries, func(q Query) bool { return strings.HasPrefix(q.Query, "select count(*)") })
	if i < 0 {
		t.Fatalf("queries %+v", r.Queries)
	}
	q := r.Queries[i]
	if q.Calls != 50 || q.Rows != 50 || q.Share <= 0 || q.Share > 1 || len([]rune(q.Query)) != longQuery || q.Database != "postgres" || q.User != "cw" || q.HitRatio == nil {
		t.Errorf("query %+v", q)
	}
	if text := fmt.Sprint(r.Queries); strings.Contains(text, "hunter2") || !strings.Contains(text, "[redacted]") {
		t.Errorf("a password is shown, or the statement is not: %s", text)
	}
	// It gets old.
	o.Now, o.Only = o.Now.Add(40*24*time.Hour), append(o.Only, SectionFindings)
	if r = build(t, o); !slices.ContainsFunc(r.Findings, func(f inspect.Finding) bool { return f.Rule == ruleBackup && f.Severity == inspect.Critical }) {
		t.Errorf("the backup is old: %+v", r.Findings)
	}
	// Where there are very many tables the catalogue's estimate comes first.
	srv.Exec(t, "postgres", "create table big (t text); insert into big select repeat('x', 1000) from generate_series(1, 3000)")
	for _, some := range []string{"", " and c.oid in (select oid from pg_class where relkind in ('r', 'm') and oid >= 16384 order by relpages desc limit 2000)"} {
		a := &inspect.Postgres{Connect: connect}
		got, err := ask[Table](t.Context(), a, "", strings.ReplaceAll(tablesQuery, "{some}", some))
		a.Close(t.Context())
		if err != nil || len(got) == 0 || got[0].Name != "big" || got[0].Size < 3<<20 {
			t.Errorf("%v %+v", err, got)
		}
	}
}

// A section that fails leaves its reason and the others; a database or a store
// that is away leaves all that can be had.
func TestWhatCannotBeHad(t *testing.T) {
	t.Parallel()
	away := func(context.Context, string) (*pgx.Conn, error) { return nil, errors.New("no route, password=hunter2") }
	o := options(t, "postgres", away)
	r := build(t, o)
	for _, section := range []string{SectionFindings, SectionTables, SectionQueries, SectionSettings, SectionRoles, SectionBackup, SectionCapacity} {
		if !slices.ContainsFunc(r.Missing, func(m Missing) bool { return m.Section == section && strings.Contains(m.Reason, "no route") }) {
			t.Errorf("%s: no reason in %+v", section, r.Missing)
		}
	}
	if r.Unreachable == "" || r.Health == nil || r.Loads == nil || r.Summary.Verdict != Attention || strings.Contains(fmt.Sprint(r), "hunter2") {
		t.Errorf("%+v", r)
	}
	o.Status = func(context.Context) (cluster.Status, error) { return cluster.Status{}, errors.New("no such thing") }
	o.Store = brokenStore{}
	if r = build(t, o); r.Health != nil || r.Engine.Kind != "postgres" || len(r.Missing) < 10 || r.Summary.Verdict != Attention {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	// A database that hangs is left after the limit, with what there was.
	o = options(t, "postgres", func(ctx context.Context, _ string) (*pgx.Conn, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	o.Limit = 50 * time.Millisecond
	if r = build(t, o); !strings.Contains(r.Unreachable, "50ms at most") || r.Health == nil {
		t.Errorf("it hangs: %+v", r)
	}
}

type brokenStore struct{}

func (brokenStore) Samples(context.Context, string, string, time.Time) ([]state.Sample, error) {
	return nil, errors.New("store is away")
}

func (brokenStore) Alerts(context.Context, state.AlertFilter) ([]state.Alert, error) {
	return nil, errors.New("store is away")
}

func (brokenStore) RecentJobs(context.Context, time.Time) ([]state.Job, error) {
	return nil, errors.New("store is away")
}

func (brokenStore) Who() string { return "me" }

// The sampled mount point that a data folder is on is its file system.
func TestWithDisk(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sampled := func() []Mount {
		return []Mount{{Path: "/", Size: 100, Used: 1}, {Path: "/data1", Size: 1000, Used: 700, History: []Point{{At: now, Value: 700}}}}
	}
	for _, c := range []struct {
		path   string
		size   int64
		want   string
		mounts int
		used   int64
	}{
		{"/data1/dw1/n1", 1000, "/data1", 2, 700},
		{"/data10/dw1", 100, "/", 2, 60},
		{"/data10/dw1", 5000, "/data10/dw1", 3, 4960},
	} {
		got := withDisk(sampled(), cluster.DiskStatus{Path: c.path, Size: c.size, Free: 40}, now)
		i := slices.IndexFunc(got, func(m Mount) bool { return m.Path == c.want })
		if i < 0 || len(got) != c.mounts || got[i].Free != 40 || got[i].Used != c.used {
			t.Errorf("%s of %d: %+v", c.path, c.size, got)
		}
	}
}

// On Greenplum sizes are those of all segments, partitions are summed, a table
// on one segment is skewed, and gpbackup's history is read.
func TestGreenplum(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	gp.Exec(t, "postgres", "create database shop")
	gp.Exec(t, "shop", `create table skewed (k int, t text) distributed by (k); insert into skewed select 1, repeat('x', 1000) from generate_series(1, 6000) i;
create table events (at date, t text) distributed randomly partition by range (at) (start (date '2026-01-01') end (date '2026-04-01') every (interval '1 month'));
insert into events select '2026-01-05'::date + i % 80, repeat('p', 1000) from generate_series(1, 9000) i;
create table aoco (i int, t text) with (appendonly=true, orientation=column) distributed by (i); insert into aoco select i, repeat('c', 1000) from generate_series(1, 4000) i; analyze;`)
	o := options(t, "greenplum", func(_ context.Context, db string) (*pgx.Conn, error) {
		return gp.Connect(t, cmpOr(db, "postgres")), nil
	})
	o.Rules = nil
	r := build(t, o)
	table := func(name string) Table {
		i := slices.IndexFunc(r.Tables, func(t Table) bool { return t.Name == name && t.Database == "shop" })
		if i < 0 {
			t.Fatalf("%s is not among %+v, missing %+v", name, r.Tables, r.Missing)
		}
		return r.Tables[i]
	}
	if x := table("events"); x.Partitions != 3 || x.Size < 9<<20 || *x.Rows < 8000 || x.Skew == nil || *x.Skew > 1.2 {
		t.Errorf("%+v", x)
	}
	if x := table("skewed"); x.Size < 6<<20 || x.Skew == nil || *x.Skew < 1.9 || *x.Skew > 2.01 {
		t.Errorf("%+v", x)
	}
	if x := table("aoco"); x.Size < 1<<20 || x.Skew == nil || *x.Skew > 1.2 || *x.Rows != 4000 {
		t.Errorf("%+v", x)
	}
	if len(r.Roles) == 0 || !r.Roles[0].Superuser || r.Backup.Known || r.Backup.WhyNot == "" || len(r.Settings) == 0 {
		t.Errorf("roles %+v backup %+v settings %+v", r.Roles, r.Backup, r.Settings)
	}
	for _, m := range r.Missing {
		if m.Section != SectionQueries && !strings.Contains(m.Reason, "away from the profile") {
			t.Errorf("missing %+v", m)
		}
	}
	stamp := time.Now().Add(-50 * time.Hour).Format("20060102150405")
	history := "backupconfigs:\n- backupdir: \"\"\n  timestamp: \"" + stamp + "\"\n  status: Success\n  datedeleted: \"\"\n- timestamp: \"20990101000000\"\n  status: Failure\n"
	if err := os.WriteFile(filepath.Join(gp.Dir, "m", "gpbackup_history.yaml"), []byte(history), 0o644); err != nil {
		t.Fatal(err)
	}
	o.Only = []string{SectionBackup}
	if r = build(t, o); !r.Backup.Known || *r.Backup.AgeSeconds/3600 < 24 || *r.Backup.AgeSeconds/3600 > 76 || r.Backup.By != "gpbackup's history" {
		t.Errorf("backup %+v, missing %+v", r.Backup, r.Missing)
	}
	// Newer versions keep it in a database: the columns that are read of it, as
	// gpbackup makes them.
	name := filepath.Join(t.TempDir(), "history.db")
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	older := time.Now().Add(-200 * time.Hour).Format("20060102150405")
	for _, q := range []string{
		"create table backups (timestamp text not null primary key, date_deleted text, metadata_only int, status text)",
		"insert into backups values ('" + older + "', '', 0, 'Success'), ('20990101000000', '', 0, 'Failure'), ('20980101000000', '20990101000000', 0, 'Success'), ('20970101000000', '', 1, 'Success')",
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(gp.Dir, "m", "gpbackup_history.db"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	o.Only = append(o.Only, SectionFindings)
	if r = build(t, o); !r.Backup.Known || *r.Backup.AgeSeconds/3600 < 170 || *r.Backup.AgeSeconds/3600 > 230 {
		t.Errorf("backup %+v, missing %+v", r.Backup, r.Missing)
	}
	if !slices.ContainsFunc(r.Findings, func(f inspect.Finding) bool { return f.Rule == ruleBackup && f.Severity == inspect.Warning }) {
		t.Errorf("the backup is a week old: %+v", r.Findings)
	}
	for _, bad := range [][]byte{nil, []byte("no database"), data[:len(data)/2]} {
		if got, err := newestInDatabase(t.Context(), bad); err == nil {
			t.Errorf("%d bytes: %q", len(bad), got)
		}
	}
}
