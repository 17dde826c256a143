package commands

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/manage"
	"cw/fault"
)

// checkOptions are the flags of `cw cluster check`.
type checkOptions struct {
	changeOptions
	file   string
	fix    bool
	revert bool
	script bool
}

func newClusterCheck(a *App) *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use: "check [NAME]", Short: "Check whether the hosts can carry the cluster, and prepare them", Args: args(0, 1),
		Long: `Check whether the hosts of a topology can carry its cluster. Nothing is changed.
Required checks that fail keep cw cluster create from beginning; the others are
advice. -o wide also shows what is as it should be, one by one.

With --fix the operating system is set as the checks want it, as far as cw can:
kernel settings, limits, huge pages, read-ahead and schedulers of disks, sshd,
logind, names in /etc/hosts. That needs root over sudo. The plan is shown first.
cw writes files of its own only, and a marked block in /etc/hosts; what was there
before is kept in /var/lib/cw/NAME/prep on the host, and --revert brings it back:
files to the byte, and the values of the running system. Where there is no sudo,
--print-root-script prints a script that root runs on each host.` + exitHelp(4, 5, 6, 7),
		Example: `  cw cluster check -f cluster.yaml
  cw cluster check dw1 -o wide
  cw cluster check -f cluster.yaml --fix --dry-run
  cw cluster check dw1 --revert
  cw cluster check -f cluster.yaml --print-root-script > prepare.sh`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.fix || o.revert {
				cmd.Annotations = mutating()
			}
			return a.clusterCheck(cmd.Context(), o, args)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "topology file, - for standard input")
	f.BoolVar(&o.fix, "fix", false, "set what can be set, after showing it")
	f.BoolVar(&o.revert, "revert", false, "bring back what was there before --fix")
	f.BoolVar(&o.script, "print-root-script", false, "print what --fix (or --revert) would do as a script for root, and change nothing")
	f.BoolVar(&o.dryRun, "dry-run", false, "with --fix or --revert: show the plan and change nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *App) clusterCheck(ctx context.Context, o checkOptions, args []string) error {
	name, err := nameOrFile(o.file, args)
	if err != nil {
		return err
	}
	if o.dryRun && !o.fix && !o.revert {
		return usagef("add --fix to see what would be set", "check changes nothing: there is no --dry-run of it")
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	top, err := a.topologyOf(ctx, m, name, o.file)
	if err != nil {
		return err
	}
	switch {
	case o.script:
		text, err := m.RootScript(ctx, top, o.revert)
		if err == nil {
			_, err = io.WriteString(a.IO.Out, text)
		}
		return err
	case o.revert:
		return a.unprepare(ctx, m, top, o)
	case o.fix:
		return a.prepare(ctx, m, top, o)
	}
	report, err := m.Check(ctx, top)
	if err != nil {
		return err
	}
	return a.printChecks(report)
}

// printChecks prints checks as the result; required ones that failed make the
// exit code.
func (a *App) printChecks(report hostprep.Report) error {
	t := table{cols: cols("HOST", "CHECK", "RESULT", "OBSERVED", "+EXPECTED", "REMEDY")}
	fixable := 0
	for _, checks := range groupBy(report.Checks, func(c hostprep.Check) string { return c.Host }) {
		shown := checks
		if a.flags.output == "table" {
			shown = briefly(checks)
		}
		for _, c := range shown {
			t.add(c.Host, c.ID, resultOf(c), redact(c.Observed), c.Expected, cmp.Or(c.NotApplicable, c.Remedy))
		}
		for _, c := range checks {
			if c.Fix != "" {
				fixable++
			}
		}
	}
	if fixable > 0 {
		t.note = fmt.Sprintf("%d settings can be made by cw: the same command with --fix shows how, and asks; -o wide shows each", fixable)
	}
	if err := a.print(object("CheckReport", report), t); err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return silent(fault.KindOf(err))
	}
	return nil
}

func resultOf(c hostprep.Check) string {
	switch {
	case c.NotApplicable != "":
		return "n/a"
	case c.OK:
		return "ok"
	case c.Severity == hostprep.Required:
		return "FAILED"
	}
	return "advice"
}

// briefly are the checks of a host with the many of the operating system in a
// few lines: what is well in one, and what cw can set in one for each group.
func briefly(checks []hostprep.Check) []hostprep.Check {
	var out []hostprep.Check
	fixable := map[string][]hostprep.Check{}
	well := 0
	for _, c := range checks {
		switch {
		case c.OK && ofSystem(c.ID):
			well++
			continue
		case c.Fix != "" && c.Severity == hostprep.Advised:
			if fixable[c.Fix] = append(fixable[c.Fix], c); len(fixable[c.Fix]) > 1 {
				continue
			}
		}
		if c.Fix != "" {
			c.Remedy = "cw can: --fix (" + c.Fix + ")"
		}
		out = append(out, c)
	}
	for i, c := range out {
		if same := fixable[c.Fix]; c.Severity == hostprep.Advised && len(same) > 1 {
			var names []string
			for _, o := range same[:min(len(same), 3)] {
				names = append(names, strings.TrimPrefix(o.ID, "sysctl "))
			}
			out[i].ID, out[i].Observed = c.Fix, fmt.Sprintf("%d not as advised: %s", len(same), strings.Join(names, ", "))
			if len(same) > len(names) {
				out[i].Observed += " …"
			}
		}
	}
	if well > 0 {
		out = append(out, hostprep.Check{Host: checks[0].Host, ID: "operating system", OK: true, Observed: fmt.Sprintf("%d settings are as advised or do not apply", well)})
	}
	return out
}

// ofSystem says whether a check is one of the many of the operating system.
func ofSystem(id string) bool {
	if strings.HasPrefix(id, "sysctl ") || strings.HasPrefix(id, "same ") {
		return true
	}
	switch id {
	case "huge pages", "huge page defrag", "processes", "core files", "open files", "sshd", "selinux", "firewall", "time synchronisation", "swap", "core pattern", "settings at boot", "read-ahead", "i/o scheduler", "mount options":
		return true
	}
	return false
}

// prepare is check --fix.
func (a *App) prepare(ctx context.Context, m *manage.Manager, top *cluster.Topology, o checkOptions) error {
	p, err := m.Prepare(ctx, top)
	if err != nil {
		return err
	}
	if o.dryRun {
		return a.printRepairs(p)
	}
	if p.Empty() {
		a.infof("cw can set nothing that is not set already")
		return a.printChecks(p.Report)
	}
	if !a.flags.quiet {
		if _, err := io.WriteString(a.IO.Err, repairText(p)); err != nil {
			return err
		}
	}
	if err := a.runPreparation(ctx, p, fmt.Sprintf("set this on the hosts of cluster %s?", top.Name), o.yes); err != nil {
		return err
	}
	report, err := p.Again(ctx)
	if err != nil {
		return err
	}
	return a.printChecks(report)
}

// unprepare is check --revert.
func (a *App) unprepare(ctx context.Context, m *manage.Manager, top *cluster.Topology, o checkOptions) error {
	p, err := m.Unprepare(ctx, top)
	if err != nil {
		return err
	}
	if o.dryRun {
		return a.printRepairs(p)
	}
	if p.Empty() {
		a.infof("nothing on the hosts of cluster %s was set by cw", top.Name)
		return nil
	}
	if !a.flags.quiet {
		if _, err := io.WriteString(a.IO.Err, repairText(p)); err != nil {
			return err
		}
	}
	return a.runPreparation(ctx, p, fmt.Sprintf("bring this back on the hosts of cluster %s?", top.Name), o.yes)
}

func (a *App) runPreparation(ctx context.Context, p *manage.Preparation, question string, yes bool) error {
	if err := a.confirm(ctx, question, yes); err != nil {
		return err
	}
	bar := a.newProgress()
	show := stepProgress{p: bar, running: map[string]bool{}}
	_, err := p.Run(ctx, show.event)
	bar.Close()
	return err
}
