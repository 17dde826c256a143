package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"cw/monitor/inspect"
)

// textWidth is as wide as the text gets.
const textWidth = 100

// WriteText prints a report for a terminal: the verdict, what was found with
// what to do about it, and then the tables.
func WriteText(w io.Writer, r *Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Cluster, r.Headline())
	fmt.Fprintf(&b, "%s\n", r.origin())
	for _, g := range r.groups() {
		fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(string(g.severity)))
		for _, rule := range g.rules {
			write(&b, "  ", fmt.Sprintf("%s (%s)", rule.title, rule.name))
			for _, f := range rule.findings {
				text := "- " + f.where()
				if f.Text != "" {
					text += ": " + f.Text
				}
				write(&b, "    ", text)
			}
			if rule.more > 0 {
				fmt.Fprintf(&b, "    - and %d more: -o json\n", rule.more)
			}
			for _, remedy := range rule.remedies {
				write(&b, "    ", "next: "+remedy)
			}
		}
	}
	if o := r.omittedText(); len(o) > 0 {
		b.WriteString("\nNot asked\n")
		for _, line := range o {
			write(&b, "  ", line)
		}
	}
	for _, p := range r.parts() {
		fmt.Fprintf(&b, "\n%s\n", p.Title)
		for _, n := range p.Notes {
			write(&b, "  ", oneLine(n))
		}
		for _, y := range p.Why {
			write(&b, "  ", "missing: "+oneLine(y))
		}
		if len(p.Rows) > 0 {
			textTable(&b, p)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Headline is the verdict in a sentence.
func (r *Report) Headline() string {
	s := r.Summary
	text := strings.ToUpper(s.Verdict)
	if r.Health != nil {
		text += ", the cluster is " + r.Health.State
	}
	if r.lacks(SectionFindings) && r.Asked == 0 {
		return text + "; the database was not inspected"
	}
	if n := s.Critical + s.Warning + s.Notice; n == 0 {
		text += "; nothing was found by " + count(r.Asked, "rule")
	} else {
		text += fmt.Sprintf("; %d critical, %s, %s", s.Critical, count(s.Warning, "warning"), count(s.Notice, "notice"))
	}
	if s.Firing > 0 {
		text += fmt.Sprintf("; alerts that fire: %d", s.Firing)
	}
	return text
}

func (r *Report) origin() string {
	text := strings.TrimSpace(r.Engine.Kind + " " + r.Engine.Version)
	if r.Health != nil && r.Health.Endpoint.Host != "" {
		e := r.Health.Endpoint
		text += fmt.Sprintf(" at %s:%d, database %s", e.Host, e.Port, e.Database)
	}
	return fmt.Sprintf("%s; made %s by %s", text, clock(r.MadeAt), r.By)
}

// group are the findings of a severity, by rule.
type group struct {
	severity inspect.Severity
	rules    []ruleGroup
}

type ruleGroup struct {
	name, title string
	findings    []shown
	more        int
	remedies    []string
}

// shown is a finding in one line.
type shown struct{ inspect.Finding }

func (f shown) where() string {
	if f.Database == "" {
		return oneLine(f.Object)
	}
	return oneLine(f.Database + ": " + f.Object)
}

// mostShown is how many findings of a rule the printers list.
const mostShown = 12

func (r *Report) groups() []group {
	var out []group
	for _, severity := range []inspect.Severity{inspect.Critical, inspect.Warning, inspect.Notice} {
		g := group{severity: severity}
		for _, f := range r.Findings {
			if f.Severity != severity {
				continue
			}
			i := slices.IndexFunc(g.rules, func(x ruleGroup) bool { return x.name == f.Rule })
			if i < 0 {
				i = len(g.rules)
				g.rules = append(g.rules, ruleGroup{name: f.Rule, title: oneLine(f.Title)})
			}
			rule := &g.rules[i]
			if len(rule.findings) == mostShown {
				rule.more++
				continue
			}
			f.Text = oneLine(f.Text)
			rule.findings = append(rule.findings, shown{f})
			if remedy := oneLine(f.Remedy); remedy != "" && !slices.Contains(rule.remedies, remedy) && len(rule.remedies) < 3 {
				rule.remedies = append(rule.remedies, remedy)
			}
		}
		if len(g.rules) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// omittedText are the rules that were not asked, one line for each reason.
func (r *Report) omittedText() []string {
	out := r.why(SectionFindings)
	type same struct{ database, reason string }
	var order []same
	rules := map[same][]string{}
	for _, o := range r.Omitted {
		key := same{o.Database, o.Reason}
		if len(rules[key]) == 0 {
			order = append(order, key)
		}
		rules[key] = append(rules[key], o.Rule)
	}
	for _, key := range order {
		line := strings.Join(rules[key], ", ")
		if n := len(rules[key]); n > 3 { // as of a database that lets nobody in
			line = count(n, "rule")
		}
		if key.database != "" {
			line += " in " + key.database
		}
		out = append(out, oneLine(line+": "+key.reason))
	}
	return out
}

// oneLine makes a text from a database fit for a terminal: one line, and
// nothing that moves the cursor.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}

// write writes a text that may be longer than a line.
func write(b *strings.Builder, indent, text string) {
	for i, line := range wrap(text, textWidth-len(indent)-2) {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(indent + line + "\n")
	}
}

// wrap cuts a text between words; a word that is longer than a line is cut.
func wrap(text string, width int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			out = append(out, line)
		}
		for utf8.RuneCountInString(word) > width {
			cut := []rune(word)
			out, word = append(out, string(cut[:width])), string(cut[width:])
		}
		line = word
	}
	return append(out, line)
}

// textTable prints a table whose long cells take several lines.
func textTable(b *strings.Builder, p part) {
	const gap = 2
	used := make([]int, len(p.Cols)) // natural widths
	for i, c := range p.Cols {
		used[i] = utf8.RuneCountInString(strings.TrimPrefix(c, ">"))
		for _, row := range p.Rows {
			used[i] = max(used[i], utf8.RuneCountInString(oneLine(row[i])))
		}
	}
	for {
		sum := gap * len(used)
		widest := 0
		for i, n := range used {
			sum += n
			if n > used[widest] {
				widest = i
			}
		}
		if sum <= textWidth || used[widest] <= 10 {
			break
		}
		used[widest] -= min(sum-textWidth, max(1, used[widest]-10), 4)
	}
	head := make([]string, len(p.Cols))
	for i, c := range p.Cols {
		head[i] = strings.TrimPrefix(c, ">")
	}
	for _, row := range append([][]string{head}, p.Rows...) {
		cells, height := make([][]string, len(row)), 1
		for i, c := range row {
			cells[i] = wrap(oneLine(c), used[i])
			height = max(height, len(cells[i]))
		}
		for line := range height {
			var l strings.Builder
			for i := range row {
				text := ""
				if line < len(cells[i]) {
					text = cells[i][line]
				}
				pad := strings.Repeat(" ", used[i]-utf8.RuneCountInString(text))
				if strings.HasPrefix(p.Cols[i], ">") {
					l.WriteString("  " + pad + text)
				} else {
					l.WriteString("  " + text + pad)
				}
			}
			b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
		}
	}
}
