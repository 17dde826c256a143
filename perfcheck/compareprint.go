package perfcheck

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// rows are the lines for people: the main metric of every test, and others
// that changed.
func (d *Difference) rows(all bool) [][]string {
	rows := [][]string{{"TEST", "WHERE", "METRIC", "A", "B", "B / A", "NOISE", "CHANGE"}}
	for _, c := range d.Metrics {
		if !all && !c.main && c.Change != ChangeWorse && c.Change != ChangeBetter {
			continue
		}
		where, ratio, noise := c.Where, "-", "-"
		if where == "" {
			where = "all"
		}
		if c.Ratio > 0 {
			ratio, noise = fmt.Sprintf("%.2f", c.Ratio), fmt.Sprintf("±%.1f %%", 100*c.Noise)
		}
		a, b := FormatValue(c.A, c.Unit), FormatValue(c.B, c.Unit)
		if c.Metric == "" {
			a, b = "-", "-"
		}
		change := c.Change
		if c.Note != "" {
			change += " (" + c.Note + ")"
		}
		rows = append(rows, []string{c.ID, where, c.Metric, a, b, ratio, noise, change})
	}
	return rows
}

// WriteTable writes the difference for people; all includes metrics that are
// neither a test's main one nor changed.
func (d *Difference) WriteTable(w io.Writer, all bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "A: %s of %s\nB: %s of %s\n", d.A.ID, d.A.Started.UTC().Format("2006-01-02 15:04"), d.B.ID, d.B.Started.UTC().Format("2006-01-02 15:04"))
	for _, n := range d.Notes {
		b.WriteString("note: " + n + "\n")
	}
	b.WriteString("\n")
	align(&b, d.rows(all))
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes the difference for a pull request.
func (d *Difference) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## Performance: %s against %s\n\n", cell(d.B.ID), cell(d.A.ID))
	for _, n := range d.Notes {
		b.WriteString("- " + cell(n) + "\n")
	}
	for i, row := range d.rows(false) {
		for _, text := range row {
			b.WriteString("| " + cell(text) + " ")
		}
		b.WriteString("|\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the document.
func (d *Difference) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}
