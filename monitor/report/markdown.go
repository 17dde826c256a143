package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown prints a report for a ticket or a wiki.
func WriteMarkdown(w io.Writer, r *Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Inspection of %s: %s\n\n", cell(r.Cluster), r.Summary.Verdict)
	fmt.Fprintf(&b, "%s.\n\n%s.\n", cell(r.Headline()), cell(r.origin()))
	for _, g := range r.groups() {
		fmt.Fprintf(&b, "\n## %s\n\n", strings.ToUpper(string(g.severity[:1]))+string(g.severity[1:]))
		for _, rule := range g.rules {
			fmt.Fprintf(&b, "- **%s** (%s)\n", cell(rule.title), cell(rule.name))
			for _, f := range rule.findings {
				fmt.Fprintf(&b, "  - %s", cell(f.where()))
				if f.Text != "" {
					fmt.Fprintf(&b, ": %s", cell(f.Text))
				}
				b.WriteString("\n")
			}
			if rule.more > 0 {
				fmt.Fprintf(&b, "  - and %d more\n", rule.more)
			}
			for _, remedy := range rule.remedies {
				fmt.Fprintf(&b, "  - next: %s\n", cell(remedy))
			}
		}
	}
	if o := r.omittedText(); len(o) > 0 {
		b.WriteString("\n## Not asked\n\n")
		for _, line := range o {
			fmt.Fprintf(&b, "- %s\n", cell(line))
		}
	}
	for _, p := range r.parts() {
		fmt.Fprintf(&b, "\n## %s\n\n", p.Title)
		for _, n := range p.Notes {
			fmt.Fprintf(&b, "- %s\n", cell(n))
		}
		for _, y := range p.Why {
			fmt.Fprintf(&b, "- missing: %s\n", cell(y))
		}
		if len(p.Rows) == 0 {
			continue
		}
		if len(p.Notes)+len(p.Why) > 0 {
			b.WriteString("\n")
		}
		line, under := "|", "|"
		for _, c := range p.Cols {
			line += " " + strings.ToLower(strings.TrimPrefix(c, ">")) + " |"
			if strings.HasPrefix(c, ">") {
				under += "---:|"
			} else {
				under += "---|"
			}
		}
		b.WriteString(line + "\n" + under + "\n")
		for _, row := range p.Rows {
			b.WriteString("|")
			for _, c := range row {
				b.WriteString(" " + cell(c) + " |")
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell makes a text that came from a database plain in Markdown: one line, no
// markup, no HTML, no link.
func cell(s string) string {
	var b strings.Builder
	for _, c := range oneLine(s) {
		switch c {
		case '\\', '`', '*', '_', '[', ']', '|', '~', '#', '$':
			b.WriteRune('\\')
			b.WriteRune(c)
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '&':
			b.WriteString("&amp;")
		case '@': // mentions nobody
			b.WriteString("&#64;")
		default:
			b.WriteRune(c)
		}
	}
	return strings.TrimSpace(strings.ReplaceAll(b.String(), "://", "&#58;//"))
}
