package commands

import (
	"fmt"
	"io"
	"strings"

	"cw/cluster/hostprep"
	"cw/cluster/manage"
)

// preparationPlan is the result of check --fix --dry-run.
type preparationPlan struct {
	Cluster string            `json:"cluster"`
	Repairs []hostprep.Repair `json:"repairs"`
	Kept    []hostprep.Kept   `json:"kept"` // of --revert: what comes back
	Left    []hostprep.Check  `json:"left"` // failed checks that cw cannot fix
}

// printRepairs prints what would be done as the result.
func (a *App) printRepairs(p *manage.Preparation) error {
	if f := a.flags.output; f == "table" || f == "wide" {
		_, err := io.WriteString(a.IO.Out, repairText(p))
		return err
	}
	plan := preparationPlan{Cluster: p.Cluster, Repairs: append([]hostprep.Repair{}, p.Repairs...), Kept: append([]hostprep.Kept{}, p.Kept...), Left: append([]hostprep.Check{}, leftOver(p.Report)...)}
	t := table{cols: cols("HOST", "GROUP", "SETTING", "OLD", "NEW")}
	for _, r := range p.Repairs {
		for _, c := range r.Changes {
			t.add(r.Host, r.Group, c.What, c.Old, c.New)
		}
	}
	for _, k := range p.Kept {
		for _, c := range k.Changes {
			t.add(k.Host, "revert", c.What, c.Old, c.New)
		}
	}
	return a.print(object("PreparationPlan", plan), t)
}

func leftOver(r hostprep.Report) []hostprep.Check {
	var out []hostprep.Check
	for _, c := range r.Checks {
		if !c.OK && c.Fix == "" {
			out = append(out, c)
		}
	}
	return out
}

// repairText is a plan for people: hosts with the same changes together.
func repairText(p *manage.Preparation) string {
	type block struct {
		text  string
		hosts []string
	}
	var blocks []*block
	add := func(host, text string) {
		for _, b := range blocks {
			if b.text == text {
				b.hosts = append(b.hosts, host)
				return
			}
		}
		blocks = append(blocks, &block{text, []string{host}})
	}
	byHost := groupBy(p.Repairs, func(r hostprep.Repair) string { return r.Host })
	for _, repairs := range byHost {
		text := ""
		for _, r := range repairs {
			text += changesText(r.Changes, r.File)
		}
		add(repairs[0].Host, text)
	}
	for _, k := range p.Kept {
		add(k.Host, changesText(k.Changes, ""))
	}
	var b strings.Builder
	verb := "Plan: set"
	if len(p.Kept) > 0 {
		verb = "Plan: bring back"
	}
	if len(blocks) == 0 {
		fmt.Fprintf(&b, "Plan: nothing to do on the hosts of cluster %s\n", p.Cluster)
	}
	for _, bl := range blocks {
		fmt.Fprintf(&b, "%s on %s\n%s", verb, strings.Join(bl.hosts, ", "), bl.text)
	}
	left := leftOver(p.Report)
	if len(left) > 0 {
		fmt.Fprintf(&b, "What cw cannot set:\n")
	}
	for _, line := range sameChecks(left) {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

// sameChecks are lines about failed checks, those of several hosts together.
func sameChecks(checks []hostprep.Check) []string {
	var lines []string
	for _, same := range groupBy(checks, func(c hostprep.Check) string { return c.ID + c.Observed + strings.ReplaceAll(c.Remedy, c.Host, "") }) {
		hosts := make([]string, len(same))
		for i, c := range same {
			hosts[i] = c.Host
		}
		lines = append(lines, fmt.Sprintf("%s: %s: %s: %s", strings.Join(hosts, ", "), same[0].ID, redact(same[0].Observed), same[0].Remedy))
	}
	return lines
}

func changesText(changes []hostprep.Change, file string) string {
	width := 0
	for _, c := range changes {
		if c.What != file {
			width = max(width, len(c.What))
		}
	}
	var b strings.Builder
	for _, c := range changes {
		switch {
		case c.What == file:
			fmt.Fprintf(&b, "  %s (%s)\n", c.What, c.New)
		case c.Old == "":
			fmt.Fprintf(&b, "    %-*s  -> %s\n", width, c.What, c.New)
		default:
			fmt.Fprintf(&b, "    %-*s  %s -> %s\n", width, c.What, c.Old, c.New)
		}
	}
	return b.String()
}

// warnChecks repeats what checks before an operation advise; required ones
// that failed are an error already. What cw can set by itself is one line: the
// guides have dozens of settings.
func (a *App) warnChecks(op *manage.Operation) {
	var fixable, left []hostprep.Check
	for _, c := range op.Report.Checks {
		switch {
		case c.OK:
		case c.Fix != "":
			fixable = append(fixable, c)
		default:
			left = append(left, c)
		}
	}
	for _, line := range sameChecks(left) {
		a.warnf("%s", line)
	}
	if len(fixable) > 0 {
		hosts := groupBy(fixable, func(c hostprep.Check) string { return c.Host })
		a.warnf("%d settings of the operating system on %d hosts are not as advised: cw cluster check --fix, with the same file or name, shows and sets them", len(fixable), len(hosts))
	}
}
