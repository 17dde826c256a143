package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

func (a *App) helpKey(key string) tea.Cmd {
	b := lookup(key, a.place())
	switch {
	case key == "?" || key == "q" || key == "esc" || key == "enter" || key == "backspace":
		a.help = false
	case b == nil:
	case b.cmd == cmdUp:
		a.helpAt--
	case b.cmd == cmdDown:
		a.helpAt++
	case b.cmd == cmdPageUp || b.cmd == cmdHalfUp:
		a.helpAt -= a.h / 2
	case b.cmd == cmdPageDown || b.cmd == cmdHalfDown:
		a.helpAt += a.h / 2
	case b.cmd == cmdTop:
		a.helpAt = 0
	case b.cmd == cmdBottom:
		a.helpAt = 1 << 20
	case b.cmd >= cmdView1 && b.cmd <= cmdView6:
		a.help = false
		return a.run(b.cmd)
	}
	return nil
}

// paintHelp lists the key table in as many columns as fit: what works here
// plain, the rest dim, with the reason where there is one.
func (a *App) paintHelp(p *painter, h int) {
	type line struct {
		st         style
		keys, text string
	}
	var lines []line
	at := a.place()
	for _, g := range keyGroups {
		lines = append(lines, line{stTitle, "", g})
		for i := range bindings {
			b := &bindings[i]
			if b.group != g {
				continue
			}
			l := line{stKey, b.names(), b.help}
			if b.where&at == 0 {
				l.st = stDim
			} else if why := a.disabled(b); why != "" {
				l.st, l.text = stDim, "("+why+") "+l.text
			}
			lines = append(lines, l)
		}
	}
	for _, l := range strings.Split("Signs|"+a.g.ok+"|in order|"+a.g.resync+"|not in sync|"+a.g.switched+"|not in its preferred role|"+a.g.unknown+"|no answer|"+a.g.down+"|down", "|") {
		if n := len(lines); l == "Signs" {
			lines = append(lines, line{stTitle, "", l})
		} else if lines[n-1].keys != "" && lines[n-1].text == "" {
			lines[n-1].text = l
		} else {
			lines = append(lines, line{stKey, l, ""})
		}
	}
	cols := max(1, min(3, p.w/60))
	w := p.w / cols
	per := (len(lines) + cols - 1) / cols
	a.helpAt = max(0, min(a.helpAt, per-h))
	for row := a.helpAt; row < min(per, a.helpAt+h); row++ {
		for col := range cols {
			i := col*per + row
			if i >= len(lines) {
				continue
			}
			p.to(col * w)
			l := lines[i]
			if l.keys == "" {
				p.cell(l.st, []byte(" "+l.text), w-1, false)
				continue
			}
			p.cell(l.st, []byte("  "+l.keys), 18, false)
			rest := stPlain
			if l.st == stDim {
				rest = stDim
			}
			p.cell(rest, []byte(l.text), col*w+w-1-p.x, false)
		}
		p.nl()
	}
}
