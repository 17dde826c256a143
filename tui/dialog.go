package tui

import (
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"

	"cw/tui/source"
)

// dialog is a question before an action. What it acts on was fixed when it
// opened: rows that move below it change nothing.
type dialog struct {
	title   string
	lines   []string
	ok      string // the button beside Cancel
	typed   string // has to be typed instead of a button
	onOK    bool   // the focus; Cancel at first
	off     int    // first line shown of a long plan
	said    string
	actions []source.Action
}

func (a *App) dialogKey(key string, m tea.KeyPressMsg) tea.Cmd {
	d := a.dialog
	switch key {
	case "esc":
		return a.closeDialog(false)
	case "pgdown", "down":
		d.off++
		return nil
	case "pgup", "up":
		d.off--
		return nil
	}
	if d.typed != "" {
		if key != "enter" {
			a.edit(m)
			return nil
		}
		if strings.TrimSpace(a.input.value()) != d.typed {
			a.say(stWarn, "type "+d.typed+", or esc")
			return nil
		}
		return a.closeDialog(true)
	}
	switch key {
	case "left", "right", "tab", "shift+tab", "h", "l":
		d.onOK = !d.onOK
	case "enter", "space":
		return a.closeDialog(d.onOK)
	case "q", "n":
		return a.closeDialog(false)
	}
	return nil
}

// closeDialog carries out what was confirmed, one action after the other.
func (a *App) closeDialog(yes bool) tea.Cmd {
	d := a.dialog
	a.dialog = nil
	if !yes {
		a.say(stDim, "nothing was done")
		return nil
	}
	a.sess.clearMarks()
	a.say(stDim, "sent"+a.g.ellipsis)
	a.doing++
	src, ctx := a.opts.Source, a.ctx
	return func() tea.Msg {
		m := doneMsg{said: d.said}
		for _, act := range d.actions {
			text, err := src.Do(ctx, act)
			m.err = errors.Join(m.err, err)
			m.text = text
		}
		if len(d.actions) > 1 {
			m.text = ""
		}
		return m
	}
}

// paintDialog draws the box in at most h lines.
func (a *App) paintDialog(p *painter, h int) {
	d := a.dialog
	border := func(left, right string) {
		p.text(stKey, left)
		p.repeat(stKey, a.g.hline, p.w-2)
		p.text(stKey, right)
		p.nl()
	}
	inside := func(s style, t string) {
		p.text(stKey, a.g.vline)
		p.use(stPlain)
		p.spaces(1)
		p.cell(s, []byte(t), p.w-3, false)
		p.text(stKey, a.g.vline)
		p.nl()
	}
	border(a.g.topLeft, a.g.topRight)
	inside(stTitle, d.title)
	room := max(1, h-7)
	d.off = max(0, min(d.off, len(d.lines)-room))
	for i := range min(room, len(d.lines)) {
		inside(stPlain, d.lines[d.off+i])
	}
	if len(d.lines) > room {
		inside(stDim, "up and down scroll")
	}
	inside(stPlain, "")
	if d.typed != "" {
		prompt := "type " + d.typed + " to do it, esc to leave: "
		inside(stPlain, prompt+a.input.value())
		x := 2 + cells([]byte(prompt+a.input.before()), a.g.ascii)
		a.cur = tea.NewCursor(min(x, p.w-2), p.lines()-1)
	} else {
		p.text(stKey, a.g.vline)
		p.use(stPlain)
		p.spaces(1)
		cancel, ok := "  Cancel  ", "  "+d.ok+"  "
		sc, so := stSel, stPlain
		if d.onOK {
			sc, so = stPlain, stSel
			ok = " [" + d.ok + "] "
		} else {
			cancel = " [Cancel] "
		}
		p.text(sc, cancel)
		p.use(stPlain)
		p.spaces(2)
		p.text(so, ok)
		p.to(p.w - 1)
		p.text(stKey, a.g.vline)
		p.nl()
	}
	border(a.g.bL, a.g.bR)
}
