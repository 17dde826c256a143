package report

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"cw/chart"
	"cw/schema"
	"cw/state"
	"cw/template"
)

// figure is a drawing with its caption.
type figure struct {
	Caption string
	SVG     template.Trusted
	Legend  []legend
}

type legend struct{ Class, Name string }

// line is a line over time.
type line struct {
	class, name string
	points      []Point
}

// timeAxis is an axis of days with about so many marks.
func timeAxis(from, to time.Time, marks float64) *chart.Axis {
	a := &chart.Axis{Low: float64(from.Unix()), High: float64(max(to.Unix(), from.Unix()+1)), From: chart.Left, To: chart.Right}
	step := (a.High - a.Low) / marks
	layout := "2 Jan"
	if step < 86400 {
		layout = "2 Jan 15:04"
		step *= 2 // such marks are longer
	}
	for v := a.Low; v <= a.High+1; v += step {
		a.Marks = append(a.Marks, v)
	}
	a.Format = func(v float64) string { return time.Unix(int64(v), 0).UTC().Format(layout) }
	return a
}

func bytesText(v float64) string { return schema.FormatSize(int64(v)) }

// overTime draws lines of bytes; those of class limit are bounds across.
func overTime(label string, lines []line, from, to time.Time) template.Trusted {
	high := 1.0
	for _, l := range lines {
		for _, p := range l.points {
			high = max(high, p.Value)
		}
	}
	d := chart.New(chart.Width, chart.Height, "chart", label)
	x, y := timeAxis(from, to, 4), chart.Linear(high, chart.Bottom, chart.Top, bytesText)
	d.Frame(x, y)
	for _, l := range lines {
		var points []chart.Point
		for _, p := range l.points {
			points = append(points, chart.Point{X: float64(p.At.Unix()), Y: p.Value})
		}
		points = chart.Thin(points)
		for i, p := range points {
			points[i] = chart.Point{X: x.At(p.X), Y: y.At(p.Y)}
		}
		d.Path("line "+l.class, points, l.name)
	}
	return d.HTML()
}

// diskCharts are one for each file system that has a history: what was in
// use, where that leads, and how much there is.
func (r *Report) diskCharts() []figure {
	var out []figure
	if r.Capacity == nil {
		return nil
	}
	for _, h := range r.Capacity.Hosts {
		for _, m := range h.Mounts {
			if len(m.History) < 2 {
				continue
			}
			from, to := m.History[0].At, m.History[len(m.History)-1].At
			span := to.Sub(from)
			lines := []line{{"s1", "in use", m.History}}
			legends := []legend{{"s1", "in use"}}
			full := float64(m.Used + m.Free)
			if rate := m.Forecast.BytesPerDay; rate != nil && *rate > 0 {
				// As far ahead as was looked back, or until it is full.
				end := to.Add(span)
				if at := m.Forecast.FullAt; at != nil && at.Before(end) {
					end = *at
				}
				last := m.History[len(m.History)-1].Value
				ahead := min(full, last+*rate*end.Sub(to).Hours()/24)
				lines = append(lines, line{"earlier", "forecast", []Point{{At: to, Value: last}, {At: end, Value: ahead}}})
				legends = append(legends, legend{"earlier", "forecast"})
				to = end.Add(span / 20)
			}
			lines = append(lines, line{"s2", "size", []Point{{At: from, Value: full}, {At: to, Value: full}}})
			legends = append(legends, legend{"s2", "full"})
			caption := h.Name + " " + m.Path
			if m.Forecast.FullAt != nil {
				caption += ", full on " + m.Forecast.FullAt.UTC().Format("2 January 2006") + " (confidence: " + m.Forecast.Confidence + ")"
			} else if m.Forecast.WhyNot != "" {
				caption += ": " + m.Forecast.WhyNot
			}
			out = append(out, figure{oneLine(caption), overTime(caption, lines, from, to), legends})
			if len(out) == 24 {
				return out // a page of a hundred hosts is not read
			}
		}
	}
	return out
}

// databaseCharts are the sizes now, and over time where that is known.
func (r *Report) databaseCharts() []figure {
	if r.Capacity == nil {
		return nil
	}
	var all []bar
	var lines []line
	var legends []legend
	var from, to time.Time
	for i, d := range r.Capacity.Databases {
		if i == 12 {
			break
		}
		all = append(all, bar{d.Name, float64(d.Size), schema.FormatSize(d.Size)})
		if h := d.History; len(h) > 1 && len(lines) < 6 {
			if from.IsZero() || h[0].At.Before(from) {
				from = h[0].At
			}
			if h[len(h)-1].At.After(to) {
				to = h[len(h)-1].At
			}
			class := "s" + strconv.Itoa(len(lines)+1)
			lines, legends = append(lines, line{class, d.Name, h}), append(legends, legend{class, oneLine(d.Name)})
		}
	}
	out := bars("Size of the databases", all)
	if len(lines) > 0 {
		out = append(out, figure{"Size of the databases over time", overTime("size of databases over time", lines, from, to), legends})
	}
	return out
}

func (r *Report) tableChart() []figure {
	var all []bar
	for _, t := range r.Tables[:min(len(r.Tables), 12)] {
		all = append(all, bar{t.Schema + "." + t.Name, float64(t.Size), schema.FormatSize(t.Size)})
	}
	return bars("Largest tables with indexes and toast", all)
}

func (r *Report) queryChart() []figure {
	var all []bar
	for i, q := range r.Queries[:min(len(r.Queries), 12)] {
		all = append(all, bar{strconv.Itoa(i+1) + ". " + q.Query, q.Share, percent(q.Share)})
	}
	return bars("Share of the database's time", all)
}

// bar is one of a chart of bars.
type bar struct {
	name  string
	value float64
	text  string
}

// bars draws bars with their names above them: names of tables are long.
func bars(caption string, all []bar) []figure {
	high := 0.0
	for _, b := range all {
		high = max(high, b.value)
	}
	if len(all) < 2 || high <= 0 {
		return nil
	}
	const row, left, right = 27.0, 2.0, 300.0
	d := chart.New(chart.Width, row*float64(len(all))+4, "chart bars", caption)
	for i, b := range all {
		y := row * float64(i)
		d.Text(left, y+11, "start", clip(oneLine(b.name), 54))
		d.Bar("bar", left, y+15, b.value/high*(right-left), 7, oneLine(b.name)+": "+b.text)
		d.Text(left+b.value/high*(right-left)+5, y+22, "start", b.text)
	}
	return []figure{{Caption: caption, SVG: d.HTML()}}
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// alertChart shows when alerts fired, a row for each rule.
func (r *Report) alertChart() []figure {
	if len(r.Alerts) == 0 {
		return nil
	}
	var rules []string
	for _, a := range r.Alerts {
		if !slices.Contains(rules, a.Rule) && len(rules) < 12 {
			rules = append(rules, a.Rule)
		}
	}
	slices.Sort(rules)
	from := r.MadeAt.Add(-BackDays * 24 * time.Hour)
	x := timeAxis(from, r.MadeAt, 3)
	x.From = 120
	const row = 16.0
	bottom := 8 + row*float64(len(rules))
	d := chart.New(chart.Width, bottom+24, "chart", "alerts of the last days by rule")
	for _, m := range x.Marks {
		d.Line("grid", x.At(m), 4, x.At(m), bottom)
		anchor := "middle"
		if x.At(m) > chart.Right-20 {
			anchor = "end"
		}
		d.Text(x.At(m), bottom+14, anchor, x.Format(m))
	}
	for i, rule := range rules {
		d.Text(x.From-6, 8+row*float64(i)+11, "end", clip(rule, 20))
	}
	for _, a := range r.Alerts {
		i := slices.Index(rules, a.Rule)
		if i < 0 {
			continue
		}
		end, class := a.ResolvedAt, "a-warning"
		if end.IsZero() {
			end = r.MadeAt
		}
		if a.Severity == state.Critical {
			class = "a-critical"
		}
		begin := x.At(float64(a.BeganAt.Unix()))
		title := fmt.Sprintf("%s, %s: %s", clock(a.FiredAt), alertLength(a), oneLine(a.Message))
		d.Bar(class, begin, 8+row*float64(i)+3, max(3, x.At(float64(end.Unix()))-begin), row-6, title)
	}
	return []figure{{"When alerts fired", d.HTML(), []legend{{"a-critical", "critical"}, {"a-warning", "warning"}}}}
}
