package html

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/chart"
	"cw/perfcheck"
	"cw/template"
)

// page is what the template shows.
type page struct {
	Style   template.Trusted
	Title   string
	Report  *perfcheck.Report
	Facts   []fact
	Counts  []count
	Trouble []row
	Hosts   []host
	Areas   []area
	Notes   []string
	Compare *comparison
}

type fact struct{ Name, Value string }

type count struct {
	N       int
	Verdict verdict
}

// verdict is one with the sign that tells it without colours.
type verdict perfcheck.Verdict

// sign is a character for those who do not see the colour.
func sign(v verdict) string {
	switch perfcheck.Verdict(v) {
	case perfcheck.Pass:
		return "✓"
	case perfcheck.Warn:
		return "!"
	case perfcheck.Inconclusive:
		return "?"
	case perfcheck.Skipped:
		return "–"
	}
	return "✕"
}

// row is a result in a table.
type row struct {
	ID, Where, Value, Spread, Against, Reason string
	Verdict                                   verdict
	Flags                                     []string
}

type area struct {
	Name   string
	Title  string
	Groups []*group
}

func newPage(r, earlier *perfcheck.Report) *page {
	p := &page{
		Style: template.Trusted(chart.Style() + style), // cw's own files
		Title: "cw perf " + r.Run.ID, Report: r, Notes: r.Remarks(),
	}
	p.Facts = facts(r)
	for _, v := range []perfcheck.Verdict{perfcheck.Fail, perfcheck.Error, perfcheck.Inconclusive, perfcheck.Warn, perfcheck.Pass, perfcheck.Skipped} {
		n := 0
		for i := range r.Tests {
			if r.Tests[i].Verdict == v {
				n++
			}
		}
		if n > 0 {
			p.Counts = append(p.Counts, count{n, verdict(v)})
		}
	}
	for i := range r.Tests {
		if t := &r.Tests[i]; t.Verdict != perfcheck.Pass && t.Verdict != perfcheck.Skipped {
			p.Trouble = append(p.Trouble, rowOf(t))
		}
	}
	for i := range r.Hosts {
		p.Hosts = append(p.Hosts, hostOf(&r.Hosts[i]))
	}
	p.Areas = areas(r, earlier)
	if earlier != nil {
		p.Compare = compare(earlier, r)
	}
	return p
}

func facts(r *perfcheck.Report) []fact {
	out := []fact{
		{"run", r.Run.ID},
		{"profile", r.Run.Profile},
		{"started", clock(r.Run.Started)},
		{"took", r.Run.Finished.Sub(r.Run.Started).Round(time.Second).String()},
		{"measured by", "cw " + r.Tool.Version + ", engines " + r.Tool.Engine},
	}
	if len(r.Run.Argv) > 0 {
		out = append(out, fact{"command", strings.Join(r.Run.Argv, " ")})
	}
	if !r.Run.Complete {
		out = append(out, fact{"incomplete", "the run was cut off: cw perf resume " + r.Run.ID})
	}
	return out
}

func rowOf(t *perfcheck.Test) row {
	value, spread := t.Value()
	out := row{ID: t.ID, Where: t.Where(), Value: value, Spread: spread, Against: t.Against(), Reason: t.Reason, Verdict: verdict(t.Verdict)}
	for _, f := range t.Flags {
		out.Flags = append(out.Flags, flagText(f))
	}
	return out
}

// clock writes a moment to the minute.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func flagText(flag string) string {
	text := perfcheck.ExplainFlag(flag)
	if text == flag {
		return strings.ReplaceAll(flag, "_", " ")
	}
	return strings.ReplaceAll(flag, "_", " ") + ": " + text
}

// areas are the tests by area and id, in the report's order.
func areas(r, earlier *perfcheck.Report) []area {
	var out []area
	for i := range r.Tests {
		t := &r.Tests[i]
		n := slices.IndexFunc(out, func(a area) bool { return a.Name == string(t.Area) })
		if n < 0 {
			n = len(out)
			out = append(out, area{Name: string(t.Area), Title: areaTitle(t.Area)})
		}
		a := &out[n]
		g := slices.IndexFunc(a.Groups, func(g *group) bool { return g.ID == t.ID })
		if g < 0 {
			g = len(a.Groups)
			a.Groups = append(a.Groups, &group{ID: t.ID, Title: t.Title})
		}
		a.Groups[g].tests = append(a.Groups[g].tests, t)
	}
	for _, a := range out {
		for _, g := range a.Groups {
			if earlier != nil {
				for i := range earlier.Tests {
					if t := &earlier.Tests[i]; t.ID == g.ID {
						g.earlier = append(g.earlier, t)
					}
				}
			}
			g.fill()
		}
	}
	return out
}

func areaTitle(a perfcheck.Area) string {
	switch a {
	case perfcheck.CPU:
		return "CPU"
	case perfcheck.Net:
		return "Network"
	case perfcheck.VIP:
		return "Virtual address"
	case perfcheck.DB:
		return "Database"
	case perfcheck.Object:
		return "Object storage"
	case perfcheck.Replace:
		return "Replacement of a node"
	}
	name := string(a)
	return strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
}

// comparison is the run against an earlier one.
type comparison struct {
	A, B  perfcheck.Run
	Notes []string
	Rows  []changed
	Same  int // metrics without a change that are not listed
}

type changed struct {
	perfcheck.Changed
	AText, BText, RatioText, NoiseText string
	// Bar is the place of the ratio on a scale from a quarter to four times,
	// 0 to 100; Left and Width are of the bar from 1 to it.
	Left, Width float64
}

func compare(a, b *perfcheck.Report) *comparison {
	d := perfcheck.Compare(a, b)
	c := &comparison{A: d.A, B: d.B, Notes: d.Notes}
	for _, m := range d.Metrics {
		if m.Change == perfcheck.ChangeSame || m.Change == perfcheck.ChangeUnclear {
			if !m.Main() {
				c.Same++
				continue
			}
		}
		row := changed{Changed: m, AText: perfcheck.FormatValue(m.A, m.Unit), BText: perfcheck.FormatValue(m.B, m.Unit)}
		if m.Metric == "" {
			row.AText, row.BText = "–", "–"
		}
		if m.Ratio > 0 {
			row.RatioText, row.NoiseText = fmt.Sprintf("%.2f", m.Ratio), fmt.Sprintf("±%.1f %%", 100*m.Noise)
			at := onScale(m.Ratio)
			row.Left, row.Width = min(50, at), max(at, 100-at)-50
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}
