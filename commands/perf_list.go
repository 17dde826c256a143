package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/perfcheck"
	"cw/perfcheck/run"
)

func newPerfList(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tests and their profiles", Args: noArgs,
		Long: "List all tests by their ids, which --only and --skip take, and the profiles they run in." + exitHelp(),
		Example: `  cw perf list
  cw perf list -o json`,
		RunE: func(*cobra.Command, []string) error {
			return a.print(perfTests(run.Catalogue(run.Areas())))
		},
	}
}

// testDoc is a test in JSON.
type testDoc struct {
	ID       string         `json:"id"`
	Title    string         `json:"title"`
	Area     perfcheck.Area `json:"area"`
	Profiles []string       `json:"profiles"`
	Metrics  []string       `json:"metrics"`
	Params   map[string]any `json:"params,omitempty"`
}

func perfTests(defs []perfcheck.Definition) (document, table) {
	t := table{cols: cols("TEST", "PROFILES", "TITLE", "+METRICS")}
	docs := []testDoc{}
	for _, d := range defs {
		doc := testDoc{ID: d.ID, Title: d.Title, Area: d.Area, Profiles: d.Profiles, Params: d.Params}
		for _, m := range d.Metrics {
			doc.Metrics = append(doc.Metrics, m.Name)
		}
		docs = append(docs, doc)
		t.add(d.ID, strings.Join(d.Profiles, " "), d.Title, strings.Join(doc.Metrics, " "))
	}
	return list("PerfTestList", docs), t
}

// perfPlan shows what a run would measure.
func (a *App) perfPlan(ro run.Options) error {
	plan, err := run.MakePlan(ro)
	if err != nil {
		return err
	}
	t := table{cols: cols("TEST", "ROUNDS", "REPETITIONS", "ABOUT", "TITLE")}
	for _, p := range plan.Tests {
		t.add(p.ID, fmt.Sprint(p.Rounds), fmt.Sprint(p.Reps), fmt.Sprintf("%.0f s", p.Seconds), p.Title)
	}
	more := ""
	if len(ro.Dirs) > 0 || ro.FindDirs {
		more = ", and the time to fill the test files"
	}
	a.infof("%d tests on %d hosts, about %s%s", len(plan.Tests), len(ro.Machines), plan.Duration.Round(time.Second), more)
	return a.print(object("PerfPlan", plan), t)
}
