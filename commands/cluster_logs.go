package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/fault"
)

type clusterLogsOptions struct {
	nodes  []string
	hosts  []string
	lines  int
	errors bool
}

// errorsWithin is how many lines of a log are searched with --errors.
const errorsWithin = 10_000

func newClusterLogs(a *App) *cobra.Command {
	var o clusterLogsOptions
	c := &cobra.Command{
		Use: "logs NAME", Short: "Show the last lines of the database's logs", Args: args(1, 1),
		Long: fmt.Sprintf(`Show the last lines of the database's own logs, of all nodes or of some. With
several nodes each line begins with its node; -o json has one JSON object for
each line. --errors shows only lines of ERROR, FATAL and PANIC, and what belongs
to them, of the last %d lines of each node. Nodes that do not answer are named.`, errorsWithin) + exitHelp(3, 4, 5),
		Example: `  cw cluster logs dw1
  cw cluster logs dw1 --node n3 --lines 200
  cw cluster logs dw1 --errors -o json`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterLogs(cmd.Context(), args[0], o) },
	}
	c.Flags().StringSliceVar(&o.nodes, "node", nil, "only these nodes, as n3 (repeat, or separate by commas)")
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "only the nodes on these hosts (repeat, or separate by commas)")
	c.Flags().IntVarP(&o.lines, "lines", "n", 50, "lines of each node")
	c.Flags().BoolVar(&o.errors, "errors", false, "only errors, and what belongs to them")
	return c
}

// logLine is a line of a node's log in JSON.
type logLine struct {
	Node string `json:"node"`
	Role string `json:"role"`
	Host string `json:"host"`
	Line string `json:"line"`
}

func (a *App) clusterLogs(ctx context.Context, name string, o clusterLogsOptions) error {
	if o.lines < 1 {
		return usagef("", "--lines %d: at least 1", o.lines)
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	if err := hostsOf(ctx, m, name, o.hosts); err != nil {
		return err
	}
	_, lay, err := m.Topology(ctx, name)
	if err != nil {
		return err
	}
	nodes, err := o.choose(name, lay)
	if err != nil {
		return err
	}
	ask := o.lines
	if o.errors {
		ask = errorsWithin
	}
	logs, err := m.Logs(ctx, name, nodes, ask)
	if err != nil {
		return err
	}
	if len(logs) == 1 && logs[0].Err != nil {
		return logs[0].Err
	}
	if err := a.printLogs(logs, o); err != nil {
		return err
	}
	failed := 0
	for _, l := range logs {
		if l.Err != nil {
			failed++
			a.warnf("no log of node %s on %s: %v", l.Node.Name(), l.Node.Host, redact(l.Err.Error()))
		}
	}
	switch failed {
	case 0:
		return nil
	case len(logs):
		return silent(fault.KindOf(logs[0].Err))
	}
	return silent(fault.Partial)
}

// choose are the nodes that --node and --host name; all without them.
func (o clusterLogsOptions) choose(name string, lay *cluster.Layout) ([]cluster.Node, error) {
	if len(o.nodes)+len(o.hosts) == 0 {
		return lay.Nodes, nil
	}
	wanted := map[int]bool{}
	for _, want := range o.nodes {
		n, ok := lay.Node(want)
		if !ok {
			return nil, usagef("cw cluster status "+name, "cluster %s has no node %q", name, want)
		}
		wanted[n.ID] = true
	}
	for _, h := range o.hosts {
		for _, n := range lay.On(h) {
			wanted[n.ID] = true
		}
	}
	var nodes []cluster.Node
	for _, n := range lay.Nodes {
		if wanted[n.ID] {
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

func (a *App) printLogs(logs []manage.NodeLog, o clusterLogsOptions) error {
	items := []logLine{}
	for _, l := range logs {
		text := strings.TrimRight(l.Text, "\n")
		if l.Err != nil || text == "" {
			continue
		}
		lines := strings.Split(text, "\n")
		if o.errors {
			lines = onlyErrors(lines)
		}
		for _, line := range lines[max(0, len(lines)-o.lines):] {
			items = append(items, logLine{l.Node.Name(), l.Node.Role, l.Node.Host, redact(line)})
		}
	}
	switch a.flags.output {
	case "table", "wide":
		return a.printLogText(items, logs)
	case "json":
		enc := json.NewEncoder(a.IO.Out)
		enc.SetEscapeHTML(false)
		for _, i := range items {
			if err := enc.Encode(i); err != nil {
				return err
			}
		}
		return nil
	}
	t := table{cols: cols("NODE", "ROLE", "HOST", "LINE")}
	for _, i := range items {
		t.add(i.Node, i.Role, i.Host, i.Line)
	}
	return a.print(list("LogLineList", items), t)
}

func (a *App) printLogText(items []logLine, logs []manage.NodeLog) error {
	width := 0
	for _, l := range logs {
		width = max(width, len(l.Node.Name()))
	}
	for _, i := range items {
		prefix := ""
		if len(logs) > 1 {
			prefix = fmt.Sprintf("%-*s  ", width, i.Node)
		}
		if _, err := fmt.Fprintln(a.IO.Out, prefix+i.Line); err != nil {
			return err
		}
	}
	return nil
}

var (
	// A line's severity: PostgreSQL's "ERROR:  ", or the field of Greenplum's CSV.
	severityText = regexp.MustCompile(`(?:^|\s)(DEBUG\d?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION):  |,"(DEBUG\d?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC)",`)
	belongs      = regexp.MustCompile(`^(DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LOCATION)$`)
	isError      = regexp.MustCompile(`^(ERROR|FATAL|PANIC)$`)
)

// onlyErrors keeps errors and the lines that continue them.
func onlyErrors(lines []string) []string {
	var out []string
	keep := false
	for _, line := range lines {
		if m := severityText.FindStringSubmatch(line); m != nil {
			if severity := m[1] + m[2]; !belongs.MatchString(severity) {
				keep = isError.MatchString(severity)
			}
		}
		if keep {
			out = append(out, line)
		}
	}
	return out
}
