package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/fault"
)

func newClusterConfig(a *App) *cobra.Command {
	c := group("config", "Show and change the database's settings on all nodes")
	c.AddCommand(newClusterConfigGet(a), newClusterConfigSet(a), newClusterConfigDiff(a), newClusterConfigRollback(a))
	return c
}

func newClusterConfigGet(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "get NAME [SETTING…]", Short: "Show settings of all nodes", Args: args(1, -1),
		Long: `Show the values that run, asked of every node; without SETTING those that cw or
somebody has set. A setting takes one line when all nodes agree, else one line
for each value; -o wide has a line for each node.` + exitHelp(3, 4, 5),
		Example: `  cw cluster config get dw1
  cw cluster config get dw1 work_mem shared_buffers -o wide`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := a.manager(cmd.Context())
			if err != nil {
				return err
			}
			items, err := m.Settings(cmd.Context(), args[0], args[1:])
			if err != nil {
				return err
			}
			return a.printSettings(items)
		},
	}
}

// printSettings prints settings and names the nodes that could not be asked.
func (a *App) printSettings(items []cluster.NodeSetting) error {
	known, mute := a.answered(items)
	t := settingLines(known)
	if f := a.flags.output; f == "wide" || f == "csv" {
		t = settingTable(items)
	}
	if err := a.print(list("SettingList", items), t); err != nil {
		return err
	}
	return mute
}

// answered are the settings that are known. Nodes that did not answer are
// named; they make the error that says so.
func (a *App) answered(items []cluster.NodeSetting) (known []cluster.NodeSetting, mute error) {
	named := map[string]bool{}
	for _, s := range items {
		if s.Error == "" {
			known = append(known, s)
			continue
		}
		if !named[s.Node] {
			a.warnf("node %s on %s: %s", s.Node, s.Host, redact(s.Error))
		}
		named[s.Node] = true
	}
	switch {
	case len(named) == 0:
		return known, nil
	case len(known) == 0:
		return known, silent(fault.Unreachable)
	}
	return known, silent(fault.Partial)
}

// settingTable has a row for each setting of each node.
func settingTable(items []cluster.NodeSetting) table {
	t := table{cols: cols("SETTING", "NODE", "ROLE", "HOST", "VALUE", "IN FILE", "NEEDS RESTART", "ERROR")}
	for _, s := range items {
		restart := ""
		if s.PendingRestart {
			restart = "yes"
		}
		t.add(s.Name, s.Node, s.Role, s.Host, redact(s.Value), redact(s.Configured), restart, redact(s.Error))
	}
	return t
}

// settingLines has a row for each distinct value of a setting.
func settingLines(items []cluster.NodeSetting) table {
	t := table{cols: cols("SETTING", "VALUE", "IN FILE", "NODES")}
	for _, group := range groupBy(items, func(s cluster.NodeSetting) string { return s.Name }) {
		for _, same := range groupBy(group, sameValue) {
			nodes := "all"
			if len(same) < len(group) {
				nodes = someNodes(same)
			}
			t.add(same[0].Name, redact(same[0].Value), inFile(same[0]), nodes)
		}
	}
	return t
}

func sameValue(s cluster.NodeSetting) string {
	return fmt.Sprintf("%q %q %v", s.Value, s.Configured, s.PendingRestart)
}

// inFile is what the file says where something else runs.
func inFile(s cluster.NodeSetting) string {
	switch {
	case s.PendingRestart && s.Configured == "":
		return "(needs a restart)"
	case s.PendingRestart:
		return redact(s.Configured) + " (needs a restart)"
	case s.Configured != "":
		return redact(s.Configured) + " (needs a reload)"
	}
	return ""
}

// someNodes names up to four nodes, and of more their roles and number.
func someNodes(items []cluster.NodeSetting) string {
	var names, roles []string
	for _, s := range items {
		names = append(names, s.Node)
		if !slices.Contains(roles, s.Role) {
			roles = append(roles, s.Role)
		}
	}
	if len(names) <= 4 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%d nodes (%s): %s, …", len(names), strings.Join(roles, ", "), strings.Join(names[:3], ", "))
}

// groupBy keeps the order in which keys, and items of a key, come.
func groupBy[T any](items []T, key func(T) string) [][]T {
	var groups [][]T
	at := map[string]int{}
	for _, item := range items {
		k := key(item)
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	return groups
}

// pendingRestart are the settings that wait for a restart of some node.
func pendingRestart(items []cluster.NodeSetting) []string {
	var names []string
	for _, s := range items {
		if s.PendingRestart && !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}
