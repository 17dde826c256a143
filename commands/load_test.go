package commands

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// TestLoadScripts runs testdata/load/*.txtar against a real PostgreSQL and a
// real object store. Each script has its own database and HOME.
func TestLoadScripts(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	srv := s3test.Start(t, "bucket")
	var rows bytes.Buffer
	for i := range 200_000 {
		fmt.Fprintf(&rows, "%d,\"name, %d\",%d.5\n", i, i, i%1000)
	}
	srv.Put(t, "bucket", "in/a.csv", rows.Bytes())
	scripts, err := filepath.Glob("testdata/load/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, s := range scripts {
		name := "s" + filepath.Base(s[:len(s)-len(".txtar")])
		pg.Exec(t, "postgres", fmt.Sprintf("create database %q", name))
		pg.Exec(t, name, "create table items (id int primary key, name text, amount numeric)")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/load",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"job": setJob, "kill-job": killJob},
		Setup: func(e *testscript.Env) error {
			// WorkDir ends in script-NAME.
			name := "s" + filepath.Base(e.WorkDir)[len("script-"):]
			for k, v := range map[string]string{
				"HOME": e.WorkDir, "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": "", "PATH": pg.BinDir + string(os.PathListSeparator) + os.Getenv("PATH") + string(os.PathListSeparator) + e.Getenv("PATH"),
				"PGHOST": "127.0.0.1", "PGPORT": fmt.Sprint(pg.Port), "PGUSER": "cw", "PGPASSWORD": "cw", "PGDATABASE": name,
				"AWS_ACCESS_KEY_ID": srv.Access, "AWS_SECRET_ACCESS_KEY": srv.Secret, "AWS_EC2_METADATA_DISABLED": "true", "ENDPOINT": srv.Endpoint,
			} {
				e.Setenv(k, v)
			}
			spec := fmt.Sprintf("VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {URL: ['s3://bucket/in/*.csv'], ENDPOINT: '%s'}\n    - FORMAT: csv\n  OUTPUT:\n    - TABLE: items\n", srv.Endpoint)
			return os.WriteFile(filepath.Join(e.WorkDir, "s3.yaml"), []byte(spec), 0o600)
		},
	})
}

// setJob puts the id of the job in the last standard output into $JOB.
func setJob(ts *testscript.TestScript, _ bool, _ []string) {
	m := regexp.MustCompile(`"id": "(l\w+)"`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no job in %s", ts.ReadFile("stdout"))
	}
	ts.Setenv("JOB", m[1])
}

// killJob sends SIGKILL to the process that owns the job in the last standard
// output.
func killJob(ts *testscript.TestScript, _ bool, _ []string) {
	m := regexp.MustCompile(`"owner": ".*:(\d+)"`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no owner in %s", ts.ReadFile("stdout"))
	}
	pid, err := strconv.Atoi(m[1])
	ts.Check(err)
	if pid == os.Getpid() {
		ts.Fatalf("the owner is the test itself")
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}
