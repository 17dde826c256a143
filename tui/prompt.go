package tui

import (
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"cw/schema"
	"cw/tui/source"
)

// promptKind is what is being typed.
type promptKind uint8

const (
	promptFilter promptKind = iota
	promptPalette
	promptLimit
)

// prompt is a line to type in, above the footer.
type prompt struct {
	kind   promptKind
	load   string // of promptLimit
	before string // the filter to go back to
	err    string
	hist   int // steps back in the history
	tab    int // which candidate tab takes next
	stem   string
}

func (a *App) openPrompt(kind promptKind, value string) {
	a.prompt = &prompt{kind: kind, before: value, stem: value}
	a.input.set(value)
}

// edit gives a key to the line.
func (a *App) edit(m tea.Msg) {
	a.dirty = true
	a.input.update(m)
	if a.prompt != nil {
		a.prompt.stem, a.prompt.tab, a.prompt.err = a.input.value(), 0, ""
		if a.prompt.kind == promptFilter {
			if err := a.list().setFilter(&a.c, a.input.value()); err != nil {
				a.prompt.err = err.Error()
			}
		}
	}
}

func (a *App) promptKey(key string, m tea.KeyPressMsg) tea.Cmd {
	p := a.prompt
	switch key {
	case "esc":
		if p.kind == promptFilter {
			_ = a.list().setFilter(&a.c, p.before) // it was valid before
		}
		a.prompt = nil
	case "enter":
		return a.entered()
	case "tab":
		a.complete()
	case "up", "ctrl+p":
		a.recall(1)
	case "down", "ctrl+n":
		a.recall(-1)
	default:
		if key == "backspace" && a.input.value() == "" {
			a.prompt = nil
			return nil
		}
		a.edit(m)
	}
	return nil
}

func (a *App) recall(step int) {
	p := a.prompt
	if p.kind != promptPalette {
		return
	}
	p.hist = max(0, min(p.hist+step, len(a.typed)))
	text := ""
	if p.hist > 0 {
		text = a.typed[len(a.typed)-p.hist]
	}
	a.input.set(text)
	p.stem, p.tab = text, 0
}

func (a *App) entered() tea.Cmd {
	p, text := a.prompt, strings.TrimSpace(a.input.value())
	switch p.kind {
	case promptFilter:
		if p.err == "" {
			a.prompt = nil
		}
	case promptLimit:
		limit, err := schema.ParseRate(text)
		if err != nil {
			p.err = err.Error()
			return nil
		}
		a.prompt = nil
		return a.setLimit(p.load, limit)
	case promptPalette:
		if text == "" {
			a.prompt = nil
			return nil
		}
		cmd, why := a.command(strings.Fields(text))
		if why != "" {
			p.err = why
			return nil
		}
		a.typed = append(a.typed, text)
		if a.prompt == p {
			a.prompt = nil
		}
		return cmd
	}
	return nil
}

// words are the palette's commands; arg is what follows.
var words = []struct{ name, arg, help string }{ //nolint:gochecknoglobals // constant table
	{"overview", "", "view 1"},
	{"segments", "filter", "view 2, with a filter"},
	{"hosts", "filter", "view 3"},
	{"loads", "filter", "view 4"},
	{"sessions", "filter", "view 5"},
	{"events", "filter", "view 6"},
	{"filter", "filter", "filter this view"},
	{"sort", "column", "sort by a column"},
	{"limit", "load", "limit JOB 50MB/s"},
	{"pause", "load", "pause a load"},
	{"continue", "load", "let a load go on"},
	{"cancel", "load", "cancel a load"},
	{"recover", "", "bring back what is down"},
	{"rebalance", "", "back to the preferred roles"},
	{"interval", "duration", "how often to ask: 5s"},
	{"theme", "theme", "auto, dark, light, mono"},
	{"refresh", "", "ask everybody now"},
	{"help", "", "the keys"},
	{"quit", "", "leave"},
}

// command carries out a line of the palette; why says what was wrong with it.
func (a *App) command(f []string) (cmd tea.Cmd, why string) {
	w := -1
	for i := range words {
		if words[i].name == f[0] || strings.HasPrefix(words[i].name, f[0]) && w < 0 {
			w = i
		}
		if words[i].name == f[0] {
			break
		}
	}
	if w < 0 {
		return nil, "no command " + f[0] + ": tab shows them"
	}
	args := f[1:]
	switch name := words[w].name; name {
	case "overview", "segments", "hosts", "loads", "sessions", "events":
		a.goTo(w)
		if len(args) > 0 && w > 0 {
			return nil, a.filterTo(args)
		}
	case "filter":
		return nil, a.filterTo(args)
	case "sort":
		if len(args) != 1 || !a.list().sortTo(&a.c, args[0]) {
			return nil, "sort COLUMN: " + strings.Join(a.list().names(), " ")
		}
	case "limit", "pause", "continue", "cancel":
		return a.loadCommand(name, args)
	case "recover", "rebalance":
		b := lookup(map[string]string{"recover": "r", "rebalance": "b"}[name], onSegments)
		if why := a.disabled(b); why != "" {
			return nil, why
		}
		return a.act(b.cmd), ""
	case "interval":
		if len(args) == 1 {
			if d, err := time.ParseDuration(args[0]); err == nil && d > 0 {
				return a.setInterval(d), ""
			}
		}
		return nil, "interval 5s: 0.5s to 60s"
	case "theme":
		for _, t := range ThemeNames() {
			if len(args) == 1 && args[0] == t && !a.opts.NoColor {
				a.opts.Theme, a.th = ThemeName(t), newTheme(ThemeName(t))
				return tea.RequestBackgroundColor, ""
			}
		}
		return nil, "theme " + strings.Join(ThemeNames(), "|")
	case "refresh":
		return a.act(cmdRefresh), ""
	case "help":
		a.help, a.helpAt = true, 0
	case "quit":
		return a.interrupt(), ""
	}
	return nil, ""
}

func (a *App) filterTo(args []string) string {
	if a.page() != nil || a.view == 0 {
		return "nothing to filter here"
	}
	if err := a.list().setFilter(&a.c, strings.Join(args, " ")); err != nil {
		return err.Error()
	}
	return ""
}

func (a *App) loadCommand(name string, args []string) (tea.Cmd, string) {
	if a.opts.ReadOnly {
		return nil, "read-only"
	}
	var l *source.Load
	if len(args) > 0 {
		l = a.findLoad(args[0])
	}
	if l == nil {
		return nil, name + " JOB: one of the loads in view 4"
	}
	if !loadActive(l) {
		return nil, l.ID + " has ended"
	}
	switch name {
	case "limit":
		if len(args) != 2 {
			return nil, "limit JOB 50MB/s, or none"
		}
		limit, err := schema.ParseRate(args[1])
		if err != nil {
			return nil, err.Error()
		}
		return a.setLimit(l.ID, limit), ""
	case "pause":
		return a.do(source.Action{Kind: source.PauseLoad, Load: l.ID}, l.ID+" is paused", nil), ""
	case "continue":
		return a.do(source.Action{Kind: source.ContinueLoad, Load: l.ID}, l.ID+" continues", nil), ""
	}
	a.confirmCancelLoad(l)
	return nil, ""
}

// candidates are the completions of what was typed.
func (a *App) candidates(stem string) []string {
	f := strings.Fields(stem)
	if len(f) == 0 || len(f) == 1 && !strings.HasSuffix(stem, " ") {
		var out []string
		for _, w := range words {
			if strings.HasPrefix(w.name, strings.TrimSpace(stem)) {
				out = append(out, w.name)
			}
		}
		return out
	}
	part, head := "", f[0]+" "
	if !strings.HasSuffix(stem, " ") {
		if len(f) != 2 {
			return nil
		}
		part = f[1]
	} else if len(f) != 1 {
		return nil
	}
	var pool []string
	for _, w := range words {
		if w.name != f[0] {
			continue
		}
		switch w.arg {
		case "load":
			for i := range a.snap.Loads.Items {
				if loadActive(&a.snap.Loads.Items[i]) {
					pool = append(pool, string(a.clean(a.snap.Loads.Items[i].ID)))
				}
			}
		case "column":
			for _, c := range a.list().names() {
				pool = append(pool, strings.ToLower(c))
			}
		case "theme":
			pool = ThemeNames()
		case "duration":
			pool = []string{"0.5s", "1s", "2s", "5s", "10s", "60s"}
		case "filter":
			for i := range a.snap.Hosts.Items {
				pool = append(pool, string(a.clean(a.snap.Hosts.Items[i].Name)))
			}
		}
	}
	var out []string
	for _, c := range pool {
		if strings.HasPrefix(c, part) {
			out = append(out, head+c)
		}
	}
	return out
}

// complete takes the next candidate.
func (a *App) complete() {
	p := a.prompt
	if p.kind != promptPalette {
		return
	}
	c := a.candidates(p.stem)
	if len(c) == 0 {
		return
	}
	a.input.set(c[p.tab%len(c)])
	p.tab++
	if len(c) == 1 { // nothing to choose: the next tab goes on from here
		p.stem, p.tab = c[0]+" ", 0
		a.input.set(p.stem)
	}
}

func (a *App) promptLines() int {
	if a.prompt.kind == promptPalette || a.prompt.err != "" {
		return 2
	}
	return 1
}

func (a *App) paintPrompt(p *painter) {
	pr := a.prompt
	switch {
	case pr.err != "":
		p.cell(stBad, []byte(" "+pr.err), p.w, false)
		p.nl()
	case pr.kind == promptPalette:
		c := a.candidates(pr.stem)
		p.text(stDim, " ")
		for i, t := range c {
			if _, arg, ok := strings.Cut(t, " "); ok {
				t = arg
			}
			if p.x+cells([]byte(t), a.g.ascii)+2 > p.w-6 {
				p.text(stDim, "+"+strconv.Itoa(len(c)-i))
				break
			}
			p.text(stDim, t+"  ")
		}
		p.nl()
	}
	label := [...]string{"/", ":", "limit of " + pr.load + " (200MB/s, none): "}[pr.kind]
	p.text(stKey, " "+label)
	x := p.x
	p.text(stPlain, a.input.value())
	before := a.input.before()
	a.cur = tea.NewCursor(min(a.w-1, x+cells([]byte(before), a.g.ascii)), p.lines())
	p.nl()
}
