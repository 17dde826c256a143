package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"cw/tui/source"
)

// What arrives from outside.
type (
	startedMsg  struct{ ch <-chan *source.Snapshot }
	failedMsg   struct{ err error }
	snapshotMsg struct{ snap *source.Snapshot }
	endedMsg    struct{}
	tickMsg     struct{}
	detailMsg   struct {
		page   *page
		detail source.Detail
		err    error
	}
)

// Init starts the source. Nothing is waited for before the first paint.
func (a *App) Init() tea.Cmd {
	start := func() tea.Msg {
		ch, err := a.opts.Source.Start(a.ctx)
		if err != nil {
			return failedMsg{err}
		}
		return startedMsg{ch}
	}
	cmds := []tea.Cmd{start, tick()}
	if a.opts.Theme == ThemeAuto {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	return tea.Batch(cmds...)
}

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tickMsg{} })
}

// next waits for a snapshot and takes the newest one there is.
func next(ch <-chan *source.Snapshot) tea.Cmd {
	return func() tea.Msg {
		s, ok := <-ch
		if !ok {
			return endedMsg{}
		}
		for {
			select {
			case n, more := <-ch:
				if !more {
					return snapshotMsg{s}
				}
				s = n
			default:
				return snapshotMsg{s}
			}
		}
	}
}

// Update takes one message.
func (a *App) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		a.w, a.h, a.dirty = m.Width, m.Height, true
	case tea.BackgroundColorMsg:
		if a.opts.Theme == ThemeAuto {
			a.th, a.dirty = newTheme(ThemeDark), true
			if !m.IsDark() {
				a.th = newTheme(ThemeLight)
			}
		}
	case startedMsg:
		a.ch = m.ch
		return a, next(a.ch)
	case failedMsg:
		a.failure, a.dirty = m.err, true
	case snapshotMsg:
		return a, a.take(m.snap)
	case endedMsg:
		a.over, a.dirty = true, true
	case tickMsg:
		a.ticked()
		return a, tick()
	case detailMsg:
		m.page.take(m, a.opts.Now())
		a.dirty = true
	case doneMsg:
		return a, a.done(m)
	case planMsg:
		a.plan(m)
	case tea.KeyPressMsg:
		return a, a.key(m)
	case tea.PasteMsg:
		if a.prompt != nil || a.dialog != nil {
			a.edit(m)
		}
	case tea.MouseMsg:
		a.mouse(m)
	}
	return a, nil
}

// take shows a snapshot, or keeps it while the screen is held.
func (a *App) take(s *source.Snapshot) tea.Cmd {
	cmds := []tea.Cmd{next(a.ch)}
	if a.heldAt.IsZero() {
		a.show(s)
		if p := a.page(); p != nil {
			cmds = append(cmds, a.ask(p, 2*time.Second))
		}
	} else {
		a.held = s
	}
	return tea.Batch(cmds...)
}

// ticked paints again where the time alone changes something.
func (a *App) ticked() {
	now := a.opts.Now()
	if a.msg != "" && now.After(a.msgUntil) {
		a.msg, a.dirty = "", true
	}
	if a.heldAt.IsZero() && !a.over && now.Sub(a.got) > 1500*time.Millisecond {
		a.dirty = true
	}
}

func (a *App) key(m tea.KeyPressMsg) tea.Cmd {
	key := m.String()
	a.dirty = true
	switch {
	case key == "ctrl+c":
		return a.run(cmdInterrupt)
	case key == "ctrl+z":
		return tea.Suspend
	case a.w < 40 || a.h < 10: // nothing to see that a key could act on
		if key == "q" {
			return tea.Quit
		}
		return nil
	case a.dialog != nil:
		return a.dialogKey(key, m)
	case a.prompt != nil:
		return a.promptKey(key, m)
	case a.help:
		return a.helpKey(key)
	}
	b := lookup(key, a.place())
	if b == nil {
		return nil
	}
	if why := a.disabled(b); why != "" {
		a.say(stWarn, b.names()+": "+why)
		return nil
	}
	return a.run(b.cmd)
}

// run does what a key says.
func (a *App) run(cmd command) tea.Cmd {
	if cmd >= cmdView1 && cmd <= cmdView6 {
		a.goTo(int(cmd - cmdView1))
		return nil
	}
	switch cmd {
	case cmdUp, cmdDown, cmdTop, cmdBottom, cmdHalfDown, cmdHalfUp, cmdPageDown, cmdPageUp:
		a.scroll(cmd)
	case cmdEnter:
		return a.enter()
	case cmdBack:
		a.back()
	case cmdNextView:
		a.goTo((a.view + 1) % viewCount)
	case cmdPrevView:
		a.goTo((a.view + viewCount - 1) % viewCount)
	case cmdQuit:
		if a.page() == nil {
			return a.interrupt()
		}
		a.back()
	case cmdInterrupt:
		return a.interrupt()
	case cmdSuspend:
		return tea.Suspend
	case cmdHelp:
		a.help, a.helpAt = true, 0
	case cmdPalette:
		a.openPrompt(promptPalette, "")
	case cmdFilter:
		a.openPrompt(promptFilter, a.list().filterText())
	case cmdSortLeft:
		a.saySort(a.list().sortNext(&a.c, -1))
	case cmdSortRight:
		a.saySort(a.list().sortNext(&a.c, 1))
	case cmdReverse:
		a.list().reverse(&a.c)
	case cmdProblems:
		a.list().toggleProblems(&a.c)
	case cmdWide:
		if p := a.page(); p != nil {
			p.cutLines = !p.cutLines
		} else {
			a.list().toggleWide()
		}
	case cmdMark:
		a.list().toggleMark()
	case cmdClearMarks:
		a.list().clearMarks()
	case cmdFollow:
		a.follow()
	case cmdAll, cmdWaiting, cmdBlocking:
		a.set = sessionSet(cmd - cmdAll)
		a.sess.rebuild(&a.c)
	case cmdCopy, cmdCopyJSON:
		return a.copyRow(cmd)
	case cmdPause:
		a.hold()
	default:
		return a.act(cmd)
	}
	return nil
}

// hold keeps the screen still, or brings it up to date again.
func (a *App) hold() {
	if a.heldAt.IsZero() {
		a.heldAt = a.opts.Now()
		return
	}
	a.heldAt = time.Time{}
	if a.held != nil {
		a.show(a.held)
	}
}

// interrupt leaves, but an action that is under way only when asked twice:
// leaving takes its context away.
func (a *App) interrupt() tea.Cmd {
	now := a.opts.Now()
	if a.doing == 0 || now.Sub(a.interrupted) < 2*time.Second && !a.interrupted.IsZero() {
		return tea.Quit
	}
	a.interrupted = now
	a.say(stWarn, "an action is under way: the same key again leaves without its end")
	return nil
}

func (a *App) goTo(view int) {
	a.view, a.pages = view, nil
	a.help = false
	a.list().refresh(&a.c)
}

// back closes the page, or else clears the filter.
func (a *App) back() {
	if n := len(a.pages); n > 0 {
		a.pages = a.pages[:n-1]
	} else if a.list().filterText() != "" {
		_ = a.list().setFilter(&a.c, "") // an empty filter has no errors
	}
}

func (a *App) follow() {
	if p := a.page(); p != nil {
		p.follow = !p.follow
		return
	}
	if a.evts.follow = !a.evts.follow; a.evts.follow {
		a.evts.rebuild(&a.c)
	}
}

func (a *App) saySort(name string) {
	if name == "" {
		a.say(stDim, "in the order it comes")
		return
	}
	a.say(stDim, "sorted by "+name)
}

func (a *App) scroll(cmd command) {
	if p := a.page(); p != nil {
		p.scroll(cmd)
		return
	}
	l := a.list()
	switch cmd {
	case cmdUp:
		l.move(-1)
	case cmdDown:
		l.move(1)
	case cmdTop:
		l.top()
	case cmdBottom:
		l.bottom()
		if a.view == 5 {
			a.evts.follow = a.evts.sortBy < 0
		}
	case cmdHalfDown:
		l.page(0.5)
	case cmdHalfUp:
		l.page(-0.5)
	case cmdPageDown:
		l.page(1)
	case cmdPageUp:
		l.page(-1)
	}
}

// copyRow puts the row onto the clipboard of the user's terminal (OSC 52):
// over SSH there is no other.
func (a *App) copyRow(cmd command) tea.Cmd {
	var text string
	var err error
	switch {
	case a.page() != nil:
		text = a.page().text()
	case cmd == cmdCopyJSON:
		text, err = a.list().rowJSON()
	default:
		text = a.list().rowText(&a.c)
	}
	if err != nil {
		a.say(stBad, err.Error())
		return nil
	}
	if text == "" {
		a.say(stWarn, "nothing to copy")
		return nil
	}
	a.say(stDim, "copied, if the terminal allows it")
	return tea.SetClipboard(text)
}
