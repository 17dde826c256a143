package report

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"cw/chart"
	"cw/monitor/inspect"
	"cw/template"
)

//go:embed page.html.tmpl
var pageTemplate string

//go:embed style.css
var style string

// WriteHTML prints a report as one page that needs nothing else: no network,
// no script, no font. Its own security policy forbids it to load anything.
func WriteHTML(w io.Writer, r *Report) error {
	t, err := template.Parse("page", pageTemplate, template.Options{
		Funcs:  map[string]any{"sign": sign, "heading": heading},
		Escape: template.EscapeHTML,
	})
	if err != nil {
		return fmt.Errorf("the page's template: %w", err)
	}
	return t.Execute(w, newPage(r))
}

// page is what the template shows.
type page struct {
	Style   template.Trusted
	Title   string
	Report  *Report
	Facts   []fact
	Counts  []tally
	Groups  []pageGroup
	Omitted []string
	Parts   []pagePart
}

type fact struct{ Name, Value string }

type tally struct {
	N int
	S severity
}

// severity is one with the sign that tells it without colours.
type severity string

// sign is a character for those who do not see the colour.
func sign(s severity) string {
	switch s {
	case "critical":
		return "✕"
	case "warning":
		return "!"
	}
	return "i"
}

// heading is the severity above its findings.
func heading(s severity) string { return strings.ToUpper(string(s[:1])) + string(s[1:]) }

type pageGroup struct {
	Severity severity
	Rules    []pageRule
}

type pageRule struct {
	Name, Title string
	Findings    []pageFinding
	More        int
	Remedies    []string
}

type pageFinding struct{ Where, Text string }

type pagePart struct {
	part
	Head   []head
	Cells  [][]td
	Charts []figure
}

type head struct {
	Name  string
	Right bool
}

type td struct {
	Text  string
	Right bool
	Long  bool
}

// longCell is from how many characters on a cell may take several lines.
const longCell = 28

func newPage(r *Report) *page {
	p := &page{
		Style: template.Trusted(chart.Style() + style), // cw's own files
		Title: "Inspection of " + r.Cluster, Report: r, Omitted: r.omittedText(),
	}
	p.Facts = []fact{{"engine", r.Engine.Kind + " " + r.Engine.Version}, {"made", clock(r.MadeAt)}, {"by", r.By}}
	if r.Health != nil {
		e := r.Health.Endpoint
		p.Facts = append(p.Facts, fact{"endpoint", fmt.Sprintf("%s:%d, database %s", e.Host, e.Port, e.Database)})
	}
	p.Facts = append(p.Facts, fact{"rules asked", fmt.Sprint(r.Asked)})
	for _, c := range []struct {
		n int
		s inspect.Severity
	}{{r.Summary.Critical, inspect.Critical}, {r.Summary.Warning, inspect.Warning}, {r.Summary.Notice, inspect.Notice}} {
		if c.n > 0 {
			p.Counts = append(p.Counts, tally{c.n, severity(c.s)})
		}
	}
	for _, g := range r.groups() {
		out := pageGroup{Severity: severity(g.severity)}
		for _, rule := range g.rules {
			pr := pageRule{Name: rule.name, Title: rule.title, More: rule.more, Remedies: rule.remedies}
			for _, f := range rule.findings {
				pr.Findings = append(pr.Findings, pageFinding{f.where(), f.Text})
			}
			out.Rules = append(out.Rules, pr)
		}
		p.Groups = append(p.Groups, out)
	}
	for _, s := range r.parts() {
		p.Parts = append(p.Parts, r.pagePart(s))
	}
	return p
}

func (r *Report) pagePart(s part) pagePart {
	out := pagePart{part: s}
	for _, c := range s.Cols {
		name, right := strings.CutPrefix(c, ">")
		out.Head = append(out.Head, head{strings.ToLower(name), right})
	}
	for _, row := range s.Rows {
		var cells []td
		for i, c := range row {
			c = oneLine(c)
			cells = append(cells, td{c, out.Head[i].Right, len(c) > longCell})
		}
		out.Cells = append(out.Cells, cells)
	}
	switch s.ID {
	case SectionCapacity:
		out.Charts = r.diskCharts()
	case "databases":
		out.Charts = r.databaseCharts()
	case SectionTables:
		out.Charts = r.tableChart()
	case SectionQueries:
		out.Charts = r.queryChart()
	case SectionAlerts:
		out.Charts = r.alertChart()
	}
	return out
}
