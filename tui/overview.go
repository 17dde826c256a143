package tui

import (
	"strconv"

	"cw/tui/source"
)

// paintView draws the view in h lines.
func (a *App) paintView(p *painter, h int) {
	if a.view == 0 {
		a.paintOverview(p, h)
		return
	}
	strip := 0
	if a.w >= 120 && a.h >= 30 && a.view != 2 {
		strip = 4
	}
	a.tableY = p.lines()
	a.list().paint(p, &a.c, h-strip, true)
	if strip > 0 {
		a.paintStrip(p)
	}
}

// paintStrip tells of the row under the cursor what its line has no room for.
func (a *App) paintStrip(p *painter) {
	p.repeat(stDim, a.g.hline, p.w)
	p.nl()
	line := func(s style, t string) {
		p.cell(s, []byte(t), p.w, false)
		p.nl()
	}
	switch a.view {
	case 1:
		if n := a.nodes.selected(); n != nil {
			line(stTitle, n.ID+"  content "+strconv.Itoa(n.Content)+"  "+n.Role+" "+n.Host+":"+strconv.Itoa(n.Port))
			line(stPlain, n.DataDir)
			line(stWarn, n.Detail)
		}
	case 3:
		if l := a.loads.selected(); l != nil {
			line(stTitle, l.ID+"  "+l.Target+"  "+l.Spec)
			line(stPlain, string(append(append(appendSize(nil, l.Bytes), " of "...), appendSize(nil, l.BytesTotal)...))+", "+strconv.FormatInt(l.Rows, 10)+" rows, "+strconv.FormatInt(l.Rejected, 10)+" rejected")
			line(stBad, l.Error)
		}
	case 4:
		if s := a.sess.selected(); s != nil {
			line(stTitle, strconv.Itoa(s.PID)+"  "+s.User+"@"+s.Database+"  "+s.App+"  "+s.Client+"  "+s.Wait)
			q := oneLine(nil, s.Query)
			n := fitting(q, p.w, a.g.ascii)
			line(stPlain, string(q[:n]))
			line(stPlain, string(q[n:]))
		}
	case 5:
		if e := a.evts.selected(); e != nil {
			line(stTitle, e.At.In(a.c.now.Location()).Format("2006-01-02 15:04:05 MST")+"  "+e.Kind+"  "+e.Host+"  "+e.Job)
			n := fitting([]byte(e.Message), p.w, a.g.ascii)
			line(stPlain, e.Message[:n])
			line(stPlain, e.Message[n:])
		}
	}
}

// paintOverview: what is wrong, the hosts, the segments, the loads and what
// happened last. From 160×45 on in two halves.
func (a *App) paintOverview(p *painter, h int) {
	if a.w < 160 || a.h < 45 {
		// What the upper part does not need goes to the events.
		loads := a.loadLines(h)
		upper := min(a.leftLines(p.w), h-loads-a.eventLines(h))
		a.overviewLeft(p, upper)
		a.overviewRight(p, loads, h-upper-loads)
		return
	}
	l, r := &a.over2, &a.side
	half := a.w/2 - 1
	l.reset(a.th, a.g, half)
	r.reset(a.th, a.g, a.w-half-3)
	a.overviewLeft(l, h)
	l.height(h)
	loads := min(a.loadLines(h*2), h/2)
	a.overviewRight(r, loads, h-loads)
	top := p.lines()
	for i := range h {
		p.inset(l, i)
		p.text(stDim, " "+a.g.vline+" ")
		p.inset(r, i)
		p.nl()
	}
	a.tableY += top
}

// loadLines and eventLines are the parts of a narrow overview at the bottom.
func (a *App) loadLines(h int) int {
	shown, _, _ := a.runs.counts()
	return min(max(shown, 1)+2, max(3, h/4))
}

// leftLines is what problems, hosts and segments would like to have.
func (a *App) leftLines(w int) int {
	cols := max(1, w/hostCellWidth)
	return len(a.problems()) + 1 + max(1, (len(a.snap.Hosts.Items)+cols-1)/cols) + 1 + a.matrixLines(w)
}

func (a *App) eventLines(h int) int {
	return min(6, max(2, h/5))
}

func (a *App) heading(p *painter, title string, note string) {
	p.text(stTitle, title)
	if note != "" {
		p.text(stDim, "  "+note)
	}
	p.nl()
}

// overviewLeft is problems, hosts and segments in at most h lines.
func (a *App) overviewLeft(p *painter, h int) {
	end := p.lines() + h
	if problems := a.problems(); len(problems) > 0 {
		rest := a.leftLines(p.w) - len(problems)
		most := min(len(problems), max(1, h-rest, h/3))
		for i := range most {
			more := ""
			if i == most-1 && len(problems) > most {
				more = "  and " + strconv.Itoa(len(problems)-most) + " more"
			}
			p.text(stBad, a.g.down+" ")
			p.cell(stPlain, []byte(problems[i]), min(cells([]byte(problems[i]), a.g.ascii), p.w-2-len(more)), false)
			p.text(stBad, more)
			p.nl()
		}
	}
	left := end - p.lines()
	matrix := a.matrixLines(p.w)
	room := max(1, min(matrix, left/2))
	a.paintHosts(p, left-room-1)
	if end-p.lines() >= 2 {
		a.paintMatrix(p, min(room, end-p.lines()-1))
	}
	p.height(end)
}

// hostCellWidth is what a host needs in the overview.
const hostCellWidth = 38

// paintHosts shows a host in a cell or two of each line, as many as fit; with
// the worst first when they do not.
func (a *App) paintHosts(p *painter, h int) {
	hosts := a.snap.Hosts.Items
	if h < 1 {
		return
	}
	cols := max(1, p.w/hostCellWidth)
	w := p.w / cols
	room := max(0, h-1) * cols
	note := ""
	if len(hosts) > room {
		note = "first " + strconv.Itoa(room) + " of " + strconv.Itoa(len(hosts)) + ", those in trouble first"
	}
	a.heading(p, "Hosts", note)
	if len(hosts) == 0 {
		if h > 1 {
			p.text(stDim, "  "+a.hosts.empty)
			p.nl()
		}
		return
	}
	order := make([]int, 0, len(hosts))
	for pass := range 2 {
		for i := range hosts {
			if hostTrouble(&hosts[i], a.c.now) == (pass == 0) {
				order = append(order, i)
			}
		}
	}
	if len(hosts) <= room { // all fit: as they come
		for i := range order {
			order[i] = i
		}
	}
	order = order[:min(len(order), room)]
	lines := (len(order) + cols - 1) / cols
	for row := range lines {
		for col := range cols {
			if i := col*lines + row; i < len(order) {
				p.to(col * w)
				a.hostCell(p, &hosts[order[i]], col*w+w-2)
			}
		}
		p.nl()
	}
}

// hostCell is one host up to column end.
func (a *App) hostCell(p *painter, h *source.Host, end int) {
	p.cell(stPlain, []byte(h.Name), 8, false)
	age, old := stale(h, a.c.now)
	switch {
	case old:
		a.lineBuf = appendSpan(append(a.lineBuf[:0], " stale "...), age)
		if h.SampledAt.IsZero() {
			a.lineBuf = append(a.lineBuf[:0], " no answer"...)
		}
		p.cell(stWarn, a.lineBuf, end-p.x, false)
		return
	case h.SampledAt.IsZero():
		p.text(stDim, " "+a.g.ellipsis)
		return
	}
	used := []struct {
		name      string
		v         float64
		warn, bad float64
	}{{"c", busy(h), 0.85, 0.97}, {"m", share(h.MemUsed, h.MemTotal), 0.85, 0.95}, {"d", h.DiskBusy, 0.85, 0.97}, {"f", fullest(h), 0.8, 0.9}}
	numbers := len(used) * 6
	if spark := end - p.x - numbers - 1; spark >= 4 && a.w >= 80 && a.h >= 20 {
		p.spaces(1)
		a.lineBuf = appendSpark(a.lineBuf[:0], h.CPUHist, min(spark, 40), 1, a.g.spark)
		p.bytes(stAccent, a.lineBuf)
	}
	for _, u := range used {
		a.lineBuf = appendPercent(append(a.lineBuf[:0], u.name...), u.v)
		if p.x+6 <= end {
			p.use(stPlain)
			p.cell(hot(u.v, u.warn, u.bad), a.lineBuf, 6, true)
		}
	}
}

func (a *App) matrixLines(w int) int { return max(1, (len(a.sum.matrix)+w-3)/max(1, w-2)) }

// paintMatrix shows a glyph a segment. Where they do not fit, a glyph stands
// for several and shows the worst of them: nothing wrong is left out.
func (a *App) paintMatrix(p *painter, h int) {
	m := a.sum.matrix
	title := "Nodes"
	if a.sum.pairs {
		title = "Segments"
	}
	per := 1
	for (len(m)+per-1)/per > h*max(1, p.w-2) {
		per++
	}
	p.text(stTitle, title)
	for _, s := range []health{healthOK, healthResync, healthSwitched, healthUnknown, healthDown} {
		n := 0
		for _, x := range m {
			if x == s {
				n++
			}
		}
		if n > 0 {
			p.text(s.style(), "  "+s.glyph(a.g)+" "+strconv.Itoa(n)+" "+s.word())
		}
	}
	if per > 1 {
		p.text(stDim, "  (a glyph is "+strconv.Itoa(per)+", the worst of them)")
	}
	p.nl()
	if len(m) == 0 {
		p.text(stDim, "  "+a.nodes.empty)
		p.nl()
		return
	}
	p.spaces(1)
	for i := 0; i < len(m); i += per {
		worst := healthOK
		for _, x := range m[i:min(i+per, len(m))] {
			worst = max(worst, x)
		}
		if p.x >= p.w-1 {
			p.nl()
			p.spaces(1)
		}
		p.text(worst.style(), worst.glyph(a.g))
	}
	p.nl()
}

// overviewRight is the running loads and the last events.
func (a *App) overviewRight(p *painter, loads, events int) {
	a.heading(p, "Loads", "")
	a.tableY = p.lines()
	a.runs.paint(p, &a.c, loads-1, true)
	a.heading(p, "Events", "")
	items := a.snap.Events.Items
	last := items[max(0, len(items)-(events-1)):]
	for i := range last {
		e := &last[i]
		p.spaces(2)
		a.lineBuf = eventTime(a.lineBuf[:0], &a.c, e)
		p.bytes(stDim, a.lineBuf)
		p.spaces(1)
		a.lineBuf = eventSeverity(a.lineBuf[:0], &a.c, e)
		p.cell(eventStyle(nil, e), a.lineBuf, 10, false)
		p.use(stPlain)
		p.spaces(1)
		a.lineBuf = append(a.lineBuf[:0], e.Message...)
		p.cell(stPlain, a.lineBuf, p.w-p.x, false)
		p.nl()
	}
	if len(last) == 0 && events > 1 {
		p.text(stDim, "  "+a.evts.empty)
		p.nl()
	}
}
