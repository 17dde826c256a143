package commands

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"cw/state"
)

// TestMain makes the test binary answer as cw inside scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"cw": func() {
			ctx, cancel := context.WithCancelCause(context.Background())
			signals := make(chan os.Signal, 1)
			signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
			go func() {
				<-signals
				cancel(ErrInterrupted)
			}()
			os.Exit(Main(ctx, SystemStreams(), os.Args))
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
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"event": addEvent, "cluster": addCluster, "alert": addAlert},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", "")
			e.Setenv("XDG_CONFIG_HOME", "")
			return nil
		},
	})
}

// inStore does something to the store of a script.
func inStore(ts *testscript.TestScript, do func(context.Context, *state.Store) error) {
	ctx := context.Background()
	st, err := state.Open(ctx, filepath.Join(ts.Getenv("HOME"), ".local/state/cw/state.db"))
	ts.Check(err)
	ts.Check(errors.Join(do(ctx, st), st.Close()))
}

// addEvent is: event KIND SEVERITY CLUSTER JOB MESSAGE.
func addEvent(ts *testscript.TestScript, _ bool, args []string) {
	inStore(ts, func(ctx context.Context, st *state.Store) error {
		return st.AddEvent(ctx, state.Event{Kind: args[0], Severity: args[1], Cluster: args[2], Job: args[3], Message: args[4]})
	})
}

// addCluster is: cluster NAME.
func addCluster(ts *testscript.TestScript, _ bool, args []string) {
	inStore(ts, func(ctx context.Context, st *state.Store) error {
		return st.PutCluster(ctx, state.Cluster{Name: args[0], Engine: "postgres", Topology: "{}", Layout: "{}", State: state.ClusterUp})
	})
}

// addAlert is: alert CLUSTER RULE SEVERITY MESSAGE.
func addAlert(ts *testscript.TestScript, _ bool, args []string) {
	inStore(ts, func(ctx context.Context, st *state.Store) error {
		_, _, err := st.FireAlert(ctx, state.Alert{Mark: args[1] + args[0], Cluster: args[0], Rule: args[1], Severity: args[2], Message: args[3], Remedy: "do something"})
		return err
	})
}
