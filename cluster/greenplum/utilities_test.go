package greenplum

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
)

func TestUtilityLines(t *testing.T) {
	t.Parallel()
	const out = `20261121:12:46:13:004711 gpstart:cdw:gpadmin-[INFO]:-Starting gpstart with args: -a
20261121:12:46:14:004711 gpstart:cdw:gpadmin-[WARNING]:-Standby   not reachable
...
20261121:12:46:15:004711 gpstart:cdw:gpadmin-[INFO]:-----------------
pg_control version number:            9420600
20261121:12:46:15 gpinitsystem:cdw:gpadmin-[FATAL]:-Unable to continue Script Exiting!
20261121:12:46:15:1 gpstop:cdw:gpadmin-[CRITICAL]:-no such cluster
20261121:12:46:15:1 gpstop:cdw:gpadmin-[DEBUG]:-noise
20261121:12:46:16:004711 gpstart:cdw:gpadmin-[ERROR]:-last, without a line feed`
	var told []string
	l := &utilityLines{tell: func(s string) { told = append(told, s) }}
	for i := 0; i < len(out); i += 7 { // as it comes from the network
		if _, err := l.Write([]byte(out[i:min(i+7, len(out))])); err != nil {
			t.Fatal(err)
		}
	}
	l.end()
	want := []string{
		"Starting gpstart with args: -a", "warning: Standby not reachable", "fatal: Unable to continue Script Exiting!",
		"critical: no such cluster", "error: last, without a line feed",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s", strings.Join(told, "\n"))
	}
	if got := strings.Join(l.errors, "|"); got != "Unable to continue Script Exiting!|no such cluster|last, without a line feed" {
		t.Errorf("errors %s", got)
	}
}

// Greenplum 6 hears its own words; what the newer ones would not understand is
// in no script or statement that the utilities' engine sends.
func TestDialect(t *testing.T) {
	t.Parallel()
	old := []string{"gp_session_role", "xlog", "replay_location", "recovery.conf", "pg_log"}
	texts := map[string]string{
		"look": lookScript, "status": statusQuery, "stop": stopScript, "values": valuesScript, "about": aboutQuery, "utility": utility, "ready": readyScript,
	}
	for _, tt := range []struct {
		engine cluster.Engine
		layout string
		modern bool
	}{
		{cluster.Engine{Kind: cluster.Greenplum}, "6", false},
		{cluster.Engine{Kind: cluster.Greenplum}, "", false},
		{cluster.Engine{Kind: cluster.Greenplum, Version: "7"}, "", true},
		{cluster.Engine{Kind: cluster.Greenplum, Via: cluster.ViaUtilities}, "7", true},
		{cluster.Engine{Kind: cluster.Cloudberry}, "", true},
		{cluster.Engine{Kind: cluster.Cloudberry}, "1", true},
	} {
		e := &Engine{top: &cluster.Topology{Engine: tt.engine}, lay: &cluster.Layout{Version: tt.layout}}
		for name, text := range texts {
			got := e.dialect(text)
			if !tt.modern && got != text {
				t.Errorf("%+v: %s is not what it was", tt.engine, name)
			}
			for _, word := range old {
				if tt.modern && strings.Contains(got, word) {
					t.Errorf("%+v: %s has %s", tt.engine, name, word)
				}
			}
		}
	}
}

func TestInitInput(t *testing.T) {
	t.Parallel()
	top, err := cluster.Parse("gp.yaml", []byte(`{apiVersion: cw/v1, kind: Cluster, name: gp, engine: {kind: cloudberry}, layout: {segments_per_host: 1, mirrors: group, data_dirs: [/data]},
hosts: [{name: cdw, address: 10.0.0.1, roles: [coordinator]}, {name: s1, address: 10.0.0.2, interconnect: [10.1.0.2], roles: [segment]}, {name: s2, address: 10.0.0.3, roles: [segment]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	lay, err := cluster.Expand(top, nil)
	if err != nil {
		t.Fatal(err)
	}
	u := &Utilities{Engine: &Engine{top: top, lay: lay}}
	got, err := u.initInput(t.Context())
	want := `QD_PRIMARY_ARRAY=cdw~10.0.0.1~5432~/data/gp/n1/gpseg-1~1~-1
declare -a PRIMARY_ARRAY=(
s1~10.1.0.2~6000~/data/gp/n2/gpseg0~2~0
s2~10.0.0.3~6000~/data/gp/n3/gpseg1~3~1
)
declare -a MIRROR_ARRAY=(
s2~10.0.0.3~7000~/data/gp/n4/gpseg0~4~0
s1~10.1.0.2~7000~/data/gp/n5/gpseg1~5~1
)
`
	if err != nil || !strings.HasSuffix(got, want) {
		t.Errorf("%v\n%s", err, got)
	}
	for _, bad := range []string{"/da ta", "/da$(id)ta", "/a~b"} {
		lay.Nodes[1].DataDir = bad
		if _, err := u.initInput(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
