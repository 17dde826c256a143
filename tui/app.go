// Package tui is cw top: one root model that shows the newest snapshot of a
// source, in views that are plain structs. It knows neither hosts nor the
// store; what a key does to the world goes through the source.
package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"cw/tui/source"
)

// Options say what the dashboard shows and how.
type Options struct {
	Source   source.Source
	Theme    ThemeName // auto when empty
	ASCII    bool      // no glyphs outside of ASCII: LANG is not UTF-8, or the user wants it so
	ReadOnly bool      // no key changes the world
	Mouse    bool      // wheel and clicks; takes the terminal's own selection away
	NoColor  bool      // bold, faint and reverse only, whatever the theme
	// Interval is how often the source asks at first; + and - change it.
	Interval time.Duration
	// View is the number of the view at the start, 1 to 6.
	View int
	// Now is the clock; nil is the real one.
	Now func() time.Time
}

// viewCount is the number of views; their names are in header.go.
const viewCount = 6

// App is the root model.
type App struct {
	opts Options
	ctx  context.Context //nolint:containedctx // Bubble Tea's commands have no other way to it
	th   *theme
	g    *glyphs

	w, h  int
	dirty bool
	frame string
	cur   *tea.Cursor

	ch      <-chan *source.Snapshot
	snap    *source.Snapshot
	held    *source.Snapshot // arrived while the screen is held
	got     time.Time        // by our clock, when snap came
	heldAt  time.Time        // since when the screen is held
	over    bool             // the source has ended
	failure error            // the source did not start
	sum     *summary
	c       scene

	view  int
	lists [viewCount]list
	nodes *table[source.Node]
	hosts *table[source.Host]
	loads *table[source.Load]
	runs  *table[source.Load] // of the overview: those that run
	sess  *table[source.Session]
	evts  *table[source.Event]
	set   sessionSet
	pages []*page

	dialog *dialog
	prompt *prompt
	help   bool
	helpAt int
	input  editor
	typed  []string // the palette's history

	msg      string
	msgStyle style
	msgUntil time.Time

	doing       int // actions under way
	interrupted time.Time
	limits      map[string]*limitChange
	lastLimit   *limitChange

	body, over2, side painter
	lineBuf           []byte
	final             []byte
	bodyY             int // where the view's first line is
	tableY            int // where the current table's header is
	tabs              [viewCount + 1]int
}

// New makes the model. The context ends the actions it starts.
func New(ctx context.Context, opts Options) *App {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Theme == "" {
		opts.Theme = ThemeAuto
	}
	if opts.NoColor {
		opts.Theme = ThemeMono
	}
	if opts.Interval <= 0 {
		opts.Interval = time.Second
	}
	a := &App{
		opts: opts, ctx: ctx, th: newTheme(opts.Theme), g: newGlyphs(opts.ASCII), dirty: true, w: 80, h: 24,
		nodes: newNodeTable(), hosts: newHostTable(), loads: newLoadTable(), runs: newLoadTable(), sess: newSessionTable(), evts: newEventTable(),
		limits: map[string]*limitChange{}, snap: &source.Snapshot{}, sum: summarise(&source.Snapshot{}),
	}
	a.runs.keep = loadActive
	a.runs.empty = "no load is running"
	a.sess.keep = func(s *source.Session) bool {
		switch a.set {
		case sessionsWaiting:
			return len(s.BlockedBy) > 0
		case sessionsBlocking:
			return a.sum.blocking[s.PID] > 0
		}
		return true
	}
	a.lists = [viewCount]list{a.runs, a.nodes, a.hosts, a.loads, a.sess, a.evts}
	if opts.View >= 1 && opts.View <= viewCount {
		a.view = opts.View - 1
	}
	a.newContext()
	return a
}

// newContext sets what cells are written with.
func (a *App) newContext() {
	a.c = scene{now: a.now(), g: a.g, snap: a.snap, sum: a.sum, w: a.w}
}

// now is the time on the clock of the snapshot, so that a recording shows the
// ages of its day, and a source that has stopped grows stale.
func (a *App) now() time.Time {
	if a.snap.At.IsZero() {
		return a.opts.Now()
	}
	end := a.opts.Now()
	if !a.heldAt.IsZero() {
		end = a.heldAt
	}
	return a.snap.At.Add(max(0, end.Sub(a.got)))
}

// place is where keys are looked up.
func (a *App) place() place {
	if p := a.page(); p != nil {
		return p.kind.place()
	}
	return onOverview << a.view
}

func (a *App) page() *page {
	if len(a.pages) == 0 {
		return nil
	}
	return a.pages[len(a.pages)-1]
}

func (a *App) list() list { return a.lists[a.view] }

// say shows a message in the last line for a while.
func (a *App) say(s style, text string) {
	a.msg, a.msgStyle, a.msgUntil, a.dirty = text, s, a.opts.Now().Add(8*time.Second), true
}

// show takes a snapshot onto the screen.
func (a *App) show(s *source.Snapshot) {
	a.snap, a.held, a.got = s, nil, a.opts.Now()
	a.sum = summarise(s)
	a.settleLimits()
	a.newContext()
	a.nodes.set(s.Nodes.Items)
	a.hosts.set(s.Hosts.Items)
	a.loads.set(s.Loads.Items)
	a.runs.set(s.Loads.Items)
	a.sess.set(s.Sessions.Items)
	a.evts.set(s.Events.Items)
	a.list().refresh(&a.c)
	a.dirty = true
}

// View returns the last frame unless something has changed: Bubble Tea asks
// after every message.
func (a *App) View() tea.View {
	if a.dirty {
		a.newContext()
		a.paint()
		a.dirty = false
	}
	v := tea.NewView(a.frame)
	v.AltScreen = true
	v.WindowTitle = "cw top"
	if name := a.snap.Cluster.Name; name != "" {
		v.WindowTitle = "cw top " + string(a.clean(name))
	}
	if a.opts.Mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	v.Cursor = a.cur
	return v
}

// clean is foreign text for places that no painter writes.
func (a *App) clean(text string) []byte {
	b, _, _ := appendSafe(nil, []byte(text), 200, a.g.ascii)
	return b
}
