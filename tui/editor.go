package tui

import (
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"
)

// editor is a line being typed. It is a small one of our own: the library's
// would bring programs of the desktop in for the clipboard.
type editor struct {
	text []rune
	pos  int
}

func (e *editor) set(s string) {
	e.text = []rune(s)
	e.pos = len(e.text)
}

func (e *editor) value() string { return string(e.text) }

// before is the text left of the cursor.
func (e *editor) before() string { return string(e.text[:e.pos]) }

// update takes a key or a paste; line breaks and control characters are
// left out.
func (e *editor) update(m tea.Msg) {
	switch m := m.(type) {
	case tea.PasteMsg:
		e.insert(m.Content)
	case tea.KeyPressMsg:
		if !e.control(m.String()) && m.Mod&^tea.ModShift == 0 {
			e.insert(m.Text)
		}
	}
}

func (e *editor) insert(s string) {
	add := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s))
	e.text = append(e.text[:e.pos:e.pos], append(add, e.text[e.pos:]...)...)
	e.pos += len(add)
}

func (e *editor) control(key string) bool {
	switch key {
	case "left", "ctrl+b":
		e.pos = max(0, e.pos-1)
	case "right", "ctrl+f":
		e.pos = min(len(e.text), e.pos+1)
	case "home", "ctrl+a":
		e.pos = 0
	case "end", "ctrl+e":
		e.pos = len(e.text)
	case "backspace":
		e.cut(max(0, e.pos-1), e.pos)
	case "delete", "ctrl+d":
		e.cut(e.pos, min(len(e.text), e.pos+1))
	case "ctrl+u":
		e.cut(0, e.pos)
	case "ctrl+k":
		e.cut(e.pos, len(e.text))
	case "ctrl+w", "alt+backspace":
		from := e.pos
		for from > 0 && e.text[from-1] == ' ' {
			from--
		}
		for from > 0 && e.text[from-1] != ' ' {
			from--
		}
		e.cut(from, e.pos)
	default:
		return false
	}
	return true
}

func (e *editor) cut(from, to int) {
	e.text = append(e.text[:from:from], e.text[to:]...)
	e.pos = from
}
