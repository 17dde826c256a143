package perfcheck

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown writes a report for a pull request: the verdict first, then
// what is not pass, and everything else folded.
func WriteMarkdown(w io.Writer, r *Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## Performance: %s\n\n", r.Verdict)
	count := map[Verdict]int{}
	for i := range r.Tests {
		count[r.Tests[i].Verdict]++
	}
	var parts []string
	for _, v := range []Verdict{Pass, Warn, Inconclusive, Fail, Error, Skipped} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	fmt.Fprintf(&b, "Run `%s`, profile %s, %s: %s.\n", r.Run.ID, cell(r.Run.Profile), cell(hostname(r)), strings.Join(parts, ", "))
	if r.Reason != "" {
		fmt.Fprintf(&b, "\n%s\n", cell(r.Reason))
	}
	header := "| test | where | value | baseline | verdict | reason |\n|---|---|---|---|---|---|\n"
	line := func(t *Test) {
		value, _ := t.Value()
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", cell(t.ID), cell(t.Where()), cell(value), cell(t.Against()), bold(t.Verdict), cell(t.Reason))
	}
	if len(r.Tests) > count[Pass] {
		b.WriteString("\n" + header)
		for i := range r.Tests {
			if t := &r.Tests[i]; t.Verdict != Pass {
				line(t)
			}
		}
	}
	if words := r.Remarks(); len(words) > 0 {
		b.WriteString("\n<details><summary>Notes</summary>\n\n")
		for _, text := range words {
			b.WriteString("- " + cell(text) + "\n")
		}
		b.WriteString("\n</details>\n")
	}
	fmt.Fprintf(&b, "\n<details><summary>All %d results</summary>\n\n| test | where | metric | value | spread | baseline | verdict |\n|---|---|---|---|---|---|---|\n", len(r.Tests))
	for i := range r.Tests {
		t := &r.Tests[i]
		value, spread := t.Value()
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", cell(t.ID), cell(t.Where()), cell(t.Main), cell(value), cell(spread), cell(t.Against()), t.Verdict)
	}
	fmt.Fprintf(&b, "\n</details>\n\ncw %s, engines %s\n", cell(r.Tool.Version), cell(r.Tool.Engine))
	_, err := io.WriteString(w, b.String())
	return err
}

func bold(v Verdict) string {
	if v == Fail || v == Error {
		return "**" + string(v) + "**"
	}
	return string(v)
}

// cell makes text safe inside a table: what would end the cell or begin a
// tag, a link or a mark-up stays text.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	r := strings.NewReplacer("\n", " ", "\r", " ", "|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`, `\`, `\\`)
	return r.Replace(text)
}
