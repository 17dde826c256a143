package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cw/playground/mytest"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// TestPerfStores runs testdata/perfstore/*.txtar against a real store and real
// databases.
func TestPerfStores(t *testing.T) {
	t.Parallel()
	srv, pg, my := s3test.Start(t, "bkt"), pgtest.Start(t), mytest.Start(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/perfstore",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"nowhere": nowhere},
		Setup: func(e *testscript.Env) error {
			for k, v := range map[string]string{
				"HOME": e.WorkDir, "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": "",
				"AWS_ACCESS_KEY_ID": srv.Access, "AWS_SECRET_ACCESS_KEY": srv.Secret, "AWS_EC2_METADATA_DISABLED": "true", "ENDPOINT": srv.Endpoint,
				"PGPASSFILE": filepath.Join(e.WorkDir, "pgpass"), "PG": fmt.Sprintf("127.0.0.1:%d", pg.Port), "MY": fmt.Sprintf("127.0.0.1:%d", my.Port),
			} {
				e.Setenv(k, v)
			}
			for name, text := range map[string]string{
				"pgpass": fmt.Sprintf("127.0.0.1:%d:*:cw:cw\n", pg.Port), "pg.dsn": fmt.Sprintf("postgres://cw@127.0.0.1:%d/postgres\n", pg.Port),
				"my.dsn": my.DSN("warehouse") + "\n", "pass": "cw\n", "wrong": "tops3cret\n",
			} {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// nowhere fails when a text is in any file that cw keeps or in the last output.
func nowhere(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(name), args[0]) {
			ts.Fatalf("%s has %s", name, args[0])
		}
	}
	files := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(".local"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), args[0]) {
			ts.Fatalf("%s has %s", path, args[0])
		}
		return err
	}))
	if files == 0 {
		ts.Fatalf("cw keeps no file")
	}
}
