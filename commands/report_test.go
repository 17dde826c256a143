package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/monitor/inspect"
	"cw/monitor/report"
	"cw/playground/pgtest"
	"cw/state"
)

// reportLab is a cluster of cw's own making with what planting wants.
type reportLab struct {
	*cliLab
	socket string
	port   int
}

func newReportLab(t *testing.T) *reportLab {
	t.Helper()
	l := &reportLab{cliLab: newCLILab(t)}
	l.want(0, []string{"lab is UP"}, "cluster", "create", "-f", l.topology, "--yes")
	t.Cleanup(func() { // the test's own context is over by then
		streams, o, e := TestStreams("")
		env := func(name string) string { return map[string]string{"HOME": l.home, "PATH": os.Getenv("PATH")}[name] }
		if code := mainWith(context.WithoutCancel(t.Context()), streams, env, []string{"cw", "cluster", "delete", "lab", "--confirm", "lab"}); code != 0 {
			t.Errorf("delete ended with %d: %s%s", code, o, e)
		}
	})
	var st struct {
		Nodes []struct {
			Port    int
			DataDir string `json:"data_dir"`
		}
	}
	if err := json.Unmarshal([]byte(l.want(0, nil, "cluster", "status", "lab", "-o", "json")), &st); err != nil {
		t.Fatal(err)
	}
	l.socket, l.port = filepath.Join(filepath.Dir(st.Nodes[0].DataDir), "run"), st.Nodes[0].Port
	return l
}

// sql runs statements as the superuser on the primary.
func (l *reportLab) sql(database, statements string) {
	l.t.Helper()
	file := filepath.Join(l.data, "plant.sql")
	if err := os.WriteFile(file, []byte(statements), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.want(0, nil, "cluster", "exec", "lab", "--host", "h1", "--", filepath.Join(pgtest.BinDir(l.t), "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", l.socket, "-p", fmt.Sprint(l.port), "-d", database, "-f", file)
}

// report makes one and reads it.
func (l *reportLab) report(code int, args ...string) *report.Report {
	l.t.Helper()
	out := l.want(code, nil, append([]string{"report", "lab", "-o", "json"}, args...)...)
	var head struct{ APIVersion, Kind string }
	var r report.Report
	if err := json.Unmarshal([]byte(out), &head); err != nil {
		l.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		l.t.Fatal(err)
	}
	if head.Kind != "InspectionReport" || head.APIVersion != "cw/v1" {
		l.t.Errorf("it is %+v", head)
	}
	return &r
}

func (l *reportLab) store(do func(context.Context, *state.Store) error) {
	l.t.Helper()
	st, err := state.Open(l.t.Context(), filepath.Join(l.home, ".local/state/cw/state.db"))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	if err := do(l.t.Context(), st); err != nil {
		l.t.Fatal(err)
	}
}

// planted is a problem that was made, and what names it.
type planted struct{ rule, object, text string }

func (r planted) in(t *testing.T, findings []inspect.Finding) {
	t.Helper()
	for _, f := range findings {
		if f.Rule == r.rule && strings.Contains(f.Database+": "+f.Object, r.object) && strings.Contains(f.Text, r.text) {
			if f.Remedy == "" || strings.Contains(f.Remedy, "{") || strings.Contains(f.Remedy, "CLUSTER") {
				t.Errorf("%s: remedy %q", f.Rule, f.Remedy)
			}
			return
		}
	}
	t.Errorf("%+v was not found", r)
}

// A cluster that cw has made has nothing to say; with problems planted each is
// named, also what its admin may not see; one that is down gives a report too.
func TestReportOfACluster(t *testing.T) {
	t.Parallel()
	l := newReportLab(t)
	clean := l.report(0, "--fail-on", "warning", "--exit-code")
	for _, f := range clean.Findings {
		t.Errorf("nobody planted %+v", f)
	}
	for _, o := range clean.Omitted {
		t.Errorf("omitted %+v", o)
	}
	if clean.Summary.Verdict != report.OK || clean.Asked < 25 || clean.Health.State != "up" || len(clean.Roles) < 3 || clean.Backup.Known {
		t.Errorf("the clean cluster: %+v, %d rules, roles %+v, backup %+v", clean.Summary, clean.Asked, clean.Roles, clean.Backup)
	}
	if i := slices.IndexFunc(clean.Roles, func(r report.Role) bool { return r.Name == "dwadmin" }); i < 0 || clean.Roles[i].Password != "scram-sha-256" {
		t.Errorf("roles %+v", clean.Roles)
	}

	l.sql("warehouse", `
alter system set fsync = off; alter system set shared_buffers = '111MB'; alter system set work_mem = '7777kB';
create role boss superuser login password 'h4rd-t0-guess';
create role lazy login password 'lazy';
create role gone login password 'Zz9-y8!' valid until '2001-01-01';
set password_encryption = 'md5'; create role old login password 'Qq7-x6!'; reset password_encryption;
alter role dwadmin set statement_timeout = '17min';
grant create on schema public to public;
create table orders (id int primary key, customer int, note text) with (autovacuum_enabled = off);
insert into orders select i, i % 7, repeat('n', 100) from generate_series(1, 20000) i;
analyze orders;
delete from orders where id % 2 = 0;
create index o1 on orders (customer); create index o2 on orders (customer);
create table lines (order_id int references orders, text text) with (autovacuum_enabled = off);
insert into lines select 1, repeat('l', 1000) from generate_series(1, 3000) i;
create sequence almost maxvalue 1000; select setval('almost', 950);
create table "<script>alert(1)</script>" (i int primary key, t text); insert into "<script>alert(1)</script>" select i, repeat('x', 1000) from generate_series(1, 5000) i;
create schema parts; create table parts.events (at date, t text) partition by range (at);
create table parts.e1 partition of parts.events for values from ('2026-01-01') to ('2026-02-01');
create table parts.e2 partition of parts.events for values from ('2026-02-01') to ('2026-03-01');
insert into parts.events select '2026-01-05'::date + i % 50, repeat('p', 1000) from generate_series(1, 3000) i;
`)
	hba := filepath.Join(filepath.Dir(l.socket), "data", "pg_hba.conf")
	text, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hba, append(text, "host all all 10.0.0.0/8 trust\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	l.sql("warehouse", "select pg_reload_conf();")
	full := time.Now().Add(10 * 24 * time.Hour)
	l.store(func(ctx context.Context, st *state.Store) error {
		var all []state.Sample
		for i := range 200 { // 14 days, 1 GB a day, 10 GB are left
			back := 14 * 24 * time.Hour * time.Duration(199-i) / 199
			all = append(all, state.Sample{Cluster: "lab", Host: "h1", Object: "/data1", Metric: state.MetricDiskUsed, At: time.Now().Add(-back), Value: 90e9 - 1e9*back.Hours()/24},
				state.Sample{Cluster: "lab", Host: "h1", Object: "/data1", Metric: state.MetricDiskSize, At: time.Now().Add(-back), Value: 100e9})
		}
		if err := st.AddSamples(ctx, all...); err != nil {
			return err
		}
		_, _, err := st.FireAlert(ctx, state.Alert{Mark: "m", Rule: "node.lag", Severity: state.Warning, Cluster: "lab", Message: "n2 lags, password=hunter2"})
		return err
	})
	rules, evil := filepath.Join(l.home, "ours.yaml"), filepath.Join(l.data, "evil")
	if err := os.WriteFile(rules, []byte(`apiVersion: cw/v1
kind: InspectionRules
rules:
  - name: orders.many
    title: Too many orders
    scope: database
    needs: orders
    sql: select 'orders' as object, count(*)::float8 as value from orders
    warn: 5
    remedy: look at {database}
  - name: role.expired
    title: Expired, in our words
    severity: critical
    sql: select rolname as object from pg_roles where rolvaliduntil < now()
    remedy: drop role {object}
  - name: evil.psql
    title: What psql would obey
    superuser: true
    sql: |
      select 'x' as object, '\!' as detail from pg_authid
      \! touch `+evil+`
    remedy: none
`), 0o600); err != nil {
		t.Fatal(err)
	}
	page, md := filepath.Join(l.home, "lab.html"), filepath.Join(l.home, "lab.md")
	r := l.report(6, "--fail-on", "critical", "--rules", rules, "--skip", "key.*", "--html", page, "--markdown", md)
	for _, p := range []planted{
		{"setting.dangerous", "fsync", "off"},
		{"setting.pending_restart", "shared_buffers", ""},
		{"access.trust", "pg_hba.conf line", "10.0.0.0"},
		{"role.superuser", "boss", ""},
		{"role.weak_password", "lazy", "own name"},
		{"role.md5", "old", ""},
		{"role.expired", "gone", ""},
		{"schema.public_create", "public", ""},
		{"table.bloat", "warehouse: public.orders", "10000 dead rows"},
		{"index.duplicate", "o1, o2", "on orders"},
		{"table.no_statistics", "public.lines", "never analysed"},
		{"table.no_key", "lines", "kB"},
		{"sequence.end", "public.almost", "95 %"},
		{"orders.many", "orders", "10000"},
		{"disk.forecast", "h1:/data1", "GB a day"},
		{"disk.full", "h1:/data1", "90 %"},
	} {
		p.in(t, r.Findings)
	}
	for _, f := range r.Findings {
		if f.Rule == "setting.file_error" || f.Rule == "key.no_index" || f.Rule == "role.expired" && f.Title != "Expired, in our words" {
			t.Errorf("%+v", f)
		}
	}
	for _, o := range r.Omitted {
		if o.Rule != "evil.psql" && (o.Rule != "orders.many" || o.Database != "postgres") {
			t.Errorf("omitted %+v", o)
		}
	}
	if _, err := os.Stat(evil); err == nil || !slices.ContainsFunc(r.Omitted, func(o inspect.Omitted) bool {
		return o.Rule == "evil.psql" && strings.Contains(o.Reason, "syntax error")
	}) {
		t.Errorf("a question is obeyed by psql: %v %+v", err, r.Omitted)
	}
	l.sections(r, full)
	for _, file := range []string{page, md} {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if keep := os.Getenv("CW_TEST_SHOTS"); keep != "" {
			_ = os.WriteFile(filepath.Join(keep, filepath.Base(file)), got, 0o600)
		}
		if !strings.Contains(string(got), "&lt;script&gt;alert(1)") || strings.Contains(string(got), "<script") || strings.Contains(string(got), "hunter2") {
			t.Errorf("%s does not show the name of a table as text", file)
		}
	}
	l.want(0, []string{"lab: CRITICAL", "setting.dangerous", "next: cw cluster config set lab fsync=VALUE"}, "report", "lab", "--section", "findings")
	if part := l.report(0, "--section", "capacity"); len(part.Findings)+len(part.Tables)+len(part.Roles) != 0 || part.Health != nil || part.Capacity == nil {
		t.Errorf("only the capacity was asked for: %+v", part)
	}

	l.want(0, nil, "cluster", "stop", "lab", "--yes")
	down := l.report(5, "--section", "health", "--section", "findings", "--section", "capacity", "--section", "backup")
	planted{"cluster.down", "lab", ""}.in(t, down.Findings)
	planted{"disk.forecast", "h1:/data1", ""}.in(t, down.Findings)
	if down.Summary.Verdict != report.Critical || down.Unreachable == "" || down.Backup.Known || !slices.ContainsFunc(down.Missing, func(m report.Missing) bool { return m.Section == "findings" && m.Reason != "" }) {
		t.Errorf("the cluster is down: %+v %q %+v", down.Summary, down.Unreachable, down.Missing)
	}
	l.want(1, nil, "report", "lab", "--exit-code", "--section", "health")
}

// sections checks what the report says beside its findings.
func (l *reportLab) sections(r *report.Report, full time.Time) {
	t := l.t
	t.Helper()
	var disk *report.Mount
	for _, h := range r.Capacity.Hosts {
		for i, m := range h.Mounts {
			if m.Path == "/data1" {
				disk = &h.Mounts[i]
			}
		}
	}
	if disk == nil || disk.Forecast.FullAt == nil || disk.Forecast.FullAt.Sub(full).Abs() > 6*time.Hour || disk.Forecast.Confidence != report.High {
		t.Errorf("the disk is full on %s: %+v", full, disk)
	}
	if i := slices.IndexFunc(r.Tables, func(t report.Table) bool { return t.Schema+"."+t.Name == "parts.events" }); i < 0 || r.Tables[i].Partitions != 2 || r.Tables[i].Size < 3<<20 || r.Tables[i].Rows != nil || r.Tables[i].Kind != "partitioned table" {
		t.Errorf("tables %+v", r.Tables)
	}
	if i := slices.IndexFunc(r.Tables, func(t report.Table) bool { return t.Name == "orders" }); i < 0 || r.Tables[i].Indexes == 0 || r.Tables[i].Rows == nil || *r.Tables[i].Rows != 10000 {
		t.Errorf("tables %+v", r.Tables)
	}
	want := map[string]string{"work_mem": report.ReasonProfile, "statement_timeout": report.ReasonScope, "shared_buffers": report.ReasonRestart}
	for _, s := range r.Settings {
		if s.Reason == want[s.Name] {
			delete(want, s.Name)
		}
		if s.Name == "work_mem" && s.Reason == report.ReasonProfile && s.Value != "7777kB" || s.Name == "statement_timeout" && s.Source != "role dwadmin" || s.Name == "port" {
			t.Errorf("setting %+v", s)
		}
	}
	if len(want) > 0 {
		t.Errorf("settings without %v: %+v", want, r.Settings)
	}
	if len(r.Alerts) != 1 || strings.Contains(r.Alerts[0].Message, "hunter2") || r.Summary.Firing != 1 {
		t.Errorf("alerts %+v", r.Alerts)
	}
	if i := slices.IndexFunc(r.Roles, func(r report.Role) bool { return r.Name == "old" }); i < 0 || r.Roles[i].Password != "md5" || r.Roles[i].Superuser {
		t.Errorf("roles %+v", r.Roles)
	}
}

// What is wrong with the command line or a file is told before anybody is
// asked, all of it at once.
func TestReportThatIsWrong(t *testing.T) {
	t.Parallel()
	l := &cliLab{t: t, home: t.TempDir()}
	bad := filepath.Join(l.home, "bad.yaml")
	if err := os.WriteFile(bad, []byte("apiVersion: cw/v1\nkind: InspectionRules\nrules:\n  - {name: a, title: t, sql: 'select 1', remdy: r}\n  - {name: b, title: t, sql: 'select 1; select 2', remedy: r, warn: much}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(2, []string{"bad.yaml:4:", `did you mean "remedy"`, "cw explain rules"}, "report", "lab", "--rules", bad)
	l.want(2, []string{"cw cluster list"}, "report", "nope")
	l.want(2, []string{"name the cluster"}, "report")
	l.want(2, []string{"did you mean roles?"}, "report", "lab", "--section", "role")
	l.want(2, []string{"notice, warning, critical"}, "report", "lab", "--fail-on", "bad")
	l.want(2, []string{"--skip"}, "report", "lab", "--skip", "[")
	l.want(2, []string{"folder that exists"}, "report", "lab", "--html", filepath.Join(l.home, "no", "x.html"))
	l.want(0, []string{"table.bloat", "20 %", "Tables with many dead rows"}, "report", "--list-rules", "-o", "csv")
	l.want(0, []string{`"kind": "InspectionRuleList"`, `"name": "access.trust"`, `"name": "role.weak_password"`, `"name": "disk.forecast"`}, "report", "--list-rules", "-o", "json")
	l.want(0, []string{"rules.sql", "required"}, "explain", "rules")
	l.want(0, []string{`"remedy"`}, "schema", "rules")
}

// The rules in the help are a file that validates.
func TestReportHelpValidates(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(newReport(&App{}).Long, "(cw explain rules):\n")
	text, _, _ = strings.Cut(text, exitHeading)
	if rules, err := inspect.Parse("help", []byte(text)); err != nil || len(rules) != 1 || rules[0].Warn == nil {
		t.Errorf("%v %+v\n%s", err, rules, text)
	}
}
