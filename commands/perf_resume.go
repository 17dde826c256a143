package commands

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/perfcheck/run"
	"cw/schema"
)

func newPerfResume(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "resume [RUN]", Short: "Go on with a check that was cut off", Args: args(0, 1),
		Long: `Go on with a performance check that was interrupted or killed: what was measured
is kept, the rest and what went wrong is measured. Without RUN it is the newest
one that has no whole report.` + exitHelp(3, 4, 5, 6),
		Example: `  cw perf resume
  cw perf resume p7q2mx4`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return a.perfResume(cmd.Context(), id)
		},
	}
}

func (a *App) perfResume(ctx context.Context, id string) error {
	if id == "" {
		var err error
		if id, err = a.newestUnfinished(); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(filepath.Join(a.perfDir(id), optionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		hint := "the runs are the folders in " + filepath.Dir(a.perfDir(id))
		if near := schema.Nearest(id, a.runIDs()); near != "" {
			hint = "did you mean: cw perf resume " + near
		}
		return usagef(hint, "there is no run %s", id)
	}
	if err != nil {
		return err
	}
	var o perfOptions
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	return a.perfRun(ctx, id, &o)
}

// newestUnfinished is the run that was begun last of those that did not end.
func (a *App) newestUnfinished() (string, error) {
	folders, err := filepath.Glob(filepath.Join(a.perfDir("*"), optionsFile))
	if err != nil {
		return "", err
	}
	newest, id := int64(0), ""
	for _, f := range folders {
		dir := filepath.Dir(f)
		if finished(dir) {
			continue
		}
		if info, err := os.Stat(f); err == nil && info.ModTime().UnixNano() > newest {
			newest, id = info.ModTime().UnixNano(), filepath.Base(dir)
		}
	}
	if id == "" {
		return "", fault.New(fault.Usage, "start one with cw perf disk, net, memory, cpu or all", "no performance check was cut off")
	}
	return id, nil
}

// runIDs are the runs that can be gone on with, or could once.
func (a *App) runIDs() []string {
	folders, _ := filepath.Glob(filepath.Join(a.perfDir("*"), optionsFile))
	for i, f := range folders {
		folders[i] = filepath.Base(filepath.Dir(f))
	}
	return folders
}

// finished tells whether a run's report is whole.
func finished(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, run.ReportFile))
	if err != nil {
		return false
	}
	var r struct {
		Run struct{ Complete bool }
	}
	return json.Unmarshal(data, &r) == nil && r.Run.Complete
}
