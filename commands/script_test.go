package commands

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary answer as cw inside scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cw": func() {
			os.Exit(Main(context.Background(), SystemStreams(), os.Args))
		},
	})
}

// TestScripts runs testdata/script/*.txtar: what a user types, and what cw
// must answer. Each script has its own HOME.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", "")
			e.Setenv("XDG_CONFIG_HOME", "")
			return nil
		},
	})
}
