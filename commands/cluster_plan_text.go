package commands

import (
	"fmt"
	"io"
	"strings"

	"cw/cluster/step"
)

// longPlan is how many steps a person still reads one by one.
const longPlan = 40

// writePlan prints a plan for people. Of a long one it says for each kind of
// step how many there are and on how many hosts; -o wide has them all.
func (a *App) writePlan(w io.Writer, v step.View) error {
	if v.Pending <= longPlan || a.flags.output == "wide" {
		return v.WriteText(w)
	}
	var todo []step.Planned
	for _, s := range v.Steps {
		if s.State != step.Done {
			todo = append(todo, s)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Plan: %s %s, %d steps to do, %d done already; -o wide shows each\n", v.Verb, v.Cluster, v.Pending, v.Done)
	kinds := groupBy(todo, func(s step.Planned) string { kind, _, _ := strings.Cut(s.ID, "@"); return kind })
	hosts := make([]string, len(kinds))
	width := 0
	for i, k := range kinds {
		hosts[i] = hostsOfSteps(k)
		width = max(width, len(hosts[i]))
	}
	for i, k := range kinds {
		mark, note := kindNotes(k)
		fmt.Fprintf(&b, "%s %3d ×  %-*s  %s%s\n", mark, len(k), width, hosts[i], kindTitle(k), note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func hostsOfSteps(steps []step.Planned) string {
	on := groupBy(steps, func(s step.Planned) string { return s.Host })
	switch {
	case len(on) > 1:
		return fmt.Sprintf("%d hosts", len(on))
	case steps[0].Host == "":
		return "-"
	}
	return steps[0].Host
}

// kindTitle is what steps of one kind do: of titles that differ, by the name
// of a node or a folder, the first one.
func kindTitle(steps []step.Planned) string {
	titles := groupBy(steps, func(s step.Planned) string { return s.Title })
	text := steps[0].Title
	if n := len(titles) - 1; n > 0 {
		text += fmt.Sprintf(", and %d more like it", n)
	}
	return text
}

func kindNotes(steps []step.Planned) (mark, note string) {
	mark = " "
	unclear, why, final := 0, "", false
	for _, s := range steps {
		if s.Destructive {
			mark = "!"
		}
		final = final || s.PointOfNoReturn
		if s.State == step.Unclear {
			unclear++
			why = s.Error
		}
	}
	if unclear > 0 {
		note = fmt.Sprintf(" (%d unclear: %s)", unclear, why)
	} else if same := groupBy(steps, func(s step.Planned) string { return s.Observed }); len(same) == 1 && steps[0].Observed != "" {
		note = " (now: " + steps[0].Observed + ")"
	}
	if final {
		note += " [point of no return]"
	}
	return mark, note
}
