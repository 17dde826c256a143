package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	t.Cleanup(func() { l.cw("cluster", "delete", "lab", "--confirm", "lab") })
	var st struct {
		Nodes []struct {
			Port    int
			DataDir string `json:"data_dir"`
		}
	}
	if err := json.Unmarshal([]byte(l.want(0, nil, "cluster", "status", "lab", "-o", "json")), &st); err != nil {
		t.Fatal(err)
	}
	l.socket, l.port = filepath.Dir(st.Nodes[0].DataDir), st.Nodes[0].Port
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

func TestReportOfACluster(t *testing.T) {
	t.Parallel()
	l := newReportLab(t)
	clean := l.report(0, "--fail-on", "warning")
	for _, f := range clean.Findings {
		t.Errorf("nobody planted %+v", f)
	}
	l.want(0, nil, "report", "lab")
	_ = strings.Contains
	_ = time.Now
}
