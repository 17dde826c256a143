package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"cw/tui/source"
)

// viewNames are the views, and what they are called where there is no room.
var viewNames = [viewCount][2]string{ //nolint:gochecknoglobals // constant table
	{"Overview", "Over"}, {"Segments", "Seg"}, {"Hosts", "Hosts"}, {"Loads", "Loads"}, {"Sessions", "Sess"}, {"Events", "Events"},
}

// viewData is what a view may lack for want of a privilege.
var viewData = [viewCount][]string{ //nolint:gochecknoglobals // constant table
	1: {"lag"}, 4: {"sessions", "blocked_by", "query", "resgroup"},
}

// paint makes the frame: exactly h lines of at most w cells.
func (a *App) paint() {
	a.cur = nil
	p := &a.body
	p.reset(a.th, a.g, a.w)
	if a.w < 40 || a.h < 10 {
		a.paintTiny(p)
	} else {
		a.paintHeader(p)
		a.paintTabs(p)
		a.bodyY, a.tableY = 2, -1
		room := a.h - 3
		if a.prompt != nil {
			room -= a.promptLines()
		}
		switch {
		case a.help:
			a.paintHelp(p, room)
		case a.page() != nil:
			a.paintPage(p, a.page(), room)
		default:
			a.paintView(p, room)
		}
		p.height(2 + room)
		if a.prompt != nil {
			a.paintPrompt(p)
			p.height(a.h - 1)
		}
		a.paintFooter(p)
	}
	p.height(a.h)
	a.assemble(p)
}

// assemble puts a dialog over the picture and makes it one string.
func (a *App) assemble(p *painter) {
	a.final = a.final[:0]
	top, n := 0, 0
	if a.dialog != nil && a.w >= 40 && a.h >= 10 {
		o := &a.over2
		o.reset(a.th, a.g, min(a.w, 76))
		a.paintDialog(o, a.h-2)
		n = o.lines()
		top = max(0, (a.h-n)/2)
	}
	for i := range p.lines() {
		if i > 0 {
			a.final = append(a.final, '\n')
		}
		if i < top || i >= top+n {
			a.final = append(a.final, p.line(i)...)
			continue
		}
		for range (a.w - a.over2.w) / 2 {
			a.final = append(a.final, ' ')
		}
		a.final = append(a.final, a.over2.line(i-top)...)
	}
	if a.cur != nil && a.dialog != nil {
		a.cur.X += (a.w - a.over2.w) / 2
		a.cur.Y += top
	}
	a.frame = string(a.final)
}

// paintTiny is what there is below 40×10: health, and what would be needed.
func (a *App) paintTiny(p *painter) {
	a.stateWord(p)
	p.nl()
	if a.h > 1 {
		p.text(stPlain, fmt.Sprintf("need 40x10, have %dx%d; q quits", a.w, a.h))
		p.nl()
	}
}

// stateWord is the shortest answer to "is it well?".
func (a *App) stateWord(p *painter) {
	c := &a.snap.Cluster
	if c.Name == "" && !c.CollectedAt.IsZero() {
		p.text(stTitle, "no cluster")
		return
	}
	if c.Name != "" {
		p.text(stTitle, c.Name+" ")
	}
	switch c.State {
	case "up":
		p.text(stGood, a.g.ok+" up")
	case "degraded":
		p.text(stWarn, a.g.down+" degraded")
	case "down":
		p.text(stBad, a.g.down+" down")
	case "":
		p.text(stDim, "asking"+a.g.ellipsis)
	default:
		p.text(stWarn, a.g.unknown+" "+c.State)
	}
}

func (a *App) paintHeader(p *painter) {
	right := a.lineBuf[:0]
	right = appendEvery(right, a.opts.Interval)
	right = append(right, ' ')
	st := stGood
	switch {
	case !a.heldAt.IsZero():
		right, st = append(append(append(right, a.g.paused...), "held "...), a.heldFor()...), stWarn
	case a.over:
		right, st = append(right, "ended"...), stWarn
	default:
		right = append(append(right, a.g.live...), "live"...)
	}
	if a.doing > 0 {
		right = append([]byte("working  "), right...)
	}
	if a.opts.ReadOnly {
		right = append([]byte("read-only  "), right...)
	}
	room := a.w - cells(right, a.g.ascii) - 3
	p.text(stTitle, "cw ")
	a.stateWord(p)
	m, c := a.sum, &a.snap.Cluster
	// part writes a piece when it fits whole.
	part := func(s style, t string) {
		if p.x+2+cells([]byte(t), a.g.ascii) <= room {
			p.text(stPlain, "  ")
			p.text(s, t)
		}
	}
	if m.down > 0 {
		part(stBad, "!"+strconv.Itoa(m.down)+" down")
	}
	if m.unknown > 0 {
		part(stWarn, "?"+strconv.Itoa(m.unknown)+" unknown")
	}
	if m.waiting > 0 {
		part(stBad, strconv.Itoa(m.waiting)+" waiting")
	}
	if m.all > 0 {
		word := "nodes "
		if m.pairs {
			word = "seg "
		}
		part(stPlain, word+strconv.Itoa(m.up)+"/"+strconv.Itoa(m.all))
	}
	if m.running+m.paused > 0 {
		part(stPlain, "loads "+strconv.Itoa(m.running+m.paused))
		part(stAccent, string(appendRate(nil, m.rate)))
	}
	if m.resync > 0 {
		part(stWarn, "resync "+strconv.Itoa(m.resync))
	}
	if m.switched > 0 {
		part(stWarn, "switched "+strconv.Itoa(m.switched))
	}
	if c.Engine != "" {
		part(stDim, c.Engine+" "+c.Version)
	}
	if !c.StartedAt.IsZero() {
		part(stDim, string(appendSpan([]byte("up "), a.c.now.Sub(c.StartedAt))))
	}
	p.to(a.w - cells(right, a.g.ascii) - 1)
	p.bytes(st, right)
	p.nl()
	a.lineBuf = right
}

func (a *App) heldFor() string {
	return string(appendSpan(nil, a.opts.Now().Sub(a.heldAt)))
}

func appendEvery(b []byte, d time.Duration) []byte {
	b = strconv.AppendFloat(b, d.Seconds(), 'f', -1, 64)
	return append(b, 's')
}

func (a *App) paintTabs(p *painter) {
	short := 1
	if a.w >= 100 {
		short = 0
	}
	for i := range viewNames {
		p.text(stPlain, " ")
		a.tabs[i] = p.x
		name := viewNames[i][short]
		if a.w < 80 && i != a.view {
			name = "" // the number alone
		}
		label := strconv.Itoa(i+1) + " " + name
		if name == "" {
			label = strconv.Itoa(i + 1)
		}
		if i == a.view {
			p.text(stSel, " "+label+" ")
		} else {
			p.text(stDim, label)
		}
	}
	a.tabs[viewCount] = p.x
	note, help := a.tabNote(), "? help"
	room := a.w - p.x - 2
	if n := cells([]byte(note), a.g.ascii); n+2+len(help) > room {
		note = string(a.cut(note, room-2-len(help)))
	}
	if room >= len(help) {
		p.to(a.w - 1 - len(help) - cells([]byte(note), a.g.ascii) - 2)
		st := stDim
		if _, all, marks := a.list().counts(); marks > 0 || !strings.HasPrefix(note, strconv.Itoa(all)+" rows") {
			st = stKey // something is left out
		}
		p.text(st, note)
		p.text(stDim, "  "+help)
	}
	p.nl()
}

// tabNote says what is left out and in which order the rows are.
func (a *App) tabNote() string {
	l := a.list()
	shown, all, marks := l.counts()
	if a.page() != nil || a.view == 0 {
		return ""
	}
	var parts []string
	if marks > 0 {
		parts = append(parts, strconv.Itoa(marks)+" marked")
	}
	if l.onlyProblems() {
		parts = append(parts, "problems only")
	}
	if a.view == 4 && a.set != sessionsAll {
		parts = append(parts, a.set.String())
	}
	if a.view == 5 && a.evts.follow {
		parts = append(parts, "following")
	}
	if shown != all {
		parts = append(parts, strconv.Itoa(shown)+" of "+strconv.Itoa(all))
	} else {
		parts = append(parts, strconv.Itoa(all)+" rows")
	}
	if f := l.filterText(); f != "" {
		parts = append(parts, "/"+f)
	}
	return strings.Join(parts, "  ")
}

// cut is text in at most n cells, with an ellipsis where something is missing.
func (a *App) cut(text string, n int) []byte {
	if n < 1 {
		return nil
	}
	out, _, cut := appendSafe(nil, []byte(text), n, a.g.ascii)
	if cut {
		out, _, _ = appendSafe(out[:0], []byte(text), n-1, a.g.ascii)
		out = append(out, a.g.ellipsis...)
	}
	return out
}

// notice is the most important thing that is wrong with what is shown.
func (a *App) notice() (style, string) {
	if a.failure != nil {
		return stBad, a.failure.Error()
	}
	s := a.snap
	sections := [viewCount]source.Section{s.Cluster.Section, s.Nodes.Section, s.Hosts.Section, s.Loads.Section, s.Sessions.Section, s.Events.Section}
	if sec := sections[a.view]; sec.Err != "" {
		if sec.CollectedAt.IsZero() {
			return stWarn, sec.Err
		}
		return stWarn, string(appendSpan([]byte("as of "), a.c.now.Sub(sec.CollectedAt))) + " ago: " + sec.Err
	}
	if a.view == 0 || a.view == 2 {
		for i := range s.Hosts.Items {
			h := &s.Hosts.Items[i]
			if age, old := stale(h, a.c.now); old {
				note := h.Name + ": " + h.Err
				if h.Err == "" {
					note = h.Name + ": no sample"
				}
				if h.SampledAt.IsZero() {
					return stWarn, note + ", never answered"
				}
				return stWarn, string(appendSpan([]byte(note+", last sample "), age)) + " ago"
			}
		}
	}
	for _, k := range viewData[a.view] {
		if why := s.Degraded[k]; why != "" {
			return stDim, k + ": " + why
		}
	}
	return stDim, ""
}

// paintFooter is the message, or else what is wrong, and the keys.
func (a *App) paintFooter(p *painter) {
	st, note := a.msgStyle, a.msg
	if note == "" {
		st, note = a.notice()
	}
	left := 0
	if note != "" {
		left = min(cells([]byte(note), a.g.ascii), max(a.w/2, a.w-28))
		p.text(stPlain, " ")
		p.cell(st, []byte(note), left, false)
		left += 3
	}
	at, room := a.place(), a.w-left-1
	a.lineBuf = a.lineBuf[:0]
	used := 0
	var shown [16]*binding
	n := 0
	for i := range bindings {
		b := &bindings[i]
		if b.foot == "" || b.where&at == 0 || n == len(shown) {
			continue
		}
		need := len(b.keys[0]) + 1 + len(b.foot) + 2
		if used+need > room {
			continue
		}
		used += need
		shown[n] = b
		n++
	}
	p.to(a.w - used)
	for _, b := range shown[:n] {
		st := stKey
		if a.disabled(b) != "" {
			st = stDim
		}
		p.text(st, keyName(b.keys[0]))
		p.text(stDim, " "+b.foot+"  ")
	}
	p.nl()
}

// mouse does what wheel and clicks mean; only with --mouse.
func (a *App) mouse(m tea.MouseMsg) {
	if !a.opts.Mouse || a.dialog != nil || a.prompt != nil || a.help {
		return
	}
	a.dirty = true
	ev := m.Mouse()
	switch m.(type) {
	case tea.MouseWheelMsg:
		n := 3
		if ev.Button == tea.MouseWheelUp {
			n = -3
		}
		if p := a.page(); p != nil {
			p.follow = false
			p.off = max(0, min(p.off+n, p.lines-p.height))
			return
		}
		a.list().move(n)
	case tea.MouseClickMsg:
		if ev.Y == 1 {
			for i := range viewCount {
				if ev.X >= a.tabs[i] && ev.X < a.tabs[i+1] {
					a.goTo(i)
				}
			}
		} else if a.page() == nil && a.tableY >= 0 {
			a.list().click(ev.Y - a.tableY)
		}
	}
}
