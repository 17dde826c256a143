package commands

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/cluster"
)

func newClusterStatus(a *App) *cobra.Command {
	var exitCode bool
	c := &cobra.Command{
		Use: "status NAME", Short: "Show how a cluster is", Args: args(1, 1),
		Long: `Show how a cluster is: nodes, replication, disks. A host that does not answer is
named within five seconds. The cluster is up when everything is as it should be,
degraded when some nodes are up, down when none is, unknown when no host
answers. Segments are counted while they are well; -o wide lists them all. What
to do about a cluster that is not well is in the last line.` + exitHelp(5, 8),
		Example: `  cw cluster status dw1
  cw cluster status dw1 -o json
  cw cluster status dw1 --exit-code || page-the-dba`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.clusterStatus(cmd.Context(), args[0], exitCode)
		},
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 8 when the cluster is degraded, 1 when it is down, 5 when unknown")
	return c
}

func (a *App) clusterStatus(ctx context.Context, name string, exitCode bool) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	st, err := m.Status(ctx, name)
	if err != nil {
		return err
	}
	if err := a.printStatus(st); err != nil || !exitCode {
		return err
	}
	return degraded(st.State)
}

// printStatus prints a status in the format the user chose. People get a
// line about the cluster, the nodes, what is wrong in sentences, and what to
// do about it.
func (a *App) printStatus(st cluster.Status) error {
	human := a.flags.output == "table" || a.flags.output == "wide"
	if !human {
		return a.print(object("ClusterStatus", st), statusTable(st, byContent(st.Nodes)))
	}
	shown, hidden := shownNodes(st, a.flags.output == "wide")
	if _, err := fmt.Fprintln(a.IO.Out, statusLine(st, a.flags.output == "wide")); err != nil {
		return err
	}
	if err := printTable(a.IO.Out, statusTable(st, shown), a.flags.output == "wide"); err != nil {
		return err
	}
	var lines []string
	if text := segmentLine(st.Nodes); text != "" {
		lines = append(lines, text)
	}
	if hidden > 0 {
		lines = append(lines, fmt.Sprintf("%d nodes of segments that are well are not listed: cw cluster status %s -o wide", hidden, st.Name))
	}
	resume := false
	for _, p := range st.Problems {
		lines = append(lines, "! "+redact(p))
		resume = resume || strings.Contains(p, "cw cluster resume ") // says already what comes next
	}
	if next := st.Next(); next != "" && !resume {
		lines = append(lines, "next: "+next)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintln(a.IO.Out, l); err != nil {
			return err
		}
	}
	return nil
}

func statusLine(st cluster.Status, wide bool) string {
	e := st.Endpoint
	line := fmt.Sprintf("%s is %s: %s %s at %s:%d, database %s, checked %s", st.Name, strings.ToUpper(st.State), st.Engine.Kind, st.Engine.Version, e.Host, e.Port, e.Database, st.CheckedAt.Format(time.RFC3339))
	if wide {
		line += fmt.Sprintf("\nuser %s, password in %s", e.User, e.PasswordFile)
		if st.TLS != nil && st.TLS.CAFile != "" {
			line += fmt.Sprintf("\nTLS %s: sslmode=verify-full sslrootcert=%s", st.TLS.Mode, st.TLS.CAFile)
		}
	}
	return line
}
