package commands

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/fault"
)

func newClusterConfigDiff(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "diff NAME [SETTING…]", Short: "Show settings that are not the same everywhere, or not in force", Args: args(1, -1),
		Long: `Show settings whose value differs between nodes that should agree (coordinator
and standby; all nodes of segments), that wait for a restart, or whose value in
the file is not the one that runs. Exit code 6 says that there is such a
difference; without one nothing is printed and the exit code is 0.` + exitHelp(3, 4, 5, 6),
		Example: `  cw cluster config diff dw1
  cw cluster config diff dw1 -o json || page-the-dba`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clusterConfigDiff(cmd.Context(), args[0], args[1:])
		},
	}
}

// Why a setting is in a diff.
const (
	diffNodes   = "differs"       // between nodes that should agree
	diffRestart = "needs-restart" // the file's value waits for a restart
	diffReload  = "needs-reload"  // the file's value was not read yet
)

// settingDiff is one difference, with all nodes of the scope.
type settingDiff struct {
	Name   string                `json:"name"`
	Scope  string                `json:"scope"`  // coordinator or segments
	Reason string                `json:"reason"` // differs, needs-restart, needs-reload
	Nodes  []cluster.NodeSetting `json:"nodes"`
}

func (a *App) clusterConfigDiff(ctx context.Context, name string, settings []string) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	_, lay, err := m.Topology(ctx, name)
	if err != nil {
		return err
	}
	items, err := m.Settings(ctx, name, settings)
	if err != nil {
		return err
	}
	known, mute := a.answered(items)
	diffs := diffSettings(known, lay)
	t := table{cols: cols("SETTING", "WHY", "RUNS", "IN FILE", "NODES")}
	for _, d := range diffs {
		for _, same := range groupBy(d.Nodes, sameValue) {
			t.add(d.Name, d.Reason, redact(same[0].Value), redact(same[0].Configured), someNodes(same))
		}
	}
	if human := a.flags.output == "table" || a.flags.output == "wide"; !human || len(diffs) > 0 {
		if err := a.print(list("SettingDiffList", diffs), t); err != nil {
			return err
		}
	}
	if len(diffs) == 0 {
		if mute == nil {
			a.infof("no difference on %d nodes", len(groupBy(known, func(s cluster.NodeSetting) string { return s.Node })))
		}
		return mute
	}
	a.infof("next: %s", nextOfDiff(name, diffs))
	return silent(fault.Check)
}

// diffSettings finds what is not the same or not in force. A node's own
// restart or reload explains a difference, and is said instead of it.
func diffSettings(items []cluster.NodeSetting, lay *cluster.Layout) []settingDiff {
	scope := func(s cluster.NodeSetting) string {
		if n, ok := lay.Node(s.Node); ok && n.Content >= 0 {
			return cluster.ScopeSegments
		}
		return cluster.ScopeCoordinator
	}
	diffs := []settingDiff{}
	for _, group := range groupBy(items, func(s cluster.NodeSetting) string { return s.Name + " " + scope(s) }) {
		d := settingDiff{Name: group[0].Name, Scope: scope(group[0]), Nodes: group}
		for _, s := range group {
			switch {
			case s.PendingRestart:
				d.Reason = diffRestart
			case s.Configured != "" && d.Reason != diffRestart:
				d.Reason = diffReload
			case s.Value != group[0].Value && d.Reason == "":
				d.Reason = diffNodes
			}
		}
		if d.Reason != "" {
			diffs = append(diffs, d)
		}
	}
	return diffs
}

// nextOfDiff is the command that ends the differences.
func nextOfDiff(name string, diffs []settingDiff) string {
	var reasons, differ []string
	for _, d := range diffs {
		reasons = append(reasons, d.Reason)
		if d.Reason == diffNodes && !slices.Contains(differ, d.Name) {
			differ = append(differ, d.Name)
		}
	}
	switch {
	case slices.Contains(reasons, diffRestart):
		return "cw cluster restart " + name
	case slices.Contains(reasons, diffReload):
		return "cw cluster reload " + name
	}
	return fmt.Sprintf("cw cluster config set %s %s=VALUE", name, strings.Join(differ, "=VALUE "))
}
