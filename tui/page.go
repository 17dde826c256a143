package tui

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"cw/tui/source"
)

// pageKind is what a page is about.
type pageKind uint8

const (
	pageNode pageKind = iota
	pageHost
	pageLoad
	pageSession
	pageEvent
	pageLog
)

func (k pageKind) place() place { return onNodePage << k }

// page is one thing on the whole screen: what the snapshot knows of it, and
// below it what the source had to ask for.
type page struct {
	kind    pageKind
	id      string // identity of the row
	name    string // for the title
	content int
	pid     int
	event   source.Event

	req      source.DetailRequest
	asks     bool
	asking   bool
	asked    time.Time
	detail   source.Detail
	err      error
	off      int
	height   int
	lines    int
	cutLines bool
	follow   bool
	canvas   painter
}

// enter opens the page about the row under the cursor.
func (a *App) enter() tea.Cmd {
	var p *page
	switch a.view {
	case 0:
		p = loadPage(a.runs.selected())
	case 1:
		if n := a.nodes.selected(); n != nil {
			p = &page{kind: pageNode, id: n.ID, name: n.Role + " " + n.Host + ":" + strconv.Itoa(n.Port), content: n.Content, asks: true, req: source.DetailRequest{Node: n.ID}}
		}
	case 2:
		if h := a.hosts.selected(); h != nil {
			p = &page{kind: pageHost, id: h.Name, name: h.Name}
		}
	case 3:
		p = loadPage(a.loads.selected())
	case 4:
		if s := a.sess.selected(); s != nil {
			p = &page{kind: pageSession, id: string(appendSessionID(nil, s)), name: strconv.Itoa(s.PID), pid: s.PID, asks: true, req: source.DetailRequest{PID: s.PID}}
		}
	case 5:
		if e := a.evts.selected(); e != nil {
			p = &page{kind: pageEvent, id: string(a.evts.id(nil, e)), name: e.Kind, event: *e}
		}
	}
	return a.open(p)
}

func loadPage(l *source.Load) *page {
	if l == nil {
		return nil
	}
	return &page{kind: pageLoad, id: l.ID, name: l.ID, asks: true, req: source.DetailRequest{Load: l.ID}}
}

func (a *App) open(p *page) tea.Cmd {
	if p == nil {
		a.say(stWarn, "no row to open")
		return nil
	}
	a.pages = append(a.pages, p)
	return a.ask(p, 0)
}

// openLog opens the tail of a node's log.
func (a *App) openLog() tea.Cmd {
	var n *source.Node
	if p := a.page(); p != nil {
		n = a.findNode(p.id)
	} else {
		n = a.nodes.selected()
	}
	if n == nil {
		a.say(stWarn, "no node to show the log of")
		return nil
	}
	return a.open(&page{kind: pageLog, id: n.ID, name: n.Role + " " + n.Host + ":" + strconv.Itoa(n.Port), asks: true, follow: true, req: source.DetailRequest{LogTail: n.ID}})
}

// ask gets the page's details, at most once a while and never twice at once.
func (a *App) ask(p *page, atLeast time.Duration) tea.Cmd {
	if !p.asks || p.asking || !p.asked.IsZero() && a.opts.Now().Sub(p.asked) < atLeast {
		return nil
	}
	p.asking = true
	src, ctx, req := a.opts.Source, a.ctx, p.req
	return func() tea.Msg {
		d, err := src.Detail(ctx, req)
		return detailMsg{page: p, detail: d, err: err}
	}
}

func (p *page) take(m detailMsg, now time.Time) {
	p.asking, p.asked, p.err = false, now, m.err
	if m.err == nil {
		p.detail = m.detail
	}
}

func (p *page) scroll(cmd command) {
	p.follow = false
	switch cmd {
	case cmdUp:
		p.off--
	case cmdDown:
		p.off++
	case cmdTop:
		p.off = 0
	case cmdBottom:
		p.off, p.follow = p.lines, p.kind == pageLog
	case cmdHalfDown:
		p.off += p.height / 2
	case cmdHalfUp:
		p.off -= p.height / 2
	case cmdPageDown:
		p.off += p.height
	case cmdPageUp:
		p.off -= p.height
	}
	p.off = max(0, min(p.off, p.lines-p.height))
}

// text is the page as it was last painted, for the clipboard.
func (p *page) text() string {
	var b strings.Builder
	for i := range p.canvas.lines() {
		b.WriteString(stripStyles(string(p.canvas.line(i))))
		b.WriteByte('\n')
	}
	return b.String()
}

// stripStyles takes out what painters put in: SGR sequences only.
func stripStyles(s string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, s, _ = strings.Cut(after, "m")
	}
}

// paintPage draws a page in h lines.
func (a *App) paintPage(p *painter, pg *page, h int) {
	c := &pg.canvas
	c.reset(a.th, a.g, p.w)
	c.text(stTitle, a.pageTitle(pg))
	c.nl()
	a.pageBody(c, pg)
	a.pageDetail(c, pg)
	pg.lines, pg.height = c.lines(), h
	if pg.follow {
		pg.off = pg.lines
	}
	pg.off = max(0, min(pg.off, pg.lines-h))
	for i := range min(h, pg.lines-pg.off) {
		p.inset(c, pg.off+i)
		p.nl()
	}
}

func (a *App) pageDetail(c *painter, pg *page) {
	if !pg.asks {
		return
	}
	if pg.err != nil {
		c.nl()
		a.wrapped(c, pg, stWarn, "not to be had: "+pg.err.Error())
	}
	if pg.asked.IsZero() {
		c.nl()
		c.text(stDim, "asking"+a.g.ellipsis)
		c.nl()
	}
	for _, s := range pg.detail.Sections {
		if s.Title != "" {
			c.nl()
			c.text(stTitle, s.Title)
			c.nl()
		}
		for _, l := range s.Lines {
			a.wrapped(c, pg, logStyle(l), l)
		}
	}
}

// logStyle lets the lines stand out that a reader looks for.
func logStyle(l string) style {
	for _, w := range []string{"PANIC", "FATAL", "ERROR"} {
		if strings.Contains(l, w) {
			return stBad
		}
	}
	if strings.Contains(l, "WARNING") {
		return stWarn
	}
	return stPlain
}

// wrapped writes foreign text over as many lines as it needs, each line break
// of its own kept; with w one line each, cut.
func (a *App) wrapped(c *painter, pg *page, s style, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		if pg.cutLines {
			c.cell(s, []byte(line), c.w, false)
			c.nl()
			continue
		}
		rest := []byte(line)
		for {
			n := fitting(rest, c.w, a.g.ascii)
			c.bytes(s, rest[:n])
			c.nl()
			rest = rest[n:]
			if len(rest) == 0 {
				break
			}
		}
	}
}

// fitting is how many bytes of text fit in w cells, at least one character; it
// breaks after a space where there is one in the second half.
func fitting(text []byte, w int, ascii bool) int {
	used, i, space := 0, 0, 0
	for i < len(text) {
		r, size := utf8.DecodeRune(text[i:])
		_, n := safeRune(r, size, ascii)
		if used+n > w && i > 0 {
			if space > 0 {
				return space
			}
			break
		}
		used += n
		i += size
		if r == ' ' && used > w/2 {
			space = i
		}
	}
	return i
}
