package commands

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/state"
)

// mostWords bounds what is offered of lists that only grow: who has more
// types the first letters.
const mostWords = 100

func clusterWords(a *App, c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	for _, r := range a.peekClusters(c) {
		words = append(words, cobra.CompletionWithDesc(r.Name, r.Engine+", "+r.State))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func (a *App) peekClusters(c *cobra.Command) []state.Cluster {
	s := a.peek(c.Context())
	if s == nil {
		return nil
	}
	defer func() { _ = s.Close() }()
	all, err := s.Clusters(c.Context())
	if err != nil {
		return nil
	}
	return all
}

// hostWords are the hosts of the cluster that is named before, or of all.
func hostWords(a *App, c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	name := ""
	if f := c.Flags().Lookup("cluster"); f != nil {
		name = f.Value.String()
	} else if len(args) > 0 {
		name = args[0]
	}
	before := "" // of a list that is separated by commas
	if i := strings.LastIndexByte(word, ','); i >= 0 {
		before = word[:i+1]
	}
	var words []cobra.Completion
	for _, r := range a.peekClusters(c) {
		if name != "" && r.Name != name {
			continue
		}
		var t cluster.Topology
		if json.Unmarshal([]byte(r.Topology), &t) != nil {
			continue
		}
		for _, h := range t.Hosts {
			words = append(words, cobra.CompletionWithDesc(before+h.Name, h.Address+", "+strings.Join(h.Roles, " ")))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// sense says for which jobs a verb makes sense: they are offered first.
func sense(verb string, j state.Job) bool {
	switch verb {
	case "limit", "pause", "cancel":
		return j.Active()
	case "continue":
		return j.State == state.Paused || j.Active() && j.Want == state.WantPause
	case "resume":
		return j.State == state.Failed || j.State == state.Interrupted || j.State == state.Cancelled
	case "errors":
		return j.Rejected > 0
	case "wait":
		return j.Active()
	}
	return true
}

func jobWords(a *App, c *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const order = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	s := a.peek(c.Context())
	if s == nil {
		return nil, order
	}
	defer func() { _ = s.Close() }()
	jobs, err := s.NewestJobs(c.Context(), word, 2*mostWords)
	if err != nil {
		return nil, order
	}
	slices.SortStableFunc(jobs, func(x, y state.Job) int { return cmp.Compare(rank(c.Name(), x), rank(c.Name(), y)) })
	var words []cobra.Completion
	for _, j := range jobs {
		if len(words) < mostWords {
			words = append(words, cobra.CompletionWithDesc(j.ID, j.State+", "+filepath.Base(j.SpecFile)+" to "+j.Target))
		}
	}
	return words, order
}

func rank(verb string, j state.Job) int {
	if sense(verb, j) {
		return 0
	}
	return 1
}

func groupWords(a *App, c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	if s := a.peek(c.Context()); s != nil {
		defer func() { _ = s.Close() }()
		if groups, err := s.Groups(c.Context()); err == nil {
			for _, g := range groups {
				words = append(words, g.Name)
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func silenceWords(a *App, c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var words []cobra.Completion
	if s := a.peek(c.Context()); s != nil {
		defer func() { _ = s.Close() }()
		if all, err := s.Silences(c.Context()); err == nil {
			for _, q := range all {
				words = append(words, cobra.CompletionWithDesc(q.ID, q.Reason))
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func baselineWords(a *App, _ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.baselineNames(), cobra.ShellCompDirectiveDefault // a file is as good
}

// runWords are the runs of cw perf, the newest first; files are as good.
func runWords(a *App, _ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	entries, err := os.ReadDir(filepath.Join(a.Paths.State, "perf"))
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	type run struct {
		id string
		at time.Time
	}
	var runs []run
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() && strings.HasPrefix(e.Name(), word) {
			runs = append(runs, run{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(runs, func(x, y run) int { return y.at.Compare(x.at) })
	var words []cobra.Completion
	for _, r := range runs[:min(len(runs), mostWords)] {
		words = append(words, cobra.CompletionWithDesc(r.id, r.at.Format("2006-01-02 15:04")))
	}
	return words, cobra.ShellCompDirectiveKeepOrder
}
