package commands

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/monitor/inspect"
	"cw/monitor/report"
	"cw/playground/gptest"
	"cw/playground/pgtest"
	"cw/state"
)

// On a Greenplum skew, missing statistics and primaries without mirrors are
// named; the hosts do not answer, which hides nothing of what the database
// says.
func TestReportOfGreenplum(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	gp.Exec(t, "postgres", "set gp_autostats_mode = none; create table skewed (k int, t text) distributed by (k); insert into skewed select 1, repeat('x', 1000) from generate_series(1, 12000) i")
	l := &reportLab{cliLab: &cliLab{t: t, home: t.TempDir()}}
	password := filepath.Join(l.home, "pass")
	if err := os.WriteFile(password, []byte("any\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	top := cluster.Topology{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind, Name: "lab", Engine: cluster.Engine{Kind: cluster.Greenplum, Version: "6", Home: gp.Home}, OSUser: "cw",
		Database: cluster.Database{Name: "postgres", Port: gp.Port, Admin: "cw", PasswordFile: password}, TLS: cluster.TLS{Mode: cluster.TLSOff},
		SSH:   cluster.SSH{User: "nobody", Port: pgtest.FreePort(t), Become: "none"}, // nobody listens there
		Hosts: []cluster.Host{{Name: "h1", Address: "127.0.0.1", Roles: []string{cluster.RoleCoordinator, cluster.RoleSegment}}},
	}
	lay := cluster.Layout{Version: "6", Nodes: []cluster.Node{{ID: 1, Content: -1, Role: cluster.NodeCoordinator, PreferredRole: cluster.NodeCoordinator, Host: "h1", Port: gp.Port, Dir: gp.Dir, DataDir: filepath.Join(gp.Dir, "m")}}}
	topText, err1 := json.Marshal(top)
	layText, err2 := json.Marshal(lay)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(l.home, ".local/state/cw"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.store(func(ctx context.Context, st *state.Store) error {
		return st.PutCluster(ctx, state.Cluster{Name: "lab", Engine: cluster.Greenplum, Topology: string(topText), Layout: string(layText), State: state.ClusterUp})
	})
	r := l.report(6, "--fail-on", "critical")
	for _, p := range []planted{
		{"table.skew", "postgres: public.skewed", "2"},
		{"table.no_statistics_greenplum", "public.skewed", "columns"},
		{"segment.no_mirrors", "content 0", ""},
		{"host.silent", "h1", ""},
	} {
		p.in(t, r.Findings)
	}
	if i := slices.IndexFunc(r.Tables, func(t report.Table) bool { return t.Name == "skewed" }); i < 0 || r.Tables[i].Skew == nil || *r.Tables[i].Skew < 1.9 {
		t.Errorf("tables %+v", r.Tables)
	}
	if r.Unreachable != "" || r.Summary.Verdict != report.Critical || r.Health == nil || r.Health.State == cluster.Up {
		t.Errorf("%q %+v %+v", r.Unreachable, r.Summary, r.Health)
	}
	if !slices.ContainsFunc(r.Missing, func(m report.Missing) bool {
		return m.Section == report.SectionSettings && strings.Contains(m.Reason, "h1")
	}) {
		t.Errorf("missing %+v", r.Missing)
	}
	if slices.ContainsFunc(r.Findings, func(f inspect.Finding) bool { return strings.Contains(f.Remedy, "CLUSTER") }) {
		t.Errorf("%+v", r.Findings)
	}
}
