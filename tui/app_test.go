package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"cw/tui/source"
)

var start = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

// dash is a dashboard on a made-up cluster, driven without a terminal.
type dash struct {
	t    testing.TB
	app  *App
	fake *source.Fake
	now  time.Time
}

func newDash(t testing.TB, w, h int, fake source.FakeOptions, change func(*Options)) *dash {
	t.Helper()
	fake.Start = start
	b := &dash{t: t, fake: source.NewFake(fake), now: start}
	opts := Options{Source: b.fake, Theme: ThemeDark, Now: func() time.Time { return b.now }}
	if change != nil {
		change(&opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	b.app = New(ctx, opts)
	b.send(tea.WindowSizeMsg{Width: w, Height: h})
	return b
}

func usual() source.FakeOptions {
	return source.FakeOptions{Seed: 7, Hosts: 4, SegmentsPerHost: 4, Loads: 5, Sessions: 12, Events: 20}
}

// send gives the model a message and carries out what it answers, except
// clocks and the waiting for snapshots, which the test drives.
func (b *dash) send(m tea.Msg) {
	b.t.Helper()
	if _, ok := m.(tea.BatchMsg); !ok {
		_, cmd := b.app.Update(m)
		b.obey(cmd)
	}
}

func (b *dash) obey(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch m := cmd().(type) {
	case doneMsg, planMsg, detailMsg:
		b.send(m)
	}
}

// tick shows the next snapshots, a second each.
func (b *dash) tick(n int) {
	b.t.Helper()
	for range n {
		b.app.show(b.fake.Next())
		b.now = b.now.Add(time.Second)
	}
	b.app.got = b.now
}

func key(name string) tea.KeyPressMsg {
	named := map[string]tea.KeyPressMsg{
		"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "space": {Code: tea.KeySpace, Text: " "},
		"left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown},
		"backspace": {Code: tea.KeyBackspace}, "f1": {Code: tea.KeyF1}, "f2": {Code: tea.KeyF2}, "f3": {Code: tea.KeyF3},
		"ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+d": {Code: 'd', Mod: tea.ModCtrl}, "pgdown": {Code: tea.KeyPgDown},
		"shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
	}
	if m, ok := named[name]; ok {
		return m
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// keys presses keys; words in angle brackets are single keys.
func (b *dash) keys(names ...string) {
	b.t.Helper()
	for _, n := range names {
		b.send(key(n))
	}
}

// typeText presses a key for each character.
func (b *dash) typeText(s string) {
	b.t.Helper()
	for _, r := range s {
		if r == ' ' {
			b.keys("space")
			continue
		}
		b.keys(string(r))
	}
}

func (b *dash) frame() string { return b.app.View().Content }

func (b *dash) screen() string { return ansi.Strip(b.frame()) }

func (b *dash) line(i int) string {
	lines := strings.Split(b.screen(), "\n")
	if i < 0 {
		i += len(lines)
	}
	return lines[i]
}

func (b *dash) wants(texts ...string) {
	b.t.Helper()
	for _, t := range texts {
		if !strings.Contains(b.screen(), t) {
			b.t.Fatalf("%q is not on the screen:\n%s", t, b.screen())
		}
	}
}

func (b *dash) lacks(texts ...string) {
	b.t.Helper()
	for _, t := range texts {
		if strings.Contains(b.screen(), t) {
			b.t.Fatalf("%q is on the screen:\n%s", t, b.screen())
		}
	}
}
