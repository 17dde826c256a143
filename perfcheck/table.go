package perfcheck

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// WriteTable writes a report for people: per area a line for each test and
// host, then the slowest and fastest host of each test, what deserves a word,
// and the verdict.
func WriteTable(w io.Writer, r *Report) error {
	var b strings.Builder
	var areas []Area
	for i := range r.Tests {
		if !slices.Contains(areas, r.Tests[i].Area) {
			areas = append(areas, r.Tests[i].Area)
		}
	}
	for _, area := range areas {
		rows := [][]string{{"TEST", "WHERE", "METRIC", "VALUE", "SPREAD", "BASELINE", "VERDICT"}}
		for i := range r.Tests {
			t := &r.Tests[i]
			if t.Area != area {
				continue
			}
			value, spread := t.Value()
			rows = append(rows, []string{t.ID, t.Where(), t.Main, value, spread, t.Against(), string(t.Verdict)})
		}
		fmt.Fprintf(&b, "%s\n", strings.ToUpper(string(area)))
		align(&b, rows)
		b.WriteString("\n")
	}
	if rows := extremes(r); len(rows) > 1 {
		b.WriteString("SUMMARY\n")
		align(&b, rows)
		b.WriteString("\n")
	}
	if words := append(r.Network.words(), r.Remarks()...); len(words) > 0 {
		b.WriteString("NOTES\n")
		for _, line := range words {
			b.WriteString("  " + oneLine(line) + "\n")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "verdict: %s", r.Verdict)
	if r.Reason != "" {
		b.WriteString(": " + oneLine(r.Reason))
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine keeps what came from a host from breaking lines or writing control
// characters to the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// align writes rows in columns.
func align(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			cell = oneLine(cell)
			row[i] = cell
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString("  " + cell + strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// extremes are, of each test that ran in several places, the slowest, the
// fastest and the sum: what gpcheckperf's users look at first.
func extremes(r *Report) [][]string {
	rows := [][]string{{"TEST", "METRIC", "MIN", "MAX", "AVG", "SUM"}}
	for _, group := range groups(r) {
		if len(group) < 2 {
			continue
		}
		low, high, sum := group[0], group[0], 0.0
		for _, t := range group {
			v := t.Metrics[t.Main].Value
			sum += v
			if v < low.Metrics[low.Main].Value {
				low = t
			}
			if v > high.Metrics[high.Main].Value {
				high = t
			}
		}
		m := low.Metrics[low.Main]
		total := "-"
		if m.Unit == BytesPerSecond || m.Unit == PerSecond {
			total = FormatValue(sum, m.Unit)
		}
		rows = append(rows, []string{
			low.ID, low.Main,
			fmt.Sprintf("%s [%s]", FormatValue(m.Value, m.Unit), low.Where()),
			fmt.Sprintf("%s [%s]", FormatValue(high.Metrics[high.Main].Value, m.Unit), high.Where()),
			FormatValue(sum/float64(len(group)), m.Unit), total,
		})
	}
	return rows
}

// groups are the measured tests by id, in the report's order.
func groups(r *Report) [][]*Test {
	var out [][]*Test
	index := map[string]int{}
	for i := range r.Tests {
		t := &r.Tests[i]
		if _, ok := t.Metrics[t.Main]; !ok || t.Verdict == Error {
			continue
		}
		n, ok := index[t.ID]
		if !ok {
			n = len(out)
			index[t.ID] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], t)
	}
	return out
}

// Remarks are one sentence for each thing that deserves it: reasons, events,
// and flags, equal ones of several tests together.
func (r *Report) Remarks() []string {
	var out []string
	for i := range r.Tests {
		t := &r.Tests[i]
		who := strings.TrimSpace(t.ID + " " + t.Where())
		if t.Verdict != Pass && t.Reason != "" {
			out = append(out, fmt.Sprintf("%s: %s: %s", who, t.Verdict, t.Reason))
		}
		for _, e := range t.Events {
			if !strings.Contains(t.Reason, e.Text) {
				out = append(out, fmt.Sprintf("%s: %s: %s", who, e.Kind, e.Text))
			}
		}
	}
	var flags []string
	for i := range r.Tests {
		flags = insert(flags, r.Tests[i].Flags...)
	}
	for _, f := range flags {
		var who []string
		for i := range r.Tests {
			if slices.Contains(r.Tests[i].Flags, f) {
				who = append(who, strings.TrimSpace(r.Tests[i].ID+" "+r.Tests[i].Where()))
			}
		}
		const most = 3
		where := strings.Join(who[:min(len(who), most)], ", ")
		switch {
		case len(who) == len(r.Tests) && len(who) > most:
			where = "all tests"
		case len(who) > most:
			where += fmt.Sprintf(" and %d more", len(who)-most)
		}
		text := ExplainFlag(f)
		if text != f {
			text = f + ": " + text
		}
		out = append(out, fmt.Sprintf("%s (%s)", text, where))
	}
	for _, h := range r.Hosts {
		if h.Error != "" {
			out = append(out, h.Name+": "+h.Error)
		}
	}
	return out
}
