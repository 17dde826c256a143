package commands

import (
	"strings"

	"github.com/spf13/cobra"
)

// commandGroup is a heading of a group's help and the commands under it.
type commandGroup struct {
	title string
	names string // separated by blanks
}

// groupHelp is what the help of a command with others below it says beside
// its own paragraph.
type groupHelp struct {
	example string
	groups  []commandGroup
}

// groupHelps are by the command's path. They are here, not at the verbs, so
// that one sees at a glance which verb belongs to which heading.
func groupHelps() map[string]groupHelp {
	return map[string]groupHelp{
		"cw cluster": {
			example: `  cw cluster init cluster.yaml --hosts 10.0.0.10,10.0.0.11,10.0.0.12
  cw cluster check -f cluster.yaml
  cw cluster create -f cluster.yaml
  cw cluster status dw1`,
			groups: []commandGroup{
				{"Plan and make", "init check size plan create adopt"},
				{"Change", "expand shrink config promote delete"},
				{"Run", "start stop restart reload"},
				{"Repair", "recover resume unlock"},
				{"Look", "list status logs"},
				{"Work on its hosts", "exec push pull"},
			},
		},
		"cw cluster config": {example: `  cw cluster config get dw1 work_mem
  cw cluster config set dw1 work_mem=64MB
  cw cluster config rollback dw1`},
		"cw load": {
			example: `  cw load init lineitem.yaml --table public.lineitem --from 's3://bucket/lineitem/*.csv.gz'
  cw load check lineitem.yaml
  cw load run lineitem.yaml --limit 200MB/s
  cw load limit l7q2mx4 50MB/s`,
			groups: []commandGroup{
				{"Prepare", "init check convert"},
				{"Run", "run resume wait"},
				{"Steer while it runs", "limit pause continue cancel"},
				{"Look", "list show errors logs"},
			},
		},
		"cw unload": {example: `  cw unload run orders-out.yaml --dry-run
  cw unload run orders-out.yaml --limit 50MB/s`},
		"cw perf": {
			example: `  cw perf all -d /data1 -f hosts --profile quick
  cw perf disk -d /data1 -d /data2 --profile standard
  cw perf baseline save c4.xlarge p3fk2q p7hx0m
  cw perf all -d /data1 -f hosts --baseline c4.xlarge --junit out.xml`,
			groups: []commandGroup{
				{"Measure machines", "all cpu memory disk net"},
				{"Measure what the cloud does", "object db snapshot vip replace"},
				{"Judge and compare", "baseline compare size"},
				{"Look and go on", "list report resume verify-engine"},
			},
		},
		"cw perf baseline": {example: `  cw perf baseline save c4.xlarge p3fk2q p7hx0m
  cw perf baseline list`},
		"cw playground": {example: `  cw playground up
  cw playground status
  cw playground down`},
		"cw config": {example: `  cw config show
  cw config paths -o json`},
	}
}

// arrange gives the commands of each group their headings and examples.
func arrange(root *cobra.Command) {
	helps := groupHelps()
	walk(root, func(c *cobra.Command) {
		h, ok := helps[c.CommandPath()]
		if !ok {
			return
		}
		if h.example != "" {
			c.Example = h.example
		}
		for _, g := range h.groups {
			c.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
			for _, name := range strings.Fields(g.names) {
				if sub := child(c, name); sub != nil {
					sub.GroupID = g.title
				}
			}
		}
	})
}

// walk visits a command and all below it.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

// child is the command of that name right below c, nil without one.
func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}
